"""Suggestions as rows: stored once per message, the newest offered, what was sent lately known."""

from __future__ import annotations

from scrm.db import Conn, Database
from scrm.playbook import store
from scrm.playbook.ranking import Suggestion
from tests.ground import NOW

TALK, OTHER = 6, 7


def ranked(*ids: str) -> list[Suggestion]:
    return [Suggestion(script_id=i, version=2, score=9.5 - n, reason=f"因为{i}") for n, i in enumerate(ids)]


async def save(conn: Conn, event_id: int, *ids: str, talk: int = TALK) -> None:
    await store.save(conn, talk, event_id, ranked(*ids), now=NOW)


async def use(conn: Conn, script_id: str, *, talk: int = TALK) -> None:
    offers = await store.page(conn, conversation_id=talk, before=None, limit=99)
    await store.mark_used(conn, next(o.suggestion_id for o in offers if o.script_id == script_id))


async def test_the_same_reaction_again_adds_nothing_and_changes_nothing(database: Database) -> None:
    async with database.begin(1) as conn:
        await save(conn, 1, "edu.a", "edu.b")
        await use(conn, "edu.a")
        before = await store.page(conn, conversation_id=None, before=None, limit=99)
        await save(conn, 1, "edu.a", "edu.b")

        assert await store.page(conn, conversation_id=None, before=None, limit=99) == before


async def test_only_the_newest_messages_offers_show_best_first(database: Database) -> None:
    async with database.begin(1) as conn:
        await save(conn, 1, "edu.old")
        await save(conn, 2, "edu.b", "edu.a")
        await save(conn, 3, "edu.c", talk=OTHER)
        offers = await store.latest(conn, TALK)

        assert [(o.rank, o.script_id, o.script_version, o.reason) for o in offers] == [
            (1, "edu.b", 2, "因为edu.b"),
            (2, "edu.a", 2, "因为edu.a"),
        ]
        assert await store.latest(conn, 99) == []


async def test_what_was_used_lately_is_known_by_conversation(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(7):
            await save(conn, n + 1, f"edu.s{n}", "edu.never")
            await use(conn, f"edu.s{n}")
        await save(conn, 50, "edu.x", talk=OTHER)

        used = await store.recently_used(conn, [TALK, OTHER])

        assert used == {TALK: {f"edu.s{n}" for n in range(2, 7)}}  # the last five
        assert await store.recently_used(conn, []) == {}


async def test_offers_page_without_gap_or_double(database: Database) -> None:
    async with database.begin(1) as conn:
        for n in range(4):
            await save(conn, n + 1, "edu.a", "edu.b", "edu.c")
        shown, before = [], None
        while page := await store.page(conn, conversation_id=TALK, before=before, limit=5):
            shown += [o.suggestion_id for o in page]
            before = shown[-1]

    assert len(shown) == 12
    assert shown == sorted(set(shown), reverse=True)


async def test_one_offer_by_id(database: Database) -> None:
    async with database.begin(1) as conn:
        await save(conn, 1, "edu.a")
        (offer,) = await store.latest(conn, TALK)

        assert await store.get(conn, offer.suggestion_id) == offer
        assert await store.get(conn, 1) is None
