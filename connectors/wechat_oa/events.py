"""Official Account events in our words.

Source: developers.weixin.qq.com/doc/offiaccount/Message_Management (standard messages, event pushes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from connectors.kit.official import words
from connectors.kit.official.fields import (
    Fields,
    Words,
    always,
    detailed,
    inner,
    keyed,
    many,
    part,
    said,
    scene,
)
from connectors.kit.official.reading import Dialect, read
from scrm.contract import Context, Envelope, Raw


def _subscribed(fields: Fields) -> str:
    return f"扫码关注了公众号（渠道：{scene(fields)}）" if scene(fields) else "关注了公众号"


def _template(fields: Fields) -> str:
    reasons = {"success": "模板消息已送达", "failed:user block": "模板消息未送达：客户拒收"}
    return reasons.get(said(fields, "Status"), "模板消息未送达：平台发送失败")


def _mass(fields: Fields) -> str:
    if said(fields, "Status") not in ("send success", "sendsuccess"):
        return f"群发任务未完成：{said(fields, 'Status')}"
    sent, failed = said(fields, "SentCount"), said(fields, "ErrorCount")
    return f"群发任务已结束：成功 {sent or 0} 人，失败 {failed or 0} 人"


def _pictures(sentence: str) -> Words:
    def words_of(fields: Fields) -> str:
        count = len(many(part(part(fields, "SendPicsInfo"), "PicList").get("item")))
        return f"{sentence}（{count} 张）" if count else sentence

    return words_of


def _audited(good: str, bad: str) -> Words:
    def words_of(fields: Fields) -> str:
        reason = inner(fields, "FailReason")
        return f"{bad}：{reason}" if reason else good

    return words_of


_MENU: Mapping[str, tuple[str, Words]] = {
    "click": ("event.menu.click", keyed("点击了菜单「", "」")),
    "view": ("event.menu.view", keyed("点击菜单打开了网页 ")),
    "view_miniprogram": ("event.menu.miniprogram", keyed("点击菜单打开了小程序 ")),
    "scancode_push": ("event.menu.scancode_push", detailed("用菜单扫码", "ScanCodeInfo", "ScanResult")),
    "scancode_waitmsg": ("event.menu.scancode_waitmsg", detailed("用菜单扫码", "ScanCodeInfo", "ScanResult")),
    "pic_sysphoto": ("event.menu.pic_sysphoto", _pictures("用菜单拍照发图")),
    "pic_photo_or_album": ("event.menu.pic_photo_or_album", _pictures("用菜单拍照或选图")),
    "pic_weixin": ("event.menu.pic_weixin", _pictures("用菜单选择了相册图片")),
    "location_select": (
        "event.menu.location_select",
        detailed("用菜单发送了位置", "SendLocationInfo", "Label"),
    ),
}
_CARDS: Mapping[str, tuple[str, Words]] = {
    "user_get_card": ("event.card.taken", always("领取了卡券")),
    "user_del_card": ("event.card.deleted", always("删除了卡券")),
    "user_consume_card": ("event.card.used", always("核销了卡券")),
    "user_gifting_card": ("event.card.given", always("把卡券转赠给了朋友")),
    "user_view_card": ("event.card.viewed", always("查看了会员卡")),
    "user_enter_session_from_card": ("event.card.entered", always("从卡券进入了公众号会话")),
    "update_member_card": ("event.card.updated", always("会员卡的积分或余额有变动")),
    "submit_membercard_user_info": ("event.card.activated", always("提交资料激活了会员卡")),
    "giftcard_send_to_friend": ("event.card.gift", always("送出了礼品卡")),
    "user_authorize_invoice": ("event.invoice.authorized", always("授权开具电子发票")),
    "submit_invoice_title": ("event.invoice.title", always("提交了发票抬头")),
    "merchant_order": ("event.shop.paid", keyed("在微信小店付款，订单号 ", name="OrderId")),
}
_ACCOUNT: Mapping[str, tuple[str, Words]] = {
    "templatesendjobfinish": ("event.template.finished", _template),
    "masssendjobfinish": ("event.mass.finished", _mass),
    "kf_create_session": ("event.kf.opened", always("客服接入了会话")),
    "kf_close_session": ("event.kf.closed", always("客服结束了会话")),
    "kf_switch_session": ("event.kf.switched", always("会话转给了其他客服")),
    "qualification_verify_success": ("event.verification", always("资质认证成功")),
    "qualification_verify_fail": ("event.verification", _audited("资质认证失败", "资质认证失败")),
    "naming_verify_success": ("event.verification", always("名称认证成功")),
    "naming_verify_fail": ("event.verification", _audited("名称认证失败", "名称认证失败")),
    "annual_renew": ("event.verification", always("公众号认证需要年审")),
    "verify_expired": ("event.verification", always("公众号认证已过期")),
}
EVENTS: Mapping[str, tuple[str, Words]] = MappingProxyType(
    {
        "subscribe": ("event.subscribe", _subscribed),
        "unsubscribe": ("event.unsubscribe", always("取消关注了公众号")),
        "scan": ("event.scan", lambda fields: f"扫描了二维码（渠道：{scene(fields)}）"),
        "location": ("event.location", always("上报了地理位置")),
        **_MENU,
        **_CARDS,
        **_ACCOUNT,
        **words.EVENTS,
    }
)
_DIALECT = Dialect(
    events=EVENTS,
    acts=("event.subscribe", "event.scan", "event.menu.", "event.tempsession.", "event.card.entered"),
    # The platform's own helper account, or the account itself.
    nobody=frozenset({"event.mass.finished", "event.verification"}),
)


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored callback or profile as envelopes. Raises `Untranslatable`."""
    return read(ctx, raw, _DIALECT)
