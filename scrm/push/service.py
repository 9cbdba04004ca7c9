"""Saying something: decided by the one rule, written as event + outbox + inbox in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, cast

from scrm import inbox, outbox, shapes
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Card, Envelope, Handle, Push, PushKind
from scrm.db import Conn
from scrm.desk.manners import Manners
from scrm.errors import Conflict, Unsealable
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.identity.rules import address
from scrm.push import looking, store
from scrm.push.content import Content, Piece
from scrm.push.looking import USUAL, decide
from scrm.push.rules import Ask, Decision, Purpose, Verdict
from scrm.push.words import Enclosure, Word, content_of, demand_readable, shown, sniffed
from scrm.seal import new_id
from scrm.staff.rules import Scope
from scrm.timeline import collision, witness
from scrm.timeline import service as timeline
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations

__all__ = [
    "LATE",
    "Decision",
    "Enclosure",
    "Load",
    "Purpose",
    "Reached",
    "Said",
    "Word",
    "again",
    "ask_of",
    "call_off",
    "check",
    "decide",
    "opened",
    "reach",
    "record",
    "say",
    "sniffed",
    "talks_of",
]

#: What had to wait is still worth saying so long after its time.
LATE = timedelta(hours=4)
CALLED_OFF = "已取消，没有发送。"
TOO_LATE = "已经在发送，不能取消了。"
_NOW = timedelta(minutes=1)
_EVERYTHING = Scope(everything=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """An outbox payload: what the worker needs to make the Push, and nothing it must look up."""

    handle_kind: str
    handle_scope: str
    handle_value: str
    thread: str
    text: str
    code: str
    media_id: int
    card: Card | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    event_ids: tuple[int, ...]
    #: The same key was said before; these are its events.
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Where a person was reached, and what was decided."""

    talk: Talk
    said: Said
    #: None for a repeat.
    decision: Decision | None = None


async def check(conn: Conn, plugged: Plugged, talk: Talk, *, in_app: bool, now: datetime) -> Verdict:
    """How a reply in this conversation may go out now, and why not otherwise."""
    return await looking.verdict(conn, plugged, talk, in_app=in_app, now=now)


def ask_of(word: Word) -> Ask:
    purpose: Purpose = "welcome" if word.code else word.purpose
    return Ask(content=content_of(word), purpose=purpose, at=word.at)


async def say(
    conn: Conn, plugged: Plugged, talk: Talk, word: Word, *, manners: Manners = USUAL, now: datetime
) -> Said:
    """Queue it for the channel. Raises `BadInput` (nothing to say) or `Conflict` (may not go out by API),
    of which `Answered` says that a colleague was faster.
    """
    demand_readable(word, now)
    talk = await _held(conn, talk)
    if repeated := await _before(conn, talk, word):
        return Said(event_ids=(repeated.event_id,), repeated=True)
    if word.seen:
        await collision.demand_seen(conn, talk, word.seen, me=word.staff_id, now=now)
    found = await decide(conn, lambda _: plugged, [talk], ask_of(word), manners=manners, now=now)
    if not found.sends:
        raise Conflict(found.why)
    return await _write(conn, plugged, talk, word, found.pieces, planned_at=found.wait_until, now=now)


async def reach(
    conn: Conn,
    directory: Directory,
    person_id: int,
    word: Word,
    purpose: Purpose,
    *,
    manners: Manners = USUAL,
    scope: Scope = _EVERYTHING,
    now: datetime,
) -> Reached:
    """Queue it for the person, on the channel and at the time the rules choose. Raises as `say` does."""
    word = replace(word, purpose=purpose)
    demand_readable(word, now)
    person_id = await nodes.person_now(conn, person_id) or person_id  # somebody else's by now
    # Counted and written by one at a time: two campaigns must not both be the last one allowed.
    await conn.lock(f"reach:{min(await identity.family(conn, person_id))}")
    talks = await talks_of(conn, directory, person_id, scope)
    if before := await outbox.by_key(conn, f"{word.key}:0"):
        known = next((t for t in talks if t.conversation_id == before.conversation_id), None)
        if known is None:
            raise Conflict("这个发送编号已经用过，请刷新页面后重试。")
        return Reached(talk=known, said=Said(event_ids=(before.event_id,), repeated=True))
    found = await decide(conn, directory.by_id, talks, ask_of(word), manners=manners, now=now)
    if not found.sends:
        raise Conflict(found.why)
    talk = next(t for t in talks if t.conversation_id == found.conversation_id)
    talk = await _held(conn, talk)
    said = await _write(
        conn,
        directory.by_id(talk.account_id),
        talk,
        word,
        found.pieces,
        planned_at=found.wait_until,
        now=now,
    )
    return Reached(talk=talk, said=said, decision=found)


