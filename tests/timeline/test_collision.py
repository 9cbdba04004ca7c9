"""Two of us answer at the same time: the second is told, by what was committed, not by whose clock."""

from __future__ import annotations

import pytest

from scrm.db import Conn, Database
from scrm.errors import Answered, BadInput
from scrm.timeline import collision
from scrm.timeline.store import events
from tests.ground import NOW, answered, entry, later, said, settle, talk_of

ME, MATE = 101, 102


async def mark(conn: Conn, me: int | None = ME, at_s: float = 0) -> str:
    talk = await talk_of(conn, "anna")
    return (await collision.marks(conn, [talk], me=me, now=later(at_s)))[talk.conversation_id]


async def missed(conn: Conn, seen: str, me: int | None = ME, at_s: float = 60) -> list[str]:
    """What a send with this mark is stopped by; empty = it goes out."""
    talk = await talk_of(conn, "anna")
    try:
        await collision.demand_seen(conn, talk, seen, me=me, now=later(at_s))
    except Answered as stop:
        found = {e.event_id: e.text for e in await events.by_ids(conn, stop.event_ids)}
        return [found[i] for i in stop.event_ids]
    return []


async def test_a_colleagues_answer_since_the_page_was_shown_stops_the_send(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"))
        seen = await mark(conn)
        before = await missed(conn, seen)
        await settle(conn, entry(answered("我来", at=later(9)), "2", staff_id=MATE), now=later(9))

        assert before == []
        assert await missed(conn, seen) == ["我来"]
        assert await missed(conn, await mark(conn, at_s=20)) == []


async def test_the_same_colleague_again_stops_it_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"), entry(answered("一", at=later(1)), "2", staff_id=MATE))
        seen = await mark(conn, at_s=2)
        for n in range(7):
            one = entry(answered(f"又{n}", at=later(9 + n)), f"m{n}", staff_id=MATE)
            await settle(conn, one, now=later(9 + n))

        assert await missed(conn, seen) == [f"又{n}" for n in range(2, 7)]


@pytest.mark.parametrize(
    "one",
    [
        entry(answered("我自己", at=later(9)), "own", staff_id=ME),
        entry(said("客户又说", at=later(9)), "in"),
        entry(answered("欢迎", at=later(9)), "ours:greet:1"),
        entry(answered("已读", at=later(9), kind="event.read"), "event", staff_id=MATE),
        entry(answered("别处", at=later(9), thread="b"), "elsewhere", staff_id=MATE),
    ],
    ids=["my own", "the customer", "a greeting", "an event", "another conversation"],
)
async def test_nothing_else_does(database: Database, one: object) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"))
        talk, seen = await talk_of(conn, "anna"), await mark(conn)
        await settle(conn, one)  # type: ignore[arg-type]

        await collision.demand_seen(conn, talk, seen, me=ME, now=later(60))


async def test_a_reply_the_vendor_tells_late_counts_though_it_is_dated_before_the_page(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(at=later(-600)), "1"))
        seen = await mark(conn)
        await settle(conn, entry(answered("在手机上回的", at=later(-300)), "2"), now=later(30))

        assert await missed(conn, seen) == ["在手机上回的"]


async def test_for_a_machine_every_member_is_somebody_else(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"))
        seen = await mark(conn, me=None)
        await settle(conn, entry(answered("机器", at=later(8)), "2"), now=later(8))
        own = await missed(conn, seen, me=None)
        await settle(conn, entry(answered("人", at=later(9)), "3", staff_id=MATE), now=later(9))

        assert own == []
        assert await missed(conn, seen, me=None) == ["人"]


@pytest.mark.parametrize("bad", ["x", "1", "1.", ".1", "zz.1", "f" * 40 + ".1", "1.1.1"])
async def test_a_mark_we_did_not_make_is_refused(database: Database, bad: str) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(), "1"))
        talk = await talk_of(conn, "anna")

        with pytest.raises(BadInput):
            await collision.demand_seen(conn, talk, bad, me=ME, now=NOW)
