"""Deeds that tell customers something: the decision of every push for each of them, on both engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import facts
from scrm.contract import Context, Deed, Done, Field, Link, Reaches
from scrm.db import Database, utcnow
from scrm.deeds import service, store
from scrm.deeds.store import Asked
from scrm.desk.calendar.rules import ZONE
from scrm.desk.frequency import Limits
from scrm.desk.manners import Manners
from scrm.errors import Conflict, NotSent, Rejected, Unknown
from scrm.identity import store as identity
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.store import Said
from scrm.push import effects, many
from scrm.push import service as push
from scrm.schema import due, reach
from scrm.worker import telling
from tests.ground import House, Talking, handle, house, installed, node_of, said, talk_of

TELL = Deed(
    kind="tell",
    title="群发",
    fields=(
        Field(name="text", title="内容"),
        Field(name="who", title="客户", required=False, kind="list"),
        Field(name="sender", title="成员", required=False, member=True),
    ),
    reaches=Reaches(field="who", kind="wechat_openid"),
)
DAY = Limits(per_day=1, household_per_day=1)
OPEN = Manners(quiet_hours="", limits={"marketing": DAY})
NAMES = ("anna", "ben", "carl")


class Herald(Talking):
    """A vendor that tells many at once: `answers` one by one; whom it was told to tell is in `told`."""

    DEEDS = (TELL,)

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Done | Exception] = []
        self.told: list[list[str]] = []

    async def do(self, _ctx: Context, _deed: str, fields: Mapping[str, Any]) -> Done:
        self.told.append(list(fields.get("who", ())))
        answer = self.done.pop(0) if self.done else Done()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def outcome(self, _ctx: Context, _deed: str, _item: str, _fields: Mapping[str, Any]) -> Done:
        return await self.do(_ctx, _deed, {})


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Herald()
    installed(monkeypatch, channel)
    made = await house(database, channel)
    heed(made, OPEN)
    links = {"ben": (Link(a=who("anna"), b=who("ben"), rule="household", kind="same_household"),)}
    for name in NAMES:
        envelope = said(by=name, handles=(who(name),), at=utcnow() - timedelta(minutes=1))
        await made.take({name: [replace(envelope, links=links.get(name, ()))]})
    while await made.pipeline.settle(1):
        pass
    return made


def who(name: str) -> Any:
    return handle(name, scope="corp")


def heed(home: House, manners: Manners) -> None:
    home.worker.errands._kinds["deed"]._manners = manners  # type: ignore[attr-defined]  # noqa: SLF001


def herald(home: House) -> Herald:
    assert isinstance(home.channel, Herald)
    return home.channel


async def tell(home: House, names: Sequence[str], key: str = "key-1", **more: Any) -> Asked:
    fields = {"text": "开课了", "who": list(names), **more}
    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        made = await service.ask(
            conn, plugged, "tell", fields, key=key, by="staff:7", staff_id=7, now=utcnow()
        )
    await work(home)
    return await now_is(home, made)


async def work(home: House) -> None:
    async with home.db.begin(1) as conn:
        soon = sa.update(due).where(due.c.tenant_id == 1).values(at=await conn.now() - timedelta(seconds=1))
        await conn.run(soon)
    await home.worker.errands.batch(1)


async def now_is(home: House, one: Asked) -> Asked:
    async with home.db.read(1) as conn:
        found = await store.get(conn, one.deed_id)
    assert found is not None
    return found


async def stop(home: House, name: str) -> None:
    async with home.db.begin(1) as conn:
        entry = Said(
            key=f"stop:{name}",
            node_id=await node_of(conn, name, scope="corp"),
            purpose="marketing",
            state="withdrawn",
            source="customer",
            reason="退订",
            at=utcnow(),
        )
        await consents.add(conn, entry, now=utcnow())


async def counted(home: House) -> int:
    async with home.db.read(1) as conn:
        return len(await conn.rows(sa.select(reach.c.node_id).where(reach.c.tenant_id == 1)))


# -- who is left out ---------------------------------------------------------------------------------------
async def test_who_opted_out_is_left_out_and_named_with_the_reason(home: House) -> None:
    await stop(home, "anna")

    done = await tell(home, ["anna", "carl"])

    assert herald(home).told == [["carl"]]
    assert done.state == "done"
    assert list(done.result["left_out"]) == ["anna"]
    assert "客户已退订" in done.result["left_out"]["anna"]
    assert done.fields["who"] == ["anna", "carl"]


async def test_nobody_is_left_out_without_a_reason(home: House) -> None:
    """The negative control of the test above."""
    done = await tell(home, ["anna", "carl"])

    assert herald(home).told == [["anna", "carl"]]
    assert done.result == {"left_out": {}}


async def test_who_was_told_today_is_not_told_again(home: House) -> None:
    await tell(home, ["anna"])

    done = await tell(home, ["anna", "carl"], "key-2")

    assert herald(home).told == [["anna"], ["carl"]]
    assert "到了上限" in done.result["left_out"]["anna"]


async def test_a_household_is_told_once_even_by_one_list(home: House) -> None:
    done = await tell(home, ["anna", "ben", "anna"])

    assert herald(home).told == [["anna"]]
    assert "这一家今天" in done.result["left_out"]["ben"]


async def test_what_a_deed_told_counts_for_every_other_push(home: House) -> None:
    await tell(home, ["anna"])

    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        talk = await talk_of(conn, "anna", scope="corp")
        ask = push.Ask(purpose="marketing")
        found = await push.decide(conn, lambda _: plugged, [talk], ask, manners=OPEN, now=utcnow())

    assert found.wait_until is not None
    assert "到了上限" in found.sentence


async def test_what_a_push_told_counts_for_a_deed(home: House) -> None:
    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        word = push.Word(key="w1", text="活动", purpose="marketing")
        await push.say(
            conn, plugged, await talk_of(conn, "anna", scope="corp"), word, manners=OPEN, now=utcnow()
        )

    done = await tell(home, ["anna"])

    assert (done.state, done.error) == ("failed", telling.NOBODY)
    assert herald(home).told == []


async def test_when_nobody_is_left_the_vendor_is_not_asked(home: House) -> None:
    await stop(home, "anna")

    done = await tell(home, ["anna"])

    assert (done.state, done.error, list(done.result["left_out"])) == ("failed", telling.NOBODY, ["anna"])
    assert herald(home).told == []
    assert await counted(home) == 0


async def test_what_cannot_be_checked_is_said(home: House) -> None:
    nobody = await tell(home, [], sender="li")
    stranger = await tell(home, ["dora", "carl"], "key-2")

    assert herald(home).told == [[], ["dora", "carl"]]
    assert nobody.result == {"unchecked": telling.UNCHECKED}
    assert "1 位客户我们还不认识" in stranger.result["unchecked"]


async def test_a_long_list_is_weighed_in_parts_that_know_of_each_other(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "AT_ONCE", 1)

    done = await tell(home, ["anna", "ben", "carl"])

    assert herald(home).told == [["anna", "carl"]]
    assert list(done.result["left_out"]) == ["ben"]


# -- when --------------------------------------------------------------------------------------------------
async def test_in_the_quiet_hours_everybody_waits(home: House) -> None:
    local = utcnow().astimezone(ZONE)
    now, end = f"{local - timedelta(hours=1):%H:%M}", f"{local + timedelta(hours=2):%H:%M}"
    heed(home, replace(OPEN, quiet_hours=f"{now}-{end}"))

    waiting = await tell(home, ["carl"])
    asked = list(herald(home).told)
    async with home.db.read(1) as conn:
        row = await conn.row(sa.select(due.c.at).where(due.c.tenant_id == 1, due.c.kind == "deed"))
    heed(home, OPEN)
    await work(home)

    assert (waiting.state, asked) == ("asked", [])
    assert "免打扰" in waiting.error
    assert row is not None
    assert row.at > utcnow() + timedelta(hours=1)
    assert ((await now_is(home, waiting)).state, herald(home).told) == ("done", [["carl"]])


# -- what counts -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (Done(), 2),
        (Unknown(), 2),
        (Done(missed=("carl",)), 1),
        (Rejected("没有客户", code="41048"), 0),
    ],
)
async def test_only_who_may_have_been_told_counts(home: House, answer: Done | Exception, left: int) -> None:
    herald(home).done = [answer]

    await tell(home, ["anna", "carl"])

    assert await counted(home) == left


async def test_a_try_that_failed_does_not_stand_in_the_way_of_the_next(home: House) -> None:
    herald(home).done = [NotSent("平台繁忙。", code="-1", retries=3)]

    first = await tell(home, ["anna"])
    await work(home)

    assert (first.state, (await now_is(home, first)).state) == ("asked", "done")
    assert herald(home).told == [["anna"], ["anna"]]
    assert await counted(home) == 1


async def test_who_the_outcome_says_got_nothing_does_not_count(home: House) -> None:
    herald(home).done = [Done(item="m1", again_s=60), Done(missed=("anna",))]

    one = await tell(home, ["anna", "carl"])
    assert await counted(home) == 2
    await work(home)

    assert ((await now_is(home, one)).state, await counted(home)) == ("done", 1)


async def test_two_lists_at_once_do_not_both_tell_the_same_household(home: House) -> None:
    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        for n, name in enumerate(("anna", "ben")):
            fields = {"text": "x", "who": [name]}
            await service.ask(
                conn, plugged, "tell", fields, key=f"k{n}", by="staff:7", staff_id=7, now=utcnow()
            )
    await work(home)  # side by side, each in its own transactions

    assert len(herald(home).told) == 1


# -- alarms, previews --------------------------------------------------------------------------------------
async def test_a_missing_seat_is_an_alarm_that_names_the_member(home: House) -> None:
    herald(home).done = [Rejected("不是客户联系的服务人员", code="84083", effect="permission")]

    await tell(home, ["carl"], sender="LiLei")

    async with home.db.read(1) as conn:
        (alarm,) = await facts.page(conn, home.account.account_id, effects.ALARM)
    assert (alarm.key, alarm.body["sentence"]) == ("84083", "不是客户联系的服务人员（涉及成员：LiLei）")


async def test_the_preview_says_what_the_deed_then_does_and_counts_nobody(home: House) -> None:
    await stop(home, "carl")
    names = ["anna", "ben", "carl", "dora"]
    async with home.db.read(1) as conn:
        plugged, reaches = home.directory.by_id(home.account.account_id), TELL.reaches
        assert reaches is not None
        when, seen = await many.foresee(conn, plugged, reaches, names, manners=OPEN, now=utcnow())
        person = (await identity.persons_of(conn, [await node_of(conn, "anna", scope="corp")])).values()
    before = await counted(home)

    done = await tell(home, names)

    assert (when.wait_until, before, len(person), seen.strangers) == (None, 0, 1, 1)
    assert herald(home).told == [list(seen.goes)]
    assert done.result["left_out"] == dict(seen.left_out)


async def test_a_deed_that_reaches_nobody_is_asked_as_it_is(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of leaving out: without `reaches` nobody is looked at."""
    monkeypatch.setattr(Herald, "DEEDS", (replace(TELL, reaches=None),))
    await stop(home, "anna")

    done = await tell(home, ["anna"])

    assert (herald(home).told, done.result) == ([["anna"]], {})
    with pytest.raises(Conflict):
        await tell(home, ["ben"])
