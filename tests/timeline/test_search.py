"""Search: whole Chinese, within scope, newest first, nothing that was taken back; on both engines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from scrm.contract import Envelope, Link
from scrm.db import Conn, Database
from scrm.identity import store as identity
from scrm.schema import conversation, event_node, search_doc
from scrm.staff.rules import NOTHING, Scope
from scrm.timeline import finding
from scrm.timeline.erasing import erase
from scrm.timeline.store import events, search
from tests.ground import NOW, answered, entry, handle, later, node_of, said, settle

ALL = Scope(everything=True)


async def told(conn: Conn, *envelopes: Envelope, first: int = 0) -> list[int]:
    """Settled and made findable, as the pipeline does it; the events' ids."""
    entries = [entry(e, f"m{n}") for n, e in enumerate(envelopes, first)]
    await settle(conn, *entries)
    ids = [e.event_id for e in entries]
    await search.index(conn, ids)
    return ids


async def found(conn: Conn, question: str, **more: object) -> list[str]:
    asked: dict[str, object] = {"scope": ALL, "limit": 20} | more
    hits = await search.page(conn, question, **asked)  # type: ignore[arg-type]
    texts = {e.event_id: e.text for e in await events.by_ids(conn, [h.event_id for h in hits])}
    return [texts[h.event_id] for h in hits]


SAID = (
    "你们的课太贵了，能便宜点吗",
    "孩子三年级，数学应用题跟不上",
    "订单 A1024 什么时候发货",
    "我再和孩子爸爸商量一下，他不太同意",
    "便宜没好货",
)


@pytest.mark.parametrize(
    ("question", "hits"),
    [
        ("太贵", [0]),
        ("便宜", [4, 0]),
        ("孩子数学", [1]),
        ("数学 孩子", [1]),
        ("应用题", [1]),
        ("用题", [1]),
        ("贵", [0]),
        ("a1024", [2]),
        ("A1024 发货", [2]),
        ("爸爸同意吗", [3]),
        ("“便宜点”", [0]),
        ("退费", []),
        ("，。！", []),
        ("'; DROP TABLE event; --", []),
        ("\" OR 1=1 NEAR(*) ' & | ! <->", []),
        ("", []),
    ],
)
async def test_what_was_said_is_found_by_its_words(
    database: Database, question: str, hits: Sequence[int]
) -> None:
    async with database.begin(1) as conn:
        await told(conn, *(said(text, at=later(n)) for n, text in enumerate(SAID)))

        assert await found(conn, question) == [SAID[n] for n in hits]