async def talks_of(
    conn: Conn, directory: Directory, person_id: int, scope: Scope = _EVERYTHING
) -> list[Talk]:
    """Every conversation with a person that this scope may see, on accounts that are still there."""
    owners = await nodes.nodes_of(conn, [person_id])
    found = await conversations.visible_of_nodes(conn, scope, list(owners))
    return [t for t in found if directory.plug_of(t.account_id) is not None]


async def record(
    conn: Conn, plugged: Plugged, talk: Talk, word: Word, *, certain: bool, now: datetime
) -> Said:
    """The rep sent it by hand inside the vendor's app: on the timeline as sent, unconfirmed.

    Not `certain`: the app gave no answer in time; saying later that it did makes it unconfirmed.
    """
    demand_readable(word, now)
    talk = await _held(conn, talk)
    state: Literal["unconfirmed", "unknown"] = "unconfirmed" if certain else "unknown"
    before = await _before(conn, talk, word)
    if before is not None:
        if certain and before.state == "unknown":
            await outbox.finish(conn, before.outbox_id, "unconfirmed", now=now)
        return Said(event_ids=(before.event_id,), repeated=True)
    content = content_of(word)
    pieces = [Piece(kind=kind, file=n) for n, kind in enumerate(content.files)]
    if word.text.strip() or word.media or word.card:
        pieces.insert(0, Piece(kind=content.kind, text=word.text.strip(), card=content.card))
    said = await _write(conn, plugged, talk, word, pieces, state=state, now=now)
    await witness.found(conn, said.event_ids[0], now=now)  # the vendor's own record may have been faster
    return said


async def call_off(conn: Conn, event_id: int, *, now: datetime) -> None:
    """Never send what waits for its time. Raises `Conflict` when it is too late."""
    if not await outbox.call_off(conn, event_id, error=CALLED_OFF, now=now):
        raise Conflict(TOO_LATE)


async def _held(conn: Conn, talk: Talk) -> Talk:
    """As it is now: between the page's look and ours its session may have ended."""
    held = await conversations.hold(conn, [talk.node_id])
    return next((t for t in held if t.conversation_id == talk.conversation_id), talk)


async def _before(conn: Conn, talk: Talk, word: Word) -> outbox.Delivery | None:
    """What this key said before. Raises `Conflict` when it did in a conversation that is not this one."""
    before = await outbox.by_key(conn, f"{word.key}:0")
    if before is not None and before.conversation_id != talk.conversation_id:
        raise Conflict("这个发送编号已经用过，请刷新页面后重试。")
    return before


# -- writing it down ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """One word on its way into the tables."""

    plugged: Plugged
    talk: Talk
    word: Word
    handle: Handle
    media_id: int
    lane: bytes
    planned_at: datetime | None


async def _write(
    conn: Conn,
    plugged: Plugged,
    talk: Talk,
    word: Word,
    pieces: Sequence[Piece],
    *,
    state: Literal["queued", "unconfirmed", "unknown"] = "queued",
    planned_at: datetime | None = None,
    now: datetime,
) -> Said:
    sheet = _Sheet(
        plugged=plugged,
        talk=talk,
        word=word,
        handle=(await nodes.handles(conn, [talk.node_id]))[talk.node_id],
        media_id=await store.add_media(conn, word.media, talk.node_id, now=now) if word.media else 0,
        lane=conn.vault.lane(talk.account_id, _lane(talk, word, planned_at)),
        planned_at=planned_at,
    )
    event_ids = []
    for number, piece in enumerate(pieces):
        at, key = now + timedelta(microseconds=number), f"{word.key}:{number}"
        entry = await _entry(conn, sheet, piece, key, at=at)
        await timeline.append(conn, [entry], {address(sheet.handle): talk.node_id}, now=now)
        order = outbox.Order(
            outbox_id=new_id(),
            account_id=talk.account_id,
            node_id=talk.node_id,
            conversation_id=talk.conversation_id,
            event_id=entry.event_id,
            lane=sheet.lane,
            key=key,
            kind=piece.kind,
            payload=_payload(sheet, piece),
            state=state,
            deadline_at=word.deadline_at or (planned_at + LATE if planned_at else None),
            purpose="welcome" if word.code else word.purpose,
            planned_at=planned_at,
        )
        await outbox.enqueue(conn, order, now=at)
        event_ids.append(entry.event_id)
    return Said(event_ids=tuple(event_ids))


def _lane(talk: Talk, word: Word, planned_at: datetime | None) -> str:
    """What must keep its order. An answer never waits behind what is planned or behind a campaign."""
    lane = f"out:{talk.node_id}:{talk.thread}"
    if word.purpose != "reply" and not word.code:
        lane += f":{word.purpose}"
    return f"{lane}:{planned_at:%Y%m%d%H%M}" if planned_at else lane


