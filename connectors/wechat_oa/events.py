"""Official Account messages and events in our words.

Source: developers.weixin.qq.com/doc/offiaccount/Message_Management (standard messages, event pushes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from connectors.kit import xml
from connectors.kit.profiles import PREFIX, read_profile, union_links, word
from scrm.contract import Context, Envelope, Handle, Raw
from scrm.errors import Refused, Untranslatable

_Fields = dict[str, Any]
_Words = Callable[[_Fields], str]
_LARGEST_SEQ = 2**63 - 1
_QR_PREFIX = "qrscene_"


def _said(fields: _Fields, name: str) -> str:
    return xml.text(fields, name, "")


def _tagged(tag: str, *names: str) -> _Words:
    """`[tag]` followed by the first of the fields that is filled."""

    def words(fields: _Fields) -> str:
        detail = next((said for said in (_said(fields, name) for name in names) if said), "")
        return f"[{tag}] {detail}".rstrip()

    return words


def _always(sentence: str) -> _Words:
    return lambda _fields: sentence


def _keyed(before: str, after: str = "") -> _Words:
    """A sentence around `EventKey`."""
    return lambda fields: f"{before}{_said(fields, 'EventKey')}{after}"


def scene(fields: _Fields) -> str:
    """The channel code a customer came by; "" without one."""
    return _said(fields, "EventKey").removeprefix(_QR_PREFIX)


def _subscribed(fields: _Fields) -> str:
    return f"扫码关注了公众号（渠道：{scene(fields)}）" if scene(fields) else "关注了公众号"


def _template(fields: _Fields) -> str:
    reasons = {"success": "模板消息已送达", "failed:user block": "模板消息未送达：客户拒收"}
    return reasons.get(_said(fields, "Status"), "模板消息未送达：平台发送失败")


def _scanned_code(fields: _Fields) -> str:
    info = fields.get("ScanCodeInfo")
    result = xml.text(info, "ScanResult", "") if isinstance(info, dict) else ""
    return f"用菜单扫码：{result}" if result else "用菜单扫码"


MESSAGES: Mapping[str, _Words] = MappingProxyType(
    {
        "text": lambda fields: _said(fields, "Content"),
        "image": _tagged("图片"),
        "voice": _tagged("语音", "Recognition"),
        "video": _tagged("视频"),
        "shortvideo": _tagged("小视频"),
        "location": _tagged("位置", "Label"),
        "link": _tagged("链接", "Title", "Url"),
        "miniprogrampage": _tagged("小程序", "Title"),
    }
)
#: Event, in lower case (the platform writes some in capitals) -> our kind and words.
EVENTS: Mapping[str, tuple[str, _Words]] = MappingProxyType(
    {
        "subscribe": ("event.subscribe", _subscribed),
        "unsubscribe": ("event.unsubscribe", _always("取消关注了公众号")),
        "scan": ("event.scan", lambda fields: f"扫描了二维码（渠道：{scene(fields)}）"),
        "location": ("event.location", _always("上报了地理位置")),
        "click": ("event.menu.click", _keyed("点击了菜单「", "」")),
        "view": ("event.menu.view", _keyed("点击菜单打开了网页 ")),
        "view_miniprogram": ("event.menu.miniprogram", _keyed("点击菜单打开了小程序 ")),
        "scancode_push": ("event.menu.scancode_push", _scanned_code),
        "scancode_waitmsg": ("event.menu.scancode_waitmsg", _scanned_code),
        "pic_sysphoto": ("event.menu.pic_sysphoto", _always("用菜单拍照发图")),
        "pic_photo_or_album": ("event.menu.pic_photo_or_album", _always("用菜单拍照或选图")),
        "pic_weixin": ("event.menu.pic_weixin", _always("用菜单选择了相册图片")),
        "location_select": ("event.menu.location_select", _always("用菜单发送了位置")),
        "templatesendjobfinish": ("event.template.finished", _template),
        "masssendjobfinish": ("event.mass.finished", _always("群发任务已结束")),
        "subscribe_msg_popup_event": ("event.notice.popup", _always("在订阅通知弹窗中做了选择")),
        "subscribe_msg_change_event": ("event.notice.changed", _always("修改了订阅通知设置")),
        "subscribe_msg_sent_event": ("event.notice.sent", _always("订阅通知已下发")),
        "kf_create_session": ("event.kf.opened", _always("客服接入了会话")),
        "kf_close_session": ("event.kf.closed", _always("客服结束了会话")),
        "kf_switch_session": ("event.kf.switched", _always("会话转给了其他客服")),
        "user_enter_tempsession": ("event.tempsession.entered", _always("进入了客服会话")),
        "user_info_modified": ("event.authorization.modified", _always("修改了授权资料")),
        "user_authorization_revoke": ("event.authorization.revoked", _always("撤回了资料授权")),
        "user_authorization_cancellation": ("event.authorization.cancelled", _always("注销了账号授权")),
    }
)
#: What a customer does on purpose moves the conversation and may open a reply window.
_ACTS = ("event.subscribe", "event.scan", "event.menu.", "event.tempsession.")
#: Their sender is the platform's own helper account, not a customer.
_NOBODY = frozenset({"event.mass.finished"})


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored callback or profile as envelopes. Raises `Untranslatable`."""
    if raw.source_key.startswith(PREFIX):
        return [_profile(ctx, raw)]
    try:
        return [_understood(ctx, xml.parse(raw.payload))]
    except Refused as broken:
        raise Untranslatable(broken.sentence) from broken


