"""The timeline: each thing once, in its place, read page by page without a gap or a double."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm.contract import Envelope
from scrm.db import Conn, Database
from scrm.identity import store as nodes
from scrm.identity.store import Interval
from scrm.seal import new_id
from scrm.timeline.store import events
from scrm.timeline.store.events import Place, Stored
from tests.ground import CASTLE, NOW, answered, dump, entry, handle, later, node_of, said, settle, talk_of

tenants = count(9000)


async def timeline(conn: Conn, value: str = "anna", **more: object) -> list[Stored]:
    """A person's whole timeline as a page shows it, newest first."""
    person = (await nodes.persons_of(conn, [await node_of(conn, value)])).popitem()[1]
    return await events.page(conn, await nodes.intervals(conn, person), before=None, limit=100, **more)  # type: ignore[arg-type]


async def texts(conn: Conn, value: str = "anna") -> list[str]:
    return [e.text for e in await timeline(conn, value)]


async def test_an_event_stands_once_however_often_it_comes(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await settle(conn, entry(said("好"), "m1"), entry(said("好"), "m1"))
        before = await dump(conn)
        again = await settle(conn, entry(said("好"), "m1"))
        after = await dump(conn)

        assert len(first.events) == 1
        assert (again.events, again.by_node, again.talks) == (frozenset(), {}, [])
        assert await texts(conn) == ["好"]
    for table in ("event", "event_node", "conversation", "evidence", "person", "data_key"):
        assert before[table] == after[table], table


async def test_time_then_the_vendors_order_then_the_id_make_the_order(database: Database) -> None:
    shuffled = [
        entry(said("3", at=later(1), seq=1), "a"),
        entry(said("1", at=NOW, seq=8), "b"),
        entry(said("2", at=NOW, seq=9), "c"),
        entry(said("4", at=later(1), seq=1), "d"),
    ]
    async with database.begin(1) as conn:
        for one in shuffled:
            await settle(conn, one)

        assert await texts(conn) == ["4", "3", "2", "1"]


async def test_a_late_event_stands_where_it_belongs(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("早", at=NOW), "a"), entry(said("晚", at=later(9)), "b"))
        await settle(conn, entry(said("中", at=later(5)), "c"))

        assert await texts(conn) == ["晚", "中", "早"]


async def test_a_changed_reading_supersedes_the_old_which_stays_as_history(database: Database) -> None:
    old, new = entry(said("[未知]"), "m1"), entry(said("你好", by="anna"), "m1")
    async with database.begin(1) as conn:
        await settle(conn, old)
        changed = await settle(conn, new)
        account_page = await events.of_account(conn, [11], before=None, limit=9)
        latest = await events.latest(conn, 11, "m1")
        (kept,) = await events.by_ids(conn, [old.event_id])

        assert await texts(conn) == ["你好"]
        assert [e.text for e in account_page] == ["你好"]
        assert changed.events == {new.event_id}
        assert latest is not None
        assert (latest.version, latest.text, kept.version, kept.text) == (2, "你好", 1, "[未知]")


async def test_a_reading_can_move_an_event_to_another_customer(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("嗨", by="anna"), "m1"), entry(said("别的", by="anna"), "m0"))
        await settle(conn, entry(said("嗨!", by="ben"), "m1"))

        assert (await texts(conn, "anna"), await texts(conn, "ben")) == (["别的"], ["嗨!"])


async def test_a_recall_marks_its_message_whichever_comes_first(database: Database) -> None:
    recall = Envelope(
        kind="event.recall", direction="none", at=later(9), handles=(handle("anna"),), recalls="m1"
    )
    for tenant, order in ((1, (0, 1)), (2, (1, 0))):
        both = [entry(said("说错了"), "m1"), entry(recall, "r1")]
        async with database.begin(tenant) as conn:
            for n in order:
                await settle(conn, both[n], now=later(10))
            found = {e.source_key: e.recalled_at for e in await timeline(conn)}

        assert found == {"m1": later(10), "r1": None}


async def test_a_recall_on_another_account_takes_nothing_back(database: Database) -> None:
    recall = Envelope(kind="event.recall", direction="none", at=NOW, handles=(handle("anna"),), recalls="m1")
    async with database.begin(1) as conn:
        await settle(conn, entry(said("嗨"), "m1"), entry(recall, "r1", account_id=12))

        assert {e.recalled_at for e in await timeline(conn)} == {None}