def _payload(sheet: _Sheet, piece: Piece) -> bytes:
    load = Load(
        handle_kind=sheet.handle.kind,
        handle_scope=sheet.handle.scope,
        handle_value=sheet.handle.value,
        thread=sheet.talk.thread,
        text=piece.text,
        code=sheet.word.code,
        media_id=_media_id(sheet, piece),
        card=piece.card,
    )
    plain = {name: getattr(load, name) for name in Load.__slots__}
    if load.card is None:
        del plain["card"]  # the release before this one knows no such field
    return shapes.to_json(plain)


def _carries(sheet: _Sheet, piece: Piece) -> bool:
    """The file goes with the first thing said, be it a picture or the picture of a card."""
    return sheet.word.media is not None and piece.kind != "text" and piece.file is None


def _media_id(sheet: _Sheet, piece: Piece) -> int:
    if piece.file is not None:
        return sheet.word.files[piece.file].media_id
    return sheet.media_id if _carries(sheet, piece) else 0


async def _entry(conn: Conn, sheet: _Sheet, piece: Piece, key: str, *, at: datetime) -> timeline.Entry:
    source_key, handle, talk = f"ours:{key}", sheet.handle, sheet.talk
    kind = "text" if piece.kind == "welcome" else piece.kind
    envelope = Envelope(
        kind=f"message.{kind}",
        direction="out",
        at=at,
        handles=(Handle(kind=handle.kind, scope=handle.scope, value=handle.value, part="other"),),
        text=shown(piece, sheet.word),
        body=_body(conn, sheet, piece),
        thread=talk.thread,
    )
    return timeline.Entry(
        event_id=new_id(),
        account_id=talk.account_id,
        team_id=sheet.plugged.team_id,
        source_key=source_key,
        envelope=envelope,
        inbox_id=await inbox.add_ours(conn, talk.account_id, source_key, sheet.lane, now=at),
        staff_id=sheet.word.staff_id,
        # Advertising is no answer: who waits for one still does.
        still=_is_no_answer(sheet.word) and talk.waiting_since is not None,
    )


def _is_no_answer(word: Word) -> bool:
    return word.auto or word.purpose in ("service", "marketing", "sop")


def _body(conn: Conn, sheet: _Sheet, piece: Piece) -> dict[str, object]:
    body: dict[str, object] = {}
    if piece.file is not None:
        one = sheet.word.files[piece.file]
        body["media"] = _media(conn, one.media_id, one.name, one.mime, one.size)
    elif sheet.word.media is not None and _carries(sheet, piece):
        own = sheet.word.media
        body["media"] = _media(conn, sheet.media_id, own.name, own.mime, len(own.content))
    if piece.card is not None:
        told = {"title": piece.card.title, "description": piece.card.description, "url": piece.card.url}
        body["card"] = {name: value for name, value in told.items() if value}
    if sheet.word.purpose != "reply":
        body["purpose"] = sheet.word.purpose
    return body


def _media(conn: Conn, media_id: int, name: str, mime: str, size: int) -> dict[str, str | int]:
    """How an event names the file it came with."""
    return {"id": conn.vault.public("media", media_id), "name": name, "mime": mime, "size": size}


# -- sending -----------------------------------------------------------------------------------------------
async def opened(conn: Conn, row: outbox.Sending, *, now: datetime) -> Push:
    """The push of a claimed outbox row. `push_id` is its outbox id: the same on every attempt.

    Raises `Unsealable` when what was to be said cannot be opened any more.
    """
    if row.payload is None:
        raise Unsealable
    load = shapes.from_json(Load, row.payload, where="outbox")
    found = await store.media_of(conn, [load.media_id]) if load.media_id else {}
    return Push(
        push_id=f"p{row.outbox_id:x}",
        handle=Handle(kind=load.handle_kind, scope=load.handle_scope, value=load.handle_value, part="other"),
        kind=cast(PushKind, row.kind),
        text=load.text,
        media=found.get(load.media_id),
        uploaded=await store.uploaded_as(conn, row.account_id, load.media_id, now=now) if found else "",
        card=load.card,
        code=load.code,
        thread=load.thread,
    )


def is_fresh(row: outbox.Sending, now: datetime) -> bool:
    """It was decided about a moment ago, or nothing could have changed."""
    asked = row.purpose in ("reply", "welcome") and row.planned_at is None and not row.attempts
    return row.purpose == "welcome" or (asked and now - row.created_at < _NOW)


async def again(
    conn: Conn, plugged: Plugged, row: outbox.Sending, *, manners: Manners = USUAL, now: datetime
) -> Decision | None:
    """The decision as it is now, just before the platform is called; None = as it was."""
    if is_fresh(row, now):
        return None
    talk = await conversations.of_id(conn, row.conversation_id)
    if talk is None:
        return None
    word = row.key.rpartition(":")[0]
    ask = Ask(content=Content(kind="text", text="…"), purpose=cast(Purpose, row.purpose))
    return await decide(conn, lambda _: plugged, [talk], ask, manners=manners, but=word, now=now)
