"""Customer-service messages and session events in our words (`sync_msg`, path 94670)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from connectors.kit import xml
from connectors.kit.profiles import PREFIX as PROFILE
from connectors.kit.profiles import read_profile, union_links, word
from connectors.wecom_kf.stream import PREFIX
from scrm.contract import Context, Direction, Envelope, Handle, Part, Pull, Raw, Session
from scrm.errors import Refused, Untranslatable

_Fields = dict[str, Any]
_SERVICER = "5"
_ORIGINS: Mapping[str, Direction] = MappingProxyType({"3": "in", "4": "none", _SERVICER: "out"})


def _part(message: _Fields) -> _Fields:
    """The object named after the message's type."""
    found = message.get(word(message, "msgtype"))
    return found if isinstance(found, dict) else {}


def _tagged(tag: str, *names: str) -> Callable[[_Fields], str]:
    def words(message: _Fields) -> str:
        detail = next((said for said in (word(_part(message), name) for name in names) if said), "")
        return f"[{tag}] {detail}".rstrip()

    return words


def _menu(message: _Fields) -> str:
    part = _part(message)
    return f"[菜单] {word(part, 'head_content')}".rstrip()


MESSAGES: Mapping[str, Callable[[_Fields], str]] = MappingProxyType(
    {
        "text": lambda message: word(_part(message), "content"),
        "image": _tagged("图片"),
        "voice": _tagged("语音"),
        "video": _tagged("视频"),
        "file": _tagged("文件"),
        "location": _tagged("位置", "name", "address"),
        "link": _tagged("链接", "title", "url"),
        "business_card": _tagged("名片", "userid"),
        "miniprogram": _tagged("小程序", "title"),
        "msgmenu": _menu,
        "channels": _tagged("视频号", "title", "nickname"),
        "channels_shop_product": _tagged("视频号商品", "title"),
        "channels_shop_order": _tagged("视频号订单", "product_titles", "order_id"),
        "merged_msg": _tagged("聊天记录", "title"),
        "note": _tagged("笔记"),
    }
)

_ENTERED = "进入了客服会话"
#: What a failure reported later means for us: the same as the refusal of a call (`kit.errcodes`).
_EFFECTS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("4", "6"), "out_of_window"),
        **dict.fromkeys(("1", "2", "7", "8", "9"), "config"),
        "5": "session_ended",
        "10": "opted_out",
    }
)
_FAILED: Mapping[str, str] = MappingProxyType(
    {
        "1": "客服账号已删除",
        "2": "应用已关闭",
        "4": "会话已过期，超过 48 小时",
        "5": "会话已关闭",
        "6": "超过 5 条限制",
        "7": "未绑定视频号",
        "8": "主体未验证",
        "9": "未绑定视频号且主体未验证",
        "10": "客户拒收",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one event adds to the envelope that every event has."""

    kind: str
    text: str
    staff: str = ""
    session: Session | None = None
    welcome: str = ""
    recalls: str = ""
    failed_push: str = ""
    failed_effect: str = ""


def _entered(event: _Fields) -> _Told:
    code = word(event, "welcome_code")
    # The platform gives a code only while nobody serves the customer: our API may answer.
    session: Session | None = "api" if code else None
    return _Told(kind="event.session.entered", text=_ENTERED, welcome=code, session=session)


def _send_failed(event: _Fields) -> _Told:
    why = word(event, "fail_type")
    return _Told(
        kind="event.push.failed",
        text=f"消息未送达：{_FAILED.get(why, '原因未知')}",
        failed_push=word(event, "fail_msgid"),
        failed_effect=_EFFECTS.get(why, ""),
    )


def _servicer(event: _Fields) -> _Told:
    state = "开始接待" if word(event, "status") == "1" else "停止接待"
    return _Told(kind="event.staff.status", text=f"接待人员{state}", staff=word(event, "servicer_userid"))


_CHANGES: Mapping[str, tuple[str, Session]] = MappingProxyType(
    {
        "1": ("接待人员接入了会话", "human"),
        "2": ("会话转给了其他接待人员", "human"),
        "3": ("会话已结束", "ended"),
        "4": ("接待人员重新接入了会话", "human"),
    }
)


def _session(event: _Fields) -> _Told:
    words, session = _CHANGES.get(word(event, "change_type"), ("会话状态有变化", None))
    staff = word(event, "new_servicer_userid") or word(event, "old_servicer_userid")
    return _Told(kind="event.session.changed", text=words, staff=staff, session=session)


def _recalled(event: _Fields) -> str:
    msgid = word(event, "recall_msgid")
    return f"{PREFIX}{msgid}" if msgid else ""


def _user_recall(event: _Fields) -> _Told:
    return _Told(kind="event.recalled", text="客户撤回了一条消息", recalls=_recalled(event))


def _servicer_recall(event: _Fields) -> _Told:
    return _Told(
        kind="event.recalled",
        text="接待人员撤回了一条消息",
        recalls=_recalled(event),
        staff=word(event, "servicer_userid"),
    )


EVENTS: Mapping[str, Callable[[_Fields], _Told]] = MappingProxyType(
    {
        "enter_session": _entered,
        "msg_send_fail": _send_failed,
        "servicer_status_change": _servicer,
        "session_status_change": _session,
        "user_recall_msg": _user_recall,
        "servicer_recall_msg": _servicer_recall,
        "reject_customer_msg_switch_change": lambda event: _Told(
            kind="event.push.refused" if word(event, "reject_switch") == "1" else "event.push.allowed",
            text="客户拒收消息" if word(event, "reject_switch") == "1" else "客户恢复接收消息",
        ),
    }
)


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope | Pull]:
    """One stored notice, message or profile. Raises `Untranslatable`."""
    if raw.source_key.startswith(PROFILE):
        return [_profile(ctx, raw)]
    try:
        if raw.source_key.startswith(PREFIX):
            return [_message(ctx, *_stored(raw))]
        return _notice(xml.parse(raw.payload))
    except Refused as broken:
        raise Untranslatable(broken.sentence) from broken


def _stored(raw: Raw) -> tuple[_Fields, int]:
    """The polled message and its place in the vendor's order."""
    try:
        stored = json.loads(raw.payload)
        return dict(stored["msg"]), int(stored["order"])
    except (KeyError, TypeError, ValueError, RecursionError) as broken:
        raise Untranslatable("拉取到的消息无法读取。") from broken


def _notice(fields: _Fields) -> list[Envelope | Pull]:
    event = xml.ident(fields, "Event", "")
    if event == "kf_msg_or_event":
        stream = f"{PREFIX}{xml.ident(fields, 'OpenKfId')}"
        return [Pull(stream=stream, hint=xml.text(fields, "Token", ""))]
    at = xml.moment(fields, "CreateTime")
    if event == "kf_account_auth_change":
        added = _many(fields, "AuthAddOpenKfId")
        envelope = Envelope(
            kind="event.kf.authorized",
            direction="none",
            at=at,
            text=f"客服账号授权变更：新增 {len(added)} 个，取消 {len(_many(fields, 'AuthDelOpenKfId'))} 个",
            body=fields,
        )
        return [envelope, *(Pull(stream=f"{PREFIX}{account}") for account in added)]
    text = f"收到一条暂不认识的消息（{event}）"
    return [Envelope(kind="event.unknown", direction="none", at=at, text=text, body=fields)]


def _many(fields: _Fields, name: str) -> list[str]:
    found = fields.get(name, [])
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)]


