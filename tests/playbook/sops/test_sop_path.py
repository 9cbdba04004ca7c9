"""From a platform's callback to an SOP's message and back: through inbox, react and the worker's errands."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from scrm import jobs
from scrm.contract import Envelope
from scrm.db import Conn, Database, utcnow
from scrm.pipeline.sops import notices
from scrm.playbook.sops import service, versions
from scrm.playbook.sops.store import runs
from scrm.sales.opportunities import service as opportunities
from scrm.sales.opportunities.rules import Move
from scrm.sales.opportunities.service import By, Wanted
from scrm.sales.tags import service as tags
from scrm.schema import due
from tests.ground import House, Talking, answered, handle, house, installed, node_of, said
from tests.playbook.sops.clockwork import plan


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def live(home: House, steps: str, **head: Any) -> None:
    async with home.db.begin(1) as conn:
        await versions.sync(conn, {"education": [plan(steps, **head)]}, now=utcnow())
        await versions.switch(conn, "edu.test", on=True, now=utcnow())


async def heard(home: House, *envelopes: Envelope, key: str) -> None:
    """As it comes in from outside, until nothing is left to do."""
    await home.take({key: envelopes})
    await quiet(home)


async def quiet(home: House) -> None:
    moved = 1
    while moved:
        moved = (
            await home.pipeline.settle(1) + await home.pipeline.react(1) + await home.worker.errands.batch(1)
        )


async def states(home: House) -> list[tuple[str, str, str]]:
    async with home.db.read(1) as conn:
        return [(r.state, r.step, r.why) for r in await runs.page(conn, "edu.test", limit=50)]


def event(kind: str, **more: Any) -> Envelope:
    usual: dict[str, Any] = {"direction": "none", "at": utcnow(), "handles": (handle("anna"),), "text": kind}
    return Envelope(kind=kind, **usual | more)


CALL = "[{id: answer, wait: {days: 2, until_reply: true}}, {id: call, task: {kind: call, title: 打电话}}]"


async def test_an_event_begins_a_run_a_reply_lets_it_go_on_and_a_replay_begins_nothing(home: House) -> None:
    await live(home, CALL)
    await heard(home, said(at=utcnow()), key="m1")
    await heard(home, event("event.contact.added"), key="e1")
    assert await states(home) == [("running", "answer", "")]

    await heard(home, said("在的", at=utcnow()), key="m2")
    assert await states(home) == [("done", "", "全部步骤已走完。")]

    await home.take({"e1": [event("event.contact.added")]})
    await quiet(home)
    assert len(await states(home)) == 1


async def test_a_stage_and_a_tag_are_heard_of_whoever_put_them_there(home: House) -> None:
    await live(home, "[{id: w, wait: {days: 1}}]", starts=[{"stage": "trial"}], stop=[{"tag": "暂不联系"}])
    await heard(home, said(at=utcnow()), key="m1")
    async with home.db.begin(1) as conn:
        node, account = await node_of(conn, "anna"), home.account.account_id
        by = By(source="rep", staff_id=7)
        wanted = Wanted(key="o", node_id=node, account_id=account)
        one = await opportunities.open_one(conn, wanted, by, now=utcnow())
    await quiet(home)
    assert await states(home) == []

    async with home.db.begin(1) as conn:
        to, ident = Move(stage="trial"), one.opportunity_id
        await opportunities.move(conn, ident, to, by, key="m", account_id=account, now=utcnow())
    await quiet(home)
    assert await states(home) == [("running", "w", "")]

    async with home.db.begin(1) as conn:
        whom = tags.Whom(node_id=node, nodes=[node], account_id=account)
        await tags.change(conn, whom, add=["暂不联系"], key="t", now=utcnow())
    await quiet(home)
    assert await states(home) == [("stopped", "w", "停止：有了标签“暂不联系”。")]


async def test_what_we_say_ourselves_begins_nothing(home: House) -> None:
    await live(home, CALL, starts=[{"event": "message."}])
    await heard(home, answered(at=utcnow()), key="o1")
    assert await states(home) == []

    await heard(home, said(at=utcnow()), key="m1")
    assert await states(home) == [("running", "answer", "")]


async def test_where_nobody_uses_sops_nothing_is_told_of(home: House) -> None:
    await home.take({"m1": [said(at=utcnow())], "e1": [event("event.contact.added")]})
    await home.pipeline.settle(1)
    await home.pipeline.react(1)

    async with home.db.read(1) as conn:
        assert await told(conn) == []


async def test_talk_of_those_who_are_on_nothing_is_not_told_of(home: House) -> None:
    await live(home, CALL)
    await home.take({"m1": [said(at=utcnow())]})
    await home.pipeline.settle(1)
    await home.pipeline.react(1)

    async with home.db.read(1) as conn:
        assert await told(conn) == []


async def told(conn: Conn) -> list[str]:
    stmt = sa.select(due.c.key).where(due.c.tenant_id == 1, due.c.kind == notices.DUE)
    return [r.key for r in await conn.rows(stmt)]


async def test_a_run_that_always_fails_is_given_up_and_says_why(home: House) -> None:
    await live(home, "[{id: hi, message: {text: 好, delivery: auto}}]")
    await heard(home, said(at=utcnow()), key="m1")
    await heard(home, event("event.contact.added"), key="e1")
    async with home.db.begin(1) as conn:
        (row,) = await runs.page(conn, "edu.test", limit=5)
        await runs.change(conn, row.run_id, state="running", step="hi", ended_at=None)
        job = jobs.Due(
            due_id=1,
            kind=service.DUE,
            key=str(row.run_id),
            account_id=0,
            payload={},
            version=0,
            attempts=9,
        )
    await home.worker.errands._kinds[service.DUE].give_up(1, job, "渠道坏了")  # noqa: SLF001

    assert await states(home) == [("failed", "hi", "反复出错，已停下：渠道坏了")]
