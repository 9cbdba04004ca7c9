"""The way out: each key once, one open row per lane in order, a lease that tells when a sender died."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm import outbox
from scrm.db import Conn, Database
from scrm.outbox import LEASE, Order
from scrm.schema import outbox as table
from scrm.seal import new_id
from tests.ground import NOW, later

FINAL = ("sent", "unconfirmed", "unknown", "dead")


def order(key: str, *, lane: str = "anna", payload: bytes = b"{}", **more: object) -> Order:
    usual: dict[str, object] = {"account_id": 11, "node_id": 5, "conversation_id": 6, "kind": "text"}
    ident = new_id()
    given = usual | {"outbox_id": ident, "event_id": ident, "key": key, "lane": lane.encode()} | more
    return Order(payload=payload, **given)  # type: ignore[arg-type]


async def put(conn: Conn, *keys: str, lane: str = "anna") -> list[int]:
    made = [order(key, lane=lane) for key in keys]
    for one in made:
        assert await outbox.enqueue(conn, one, now=NOW)
    return [one.outbox_id for one in made]


async def claimed(conn: Conn, *, after_s: float = 0, limit: int = 10) -> list[int]:
    return [row.outbox_id for row in await outbox.claim(conn, now=later(after_s), limit=limit)]


async def state(conn: Conn, key: str) -> str:
    found = await outbox.by_key(conn, key)
    assert found is not None
    return found.state


async def test_a_key_goes_out_once_however_often_it_is_asked_for(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await outbox.enqueue(conn, order("k", payload=b"one"), now=NOW)
        second = await outbox.enqueue(conn, order("k", payload=b"two"), now=NOW)
        rows = await outbox.claim(conn, now=NOW, limit=10)

    assert (first, second) == (True, False)
    assert [row.payload for row in rows] == [b"one"]


async def test_from_queued_over_sending_to_sent(database: Database) -> None:
    async with database.begin(1) as conn:
        (ident,) = await put(conn, "k")
        assert await state(conn, "k") == "queued"
        await claimed(conn)
        assert await state(conn, "k") == "sending"
        await outbox.finish(conn, ident, "sent", now=later(1), external_id="ext")
        done = await outbox.by_key(conn, "k")

    assert done is not None
    assert (done.state, done.created_at, done.updated_at) == ("sent", NOW, later(1))


async def test_a_claimed_row_is_not_claimed_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await put(conn, "k")

        assert len(await claimed(conn)) == 1
        assert await claimed(conn) == []
        assert await claimed(conn, after_s=3600) == []  # not even after its lease: see `abandoned`


async def test_one_lane_goes_one_by_one_in_order_and_others_beside_it(database: Database) -> None:
    async with database.begin(1) as conn:
        a1, a2 = await put(conn, "a1", "a2", lane="anna")
        (b1,) = await put(conn, "b1", lane="ben")

        assert await claimed(conn) == [a1, b1]
        assert await claimed(conn) == []
        await outbox.finish(conn, a1, "sent", now=NOW)
        assert await claimed(conn) == [a2]


@pytest.mark.parametrize("end", FINAL)
async def test_every_end_frees_the_lane(database: Database, end: outbox.State) -> None:
    async with database.begin(1) as conn:
        first, second = await put(conn, "1", "2")
        await claimed(conn)
        await outbox.finish(conn, first, end, now=NOW)

        assert await claimed(conn) == [second]


async def test_a_retry_waits_counts_and_holds_its_lane(database: Database) -> None:
    async with database.begin(1) as conn:
        first, _ = await put(conn, "1", "2")
        await claimed(conn)
        await outbox.finish(conn, first, "retry", now=NOW, retry_at=later(30), code="45009", error="太快")

        assert await claimed(conn, after_s=29) == []
        (again,) = await outbox.claim(conn, now=later(30), limit=10)
        assert (again.outbox_id, again.attempts) == (first, 1)


async def test_limit_is_kept_and_the_oldest_go_first(database: Database) -> None:
    async with database.begin(1) as conn:
        idents = [(await put(conn, f"k{n}", lane=f"l{n}"))[0] for n in range(5)]

        assert await claimed(conn, limit=2) == idents[:2]


async def test_a_lease_that_ran_out_says_that_the_sender_died(database: Database) -> None:
    async with database.begin(1) as conn:
        (ident,) = await put(conn, "k")
        await claimed(conn)
        early = await outbox.abandoned(conn, now=NOW + LEASE, limit=10)
        lost = await outbox.abandoned(conn, now=NOW + LEASE + timedelta(seconds=1), limit=10)
        await outbox.finish(conn, ident, "unknown", now=NOW)
        after = await outbox.abandoned(conn, now=later(3600), limit=10)

    assert ([r.outbox_id for r in early], [r.outbox_id for r in lost], after) == ([], [ident], [])


async def test_waiting_tells_whether_there_is_anything_to_do(database: Database) -> None:
    async with database.begin(1) as conn:
        assert not await outbox.waiting(conn, now=NOW)
        (ident,) = await put(conn, "k")
        assert await outbox.waiting(conn, now=later(-7200))  # queued by a clock that ran ahead
        assert await outbox.waiting(conn, now=NOW)
        await claimed(conn)
        assert not await outbox.waiting(conn, now=NOW)
        assert await outbox.waiting(conn, now=later(3600))  # the lost lease
        await outbox.finish(conn, ident, "sent", now=NOW)
        assert not await outbox.waiting(conn, now=later(3600))


async def test_the_vendor_may_say_later_that_it_never_arrived(database: Database) -> None:
    async with database.begin(1) as conn:
        (ident,) = await put(conn, "k")
        await claimed(conn)
        await outbox.finish(conn, ident, "sent", now=NOW, external_id="ext")

        foreign = await outbox.failed_later(conn, 99, "ext", "拒收", at=NOW)
        row = await outbox.failed_later(conn, 11, "ext", "拒收", at=NOW)
        found = await outbox.by_key(conn, "k")

    assert foreign is None
    assert row.outbox_id == ident
    assert found is not None
    assert (found.state, found.error) == ("dead", "拒收")


async def test_payloads_are_sealed_by_the_node_they_go_to(database: Database) -> None:
    async with database.begin(1) as conn:
        await outbox.enqueue(conn, order("k", payload=b"plain words"), now=NOW)
        stored = await conn.scalar(sa.select(table.c.payload))

    assert b"plain" not in stored


async def test_pages_and_counts_show_each_row_once(database: Database) -> None:
    async with database.begin(1) as conn:
        idents = [(await put(conn, f"k{n}", lane=f"l{n}"))[0] for n in range(7)]
        await outbox.finish(conn, idents[0], "dead", now=NOW)
        await outbox.finish(conn, idents[1], "sent", now=NOW)
        seen, before = [], None
        while page := await outbox.page(conn, state="", before=before, limit=3):
            seen += [d.outbox_id for d in page]
            before = page[-1].outbox_id
        dead = await outbox.page(conn, state="dead", before=None, limit=10)

        assert seen == idents[::-1]
        assert [d.outbox_id for d in dead] == [idents[0]]
        counts = {"queued": 5, "sending": 0, "retry": 0, "unknown": 0, "dead": 1}
        assert await outbox.counts(conn) == counts
        assert set(await outbox.deliveries(conn, [idents[0], 1])) == {idents[0]}
        assert await outbox.deliveries(conn, []) == {}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lanes=st.lists(st.integers(0, 2), min_size=1, max_size=8),
    ends=st.lists(st.sampled_from([*FINAL, "retry"]), max_size=30),
)
async def test_whatever_happens_a_lane_is_sent_in_order_and_each_row_ends_once(
    database: Database, lanes: list[int], ends: list[outbox.State]
) -> None:
    tenant = new_id()
    finished: dict[int, list[int]] = {}
    async with database.begin(tenant) as conn:
        lane_of = {(await put(conn, f"k{n}", lane=str(lane)))[0]: lane for n, lane in enumerate(lanes)}
        fate = iter(ends)
        while rows := await outbox.claim(conn, now=NOW, limit=2):
            assert len({lane_of[r.outbox_id] for r in rows}) == len(rows)  # never two of a lane at once
            for row in rows:
                end: outbox.State = next(fate, "sent")
                await outbox.finish(conn, row.outbox_id, end, now=NOW)
                if end != "retry":
                    finished.setdefault(lane_of[row.outbox_id], []).append(row.outbox_id)

    assert sorted(i for done in finished.values() for i in done) == sorted(lane_of)
    assert all(done == sorted(done) for done in finished.values())