def _message(ctx: Context, message: _Fields, order: int) -> Envelope:
    at = xml.at_seconds(message.get("send_time"))
    msgtype = word(message, "msgtype")
    if msgtype == "event":
        return _event(ctx, message, order, at)
    base = _about(ctx, message, word(message, "open_kfid"), word(message, "external_userid"), at, order)
    direction = _ORIGINS.get(word(message, "origin"), "none")
    if msgtype not in MESSAGES:
        text = f"收到一条暂不认识的消息（{msgtype}）"
        return replace(base, kind="event.unknown", text=text, staff=word(message, "servicer_userid"))
    return replace(
        base,
        kind=f"message.{msgtype}",
        direction=direction,
        text=MESSAGES[msgtype](message),
        staff=word(message, "servicer_userid"),
    )


def _event(ctx: Context, message: _Fields, order: int, at: datetime) -> Envelope:
    event = _part(message)
    name = word(event, "event_type")
    customer = word(event, "external_userid") or word(message, "external_userid")
    base = _about(ctx, message, word(event, "open_kfid") or word(message, "open_kfid"), customer, at, order)
    if name not in EVENTS:
        return replace(base, text=f"收到一条暂不认识的事件（{name}）")
    told = EVENTS[name](event)
    return replace(
        base,
        kind=told.kind,
        text=told.text,
        staff=told.staff,
        session=told.session,
        welcome=told.welcome,
        recalls=told.recalls,
        failed_push=told.failed_push,
        failed_effect=told.failed_effect,
    )


def _about(
    ctx: Context, message: _Fields, open_kfid: str, customer: str, at: datetime, order: int
) -> Envelope:
    scope = ctx.account.get("corp_id")
    handles = []
    if customer:
        # What a colleague said was said *to* the customer.
        part: Part = "other" if word(message, "origin") == _SERVICER else "actor"
        handles.append(Handle(kind="wecom_external", scope=scope, value=customer, part=part))
    if open_kfid:
        handles.append(Handle(kind="kf_account", scope=scope, value=open_kfid, part="about"))
    return Envelope(
        kind="event.unknown",
        direction="none",
        at=at,
        handles=tuple(handles),
        seq=order,
        body=message,
        thread=open_kfid,
    )


def _profile(ctx: Context, raw: Raw) -> Envelope:
    at, customer = read_profile(raw)
    value = word(customer, "external_userid")
    if not value:
        raise Untranslatable("客户资料里没有 external_userid。")
    handle = Handle(
        kind="wecom_external",
        scope=ctx.account.get("corp_id"),
        value=value,
        name=word(customer, "nickname"),
        avatar=word(customer, "avatar"),
    )
    handles, links = union_links(ctx.account, handle, word(customer, "unionid"))
    return Envelope(
        kind="event.profile", direction="none", at=at, handles=handles, links=links, body=customer, quiet=True
    )