async def test_a_corrected_message_that_was_recalled_stays_recalled(database: Database) -> None:
    recall = Envelope(kind="event.recall", direction="none", at=NOW, handles=(handle("anna"),), recalls="m1")
    async with database.begin(1) as conn:
        await settle(conn, entry(said("旧"), "m1"), entry(recall, "r1"))
        await settle(conn, entry(said("新"), "m1"))

        assert {e.text for e in await timeline(conn) if e.recalled_at} == {"新"}


async def test_bodies_lie_sealed_with_the_customers_key_and_open_again(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said(body={"MediaId": "canary-7"}, welcome="code-9"), "m1"))
        (one,) = await timeline(conn)
        opened = (await events.bodies(conn, [one]))[one.event_id]

    assert b"canary-7" not in one.body
    assert b"code-9" not in one.body
    assert opened == {"MediaId": "canary-7", "_welcome": {"code": "code-9", "seconds": 20}}


async def test_a_person_of_several_addresses_reads_as_one_story(database: Database) -> None:
    a, b = handle("anna"), handle("u1", kind="wechat_unionid")
    join = said("二", at=later(2), handles=(a, b))
    async with database.begin(1) as conn:
        await settle(conn, entry(said("一", by="anna", at=later(1)), "1"), entry(join, "2"))
        apart = await node_of(conn, "u1", kind="wechat_unionid")
        spans = [
            Interval(node_id=n, from_at=NOW, until_at=None) for n in (apart, await node_of(conn, "anna"))
        ]

        page = await events.page(conn, spans, before=None, limit=9)

        assert [e.text for e in page] == ["二", "一"]  # seen from both, shown once


async def test_a_profile_is_evidence_and_no_event_of_the_story(database: Database) -> None:
    anna = handle("anna", name="安")
    profile = Envelope(kind="event.profile", direction="none", at=NOW, handles=(anna,), quiet=True)
    async with database.begin(1) as conn:
        appended = await settle(conn, entry(profile, "p1"))

        assert await timeline(conn) == []
        assert appended.talks == []
        assert list(appended.by_node) == [await node_of(conn, "anna")]  # its screens still hear of the name


async def test_a_page_can_be_limited_to_accounts(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("甲"), "1"), entry(said("乙"), "2", account_id=12))

        assert [e.text for e in await timeline(conn, account_ids=[12])] == ["乙"]


async def test_last_words_are_the_customers_newest_first_up_to_the_event(database: Database) -> None:
    said_ = [entry(said(f"{n}", at=later(n)), f"m{n}") for n in range(6)]
    async with database.begin(1) as conn:
        await settle(
            conn,
            *said_,
            entry(answered("我们", at=later(2.5)), "o1"),
            entry(said("以前", at=NOW - timedelta(days=3)), "old"),
        )
        (fourth,) = await events.by_ids(conn, [said_[4].event_id])

        assert await events.last_words(conn, fourth) == ["4", "3", "2", "1"]
        (first,) = await events.by_ids(conn, [said_[0].event_id])
        assert await events.last_words(conn, first) == ["0"]


async def test_events_by_inbox_row_are_the_current_ones(database: Database) -> None:
    async with database.begin(1) as conn:
        await settle(conn, entry(said("旧"), "m1", inbox_id=7), entry(said("二"), "m2", inbox_id=7))
        await settle(conn, entry(said("新", at=later(-1)), "m1", inbox_id=7))

        found = await events.by_inbox(conn, [7, 8])

        assert {k: [e.text for e in v] for k, v in found.items()} == {7: ["新", "二"]}
        assert await events.by_inbox(conn, []) == {}


async def test_a_chat_account_hangs_on_the_story_of_the_place_too(database: Database) -> None:
    envelope = said(handles=(handle("anna"), CASTLE))
    async with database.begin(1) as conn:
        appended = await settle(conn, entry(envelope, "m1"))

        assert len(appended.by_node) == 2
        assert (await talk_of(conn, "anna")).last_text == "你好"


# -- paging ------------------------------------------------------------------------------------------------
NODES = (1, 2, 3)
rows = st.lists(
    st.tuples(st.sets(st.sampled_from(NODES), min_size=1), st.integers(0, 6), st.integers(0, 2)),
    max_size=25,
)
spans = st.lists(
    st.tuples(st.sampled_from(NODES), st.integers(0, 6), st.none() | st.integers(0, 8)),
    min_size=1,
    max_size=4,
)


