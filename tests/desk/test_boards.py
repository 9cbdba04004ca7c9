"""Boards say what the queue says: counts equal lists whatever happens, and tasks go where customers go."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrm.db import Conn, Database
from scrm.desk.tasks import rules, service, store
from scrm.desk.tasks.rules import Happened, Task
from scrm.desk.tasks.service import Wanted
from scrm.desk.tasks.store import Whose
from scrm.errors import BadInput, Conflict
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.staff.rules import Scope
from scrm.timeline import hands
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from tests.ground import NOW, answered, entry, later, node_of, said, settle, talk_of

tenants = count(30_000)
Cases = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CUSTOMERS = ("anna", "ben")
ACTIONS = ("asks", "answers", "snooze", "close", "hand", "release", "put", "finish", "postpone", "give",
           "heed", "expire", "wait")  # fmt: skip
numbers = count()


async def hired(conn: Conn, login: str) -> int:
    return await staff.add(conn, login=login, name=login, role="rep", team="A", now=NOW)


def wanted(talk: Talk, **more: Any) -> Wanted:
    usual: dict[str, Any] = {
        "kind": "material",
        "title": "发课表",
        "why": "",
        "source": "sop",
        "due_at": later(3600),
    }
    return Wanted(
        key=f"k{next(numbers)}",
        node_id=talk.node_id,
        conversation_id=talk.conversation_id,
        **usual | more,
    )


async def asked(conn: Conn, who: str = "anna", at: datetime = NOW) -> Talk:
    await settle(conn, entry(said("在吗", by=who, at=at), f"in{next(numbers)}"), now=at)
    return await talk_of(conn, who)


async def replied(conn: Conn, rep: int, who: str = "anna", at: datetime = NOW) -> Talk:
    made = entry(answered("在的", to=who, at=at), f"out{next(numbers)}", staff_id=rep)
    await settle(conn, made, now=at)
    return await talk_of(conn, who)


async def agree(conn: Conn, whose: Whose, now: datetime) -> list[Task]:
    """The list and the counts of one board; they must say the same."""
    listed = await store.board(conn, whose, now=now)
    counted = await store.counts(conn, whose, now=now)
    assert {kind: sum(t.kind == kind for t in listed) for kind in counted} == counted
    assert len(listed) == sum(counted.values())
    return listed


async def everything_agrees(conn: Conn, reps: list[int], now: datetime) -> None:
    team = await staff_store.team_id(conn, "A")
    whole = await agree(conn, Whose(team_id=team), now)
    by_rep = await store.counts_by_rep(conn, team, now=now)
    for rep in [*reps, None]:
        theirs = [t for t in whole if t.staff_id == rep]
        late = sum(t.due_at <= now for t in theirs)
        assert by_rep.get(rep, (0, 0)) == (len(theirs), late)
    for rep in reps:
        own = await agree(conn, Whose(staff_id=rep), now)
        assert [t.task_id for t in own] == [t.task_id for t in whole if t.staff_id == rep]
        waits = [t.conversation_id for t in own if t.source == "clock"]
        queue = await conversations.queue(conn, Scope(rep_id=rep), "waiting", now=now, limit=100)
        assert sorted(waits, key=str) == sorted([t.conversation_id for t, _ in queue], key=str)
        assert len(waits) == await conversations.waiting_count(conn, Scope(rep_id=rep), now=now)
    await agree(conn, Whose(node_ids=[await node_of(conn, "anna")]), now)


async def act(conn: Conn, what: str, data: st.DataObject, reps: list[int], now: datetime) -> None:
    who = data.draw(st.sampled_from(CUSTOMERS))
    talk = await talk_of(conn, who)
    rep = data.draw(st.sampled_from(reps))
    until = now + timedelta(minutes=data.draw(st.sampled_from((5, 60))))
    open_ = await store.page(conn, Whose(), state="open", limit=50)
    task = data.draw(st.sampled_from(open_)) if open_ else None
    if what == "asks":
        await asked(conn, who, now)
    elif what == "answers":
        await replied(conn, rep, who, now)
    elif what == "snooze" and talk.state != "closed":
        await hands.snooze(conn, talk, until)
    elif what == "close":
        await hands.close(conn, talk, now=now)
    elif what == "hand":
        await hands.take(conn, talk, by=rep, now=now)
    elif what == "release":
        await hands.release(conn, talk, by=rep, now=now)
    elif what == "put":
        await service.put(conn, [drawn(data, talk, rep, until)], now=now)
    else:
        await on_board(conn, what, talk, task, rep, until, now)


def drawn(data: st.DataObject, talk: Talk, rep: int, until: datetime) -> Wanted:
    kind = data.draw(st.sampled_from(sorted(rules.KINDS)))
    over = data.draw(st.sampled_from((None, until)))
    given_to = data.draw(st.sampled_from((None, rep)))
    return wanted(talk, kind=kind, staff_id=given_to, due_at=until, expires_at=over)


async def on_board(
    conn: Conn, what: str, talk: Talk, task: Task | None, rep: int, until: datetime, now: datetime
) -> None:
    if what == "heed":
        done = Happened(kind="out", nodes=[talk.node_id], event_id=1, at=now, staff_id=rep)
        await service.heed(conn, [done], now=now)
    elif what == "expire":
        await service.expire(conn, now=now)
    elif task is not None:
        await on_task(conn, what, task, rep, until, now)


async def on_task(conn: Conn, what: str, task: Task, rep: int, until: datetime, now: datetime) -> None:
    if what == "finish":
        await service.finish(conn, task.task_id, by=rep, now=now)
    elif what == "give":
        await service.give(conn, task.task_id, rep)
    elif what == "postpone":
        try:
            await service.postpone(conn, task.task_id, until, "在开会", now=now)
        except Conflict:
            assert task.postponed >= rules.PATIENCE


@Cases
@given(data=st.data(), actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=10))
async def test_counts_equal_lists_whatever_happens(
    database: Database, data: st.DataObject, actions: list[str]
) -> None:
    now = NOW
    async with database.begin(next(tenants)) as conn:
        reps = [await hired(conn, "li"), await hired(conn, "wang")]
        for who in CUSTOMERS:
            await asked(conn, who, now)
        for what in actions:
            now += timedelta(minutes=data.draw(st.sampled_from((0, 1, 15))))
            await act(conn, what, data, reps, now)
            await everything_agrees(conn, reps, now)


async def test_a_reply_the_queue_asks_for_stands_there_once(database: Database) -> None:
    async with database.begin(1) as conn:
        rep = await hired(conn, "li")
        talk = await replied(conn, rep)
        await service.put(conn, [wanted(talk, kind="reply"), wanted(talk)], now=NOW)
        before = await agree(conn, Whose(staff_id=rep), NOW)

        await asked(conn, at=later(60))

        after = await agree(conn, Whose(staff_id=rep), later(61))
        assert sorted(t.source for t in before) == ["sop", "sop"]
        assert sorted((t.kind, t.source) for t in after) == [("material", "sop"), ("reply", "clock")]


async def test_a_reply_is_late_after_ten_minutes_and_gone_when_put_off(database: Database) -> None:
    async with database.begin(1) as conn:
        rep = await hired(conn, "li")
        await replied(conn, rep)
        talk = await asked(conn, at=later(10))
        team = await staff_store.team_id(conn, "A")

        waits = await agree(conn, Whose(staff_id=rep), later(20))
        early = await store.counts_by_rep(conn, team, now=later(300))
        late = await store.counts_by_rep(conn, team, now=later(620))
        await hands.snooze(conn, talk, later(3600))

        assert (early[rep], late[rep]) == ((1, 0), (1, 1))
        assert [t.why for t in waits] == ["在吗"]
        assert await agree(conn, Whose(staff_id=rep), later(700)) == []
        (back,) = await agree(conn, Whose(staff_id=rep), later(3600))
        assert back.kind == "reply"


async def test_who_takes_the_customer_over_takes_over_what_is_to_be_done(database: Database) -> None:
    async with database.begin(1) as conn:
        li, wang, zhao = [await hired(conn, login) for login in ("li", "wang", "zhao")]
        talk = await asked(conn)
        await service.put(conn, [wanted(talk), wanted(talk, staff_id=zhao)], now=NOW)
        assert await agree(conn, Whose(staff_id=li), NOW) == []

        first = await replied(conn, li, at=later(1))  # the first reply claims
        own = await agree(conn, Whose(staff_id=li), later(1))
        await hands.hand_over(conn, first, to=wang, by=None, now=later(2))

        assert len(own) == 1
        assert await agree(conn, Whose(staff_id=li), later(2)) == []
        assert len(await agree(conn, Whose(staff_id=wang), later(2))) == 1
        assert len(await agree(conn, Whose(staff_id=zhao), later(2))) == 1  # by name: stays


async def test_what_is_given_back_is_nobodys_until_somebody_takes_it(database: Database) -> None:
    async with database.begin(1) as conn:
        li, wang = await hired(conn, "li"), await hired(conn, "wang")
        talk = await replied(conn, li)
        (made,) = await service.put(conn, [wanted(talk)], now=NOW)
        team = await staff_store.team_id(conn, "A")

        moved = await hands.release(conn, talk, by=li, now=later(1))
        free = await store.counts_by_rep(conn, team, now=later(1))
        await hands.take(conn, moved.after, by=wang, now=later(2))

        kept = await store.get(conn, made.task_id)
        assert made.staff_id == li
        assert free == {None: (1, 0)}
        assert kept is not None
        assert (kept.staff_id, kept.team_id) == (wang, team)


async def test_the_team_s_board_goes_with_its_people(database: Database) -> None:
    async with database.begin(1) as conn:
        li = await hired(conn, "li")
        talk = await replied(conn, li)
        await service.put(conn, [wanted(talk)], now=NOW)
        old, new = await staff_store.team_id(conn, "A"), await staff_store.team_id(conn, "B")

        await staff.add(conn, login="li", name="li", role="rep", team="B", now=NOW)

        assert await agree(conn, Whose(team_id=old), NOW) == []
        assert len(await agree(conn, Whose(team_id=new), NOW)) == 1


async def test_a_title_is_asked_for_and_kept_short() -> None:
    assert len(rules.titled("长" * 100)) == 60
    with pytest.raises(BadInput, match=rules.NO_TITLE):
        rules.titled("  ")
