"""Refusals that come later mean what they mean at once; how often a busy platform is called; whose seat."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm import facts, schema
from scrm.contract import Envelope
from scrm.db import utcnow
from scrm.errors import Conflict, NotSent, Rejected
from scrm.ledger.consent import store as consents
from scrm.push import effects
from scrm.push.service import Word
from tests.ground import House, node_of, said, talk_of
from tests.push.test_effects import alarms, home, queue, send, vendor

__all__ = ["home"]


# -- told later --------------------------------------------------------------------------------------------
async def reported(home: House, key: str, effect: str, *, at: datetime) -> None:
    """The vendor says of a push that went out: it did not arrive."""
    async with home.db.read(1) as conn:
        row = await conn.row(sa.select(schema.outbox.c.external_id).where(schema.outbox.c.key == f"{key}:0"))
    assert row is not None
    told = Envelope(
        kind="event.push.failed",
        direction="none",
        at=at,
        text="消息未送达",
        failed_push=row.external_id,
        failed_effect=effect,
    )
    await home.take({f"failed-{key}-{at:%H%M%S%f}": [told]})
    while await home.pipeline.settle(1):
        pass


async def test_a_window_refused_later_is_shut_as_if_refused_at_once(home: House) -> None:
    await send(home, "w1")
    await reported(home, "w1", "out_of_window", at=utcnow())

    with pytest.raises(Conflict, match="平台刚刚拒绝了发送"):
        await queue(home, Word(key="w2", text="再说"))


@pytest.mark.parametrize("effect", ["", "nonsense"])
async def test_a_failure_that_means_nothing_more_is_only_shown(home: House, effect: str) -> None:
    """The negative control of the tests around."""
    await send(home, "w1")
    await reported(home, "w1", effect, at=utcnow())

    found = await send(home, "w2")

    assert (found["w1:0"].state, found["w1:0"].error, found["w2:0"].state) == ("dead", "消息未送达", "sent")


async def test_what_the_customer_said_after_the_refusal_opens_the_window_again(home: House) -> None:
    await send(home, "w1")
    refused = utcnow()
    await home.take({"again": [said("在吗", at=refused + timedelta(milliseconds=1))]})
    while await home.pipeline.settle(1):
        pass
    await reported(home, "w1", "out_of_window", at=refused)

    assert (await send(home, "w2"))["w2:0"].state == "sent"


async def test_a_customer_who_refuses_later_is_out_of_what_nobody_asked_for(home: House) -> None:
    await send(home, "w1")
    await reported(home, "w1", "opted_out", at=utcnow())
    await reported(home, "w1", "opted_out", at=utcnow())  # said twice, written once

    async with home.db.read(1) as conn:
        (entry,) = await consents.of_nodes(conn, [await node_of(conn, "anna")])
    assert (entry.purpose, entry.source) == ("all", "vendor")
    with pytest.raises(Conflict, match="已退订"):
        await queue(home, Word(key="w2", text="通知", purpose="service"))


@pytest.mark.parametrize(
    ("effect", "session", "alarm"),
    [("session_ended", "ended", []), ("config", "api", ["later:config"])],
)
async def test_who_may_answer_and_what_to_repair_when_it_is_told_later(
    home: House, effect: str, session: str, alarm: list[str]
) -> None:
    await send(home, "w1")
    await reported(home, "w1", effect, at=utcnow())

    async with home.db.read(1) as conn:
        talk = await talk_of(conn, "anna")
    assert (talk.session, await alarms(home)) == (session, alarm)


# -- tries -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("retries", "calls"), [(3, 4), (None, 5)])
async def test_a_busy_platform_is_called_no_more_often_than_it_asks(
    home: House, retries: int | None, calls: int
) -> None:
    home.worker.sender._max_attempts = 5  # noqa: SLF001
    vendor(home).answers = [NotSent("平台繁忙", code="-1", retries=retries)] * 9

    await queue(home, Word(key="w1", text="好"))
    for _ in range(9):
        async with home.db.begin(1) as conn:
            await conn.run(sa.update(schema.outbox).values(next_at=utcnow() - timedelta(seconds=1)))
        found = await send(home)

    assert (found["w1:0"].state, len(vendor(home).sent)) == ("dead", calls)


async def test_a_missing_seat_is_an_alarm_that_names_the_rep(home: House) -> None:
    vendor(home).answers = [Rejected("成员不在可见范围内", code="60111", effect="permission")]
    async with home.db.begin(1) as conn:
        row = {"tenant_id": 1, "staff_id": 7, "login": "li", "name": "李雷", "role": "rep"}
        await conn.run(sa.insert(schema.staff), [row | {"created_at": utcnow()}])
        await conn.run(sa.update(schema.conversation).values(rep_id=7))
    await send(home, "w1")

    async with home.db.read(1) as conn:
        (alarm,) = await facts.page(conn, home.account.account_id, effects.ALARM)
    assert alarm.body["sentence"] == "成员不在可见范围内（涉及成员：李雷）"
