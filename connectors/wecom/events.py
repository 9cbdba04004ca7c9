"""WeCom callbacks in our words: what our staff do in an app, and everything about outside contacts.

Source: developer.work.weixin.qq.com paths 90240 (messages, events), 90970 (members), 92130, 92277 (contacts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from connectors.kit import xml
from connectors.wecom import groups
from connectors.wecom.lookups import TAG
from connectors.wecom.names import CONTACTS, EVENTS, STAFF_MESSAGES
from connectors.wecom.profile import follow_key, way
from connectors.wecom.registers import understood
from connectors.wecom.told import is_told, rank_of, read
from scrm.contract import Context, Envelope, Fact, Handle, Raw
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
#: After these the vendor is asked how it stands now: what they change they do not say.
_ASKS = frozenset(
    {
        "event.contact.added",
        "event.contact.half_added",
        "event.contact.edited",
        "event.chat.created",
        "event.chat.updated",
        "event.tag.created",
        "event.tag.updated",
    }
)
#: An event tells whole seconds: what we asked within that second may be older than it.
_SECOND = timedelta(seconds=1)
#: A ticket is a credential of the suite: it is good for nothing on a timeline.
_SECRET = frozenset({"SuiteTicket", "AuthCode"})


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored callback or contact profile as envelopes. Raises `Untranslatable`."""
    if is_told(raw.source_key):
        return understood(ctx, read(raw))
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
    handles, at, staff = _handles(ctx, fields), _at(fields), _staff(fields)
    return Envelope(
        kind=kind,
        direction="none",
        at=at,
        handles=handles,
        text=words(fields),
        body=_body(fields),
        facts=_facts(kind, fields, handles, at, staff),
        counts=way(xml.text(fields, "State", "")) if kind == "event.contact.added" else "",
        staff=staff,
        follows=_FOLLOWS.get(kind),
        welcome=xml.text(fields, "WelcomeCode", ""),
        asks=kind in _ASKS and bool(handles),
    )


def _facts(
    kind: str, fields: _Fields, handles: tuple[Handle, ...], at: datetime, staff: str
) -> tuple[Fact, ...]:
    """What the event says by itself about who follows whom, groups and tags."""
    found = {handle.kind: handle for handle in handles}
    if customer := found.get("wecom_external"):
        key = follow_key(customer.value, staff)
        if _FOLLOWS.get(kind) is False:
            return (Fact(kind="follow", key=key, rank=rank_of(at + _SECOND), gone=True, handle=customer),)
        if kind == "event.contact.added":
            body = {
                "external": customer.value,
                "userid": staff,
                "state": xml.text(fields, "State", ""),
                "createtime": str(int(at.timestamp())),
            }
            return (Fact(kind="follow", key=key, body=body, rank=rank_of(at), handle=customer),)
    if chat := found.get("wecom_chat"):
        return groups.changed(chat, fields, at)
    if kind == "event.tag.deleted" and xml.ident(fields, "TagType", "") != "tag_group":
        ident = xml.ident(fields, "Id", "")
        return (Fact(kind="tag", key=ident, rank=rank_of(at + _SECOND), gone=True),) if ident else ()
    return ()


def _handles(ctx: Context, fields: _Fields) -> tuple[Handle, ...]:
    scope = xml.ident(fields, "AuthCorpId", "") or ctx.account.get("corp_id")
    customer, chat = xml.ident(fields, "ExternalUserID", ""), xml.ident(fields, "ChatId", "")
    handles = []
    if customer:
        handles.append(Handle(kind="wecom_external", scope=scope, value=customer))
    if chat:
        handles.append(Handle(kind="wecom_chat", scope=scope, value=chat, part="about"))
    if xml.ident(fields, "Event", "") == "change_external_tag" or (
        xml.ident(fields, "InfoType", "") == "change_external_tag"
    ):
        tag = xml.ident(fields, "Id", "")
        named = f"{xml.ident(fields, 'TagType', '') or 'tag'}:{tag}"
        handles += [Handle(kind=TAG, scope=scope, value=named, part="about")] if tag else []
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
