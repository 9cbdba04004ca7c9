"""Settings that several channels have in common."""

from __future__ import annotations

from scrm.contract import Need

TOKEN = Need(
    name="token",
    help="后台“接收消息 / 服务器配置”里的 Token，一般为 32 位以内的字母或数字",
    secret=True,
    pattern=r"^[\x21-\x7e]{1,64}$",
)
AES_KEY = Need(
    name="aes_key",
    help="同一页的 EncodingAESKey，43 位",
    secret=True,
    pattern=r"^[A-Za-z0-9+/]{43}$",
)
API_BASE = Need(
    name="api_base",
    help="平台接口地址；留空使用官方地址，只有连接模拟器或代理时才填写",
    required=False,
    pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
)
OPEN_SUBJECT = Need(
    name="open_subject",
    help="微信开放平台主体的名字：绑定在同一开放平台账号下的应用填同一个，客户的 UnionID 才能互认",
    required=False,
    pattern=r"^[A-Za-z0-9_-]{1,64}$",
    default="default",
)
CORP_ID = Need(
    name="corp_id",
    help="管理后台“我的企业 / 企业信息”最下方的企业 ID",
    pattern=r"^[A-Za-z0-9_-]{1,64}$",
)
USERS = Need(
    name="users",
    help="用户编号的名字：共用一套会员的网站、App 和订单系统填同一个；留空表示各是各的",
    required=False,
    pattern=r"^[A-Za-z0-9_-]{1,64}$",
)
