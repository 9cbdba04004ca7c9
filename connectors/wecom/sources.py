"""How a customer came to be a contact, as people read it: `add_way` of path 92114."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "1": "扫描二维码",
        "2": "搜索手机号",
        "3": "名片分享",
        "4": "群聊",
        "5": "手机通讯录",
        "6": "微信联系人",
        "7": "来自微信的添加好友申请",
        "8": "安装第三方应用时自动添加",
        "9": "搜索邮箱",
        "10": "视频号主页添加",
        "11": "通过日程参与人添加",
        "12": "通过会议参与人添加",
        "13": "添加微信好友对应的企业微信",
        "14": "通过智慧硬件专属客服添加",
        "15": "通过上门服务客服添加",
        "16": "通过获客链接添加",
        "17": "通过定制开发添加",
        "18": "通过需求回复添加",
        "201": "内部成员共享",
        "202": "管理员分配",
    }
)
