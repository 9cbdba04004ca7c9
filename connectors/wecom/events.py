"""WeCom callbacks in our words: what our staff do in an app, and everything about outside contacts.

Source: developer.work.weixin.qq.com paths 90240 (messages, events), 90970 (members), 92130, 92277 (contacts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from connectors.kit import xml
from connectors.kit.profiles import PREFIX
from connectors.wecom.names import CONTACTS, EVENTS, STAFF_MESSAGES
from connectors.wecom.profile import profile
from scrm.contract import Context, Envelope, Handle, Raw
from scrm.errors import Refused, Untranslatable

_Fields = dict[str, Any]
#: What a change says about the member's following the customer.
_FOLLOWS: Mapping[str, bool] = MappingProxyType(
    {
        "event.contact.added": True,
        "event.contact.half_added": True,
        "event.contact.removed": False,
        "event.contact.left": False,
        "event.contact.half_removed": False,
    }
)
#: A ticket is a credential of the suite: it is good for nothing on a timeline.
_SECRET = frozenset({"SuiteTicket", "AuthCode"})


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored callback or contact profile as envelopes. Raises `Untranslatable`."""
    if raw.source_key.startswith(PREFIX):
        return profile(ctx, raw)
    try:
        fields = xml.parse(raw.payload)
        return [_understood(ctx, fields)]
    except Refused as broken:
        raise Untranslatable(broken.sentence) from broken


def _understood(ctx: Context, fields: _Fields) -> Envelope:
    kind = xml.ident(fields, "MsgType", "")
    if kind not in {"", "event"}:
        return _staff_message(fields, kind)
    name = xml.ident(fields, "InfoType", "") or xml.ident(fields, "Event", "")
    change = xml.ident(fields, "ChangeType", "")
    if (name, change) in CONTACTS:
        return _contact(ctx, fields, *CONTACTS[name, change])
    if name in EVENTS:
        return _event(fields, *EVENTS[name])
    label = "/".join(part for part in (name, change) if part)
    return _plain(fields, "event.unknown", f"收到一条暂不认识的事件（{label}）", staff=_staff(fields))


def _staff_message(fields: _Fields, kind: str) -> Envelope:
    # Written to the app by a member of our own staff: no customer, no direction.
    staff = xml.ident(fields, "FromUserName")
    if kind not in STAFF_MESSAGES:
        return _plain(fields, "event.unknown", f"收到一条暂不认识的消息（{kind}）", staff=staff)
    return _plain(fields, f"message.{kind}", STAFF_MESSAGES[kind](fields), staff=staff)


def _event(fields: _Fields, kind: str, words: Callable[[_Fields], str]) -> Envelope:
    return _plain(fields, kind, words(fields), staff=_staff(fields))


def _contact(ctx: Context, fields: _Fields, kind: str, words: Callable[[_Fields], str]) -> Envelope:
    return Envelope(
        kind=kind,
        direction="none",
        at=_at(fields),
        handles=_handles(ctx, fields),
        text=words(fields),
        body=_body(fields),
        staff=_staff(fields),
        follows=_FOLLOWS.get(kind),
        welcome=xml.text(fields, "WelcomeCode", ""),
    )


def _handles(ctx: Context, fields: _Fields) -> tuple[Handle, ...]:
    scope = xml.ident(fields, "AuthCorpId", "") or ctx.account.get("corp_id")
    customer, chat = xml.ident(fields, "ExternalUserID", ""), xml.ident(fields, "ChatId", "")
    handles = []
    if customer:
        handles.append(Handle(kind="wecom_external", scope=scope, value=customer))
    if chat:
        handles.append(Handle(kind="wecom_chat", scope=scope, value=chat, part="about"))
    return tuple(handles)


def _plain(fields: _Fields, kind: str, text: str, *, staff: str) -> Envelope:
    return Envelope(kind=kind, direction="none", at=_at(fields), text=text, body=_body(fields), staff=staff)


def _body(fields: _Fields) -> _Fields:
    return {name: value for name, value in fields.items() if name not in _SECRET}


def _staff(fields: _Fields) -> str:
    sender = xml.ident(fields, "UserID", "") or xml.ident(fields, "FromUserName", "")
    return "" if sender == "sys" else sender


def _at(fields: _Fields) -> datetime:
    return xml.moment(fields, "CreateTime" if "CreateTime" in fields else "TimeStamp")
