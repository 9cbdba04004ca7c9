"""What comes with an event: files fetched once, facts that hold, things counted once - also on replay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import facts, schema
from scrm.contract import Envelope, Fact, Piece
from scrm.db import Conn, Database
from scrm.identity import service as identity
from scrm.seal import key_id_of
from scrm.timeline import extras
from scrm.timeline import service as timeline
from scrm.timeline.store import tallies
from scrm.timeline.store.pieces import Expected
from tests.ground import CASTLE, NOW, entry, handle, later, node_of, said

VOICE = Piece(ref="r1", kind="voice", name="录音.mp3", size=9, seconds=3, md5="AB" * 16)
PHOTO = Piece(ref="r2", kind="image")


async def keep(conn: Conn, *entries: timeline.Entry) -> list[Expected]:
    """Settle these as the pipeline does; the files that are to be fetched now."""
    sightings = [
        identity.Sighting(
            event_id=e.event_id,
            at=e.envelope.at,
            key=e.source_key,
            handles=e.envelope.handles,
            links=e.envelope.links,
        )
        for e in entries
    ]
    nodes = (await identity.resolve(conn, sightings, NOW)).nodes
    appended = await timeline.append(conn, entries, nodes, now=NOW)
    return await extras.keep(conn, entries, nodes, appended)


async def counted(conn: Conn, by: str = "anna") -> dict[str, int]:
    found = await tallies.of_nodes(conn, [await node_of(conn, by)], since=later(-86_400 * 365))
    return {s.name: s.n for s in found}


async def rows(conn: Conn, table: sa.Table) -> Sequence[Any]:
    return await conn.rows(sa.select(table).where(table.c.tenant_id == conn.tenant_id))


def opened(at: datetime = NOW, **more: Any) -> Envelope:
    return said("", kind="event.app.open", at=at, counts="app:open", quiet=True, **more)


# -- files -------------------------------------------------------------------------------------------------
async def test_each_file_of_an_event_is_expected_once_in_its_order(database: Database) -> None:
    one = entry(said("", kind="message.voice", pieces=(VOICE, PHOTO)), "m1")
    async with database.begin(1) as conn:
        first = await keep(conn, one)
        again = await keep(conn, entry(said("", kind="message.voice", pieces=(VOICE, PHOTO)), "m1"))
        kept = sorted(await rows(conn, schema.event_media), key=lambda r: r.n)
        node = await node_of(conn, "anna")
        ref = await conn.unseal(kept[0].ref, "event_media", one.event_id, 0, "ref")

    assert [(f.n, f.piece.ref, f.node_id) for f in first] == [(0, "r1", node), (1, "r2", node)]
    assert again == []
    assert [(r.event_id, r.kind, r.state, r.md5) for r in kept] == [
        (one.event_id, "voice", "waiting", "ab" * 16),
        (one.event_id, "image", "waiting", ""),
    ]
    assert ref == b"r1"
    assert b"r1" not in kept[0].ref


async def test_a_file_is_sealed_for_the_customer_it_was_exchanged_with(database: Database) -> None:
    chat = Envelope(kind="event.chat", direction="none", at=NOW, handles=(CASTLE,), pieces=(PHOTO,))
    async with database.begin(1) as conn:
        await keep(conn, entry(said("", pieces=(VOICE,)), "m1"), entry(chat, "m2"))
        keys = {r.key_id: r.owner for r in await rows(conn, schema.data_key)}
        found = {keys[key_id_of(r.ref)] for r in await rows(conn, schema.event_media)}
        node = await node_of(conn, "anna")

    assert f"node:{node}" in found
    assert len(found) == 2


async def test_a_new_reading_of_an_event_expects_its_files_and_the_old_one_no_more(
    database: Database,
) -> None:
    second = entry(said("新", pieces=(PHOTO,)), "m1")
    async with database.begin(1) as conn:
        await keep(conn, entry(said("旧", pieces=(VOICE,)), "m1"))
        files = await keep(conn, second)
        kept = await rows(conn, schema.event_media)

    assert [f.piece for f in files] == [PHOTO]
    assert [(r.event_id, r.kind) for r in kept] == [(second.event_id, "image")]


# -- tallies -----------------------------------------------------------------------------------------------
async def test_each_event_is_counted_once_however_often_it_comes(database: Database) -> None:
    async with database.begin(1) as conn:
        await keep(conn, entry(opened(), "a"), entry(opened(later(1)), "b"), entry(opened(), "a"))
        await keep(conn, entry(opened(), "a"))

        assert await counted(conn) == {"app:open": 2}


@pytest.mark.parametrize("change", [{"text": "别的"}, {"body": {"page": "/"}}, {"at": later(60)}])
async def test_a_new_reading_of_an_event_is_not_counted_again(
    database: Database, change: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {"text": "", "kind": "event.app.open", "counts": "app:open"}
    async with database.begin(1) as conn:
        await keep(conn, entry(said(**usual), "a"))
        await keep(conn, entry(said(**usual | change), "a"))

        assert await counted(conn) == {"app:open": 1}
        assert len(await rows(conn, schema.event)) == 2  # it was a new reading


async def test_counts_are_by_day_in_shanghai_by_name_and_by_account(database: Database) -> None:
    midnight = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    async with database.begin(1) as conn:
        await keep(
            conn,
            entry(opened(midnight.replace(minute=0)), "a"),
            entry(opened(datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC)), "b"),
            entry(opened(), "c", account_id=12),
            entry(said("", counts="app:pay", quiet=True), "d"),
        )
        found = {(r.name, r.day, r.account_id): r.n for r in await rows(conn, schema.tally)}

        assert found == {
            ("app:open", 20260302, 11): 1,
            ("app:open", 20260301, 11): 1,
            ("app:open", 20260302, 12): 1,
            ("app:pay", 20260302, 11): 1,
        }
        assert await counted(conn) == {"app:open": 3, "app:pay": 1}


async def test_what_is_only_counted_is_on_nobodys_timeline(database: Database) -> None:
    async with database.begin(1) as conn:
        await keep(conn, entry(opened(), "a"))

        assert await counted(conn) == {"app:open": 1}
        assert await rows(conn, schema.event_node) == []


async def test_a_thing_that_nobody_did_is_not_counted(database: Database) -> None:
    place = Envelope(kind="event.app.open", direction="none", at=NOW, handles=(CASTLE,), counts="app:open")
    async with database.begin(1) as conn:
        await keep(conn, entry(place, "a"), entry(said("你好"), "b"))

        assert await rows(conn, schema.tally) == []


# -- facts -------------------------------------------------------------------------------------------------
async def test_a_fact_holds_about_whom_it_names_and_by_the_time_it_was_said(database: Database) -> None:
    def follows(by: str, at_s: float, **more: Any) -> Envelope:
        told = Fact(kind="follow", key="li:anna", body={"by": by}, handle=handle("anna"), **more)
        return said("", kind="event.fact", quiet=True, at=later(at_s), facts=(told,))

    async with database.begin(1) as conn:
        await keep(conn, entry(follows("新", 9), "a"), entry(follows("旧", 5), "b"))
        await keep(conn, entry(follows("更旧", 1), "c"))
        (found,) = await facts.of_nodes(conn, [await node_of(conn, "anna")], ["follow"])
        assert (found.body, found.at) == ({"by": "新"}, later(9))

        await keep(conn, entry(follows("按版本", 0, rank=1 << 60), "d"))
        (found,) = await facts.of_nodes(conn, [await node_of(conn, "anna")], ["follow"])
        assert found.body == {"by": "按版本"}