def openid_handle(ctx: Context, openid: str, *, name: str = "", avatar: str = "") -> Handle:
    scope = ctx.account.get("app_id")
    return Handle(kind="wechat_openid", scope=scope, value=openid, name=name, avatar=avatar)


def _understood(ctx: Context, fields: _Fields) -> Envelope:
    kind = xml.ident(fields, "MsgType")
    if kind == "event":
        return _event(ctx, fields)
    if kind not in MESSAGES:
        return _unknown(ctx, fields, kind)
    return Envelope(
        kind=f"message.{kind}",
        direction="in",
        at=xml.moment(fields, "CreateTime"),
        handles=(openid_handle(ctx, xml.ident(fields, "FromUserName")),),
        seq=_seq(fields),
        text=MESSAGES[kind](fields),
        body=fields,
    )


def _event(ctx: Context, fields: _Fields) -> Envelope:
    name = xml.ident(fields, "Event")
    if name.lower() not in EVENTS:
        return _unknown(ctx, fields, name)
    kind, words = EVENTS[name.lower()]
    handles = () if kind in _NOBODY else (openid_handle(ctx, xml.ident(fields, "FromUserName")),)
    return Envelope(
        kind=kind,
        direction="in" if kind.startswith(_ACTS) else "none",
        at=xml.moment(fields, "CreateTime"),
        handles=handles,
        text=words(fields),
        body={**fields, **_extras(kind, fields)},
        staff=_said(fields, "ToKfAccount") or _said(fields, "KfAccount"),
    )


def _unknown(ctx: Context, fields: _Fields, name: str) -> Envelope:
    sender = xml.ident(fields, "FromUserName", "")
    return Envelope(
        kind="event.unknown",
        direction="none",
        at=xml.moment(fields, "CreateTime"),
        handles=(openid_handle(ctx, sender),) if sender else (),
        text=f"收到一条暂不认识的消息（{name}）",
        body=fields,
    )


def _extras(kind: str, fields: _Fields) -> dict[str, Any]:
    if kind in {"event.subscribe", "event.scan"}:
        return {"scene": scene(fields)}
    if kind.startswith("event.notice."):
        return {"items": _items(fields)}
    return {}


def _items(fields: _Fields) -> list[Any]:
    # XML wraps `List` in an element named after the event, JSON does not; one entry may come without a list.
    wrapped = next((v for k, v in fields.items() if k.startswith("SubscribeMsg")), fields)
    found = wrapped.get("List", []) if isinstance(wrapped, dict) else []
    return found if isinstance(found, list) else [found]


def _seq(fields: _Fields) -> int | None:
    msg_id = _said(fields, "MsgId")
    if not (msg_id.isascii() and msg_id.isdigit() and len(msg_id) <= 19):
        return None
    return int(msg_id) if int(msg_id) <= _LARGEST_SEQ else None


def _profile(ctx: Context, raw: Raw) -> Envelope:
    at, answer = read_profile(raw)
    openid = word(answer, "openid")
    if not openid:
        raise Untranslatable("公众号返回的用户资料里没有 openid。")
    name, avatar = word(answer, "nickname"), word(answer, "headimgurl")
    handle = openid_handle(ctx, openid, name=name, avatar=avatar)
    handles, links = union_links(ctx.account, handle, word(answer, "unionid"))
    return Envelope(
        kind="event.profile", direction="none", at=at, handles=handles, links=links, body=answer, quiet=True
    )
