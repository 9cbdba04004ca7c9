"""Tencent IM callbacks in our words: messages, what becomes of them, groups, presence.

Source: cloud.tencent.com/document/product/269/1522 (callback overview) and the pages of the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from connectors.kit import xml
from connectors.kit.profiles import PREFIX as PROFILE
from connectors.kit.profiles import read_profile, word
from connectors.tim import elements
from connectors.tim.keys import message_key, stored
from connectors.tim.people import Pair, group, ident, pair, staff, user
from scrm.contract import Account, Context, Envelope, Handle, Raw
from scrm.errors import Refused, Untranslatable

_Fields = dict[str, Any]
_Told = Callable[[Account, _Fields, datetime], Sequence[Envelope]]
_LARGEST_SEQ = 2**63 - 1


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored callback or profile as envelopes. Raises `Untranslatable`."""
    if raw.source_key.startswith(PROFILE):
        return [_profile(ctx.account, raw)]
    asked_at, fields = stored(raw.payload)
    at = _at(fields, asked_at)
    command = ident(fields, "CallbackCommand")
    return _COMMANDS.get(command, _unknown)(ctx.account, fields, at)


def _at(fields: _Fields, asked_at: int) -> datetime:
    """When it happened: seconds for messages, milliseconds for events, else when we were told."""
    millis = fields.get("EventTime")
    given = fields.get("MsgTime") or (millis // 1000 if isinstance(millis, int) else None) or asked_at
    try:
        return xml.at_seconds(given)
    except Refused:
        raise Untranslatable("回调里的时间不合法。") from None


def _unknown(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    name = ident(fields, "CallbackCommand") or "?"
    return [replace(_about(account, fields, at), text=f"收到一条暂不认识的回调（{name}）")]


def _about(account: Account, fields: _Fields, at: datetime) -> Envelope:
    """The envelope of everything else: nothing said, about whoever is named."""
    handles: list[Handle] = []
    if group_id := ident(fields, "GroupId"):
        handles.append(group(account, group_id, ident(fields, "Name")))
    else:
        customer = pair(account, fields).customer
        handles += [user(account, customer)] if customer else []
    return Envelope(kind="event.unknown", direction="none", at=at, handles=tuple(handles), body=fields)


def _message(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    content = elements.read(fields.get("MsgBody"))
    said = replace(
        _ends(account, fields, at),
        kind=content.kind or "event.unknown",
        text=content.text or "收到一条暂不认识的消息",
        pieces=content.pieces,
        seq=_seq(fields),
    )
    if fields.get("SendMsgResult"):
        reason = word(fields, "ErrorInfo") or word(fields, "SendMsgResult")
        return [replace(said, kind="event.message.blocked", direction="none", text=f"消息没有发出：{reason}")]
    if fields.get("OnlineOnlyFlag") == 1:
        # "Is typing" and the like: seen by who is online, kept by nobody.
        return [replace(said, kind="event.signal", direction="none", quiet=True)]
    return [said if content.kind else replace(said, direction="none")]


def _ends(account: Account, fields: _Fields, at: datetime) -> Envelope:
    if group_id := ident(fields, "GroupId"):
        return _in_group(account, fields, group_id, at)
    ends = pair(account, fields)
    if ends.ours:
        to = (user(account, ends.customer, "other"),) if ends.customer else ()
        return _envelope(fields, at, "out" if to else "none", to, ends.agent, ends.agent)
    return _envelope(fields, at, "in", _customers(account, ends), ends.agent, ends.agent)


def _customers(account: Account, ends: Pair) -> tuple[Handle, ...]:
    here = (user(account, ends.customer),) if ends.customer else ()
    if ends.agent or not ends.receiver:
        return here
    return (*here, user(account, ends.receiver, "other"))


def _in_group(account: Account, fields: _Fields, group_id: str, at: datetime) -> Envelope:
    sender, chat = ident(fields, "From_Account"), group(account, group_id)
    if staff(account, sender):
        return _envelope(fields, at, "out", (chat,), sender, "")
    handles = (user(account, sender), chat) if sender else (chat,)
    return _envelope(fields, at, "in" if sender else "none", handles, "", "")


def _envelope(
    fields: _Fields, at: datetime, direction: Any, handles: tuple[Handle, ...], agent: str, thread: str
) -> Envelope:
    return Envelope(
        kind="event.unknown",
        direction=direction,
        at=at,
        handles=handles,
        staff=agent,
        thread=thread,
        body=fields,
    )


def _seq(fields: _Fields) -> int | None:
    seq = fields.get("MsgSeq")
    return seq if isinstance(seq, int) and 0 <= seq <= _LARGEST_SEQ else None


def _withdrawn(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    """One-to-one: by MsgKey. In a group: a list of sequence numbers, one envelope each."""
    base = replace(_ends(account, fields, at), kind="event.recalled", direction="none", seq=None)
    listed = fields.get("MsgSeqList")
    seqs = [one.get("MsgSeq") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    who = "我们" if staff(account, _author(fields)) else "客户"
    keys = [message_key(fields, seq) for seq in seqs] or [message_key(fields)]
    text = f"{who}撤回了一条消息"
    return [
        replace(base, text=text, recalls=key, suffix=str(n) if n else "")
        for n, key in enumerate(key for key in keys if key)
    ] or [replace(base, text=text)]


def _author(fields: _Fields) -> str:
    return ident(fields, "Operator_Account") or ident(fields, "From_Account")


def _edited(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    """The same message with other words; it happened when the words changed, not when it was sent."""
    millis = fields.get("EventTime")
    at = xml.at_seconds(millis // 1000) if isinstance(millis, int) and 0 < millis < 10**14 else at
    content, key = elements.read(fields.get("MsgBody")), message_key(fields)
    if not key or not content.kind:
        return _unknown(account, fields, at)
    base = _ends(account, fields, at)
    return [replace(base, kind=content.kind, text=content.text, pieces=content.pieces, edits=key)]


def _read_by(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    reader = ident(fields, "Report_Account")
    handles = () if staff(account, reader) or not reader else (user(account, reader),)
    base = _about(account, fields, at)
    return [replace(base, kind="event.read", handles=handles, text="看过了消息", quiet=True)]


_ACTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"Login": ("event.online", "上线了"), "Logout": ("event.offline", "下线了")}
)


def _state(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    """Presence is counted, not shown: an app connects many times a day."""
    found = fields.get("Info")
    info = found if isinstance(found, dict) else {}
    who = ident(info, "To_Account")
    kind, text = _ACTIONS.get(word(info, "Action"), ("event.offline", "断线了"))
    handles = (user(account, who),) if who and not staff(account, who) else ()
    base = _about(account, fields, at)
    counts = kind if handles and kind == "event.online" else ""
    return [replace(base, kind=kind, handles=handles, text=text, quiet=True, counts=counts)]


def _named(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
    """A user changed nickname or picture."""
    who = ident(fields, "From_Account")
    if not who or staff(account, who):
        return [replace(_about(account, fields, at), kind="event.profile", handles=(), quiet=True)]
    return [_known(account, who, fields, at)]


def _known(account: Account, who: str, fields: _Fields, at: datetime) -> Envelope:
    found = fields.get("ProfileItem")
    items = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    tags = {word(one, "Tag"): word(one, "Value") for one in items}
    handle = replace(
        user(account, who, name=tags.get("Tag_Profile_IM_Nick", "")),
        avatar=tags.get("Tag_Profile_IM_Image", ""),
    )
    return Envelope(kind="event.profile", direction="none", at=at, handles=(handle,), body=fields, quiet=True)


def _profile(account: Account, raw: Raw) -> Envelope:
    at, answer = read_profile(raw)
    who = ident(answer, "To_Account")
    if not who:
        raise Untranslatable("用户资料里没有用户编号。")
    return _known(account, who, answer, at)


def _group_event(kind: str, sentence: str, members: str = "") -> _Told:
    """Something happened to a group; the customers among the named members are part of it."""

    def told(account: Account, fields: _Fields, at: datetime) -> Sequence[Envelope]:
        found = fields.get(members) if members else []
        listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        ids = [ident(one, "Member_Account") for one in listed]
        customers = tuple(user(account, one, "other") for one in ids if one and not staff(account, one))
        base = _about(account, fields, at)
        text = f"{sentence}：{len(ids)} 人" if ids else sentence
        return [replace(base, kind=kind, text=text, handles=(*base.handles, *customers))]

    return told


_COMMANDS: Mapping[str, _Told] = MappingProxyType(
    {
        "C2C.CallbackAfterSendMsg": _message,
        "Group.CallbackAfterSendMsg": _message,
        "C2C.CallbackAfterMsgWithDraw": _withdrawn,
        "Group.CallbackAfterRecallMsg": _withdrawn,
        "C2C.CallbackAfterModifyMsg": _edited,
        "Group.CallbackAfterModifyMsg": _edited,
        "C2C.CallbackAfterMsgReport": _read_by,
        "State.StateChange": _state,
        "Profile.CallbackPortraitSet": _named,
        "Group.CallbackAfterCreateGroup": _group_event("event.group.created", "建了一个群", "MemberList"),
        "Group.CallbackAfterNewMemberJoin": _group_event("event.group.joined", "进了群", "NewMemberList"),
        "Group.CallbackAfterMemberExit": _group_event("event.group.left", "离开了群", "ExitMemberList"),
        "Group.CallbackAfterGroupDestroyed": _group_event("event.group.dismissed", "群解散了", "MemberList"),
    }
)
