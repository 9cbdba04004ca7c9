"""Archived messages in our words (path 91774): who said what to whom, taken back, or agreed to be kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.kit import xml
from connectors.kit.profiles import word
from connectors.wecom_archive import keys
from connectors.wecom_archive.consent import PREFIX as CONSENT
from connectors.wecom_archive.consent import agreed, looked_up
from connectors.wecom_archive.names import MESSAGES, is_outside, is_robot, part_of
from connectors.wecom_archive.pieces import pieces_of
from connectors.wecom_archive.records import Collected
from connectors.wecom_archive.stream import AGAIN, ARCHIVE, OPEN, SEALED
from scrm.contract import Context, Direction, Envelope, Handle, Pull, Raw
from scrm.errors import Refused, Rejected, Untranslatable

_Fields = dict[str, Any]
#: What did not open is not tried again so soon, whatever translates it: that would go round in circles.
_REST = timedelta(minutes=10)
_EVER = datetime.fromtimestamp(0, UTC)
#: Of merged records: how much of what they say is in the message's own words, to be found again.
_WORDS = 2_000


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope | Pull]:
    """One stored message, sealed message, consent or notice. Raises `Untranslatable`."""
    if raw.source_key.startswith(SEALED):
        return [_unsealing(ctx, raw)]
    if raw.source_key.startswith(CONSENT):
        return looked_up(ctx, raw)
    if not raw.source_key.startswith(OPEN):
        return _notice(raw)
    stored = _stored(raw)
    try:
        at = datetime.fromtimestamp(int(stored["at"]) / 1000, UTC)
        return [_understood(ctx, dict(stored["msg"]), at, int(stored["seq"]))]
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as broken:
        raise Untranslatable("存档消息的内容不完整，无法解析。") from broken


def _stored(raw: Raw) -> _Fields:
    try:
        found = json.loads(raw.payload)
    except (ValueError, RecursionError) as broken:
        raise Untranslatable("存档消息无法读取。") from broken
    if not isinstance(found, dict):
        raise Untranslatable("存档消息无法读取。")
    return found


def _unsealing(ctx: Context, raw: Raw) -> Pull:
    """Opening takes the library, so a replayed row asks for it, once something has changed that may help."""
    item = _stored(raw)
    version = item.get("publickey_ver")
    try:
        missed = version not in keys.parsed(ctx.account.get("private_keys"))
        means = keys.means(ctx.account, version)
    except Rejected as bad:
        raise Untranslatable(bad.sentence) from bad
    if missed or (means == item.get("means") and ctx.now - _got(item) < _REST):
        raise Untranslatable(word(item, "why") or "这条消息无法解密。")
    return Pull(stream=f"{AGAIN}{word(item, 'msgid')}", hint=raw.payload.decode("utf-8", "replace"))


def _got(item: _Fields) -> datetime:
    """When it was last tried; a replay later than that is somebody's wish to try again."""
    got = item.get("got")
    return datetime.fromtimestamp(got / 1000, UTC) if isinstance(got, int) and 0 <= got < 1 << 43 else _EVER


def _notice(raw: Raw) -> list[Envelope | Pull]:
    """The callback of the archive: there is something to pull."""
    try:
        fields = xml.parse(raw.payload)
        event, at = xml.ident(fields, "Event", ""), xml.moment(fields, "CreateTime")
    except Refused as broken:
        raise Untranslatable(broken.sentence) from broken
    if event == "msgaudit_notify":
        return [Pull(stream=ARCHIVE)]
    text = f"收到一条暂不认识的事件（{event}）"
    return [Envelope(kind="event.unknown", direction="none", at=at, text=text, body=fields)]


# -- one message -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Who speaks, to whom, where."""

    direction: Direction
    handles: tuple[Handle, ...]
    staff: str
    room: str


