"""Versions of SOPs: files become versions, the page's win, runs stay or go over; sweeps and rehearsals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scrm import jobs
from scrm.db import Conn, Database
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.service import Wanted
from scrm.errors import BadInput, Conflict, NotFound
from scrm.ledger.store import about, audit
from scrm.pipeline.sops import following, notices, rehearsing
from scrm.playbook.sops import service, versions
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.values import Plan
from tests.ground import NOW, later, node_of
from tests.playbook.sops.clockwork import Clockwork, household, plan

ONE = "[{id: w, wait: {days: 1}}, {id: hi, message: {text: 一, delivery: auto}}]"
TWO = "[{id: w, wait: {days: 1}}, {id: hi, message: {text: 二, delivery: auto}}]"
SCRIPTS = frozenset[str]()


async def head(conn: Conn) -> tuple[int, str]:
    found = await store.head(conn, "edu.test")
    assert found is not None
    return found.live_version, found.state


async def synced(conn: Conn, *plans: Plan) -> list[str]:
    return await versions.sync(conn, {"education": plans}, now=NOW)


# -- files and the page ------------------------------------------------------------------------------------
async def test_a_file_is_taken_over_once_and_is_off_until_somebody_switches_it_on(database: Database) -> None:
    async with database.begin(1) as conn:
        for _ in range(2):
            assert await synced(conn, plan(ONE)) == []
        assert await head(conn) == (1, "off")
        assert await versions.in_force(conn) == []

        await versions.switch(conn, "edu.test", on=True, now=NOW)
        assert await versions.in_force(conn) == [plan(ONE)]


async def test_a_newer_file_is_in_force_at_once_but_content_that_changed_alone_is_not(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await synced(conn, plan(ONE))
        assert await synced(conn, plan(TWO)) == [
            "edu.test: 文件内容改了但版本还是 1，没有采用，请把 version 加 1。"
        ]
        assert await synced(conn, plan(TWO, version=2)) == []

        assert await head(conn) == (2, "off")
        assert [(v.version, v.state) for v in await store.versions(conn, "edu.test")] == [
            (2, "live"),
            (1, "retired"),
        ]


async def test_a_version_of_the_page_stays_in_force_whatever_the_files_say(database: Database) -> None:
    async with database.begin(1) as conn:
        await synced(conn, plan(ONE))
        mine = await versions.draft(conn, "education", plan(TWO), SCRIPTS, by=7, now=NOW)
        await versions.publish(conn, "edu.test", mine.version, "keep", now=NOW)
        said = await synced(conn, plan(ONE, title="文件", version=3))

        assert said == ["edu.test: 页面上的版本在用，文件的版本 3 存成草稿，请到“SOP”页发布。"]
        assert await head(conn) == (2, "off")


async def test_only_a_draft_can_be_changed_and_only_into_what_works(database: Database) -> None:
    async with database.begin(1) as conn:
        made = await versions.draft(conn, "education", plan(ONE), SCRIPTS, by=7, now=NOW)
        with pytest.raises(Conflict):
            await versions.switch(conn, "edu.test", on=True, now=NOW)
        changed = await versions.change_draft(conn, "edu.test", made.version, plan(TWO), SCRIPTS)
        assert changed.content["steps"][1]["message"]["text"] == "二"
        with pytest.raises(BadInput):
            await versions.change_draft(conn, "edu.test", 1, replace(plan(TWO), starts=()), SCRIPTS)
        with pytest.raises(BadInput):
            await versions.change_draft(conn, "edu.test", 1, replace(plan(TWO), code="edu.x"), SCRIPTS)
        await versions.publish(conn, "edu.test", 1, "keep", now=NOW)
        with pytest.raises(Conflict):
            await versions.change_draft(conn, "edu.test", 1, plan(ONE), SCRIPTS)
        with pytest.raises(NotFound):
            await versions.publish(conn, "edu.none", 1, "keep", now=NOW)


@pytest.mark.parametrize(("running", "said"), [("keep", 1), ("migrate", 2)])
async def test_runs_under_way_stay_on_their_version_or_go_over(
    database: Database, running: versions.Running, said: int
) -> None:
    work = Clockwork(database)
    await work.live(plan(ONE))
    await work.meet("anna")
    await work.happen("anna")
    await work.until(later(60))
    async with database.begin(1) as conn:
        made = await versions.draft(conn, "education", plan(TWO), SCRIPTS, by=7, now=NOW)
        moved = await versions.publish(conn, "edu.test", made.version, running, now=NOW)
        counted = await runs.counts(conn)
    await work.until(later(2 * 86400))

    assert moved == said - 1
    assert counted["edu.test"] == {(said, "running"): 1}
    (one,) = await work.runs()
    assert (one.version, one.state) == (said, "done")
    async with database.read(1) as conn:
        assert [s.step for s in (await runs.steps(conn, [one.run_id]))[one.run_id]] == ["w", "hi"]


@pytest.mark.parametrize(
    ("new", "step", "to"),
    [
        ("[{id: a, wait: {days: 1}}, {id: b, stage: trial}]", "b", "b"),
        ("[{id: a, wait: {days: 1}}, {id: z, stage: trial}]", "b", "a"),
        ("[{id: a, tag: {add: [x]}}, {id: z, stage: trial}]", "b", "z"),  # not put on a second time
        ("[{id: y, tag: {add: [x]}}, {id: z, stage: trial}]", "b", "y"),
        ("[{id: y, tag: {add: [x]}}]", "", ""),
    ],
)
def test_a_step_that_is_gone_has_a_place_in_the_new_version(new: str, step: str, to: str) -> None:
    old = plan("[{id: a, tag: {add: [x]}}, {id: b, stage: trial}]")
    assert versions.place_in(plan(new), old, step) == to


# -- dates and silences ------------------------------------------------------------------------------------
async def swept(work: Clockwork, limit: int = 2) -> int:
    """Every page of what a date or a silence begins today."""
    told = 0
    async with work.db.begin(1) as conn:
        for each, start in await following.begins_today(conn):
            after = -1
            while after:
                after, n = await following.sweep(
                    conn, each, start, after=max(after, 0), limit=limit, now=work.now
                )
                told += n
    await work.until(work.now + timedelta(seconds=1))
    return told


async def test_a_silence_begins_a_run_once_unless_the_family_spoke_elsewhere(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan(ONE, starts=[{"silent_days": 7}]))
    for n, who in enumerate(("anna", "ben", "cara", "dave", "eve")):
        await work.meet(who, at=later(n))
    await work.meet("old", at=later(-40 * 86400))
    await work.meet("kid", at=later(86400))
    await household(database, "eve", "kid")
    work.now = later(7 * 86400 + 60)

    assert await swept(work) == 5
    assert len(await work.runs()) == 4  # old is history, eve's child wrote yesterday
    again = await swept(work)
    assert again == 1  # eve alone is asked about once more
    assert len(await work.runs()) == 4


@pytest.mark.parametrize("days", [-1, -2, 1])
async def test_a_date_begins_a_run_so_many_days_before_or_after_it(database: Database, days: int) -> None:
    work = Clockwork(database)
    await work.live(plan(ONE, starts=[{"date": "visit", "days": days}]))
    node = await work.meet("anna")
    visit = later(3 * 86400)
    async with database.begin(1) as conn:
        wanted = Wanted(
            key="v", kind="visit", title="到访", why="约好了", source="manual", node_id=node, due_at=visit
        )
        await tasks.put(conn, [wanted], now=NOW)
    found = []
    for day in range(7):
        work.now = later(day * 86400)
        if await swept(work):
            found.append(day)

    assert found[0] == 3 + days
    assert len(await work.runs()) == 1


async def test_a_run_whose_due_row_is_gone_is_found_again(database: Database) -> None:
    work = Clockwork(database)
    await work.live(plan("[{id: hi, message: {text: 一, delivery: auto}}]"))
    await work.meet("anna")
    await work.happen("anna")
    async with database.begin(1) as conn:
        (job,) = await jobs_of(conn, notices.DUE, work)
        await following.follow(conn, work.means, notices.read(job.payload), now=work.now)
        (due,) = await jobs_of(conn, service.DUE, work)
        await jobs.drop(conn, job)
        await jobs.drop(conn, due)
    work.now = later(3600)
    await work.until(later(3700))
    assert await work.pushes() == []

    async with database.begin(1) as conn:
        assert await following.rescue(conn, limit=10, now=work.now) == 1
    await work.until(later(2 * 3600))
    assert len(await work.pushes()) == 1


async def jobs_of(conn: Conn, kind: str, work: Clockwork) -> list[Any]:
    return await jobs.claim(conn, now=work.now, limit=5, kind=kind)


async def test_everything_under_way_is_stopped_a_few_at_a_time_and_other_sops_go_on(
    database: Database,
) -> None:
    work = Clockwork(database)
    await work.live(plan(ONE), plan(ONE, code="edu.other"))
    for who in ("anna", "ben", "carl"):
        await work.meet(who)
        await work.happen(who, f"k:{who}")
    await work.until(NOW)
    stopped = []
    async with database.begin(1) as conn:
        while (found := await service.stop_some(conn, "edu.test", "结束", now=NOW, most=2))[0]:
            stopped.append(found[0])

    assert stopped == [2, 1]
    async with database.read(1) as conn:
        others = await runs.page(conn, "edu.other", limit=9)
    assert {(r.state, r.why) for r in await work.runs()} == {("stopped", "结束")}
    assert [r.state for r in others] == ["running"] * 3


async def test_drafts_and_the_trail_of_one_sop_are_found_and_nobody_elses(database: Database) -> None:
    async with database.begin(1) as conn:
        await versions.draft(conn, "education", plan(ONE), SCRIPTS, by=None, now=NOW)
        await versions.publish(conn, "edu.test", 1, "keep", now=NOW)
        await versions.draft(conn, "education", plan(TWO), SCRIPTS, by=None, now=NOW)
        for subject in ("sop:edu.test", "sop:edu.test@2", "sop:edu.test-more", "sop:edu.other@2"):
            await audit(conn, "staff:1", "sop.draft", now=NOW, subject=subject)
        await audit(conn, "staff:1", "sop.on", now=later(-86400 * 9), subject="sop:edu.test")
    async with database.begin(2) as conn:
        await audit(conn, "staff:9", "sop.draft", now=NOW, subject="sop:edu.test")
        assert await store.drafts(conn) == {}
    async with database.read(1) as conn:
        found = await about(conn, "sop:edu.test", since=later(-86400), limit=9)
        assert await store.drafts(conn) == {"edu.test": 2}

    assert [e.subject for e in found] == ["sop:edu.test@2", "sop:edu.test"]


# -- rehearsals --------------------------------------------------------------------------------------------
WAY = """
- {id: hi, message: {text: "您好 {{ member.name|default('您') }}", delivery: auto}}
- {id: night, wait: {days: 1, at: "22:00"}}
- {id: call, task: {kind: call, title: 打电话, due_hours: 2, wait: true}}
- {id: bye, message: {text: 再见, delivery: auto}}
"""


async def test_a_simulation_says_when_one_family_would_get_what_and_writes_nothing(
    database: Database,
) -> None:
    work = Clockwork(database)
    node = await work.meet("anna")
    async with database.read(1) as conn:
        made = await rehearsing.simulate(conn, work.means, plan(WAY), node, now=NOW)

    days = [(s.step, s.state, s.at - NOW) for s in made.steps]
    assert days == [
        ("hi", "done", timedelta()),
        ("call", "done", timedelta(days=2, hours=1, minutes=30)),
        ("bye", "done", timedelta(days=2, hours=1, minutes=30)),
    ]
    assert [s.text for s in made.steps] == ["您好 您", "打电话", "再见"]
    assert (made.state, made.why_not) == ("done", "")
    assert await work.pushes() == []


async def test_a_family_that_is_not_there_fits_every_condition_and_is_left_in_peace_at_night(
    database: Database,
) -> None:
    work = Clockwork(database)
    way = plan(WAY, when={"stage": ["trial"], "tags": ["VIP"]}, starts=[{"stage": "trial"}])
    async with database.read(1) as conn:
        made = await rehearsing.sample(conn, work.means, way, {"member": {"name": "子涵妈妈"}}, now=NOW)
        bare = await rehearsing.sample(conn, work.means, plan("[{id: a, message: {text: '{{ member.name }}', "
                                       "delivery: auto}}]"), {}, now=NOW)  # fmt: skip

    assert [(s.step, s.state, s.text) for s in made.steps] == [
        ("hi", "done", "您好 子涵妈妈"),
        ("call", "done", "打电话"),
        ("bye", "done", "再见"),
    ]
    assert [(s.state, bool(s.why)) for s in bare.steps] == [("waiting", True)]
    assert await work.runs() == []


async def test_a_dry_run_counts_what_would_have_been_said_and_stops_where_they_bought(
    database: Database,
) -> None:
    work = Clockwork(database)
    for who in ("anna", "ben"):
        await work.meet(who)
        await work.event(who, "event.contact.added", later(60))
    await work.event("ben", "event.order.paid", later(3600))
    await work.event("ben", "event.contact.added", later(7200))
    goal = plan(WAY, goal=[{"event": "event.order.paid"}], again_after_days=30)
    async with database.read(1) as conn:
        made = await rehearsing.dry_run(conn, work.means, goal, later(0), now=later(10 * 86400))
        with pytest.raises(BadInput):
            await rehearsing.dry_run(conn, work.means, goal, later(-200 * 86400), now=NOW)
        anna, ben = await node_of(conn, "anna"), await node_of(conn, "ben")

    assert (made.families, made.messages, made.tasks, made.more) == (2, 3, 1, False)
    assert {r.node_id: (r.state, len(r.steps)) for r in made.shown} == {anna: ("done", 3), ben: ("met", 1)}
    assert await work.runs() == []