async def _fill(conn: Conn, made: list[tuple[set[int], int, int]]) -> dict[int, tuple[set[int], Place]]:
    placed = {}
    for number, (members, at_s, seq) in enumerate(made):
        ident = new_id()
        placed[ident] = (members, (later(at_s), seq, ident))
        row = {
            "event_id": ident,
            "account_id": 1,
            "source_key": f"k{number}",
            "version": 1,
            "kind": "message.text",
            "direction": "in",
            "at": later(at_s),
            "seq": seq,
            "text": "",
            "body": {},
            "node_id": None,
            "conversation_id": None,
            "staff_id": None,
            "inbox_id": None,
            "recalls": None,
            "stored_at": NOW,
        }
        await events.insert(conn, [row])
        hung = {"at": later(at_s), "seq": seq, "event_id": ident, "account_id": 1, "part": "actor"}
        await events.link(conn, [hung | {"node_id": n} for n in members])
    return placed


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=rows, seen_in=spans, limit=st.integers(1, 7))
async def test_pages_are_complete_without_gap_or_double(
    database: Database,
    made: list[tuple[set[int], int, int]],
    seen_in: list[tuple[int, int, int | None]],
    limit: int,
) -> None:
    """Random events on several nodes, read through random intervals: exactly those inside, newest first."""
    intervals = [
        Interval(node_id=n, from_at=later(start), until_at=None if end is None else later(end))
        for n, start, end in seen_in
    ]
    async with database.begin(next(tenants)) as conn:
        placed = await _fill(conn, made)
        shown: list[Stored] = []
        before = None
        while page := await events.page(conn, intervals, before=before, limit=limit):
            assert len(page) <= limit
            shown += page
            before = page[-1].place
            assert len(shown) <= len(placed)
        whole = await events.of_account(conn, [1], before=None, limit=100)

    wanted = [
        place
        for members, place in placed.values()
        if any(
            i.node_id in members and i.from_at <= place[0] and (i.until_at is None or place[0] < i.until_at)
            for i in intervals
        )
    ]
    assert [e.place for e in shown] == sorted(wanted, reverse=True)
    assert [e.place for e in whole] == sorted((p for _, p in placed.values()), reverse=True)


async def test_nobodys_page_is_empty(database: Database) -> None:
    async with database.begin(1) as conn:
        assert await events.page(conn, [], before=None, limit=9) == []


async def test_who_came_by_more_devices_than_one_may_have_identifiers_reads_as_one_story(
    database: Database,
) -> None:
    """Devices do not count to the cap of a person: none of what they did is missing, on any page."""
    visits = [
        entry(said(f"{n:03}", at=later(n), handles=(handle("anna"), handle(f"d{n}", kind="device"))), f"v{n}")
        for n in range(90)
    ]
    async with database.begin(1) as conn:
        await settle(conn, *visits)
        person = (await nodes.persons_of(conn, [await node_of(conn, "anna")])).popitem()[1]
        spans = await nodes.intervals(conn, person)
        anna = await node_of(conn, "anna")
        by_device = [s for s in spans if s.node_id != anna]

        assert len(by_device) == 90
        assert await read_on(conn, by_device, limit=20) == [f"{n:03}" for n in reversed(range(90))]
        assert await read_on(conn, by_device, limit=20, genres=("talk", "file")) == [
            f"{n:03}" for n in reversed(range(90))
        ]


async def read_on(conn: Conn, spans: list[Interval], *, limit: int, **more: object) -> list[str]:
    """Page by page to the end."""
    shown: list[Stored] = []
    before = None
    while page := await events.page(conn, spans, before=before, limit=limit, **more):  # type: ignore[arg-type]
        assert len(page) <= limit
        shown += page
        before = page[-1].place
    return [e.text for e in shown]


async def test_a_large_household_s_page_is_whole_and_in_order(database: Database) -> None:
    """More identifiers than SQLite takes parts of one statement, whichever shelf is asked for."""
    async with database.begin(1) as conn:
        told = [entry(said(f"{n:02}", by=f"who{n % 12}", at=later(n)), f"h{n}") for n in range(60)]
        await settle(conn, *told)
        members = [await node_of(conn, f"who{n}") for n in range(12)]
        silent = [Interval(node_id=10**6 + n, from_at=NOW, until_at=None) for n in range(1100)]
        spans = list(silent)
        for n, node_id in enumerate(members):
            spans.insert(n * 95, Interval(node_id=node_id, from_at=NOW, until_at=None))
        newest_first = [f"{n:02}" for n in reversed(range(60))]

        assert await read_on(conn, spans, limit=7) == newest_first
        assert await read_on(conn, spans, limit=7, genres=("talk", "file")) == newest_first
        (newest,) = await events.page(conn, spans, before=None, limit=1)
        here = newest.account_id
        assert await read_on(conn, spans, limit=100, account_ids=[here]) == newest_first
        assert await read_on(conn, spans, limit=100, account_ids=[here + 1]) == []