def _understood(ctx: Context, message: _Fields, at: datetime, seq: int) -> Envelope:
    if word(message, "action") == "switch":
        return _switched(message, at, seq)
    sides = _sides(ctx.account.get("corp_id"), message)
    msgtype = word(message, "msgtype")
    base = Envelope(
        kind="event.unknown",
        direction="none",
        at=at,
        handles=sides.handles,
        seq=seq,
        body=message,
        staff=sides.staff,
        thread=sides.room,
    )
    if word(message, "action") == "recall" or msgtype == "revoke":
        return _recalled(base, message, sides)
    if msgtype in {"agree", "disagree"}:
        return agreed(base, message, sides.room)
    if msgtype not in MESSAGES:
        return replace(base, text=f"收到一条暂不认识的消息（{msgtype}）")
    return _said(replace(base, direction=sides.direction), message, msgtype)


def _switched(message: _Fields, at: datetime, seq: int) -> Envelope:
    text, staff = "成员切换了企业，之后的会话不在本企业存档", word(message, "user")
    return Envelope(
        kind="event.archive.switched",
        direction="none",
        at=at,
        seq=seq,
        text=text,
        body=message,
        staff=staff,
    )


def _recalled(base: Envelope, message: _Fields, sides: _Sides) -> Envelope:
    who = {"in": "客户", "out": "成员"}.get(sides.direction, "成员")
    before = word(part_of(message), "pre_msgid")
    recalls = f"{OPEN}{before}" if before else ""
    return replace(base, kind="event.recalled", text=f"{who}撤回了一条消息", recalls=recalls)


def _said(base: Envelope, message: _Fields, msgtype: str) -> Envelope:
    part = part_of(message)
    text, pieces, body = MESSAGES[msgtype](part), pieces_of(msgtype, part), message
    if msgtype in {"mixed", "chatrecord"}:
        collected = Collected()
        shown = collected.take(part.get("item"))
        said = "\n".join(collected.lines)[:_WORDS]
        text = (f"{text}\n{said}" if msgtype == "chatrecord" else said or text).strip()
        pieces, body = tuple(collected.pieces), {**message, "records": shown}
    if msgtype == "meeting_voice_call":
        pieces = tuple(replace(p, seconds=_lasted(message, part)) for p in pieces)
    if msgtype == "card" and is_outside(owner := word(part, "userid")):
        scope = base.handles[0].scope if base.handles else ""
        body = {**message, "others": {"card": ["wecom_external", scope, owner]}}
    # With staff in it, this is WeCom's own record of what somebody may have sent from our sidebar.
    witness = base.direction == "out" and not base.thread
    return replace(base, kind=f"message.{msgtype}", text=text, body=body, pieces=pieces, witness=witness)


def _lasted(message: _Fields, part: _Fields) -> int:
    end, start = part.get("endtime"), message.get("msgtime")
    known = isinstance(end, int) and isinstance(start, int)
    return max(0, end - start // 1000) if known else 0  # type: ignore[operator]


def _sides(corp_id: str, message: _Fields) -> _Sides:
    sender, room = word(message, "from"), word(message, "roomid")
    told = message.get("tolist")
    to = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    customers = [one for one in to if is_outside(one) and one != sender]
    inside = is_outside(sender)
    handles = []
    if inside:
        handles.append(Handle(kind="wecom_external", scope=corp_id, value=sender))
    elif not room:
        handles += [
            Handle(kind="wecom_external", scope=corp_id, value=one, part="other") for one in customers
        ]
    if room:
        # In a group only who speaks is meant; the rest merely sit in it.
        handles.append(Handle(kind="wecom_chat", scope=corp_id, value=room, part="about"))
    mine = [one for one in to if not is_outside(one) and not is_robot(one)]
    staff = (mine[0] if mine and not room else "") if inside else "" if is_robot(sender) else sender
    direction: Direction = "in" if inside else "out" if customers else "none"
    return _Sides(direction=direction, handles=tuple(handles), staff=staff, room=room)
