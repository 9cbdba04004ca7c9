"""When persons turn out to be others: open screens look again; both sides hear of a number's new owner."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm.contract import Envelope, Handle
from scrm.db import Conn
from scrm.identity import store as identity
from scrm.identity.aftermath import Turned
from scrm.identity.rules import address
from scrm.identity.rules.values import Span
from scrm.identity.store.persons import spans_of
from scrm.live import Change
from scrm.seal import new_id
from scrm.shapes import bounded
from scrm.timeline import hands, service
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, events, whereabouts

KIND = "event.identity.recycled"
OLD = "这位客户以前的手机号已经换了主人，现在由另一位客户使用。请不要再用它联系，请核实新号码。"
NEW = "这位客户现在用的手机号以前属于另一位客户。换号之前的记录不是这位客户的，两个人不是一家。"
#: Identifiers of whom screens are told: more are no family.
_MOST = 500
_TICK = timedelta(microseconds=1)


async def told(conn: Conn, turned: Turned, *, now: datetime) -> list[Change]:
    """What screens must look at again. Warned is once for each time a number changed hands."""
    warned: set[int] = set()
    for node_id, spans in sorted((await spans_of(conn, turned.recycled)).items()):
        warned |= await _warn(conn, node_id, spans, now=now)
    nodes = await _nodes(conn, turned.persons | warned, turned.households)
    talks = await conversations.of_nodes(conn, sorted(nodes | turned.recycled))
    changes = [c for talk in talks for c in hands.watched(talk)]
    changes += [Change(topic=f"node:{n}", ident=n, version=1) for n in sorted(nodes | turned.recycled)]
    return list({(c.topic, c.ident): c for c in changes}.values())


async def _nodes(conn: Conn, persons: Collection[int], households: Collection[int]) -> set[int]:
    homes = await identity.members(conn, sorted(households))
    # A person alone is a household under their own id.
    everybody = {*persons, *households, *(p for mine in homes.values() for p in mine)}
    return set(sorted(await identity.nodes_of(conn, sorted(everybody)))[:_MOST])


# -- a telephone that changed hands ------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Where one of the two reads it."""

    name: str
    text: str
    node_id: int
    account_id: int
    at: datetime


async def _warn(conn: Conn, node_id: int, spans: Sequence[Span], *, now: datetime) -> set[int]:
    """One line on the timeline of who had it last, and of who has it now; their persons."""
    if len(spans) < 2:
        return set()  # it turned out to be one person after all
    old, new = spans[-2:]
    sides = [await _side(conn, node_id, old, "old", now), await _side(conn, node_id, new, "new", now)]
    await _write(conn, node_id, len(spans) - 1, [s for s in sides if s], now=now)
    return {old.person_id, new.person_id}


async def _side(conn: Conn, node_id: int, span: Span, name: str, now: datetime) -> _Side | None:
    """By a conversation of theirs; else by the number itself, as long as it was theirs."""
    spans = await identity.intervals(conn, span.person_id)
    theirs = {s.node_id for s in spans if s.until_at is None} - {node_id}
    text, at = (OLD if name == "old" else NEW), now
    talk = _first(await conversations.of_nodes(conn, sorted(theirs)))
    if talk is not None:
        return _Side(name=name, text=text, node_id=talk.node_id, account_id=talk.account_id, at=at)
    accounts = await whereabouts.accounts(conn, spans)
    if not accounts:
        return None
    on = min(theirs, default=node_id)
    if on == node_id and span.until_at is not None:
        at = min(now, span.until_at - _TICK)
    return _Side(name=name, text=text, node_id=on, account_id=min(accounts), at=at)


def _first(talks: Iterable[Talk]) -> Talk | None:
    """The eldest: the same one whenever it is asked for."""
    return min(talks, key=lambda t: t.conversation_id, default=None)


async def _write(conn: Conn, node_id: int, time: int, sides: Sequence[_Side], *, now: datetime) -> None:
    for side in sides:
        handle = Handle(kind="node", scope="", value=str(side.node_id))
        said = Envelope(
            kind=KIND,
            direction="none",
            at=side.at,
            handles=(handle,),
            text=side.text,
            body={"side": side.name},
        )
        entry = service.Entry(
            event_id=new_id(),
            account_id=side.account_id,
            team_id=None,
            source_key=bounded(f"{KIND}|{node_id}|{time}|{side.name}"),
            envelope=said,
            inbox_id=None,
        )
        if await events.latest(conn, entry.account_id, entry.source_key) is None:
            await service.append(conn, [entry], {address(handle): side.node_id}, now=now)