async def test_pages_follow_each_other_without_gap_or_repeat(database: Database) -> None:
    async with database.begin(1) as conn:
        # Forty in the same millisecond: their places must differ all the same.
        await told(conn, *(said(f"第 {n} 句说价格", at=later(n // 40)) for n in range(100)))
        seen: list[int] = []
        before: int | None = None
        while page := await search.page(conn, "价格", scope=ALL, before=before, limit=7):
            seen += [hit.event_id for hit in page]
            before = page[-1].search_id
        stored = await events.by_ids(conn, seen)

    assert (len(seen), len(set(seen))) == (100, 100)
    times = {e.event_id: e.at for e in stored}
    assert [times[i] for i in seen] == sorted((times[i] for i in seen), reverse=True)


async def test_places_that_meet_make_room_for_each_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_MARK_BITS", 0)
    async with database.begin(1) as conn:
        await told(conn, *(said(f"价格 {n}", at=NOW) for n in range(5)))

        assert len(await found(conn, "价格")) == 5


async def test_only_customers_in_scope_are_found(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, said("太贵了", by="anna"), said("太贵了吧", by="ben"), said("贵", by="carl"))
        c = conversation.c
        for who, rep in (("anna", 7), ("ben", 8)):
            mine = sa.and_(c.tenant_id == 1, c.node_id == await node_of(conn, who))
            await conn.run(sa.update(conversation).where(mine).values(rep_id=rep))

        assert await found(conn, "贵", scope=Scope(rep_id=7)) == ["太贵了"]
        assert await found(conn, "贵", scope=Scope(rep_id=8)) == ["太贵了吧"]
        assert await found(conn, "贵", scope=NOTHING) == []
        assert len(await found(conn, "贵")) == 3


async def test_a_customer_in_scope_is_found_on_every_channel_of_theirs(database: Database) -> None:
    app = handle("u-1", kind="app_user")
    link = Link(a=handle("anna"), b=app, rule="login")
    async with database.begin(1) as conn:
        await told(
            conn, said("太贵了", by="anna", links=(link,)), said("还是贵", handles=(app,), at=later(2))
        )
        c = conversation.c
        mine = sa.and_(c.tenant_id == 1, c.node_id == await node_of(conn, "anna"))
        await conn.run(sa.update(conversation).where(mine).values(rep_id=7))

        assert await found(conn, "贵", scope=Scope(rep_id=7)) == ["还是贵", "太贵了"]


async def test_within_a_customer_only_their_own_time_with_an_address_counts(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(
            conn, said("太贵", by="anna"), said("太贵了", by="anna", at=later(9)), said("贵", by="ben")
        )
        anna = await node_of(conn, "anna")
        whole = identity.Interval(node_id=anna, from_at=NOW - timedelta(days=9), until_at=None)
        early = identity.Interval(node_id=anna, from_at=NOW - timedelta(days=9), until_at=later(5))

        assert await found(conn, "贵", spans=[whole]) == ["太贵了", "太贵"]
        assert await found(conn, "贵", spans=[early]) == ["太贵"]
        assert await found(conn, "贵", spans=[]) == []


async def test_what_was_taken_back_is_found_only_by_those_who_may(database: Database) -> None:
    recall = Envelope(
        kind="event.recall", direction="none", at=later(1), handles=(handle("anna"),), recalls="m0"
    )
    async with database.begin(1) as conn:
        await told(conn, said("说漏嘴了"))
        await told(conn, recall, first=1)

        assert await found(conn, "说漏嘴") == []
        assert await found(conn, "说漏嘴", recalled=True) == ["说漏嘴了"]


async def test_an_edited_message_is_found_by_what_it_says_now(database: Database) -> None:
    edit = Envelope(
        kind="event.edited", direction="in", at=later(1), handles=(handle("anna"),), text="八折", edits="m0"
    )
    async with database.begin(1) as conn:
        await told(conn, said("九折优惠"))
        await told(conn, edit, first=1)

        assert (await found(conn, "九折"), await found(conn, "八折")) == ([], ["八折"])


async def test_a_replaced_reading_and_an_erased_customer_are_found_no_more(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, said("旧的说法"), said("别人的话", by="ben"))
        await told(conn, said("新的说法"))
        assert (await found(conn, "旧的"), await found(conn, "新的")) == ([], ["新的说法"])

        anna = (await identity.persons_of(conn, [await node_of(conn, "anna")])).popitem()[1]
        await erase(conn, anna, by="staff:1", now=later(9))

        assert (await found(conn, "说法"), await found(conn, "的话")) == ([], ["别人的话"])


async def test_profiles_and_what_only_happened_are_not_searched(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, said("浏览了数学课", kind="event.page", direction="none"), answered("数学课好"))

        assert await found(conn, "数学课") == ["数学课好"]


async def test_another_tenant_finds_nothing_of_it(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, said("太贵了"))
    async with database.begin(2) as conn:
        await told(conn, said("不太贵"))

        assert await found(conn, "太贵") == ["不太贵"]


async def test_the_index_holds_no_word_in_the_clear(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, said("secret 太贵了"))
        words = await conn.scalar(sa.select(search_doc.c.words).where(search_doc.c.tenant_id == 1))

    assert not {"secret", "太贵", "贵"} & set(words.split())
    assert len(words.split()) == 1 + len(finding.terms("secret 太贵了"))


async def test_events_of_an_earlier_release_become_findable_and_stand_on_their_shelf(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        entries = [entry(said(f"后来 {n}", at=later(n)), f"x{n}") for n in range(3)]
        await settle(conn, *entries)
        await conn.run(sa.update(event_node).where(event_node.c.tenant_id == 1).values(genre=""))
        first = await search.following(conn, after=0, limit=2)
        rest = await search.following(conn, after=first[-1], limit=9)
        await search.index(conn, first + rest)
        await search.shelve(conn, first + rest)
        genres = await conn.rows(sa.select(event_node.c.genre).where(event_node.c.tenant_id == 1))

        assert first + rest == sorted(e.event_id for e in entries)
        assert len(await found(conn, "后来")) == 3
        assert {r.genre for r in genres} == {"talk"}


@pytest.mark.parametrize("text", ["<b>太贵</b>了", "太贵" * 9, "", "ABC 贵 abc"])
def test_marking_adds_and_loses_nothing(text: str) -> None:
    for question in ("太贵", "贵 abc", "<b>", ""):
        parts = finding.marked(text, question)

        assert "".join(part for part, _ in parts) == text


def test_hits_are_marked_where_they_stand() -> None:
    assert finding.marked("你太贵了，太贵", "太贵") == [
        ("你", False),
        ("太贵", True),
        ("了，", False),
        ("太贵", True),
    ]
    long = finding.around(finding.marked("啊" * 500 + "太贵" + "哦" * 500, "太贵"))
    assert ("太贵", True) in long
    assert sum(len(part) for part, _ in long) < 140


async def test_a_customer_of_very_many_addresses_is_searched_in_parts(database: Database) -> None:
    async with database.begin(1) as conn:
        await told(conn, *(said(f"贵{n}", by=f"who{n}", at=later(n)) for n in range(8)))
        spans = [
            identity.Interval(node_id=10**6 + n, from_at=NOW - timedelta(days=9), until_at=None)
            for n in range(1500)
        ]
        for n in range(8):
            mine = await node_of(conn, f"who{n}")
            spans.insert(n * 190, identity.Interval(node_id=mine, from_at=NOW, until_at=None))
        newest_first = [f"贵{n}" for n in reversed(range(8))]

        assert await found(conn, "贵", spans=spans) == newest_first
        assert await found(conn, "贵", spans=spans, limit=3) == newest_first[:3]
        third = (await search.page(conn, "贵", scope=ALL, spans=spans, limit=3))[-1]
        assert await found(conn, "贵", spans=spans, before=third.search_id) == newest_first[3:]
