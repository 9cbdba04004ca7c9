"""Saying something: checked against the windows, written as event + outbox + inbox in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from scrm import inbox, outbox, shapes
from scrm.accounts.service import Plugged
from scrm.contract import Envelope, Handle, Media, Push, Sends, Window
from scrm.db import Conn
from scrm.errors import BadInput, Conflict, Unsealable
from scrm.identity import store as nodes
from scrm.identity.service import address
from scrm.push import rules, store
from scrm.push.rules import Verdict
from scrm.seal import new_id
from scrm.timeline import collision
from scrm.timeline import service as timeline
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations

_TEXT_MAX = 4000
_IMAGES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
_IMAGE_MAX = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What somebody wants said. `key` makes it happen once, however often it is asked for."""

    key: str
    text: str = ""
    media: Media | None = None
    #: The vendor's one-time code that lets us greet.
    code: str = ""
    staff_id: int | None = None
    deadline_at: datetime | None = None
    #: What the page had seen of colleagues' replies (`collision.marks`); "" asks nothing.
    seen: str = ""

    @property
    def kind(self) -> Literal["text", "image", "welcome"]:
        return "welcome" if self.code else "image" if self.media else "text"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    event_ids: tuple[int, ...]
    #: The same key was said before; these are its events.
    repeated: bool = False


async def check(conn: Conn, plugged: Plugged, talk: Talk, *, in_app: bool, now: datetime) -> Verdict:
    """How a reply in this conversation may go out now, and why not otherwise."""
    sends = isinstance(plugged.plug, Sends) and plugged.plug.TALKS
    windows = cast(tuple[Window, ...], plugged.plug.WINDOWS) if sends else ()
    openings, used = [], rules.Used()
    if windows:
        since = now - timedelta(seconds=max(w.seconds for w in windows))
        openings = await store.openings(conn, talk.account_id, talk.node_id, since=since)
        used = await store.used(conn, talk.conversation_id, since=since)
    return rules.verdict(windows, openings, used, sends=sends, session=talk.session, in_app=in_app, now=now)


async def say(conn: Conn, plugged: Plugged, talk: Talk, word: Word, *, now: datetime) -> Said:
    """Queue it for the channel. Raises `BadInput` (nothing to say) or `Conflict` (may not go out by API),
    of which `Answered` says that a colleague was faster.
    """
    _readable(word)
    talk = await _held(conn, talk)
    if repeated := await _before(conn, talk, word):
        return Said(event_ids=(repeated.event_id,), repeated=True)
    if word.seen:
        await collision.demand_seen(conn, talk, word.seen, me=word.staff_id, now=now)
    left = None
    if not word.code:
        verdict = await check(conn, plugged, talk, in_app=False, now=now)
        if verdict.way != "api":
            raise Conflict(verdict.sentence)
        left = verdict.left
    limit = int(plugged.plug.TEXT_LIMIT) or _TEXT_MAX
    texts = rules.parts(word.text, limit) if word.text else [""]
    if left is not None and len(texts) > left:
        raise Conflict(f"内容要分 {len(texts)} 条发出，平台现在只允许再发 {left} 条，请缩短。")
    return await _write(conn, plugged, talk, word, texts, state="queued", now=now)


async def record(
    conn: Conn, plugged: Plugged, talk: Talk, word: Word, *, certain: bool, now: datetime
) -> Said:
    """The rep sent it by hand inside the vendor's app: on the timeline as sent, unconfirmed.

    Not `certain`: the app gave no answer in time; saying later that it did makes it unconfirmed.
    """
    _readable(word)
    talk = await _held(conn, talk)
    state: Literal["unconfirmed", "unknown"] = "unconfirmed" if certain else "unknown"
    before = await _before(conn, talk, word)
    if before is not None:
        if certain and before.state == "unknown":
            await outbox.finish(conn, before.outbox_id, "unconfirmed", now=now)
        return Said(event_ids=(before.event_id,), repeated=True)
    return await _write(conn, plugged, talk, word, [word.text.strip()], state=state, now=now)


async def _held(conn: Conn, talk: Talk) -> Talk:
    """As it is now: between the page's look and ours its session may have ended."""
    held = await conversations.hold(conn, [talk.node_id])
    return next((t for t in held if t.conversation_id == talk.conversation_id), talk)


