"""What happened ends tasks by itself, on the whole path; reminders come and go with what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from scrm import jobs
from scrm.contract import Envelope, Link
from scrm.db import Conn, Database, utcnow
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks import store
from scrm.desk.tasks.rules import Kind, Task
from scrm.desk.tasks.service import Wanted
from scrm.desk.tasks.store import Whose
from scrm.live import Change
from scrm.playbook.promises import store as promises
from scrm.playbook.promises.store import Row
from scrm.playbook.sops import service as sops
from scrm.seal import new_id
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.worker.boarding import KIND, OVER, Boarding, remind
from tests.ground import Channel, House, Talking, answered, handle, house, installed, node_of, said

numbers = count()
MUM, DAD = handle("mum"), handle("dad")
FAMILY = Link(a=MUM, b=DAD, rule="order.payer", kind="same_household")


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel: Channel = Talking()
    installed(monkeypatch, channel)
    made = await house(database, channel)
    married = Envelope(kind="event.tie", direction="none", at=utcnow(), handles=(MUM, DAD), links=(FAMILY,))
    await take(made, married, said("在吗", by="mum", at=utcnow()), said("你好", by="dad", at=utcnow()))
    return made


async def take(home: House, *envelopes: Envelope) -> None:
    await home.take({f"e{next(numbers)}": [one] for one in envelopes})
    await worked(home)


async def worked(home: House) -> None:
    while await home.pipeline.settle(1) + await home.pipeline.react(1):
        pass


async def put(home: House, kind: Kind, who: str = "mum", **more: Any) -> Task:
    async with home.db.begin(1) as conn:
        usual: dict[str, Any] = {"title": "做", "why": "", "source": "sop", "due_at": utcnow()}
        one = Wanted(key=f"k{next(numbers)}", kind=kind, node_id=await node_of(conn, who), **usual | more)
        (made,) = await tasks.put(conn, [one], now=utcnow())
    return made


async def now_is(home: House, task: Task) -> Task:
    async with home.db.read(1) as conn:
        found = await store.get(conn, task.task_id)
    assert found is not None
    return found


async def somebody(home: House) -> int:
    async with home.db.begin(1) as conn:
        ident = await staff.add(conn, login="li", name="李", role="rep", team="A", now=utcnow())
        await staff_store.bind(conn, home.account.realm, "li", ident)
    return ident


def at(seconds: float = 1) -> datetime:
    """After the task was put, which is what counts."""
    return utcnow() + timedelta(seconds=seconds)


def called(seconds: int, by: str = "dad") -> Envelope:
    body = {"call": {"state": "ended", "talk_s": seconds}}
    return said("呼出", kind="message.call", by=by, at=at(), body=body)


def event(kind: str) -> Envelope:
    return Envelope(kind=kind, direction="none", at=at(), handles=(DAD,))


@pytest.mark.parametrize(
    ("kind", "what", "how"),
    [
        ("call", called(45), "通话后自动完成"),
        ("visit", event("event.visit.arrived"), "到访后自动完成"),
        ("visit", event("event.lesson.attended"), "到访后自动完成"),
    ],
)
async def test_what_the_father_did_ends_the_mother_s_task_and_says_which_event(
    home: House, kind: Kind, what: Envelope, how: str
) -> None:
    task = await put(home, kind)

    await take(home, replace(what, at=at()))

    done = await now_is(home, task)
    assert (done.state, done.done_why) == ("done", how)
    assert done.done_event_id is not None


async def test_a_colleague_s_message_does_what_was_to_be_sent(home: House) -> None:
    rep, task = await somebody(home), await put(home, "material")

    await take(home, answered("课表给您", to="dad", at=at(), staff="li"))

    done = await now_is(home, task)
    assert (done.state, done.done_by) == ("done", rep)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("call", called(5)),
        ("call", said("呼出", kind="message.call", by="dad", at=at(), body={"call": "a telephone"})),
        ("material", answered("自动发出的", to="dad", at=at())),
        ("call", called(60, by="stranger")),
        ("coupon", said("有券吗", by="mum", at=at())),
    ],
    ids=["rang out", "no length", "sent by itself", "another family", "only asked"],
)
async def test_what_does_not_do_it_leaves_it(home: House, kind: Kind, what: Envelope) -> None:
    task = await put(home, kind)

    await take(home, replace(what, at=at()))

    assert (await now_is(home, task)).state == "open"


async def test_a_coupon_given_ends_its_task_and_the_sop_that_waits_goes_on(home: House) -> None:
    task = await put(home, "coupon", run_id=77)

    await take(home, event("event.coupon"))

    async with home.db.begin(1) as conn:
        due = await jobs.claim(conn, now=at(60), kind=sops.DUE, limit=5)
    assert (await now_is(home, task)).state == "done"
    assert [job.key for job in due] == ["77"]


async def test_a_replay_does_nothing_twice(home: House) -> None:
    task = await put(home, "call")
    call = called(45)
    await home.take({"again": [call]})
    await worked(home)
    done = await now_is(home, task)
    other = await put(home, "call")

    await home.take({"again": [call]})
    await worked(home)

    assert await now_is(home, task) == done
    assert (await now_is(home, other)).state == "open"


# -- the errand --------------------------------------------------------------------------------------------
async def promised(conn: Conn, hours: float, **more: Any) -> Row:
    now = utcnow()
    usual: dict[str, Any] = dict(
        promise_id=new_id(), source="message", event_id=new_id(), n=0, account_id=None, conversation_id=None,
        node_id=await node_of(conn, "mum"), staff_id=None, kind="discount", share=8500, fen=None,
        min_fen=None, text="", quote="给您 8.5 折", product_code="", product="", made_at=now,
        until_at=now + timedelta(hours=hours), state="live", closed_at=None, closed_by=None, why="",
        changed=1,
    )  # fmt: skip
    row = Row(**usual | more)
    assert await promises.add(conn, [row])
    return row


async def ran(home: House) -> list[Change]:
    told: list[Change] = []
    publish = home.live.publish

    def hear(tenant_id: int, changes: Sequence[Change]) -> None:
        told.extend(changes)
        publish(tenant_id, changes)

    home.live.publish = hear  # type: ignore[method-assign, assignment]
    errand = Boarding(home.worker.errands._on, batch=2)  # noqa: SLF001
    job = jobs.Due(due_id=1, kind=KIND, key="sweep", account_id=0, payload={}, version=0, attempts=0)
    assert await errand.run(1, job)
    home.live.publish = publish  # type: ignore[method-assign]
    return told


async def test_promises_that_end_within_a_day_are_reminded_of_once(home: House) -> None:
    rep = await somebody(home)
    async with home.db.begin(1) as conn:
        soon = [await promised(conn, hours, staff_id=rep) for hours in (2, 5, 20)]
        await promised(conn, 30)

    told = await ran(home)
    again = await ran(home)

    async with home.db.read(1) as conn:
        board = await store.board(conn, Whose(staff_id=rep), now=utcnow())
    assert sorted(t.promise_id or 0 for t in board) == sorted(p.promise_id for p in soon)
    assert {t.expires_at for t in board} == {p.until_at for p in soon}
    assert f"rep:{rep}" in {c.topic for c in told}
    assert again == []


async def test_a_promise_that_was_kept_is_reminded_of_no_longer(home: House) -> None:
    async with home.db.begin(1) as conn:
        one = await promised(conn, 5)
        await remind(conn, after=0, limit=9, now=utcnow())
        await promises.close(conn, [one.promise_id], "kept", why="付款", now=utcnow())

    await ran(home)

    async with home.db.read(1) as conn:
        (task,) = await store.page(conn, Whose(), state="cancelled", limit=5)
    assert (task.promise_id, task.done_why) == (one.promise_id, OVER)


async def test_what_nobody_needs_any_more_is_taken_down_however_much_there_is(home: House) -> None:
    for _ in range(5):
        await put(home, "call", expires_at=utcnow() - timedelta(seconds=1))
    kept = await put(home, "call")

    await ran(home)

    async with home.db.read(1) as conn:
        expired = await store.page(conn, Whose(), state="expired", limit=9)
    assert len(expired) == 5
    assert (await now_is(home, kept)).state == "open"