def _readable(word: Word) -> None:
    if "\x00" in word.text:
        raise BadInput("内容里有不能显示的字符，请重新输入。")
    if not word.text.strip() and word.media is None:
        raise BadInput("请先输入要发送的内容。")
    if len(word.text) > _TEXT_MAX:
        raise BadInput(f"内容太长：最多 {_TEXT_MAX} 个字，现在 {len(word.text)} 个。")
    if word.media and (len(word.media.content) > _IMAGE_MAX or word.media.mime not in _IMAGES.values()):
        raise BadInput("图片只支持 2 MB 以内的 JPG 或 PNG。")


def sniffed(name: str, content: bytes) -> Media:
    """An upload by what it is, not by what it says. Raises `BadInput` for anything but JPEG and PNG."""
    for magic, mime in _IMAGES.items():
        if content.startswith(magic):
            return Media(name=name[-80:] or "image", mime=mime, content=content)
    raise BadInput("图片只支持 2 MB 以内的 JPG 或 PNG。")


async def _before(conn: Conn, talk: Talk, word: Word) -> outbox.Delivery | None:
    """What this key said before. Raises `Conflict` when it did in a conversation that is not this one."""
    before = await outbox.by_key(conn, f"{word.key}:0")
    if before is not None and before.conversation_id != talk.conversation_id:
        raise Conflict("这个发送编号已经用过，请刷新页面后重试。")
    return before


async def _write(
    conn: Conn,
    plugged: Plugged,
    talk: Talk,
    word: Word,
    texts: list[str],
    *,
    state: Literal["queued", "unconfirmed", "unknown"],
    now: datetime,
) -> Said:
    handle = (await nodes.handles(conn, [talk.node_id]))[talk.node_id]
    media_id = await store.add_media(conn, word.media, talk.node_id, now=now) if word.media else 0
    lane = conn.vault.lane(talk.account_id, f"out:{talk.node_id}:{talk.thread}")
    event_ids = []
    for number, text in enumerate(texts):
        at = now + timedelta(microseconds=number)
        key = f"{word.key}:{number}"
        entry = await _entry(conn, plugged, talk, handle, word, text, key, lane, at=at, media_id=media_id)
        await timeline.append(conn, [entry], {address(handle): talk.node_id}, now=now)
        load = Load(
            handle_kind=handle.kind,
            handle_scope=handle.scope,
            handle_value=handle.value,
            thread=talk.thread,
            text=text,
            code=word.code,
            media_id=media_id,
        )
        order = outbox.Order(
            outbox_id=new_id(),
            account_id=talk.account_id,
            node_id=talk.node_id,
            conversation_id=talk.conversation_id,
            event_id=entry.event_id,
            lane=lane,
            key=key,
            kind=word.kind,
            payload=shapes.to_json(load),
            state=state,
            deadline_at=word.deadline_at,
        )
        await outbox.enqueue(conn, order, now=at)
        event_ids.append(entry.event_id)
    return Said(event_ids=tuple(event_ids))


async def _entry(
    conn: Conn,
    plugged: Plugged,
    talk: Talk,
    handle: Handle,
    word: Word,
    text: str,
    key: str,
    lane: bytes,
    *,
    at: datetime,
    media_id: int,
) -> timeline.Entry:
    source_key = f"ours:{key}"
    envelope = Envelope(
        kind="message.image" if word.kind == "image" else "message.text",
        direction="out",
        at=at,
        handles=(Handle(kind=handle.kind, scope=handle.scope, value=handle.value, part="other"),),
        text=text or "[图片]",
        body={"media": _media(conn, media_id, word.media)} if word.media else {},
        thread=talk.thread,
    )
    return timeline.Entry(
        event_id=new_id(),
        account_id=talk.account_id,
        team_id=plugged.team_id,
        source_key=source_key,
        envelope=envelope,
        inbox_id=await inbox.add_ours(conn, talk.account_id, source_key, lane, now=at),
        staff_id=word.staff_id,
    )


def _media(conn: Conn, media_id: int, one: Media) -> dict[str, str | int]:
    """How an event names the file it came with."""
    public = conn.vault.public("media", media_id)
    return {"id": public, "name": one.name, "mime": one.mime, "size": len(one.content)}


async def opened(conn: Conn, row: outbox.Sending) -> Push:
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
        kind=cast(Literal["text", "image", "welcome"], row.kind),
        text=load.text,
        media=found.get(load.media_id),
        code=load.code,
        thread=load.thread,
    )
