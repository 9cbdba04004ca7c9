"""Paused, draining, running: what waits, what goes on, and that nothing is lost or reordered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import facts, inbox, jobs, outbox, schema
from scrm.accounts import probing, store
from scrm.accounts import service as accounts
from scrm.accounts.health import Health, healths
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Call, Context, Finding, Polled, Receipt, Severity
from scrm.db import Database, utcnow
from scrm.errors import Conflict, NotFound, Rejected
from scrm.push import service as push
from scrm.push.service import Word
from scrm.worker.draining import make_way, rest
from tests.ground import (
    NOW,
    Channel,
    Fetching,
    House,
    account,
    context,
    house,
    installed,
    raw,
    said,
    talk_of,
    until,
)


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Fetching()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def order(home: House, what: str) -> None:
    plugged = home.directory.by_id(home.account.account_id)
    async with home.db.begin(1) as conn:
        await accounts.order(conn, plugged, what)
    await refreshed(home)


async def refreshed(home: House) -> None:
    async with home.db.read(1) as conn:
        await home.directory.load(conn)


def state(home: House) -> str:
    return home.directory.by_id(home.account.account_id).state


@asynccontextmanager
async def working(home: House) -> AsyncIterator[None]:
    task = asyncio.create_task(home.worker.run(home.pipeline))
    try:
        yield
    finally:
        home.worker.stop()
        async with asyncio.timeout(30):
            await task


async def settled(home: House) -> None:
    while await home.pipeline.settle(1):
        pass


async def says(home: House, key: str) -> None:
    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        await push.say(conn, plugged, await talk_of(conn, "anna"), Word(key=key, text=key), now=utcnow())


async def pushes(home: House) -> list[str]:
    async with home.db.read(1) as conn:
        return [d.state for d in await outbox.page(conn, state="", before=None, limit=9)]


# -- what comes in -----------------------------------------------------------------------------------------
async def test_a_paused_account_keeps_what_comes_and_shows_nothing_of_it(home: House) -> None:
    await order(home, "pause")

    await home.take({"a": [said("一")], "b": [said("二")]}, lane="anna")
    await settled(home)

    assert await home.states() == {"a": "new", "b": "new"}
    assert await home.texts() == []


async def test_resumed_rows_come_in_the_order_they_arrived(home: House) -> None:
    await order(home, "pause")
    await home.take({"a": [said("一")], "b": [said("二")]}, lane="anna")
    await settled(home)
    home.channel.says[b"c"] = [said("三")]
    await home.inbox.accept(home.account, [raw("c", lane="anna", urgent=True)], received_at=utcnow())
    await order(home, "resume")

    async with home.db.read(1) as conn:
        assert [i.source_key for i in await inbox.own(conn, "new", now=utcnow(), limit=9)] == ["a", "b", "c"]
    await settled(home)
    assert set((await home.states()).values()) == {"settled"}


async def test_urgent_rows_of_a_paused_account_wait_too(home: House) -> None:
    await order(home, "pause")
    home.channel.says[b"u"] = [said("急")]
    await home.inbox.accept(home.account, [raw("u", urgent=True)], received_at=utcnow())

    await settled(home)

    assert await home.states() == {"u": "new"}


async def test_rows_of_a_paused_account_stand_aside_and_come_back_in_order(home: House) -> None:
    await order(home, "pause")
    await home.take({"a": [said("一")], "b": [said("二")]}, lane="anna")
    await make_way(home.db, home.directory, 1)
    assert await ranks(home) == {3}

    home.channel.says[b"c"] = [said("三")]
    await home.inbox.accept(home.account, [raw("c", lane="anna", urgent=True)], received_at=utcnow())
    await order(home, "resume")
    # The newest row is claimed before the others are back: its lane comes whole all the same.
    async with home.db.read(1) as conn:
        assert [i.source_key for i in await inbox.own(conn, "new", now=utcnow(), limit=9)] == ["a", "b", "c"]

    await make_way(home.db, home.directory, 1)
    assert await ranks(home) == {0, 2}
    await settled(home)
    assert set((await home.states()).values()) == {"settled"}


async def ranks(home: House) -> set[int]:
    async with home.db.read(1) as conn:
        return {r.rank for r in await conn.rows(sa.select(schema.inbox.c.rank))}


async def test_a_paused_account_does_not_hold_up_another(home: House) -> None:
    async with home.db.begin(1) as conn:
        given = {"slug": "other", "channel": "testing", "token": "t"}
        other = await accounts.add(conn, given, now=utcnow())
    await refreshed(home)
    await order(home, "pause")
    await home.take({f"p{n}": [said("不该")] for n in range(120)})
    home.channel.says[b"q"] = [said("别的账号", by="ben")]
    await home.inbox.accept(home.directory.by_id(other).account, [raw("q")], received_at=utcnow())

    await settled(home)

    assert (await home.states())["q"] == "settled"
    assert await home.texts() == ["别的账号"]


async def test_settled_rows_of_a_paused_account_call_for_nothing_until_it_resumes(home: House) -> None:
    await home.take({"a": [said("太贵了")]})
    await settled(home)
    await order(home, "pause")

    assert await home.pipeline.react(1) == 0
    await order(home, "resume")
    assert await home.pipeline.react(1) == 1


# -- what goes out and what is asked for -------------------------------------------------------------------
@pytest.mark.parametrize("what", ["pause", "drain"])
async def test_nothing_is_sent_and_nothing_asked_while_it_rests(home: House, what: str) -> None:
    await home.take({"a": [said(at=utcnow())]})
    await settled(home)
    await says(home, "w1")
    async with home.db.begin(1) as conn:
        payload = {"stream": "kf1", "hint": ""}
        await jobs.put(conn, "poll", "11:kf1", home.account.account_id, payload, at=utcnow())
    await order(home, what)

    assert await home.worker.sender.batch(1) == 0
    assert await home.worker.errands.batch(1) == 0
    channel = home.channel
    assert isinstance(channel, Fetching)
    assert (channel.sent, channel.polled) == ([], [])

    await order(home, "resume")
    assert await home.worker.errands.batch(1) >= 1
    assert await home.worker.sender.batch(1) == 1
    assert [p.text for p in channel.sent] == ["w1"]
    assert channel.polled


async def test_draining_works_off_what_came_and_then_pauses_by_itself(home: House) -> None:
    await home.take({"a": [said("一")]})
    await order(home, "drain")

    assert await rest(home.db, home.directory, 1) == 0  # something waits
    await settled(home)
    while await home.pipeline.react(1):
        pass
    assert await rest(home.db, home.directory, 1) == 1
    await refreshed(home)

    assert state(home) == "paused"
    assert await home.texts() == ["一"]


async def test_running_loops_drain_and_pause_without_being_told_again(home: House) -> None:
    await home.take({"a": [said("一")]})
    await order(home, "drain")

    async def paused() -> bool:
        await refreshed(home)
        return state(home) == "paused"

    async with working(home):
        await until(paused)

    assert await home.states() == {"a": "done"}


async def test_another_process_follows_at_its_next_refresh(home: House) -> None:
    elsewhere = Directory()
    async with home.db.read(1) as conn:
        await elsewhere.load(conn)
    assert elsewhere.resting(1) == []

    await order(home, "pause")
    async with home.db.read(1) as conn:
        await elsewhere.load(conn)

    assert elsewhere.paused(1) == elsewhere.resting(1) == [home.account.account_id]


async def test_orders_that_make_no_sense_are_refused(home: House) -> None:
    plugged = home.directory.by_id(home.account.account_id)
    for what, error in (("resume", Conflict), ("fly", NotFound)):
        with pytest.raises(error):
            async with home.db.begin(1) as conn:
                await accounts.order(conn, plugged, what)


async def test_changed_settings_keep_the_state_and_the_secrets_that_are_left_empty(home: House) -> None:
    await order(home, "pause")
    plugged = home.directory.by_id(home.account.account_id)
    async with home.db.begin(1) as conn:
        given = {"corp_id": "corp2", "token": ""}
        await accounts.change(conn, plugged, given, name="新店", max_age_s=60, now=utcnow())
    await refreshed(home)

    now = home.directory.by_id(home.account.account_id)
    assert (now.account.name, now.account.max_age_s, now.state) == ("新店", 60, "paused")
    assert (now.account.get("corp_id"), now.account.get("token")) == ("corp2", "t")


async def test_polled_rows_count_as_the_account_s_pulse(home: House) -> None:
    home.inbox.counted = lambda tenant, ident, at, n: home.directory.pulse.count(
        tenant, ident, "received", at, n
    )
    await home.inbox.accept(home.account, [raw("a"), raw("b")], received_at=utcnow())
    await home.inbox.accept(home.account, [raw("a")], received_at=utcnow())  # a repeat is nothing new

    (beats,) = home.directory.pulse.take().values()
    assert [(b.account_id, b.received) for b in beats] == [(home.account.account_id, 2)]


async def test_counts_of_two_processes_add_up(home: House) -> None:
    from_two = []
    for _ in range(2):
        directory = Directory()
        directory.pulse.count(1, home.account.account_id, "received", utcnow(), 3)
        from_two.append(directory.pulse.take()[1])
    for beats in from_two:
        async with home.db.begin(1) as conn:
            await store.add_beats(conn, beats)

    async with home.db.read(1) as conn:
        found = await store.beats(conn, since=from_two[0][0].slot)
    assert [b.received for b in found[home.account.account_id]] == [6]


async def test_who_waits_is_counted_by_account(home: House) -> None:
    await order(home, "pause")
    await home.take({"a": [said()], "b": [said()]})

    async with home.db.read(1) as conn:
        found = await inbox.backlog(conn)
        idle = await inbox.is_idle(conn, home.account.account_id)

    assert found[home.account.account_id].waiting == 2
    assert not idle


async def test_the_pages_of_a_stream_do_not_move_while_it_rests(home: House) -> None:
    channel = home.channel
    assert isinstance(channel, Fetching)
    channel.pages["kf1", ""] = Polled(raws=(raw("k1"),), cursor="1", more=False)
    async with home.db.begin(1) as conn:
        payload = {"stream": "kf1", "hint": ""}
        await jobs.put(conn, "poll", "11:kf1", home.account.account_id, payload, at=utcnow())
    await order(home, "pause")
    await home.worker.errands.batch(1)

    async with home.db.read(1) as conn:
        assert await conn.scalar(sa.select(schema.cursor.c.cursor)) is None


async def test_the_card_of_an_account_says_what_is_wrong_with_it(home: House) -> None:
    now = utcnow()
    plugged = home.directory.by_id(home.account.account_id)
    home.directory.pulse.count(1, home.account.account_id, "received", now, 4)
    home.directory.pulse.count(1, home.account.account_id, "refused", now, 30)
    async with home.db.begin(1) as conn:
        await store.add_beats(conn, home.directory.pulse.take()[1])
        until = {(home.account.account_id, "key"): now + timedelta(hours=2)}
        await accounts.note_tokens(conn, until, now=now)
        body = {"sentence": "额度用完了。"}
        alarm = facts.Said(
            account_id=home.account.account_id, kind="alarm", key="q", body=body, rank=1, at=now
        )
        await facts.put_all(conn, [alarm])
    await home.take({"a": [said("在吗")]})

    async with home.db.read(1) as conn:
        (one,) = await healths(conn, [plugged], now=now + timedelta(minutes=6))

    assert (one.received_1h, one.refused_1h, one.errors, one.waiting) == (4, 30, 30, 1)
    assert one.lag >= timedelta(minutes=5)
    assert one.token_until == now + timedelta(hours=2)
    assert ([a.sentence for a in one.alarms], one.level()) == (["额度用完了。"], "bad")


async def test_what_did_not_go_out_is_judged_or_sent_again_once(home: House) -> None:
    await home.take({"a": [said(at=utcnow())]})
    await settled(home)
    await order(home, "drain")
    await says(home, "w1")
    await says(home, "w2")
    async with home.db.begin(1) as conn:
        two, one = [d.outbox_id for d in await outbox.page(conn, state="", before=None, limit=9)]
        await outbox.finish(conn, one, "dead", now=utcnow(), error="限流")
        await outbox.finish(conn, two, "unknown", now=utcnow())
    soon = utcnow() + timedelta(minutes=15)
    async with home.db.begin(1) as conn:
        assert await outbox.again(conn, two, until=soon, now=utcnow()) is None
        assert await outbox.judge(conn, one, delivered=True, now=utcnow()) is None
        assert await outbox.again(conn, one, until=soon, now=utcnow()) is not None
        assert await outbox.judge(conn, two, delivered=False, now=utcnow()) is not None
    assert sorted(await pushes(home)) == ["dead", "queued"]

    await order(home, "resume")
    assert await home.worker.sender.batch(1) == 1
    assert sorted(await pushes(home)) == ["dead", "sent"]


# -- self-test ---------------------------------------------------------------------------------------------
class Probing(Channel):
    """Asked how it does, it says what the test wants."""

    def __init__(self, answer: Sequence[Finding] | Exception) -> None:
        super().__init__()
        self.answer = answer

    def receive(self, _ctx: Context, _call: Call) -> Receipt:
        return Receipt()

    async def probe(self, _ctx: Context) -> Sequence[Finding]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def probed(channel: Channel, **seen: Any) -> list[Finding]:
    one = Plugged(account=account(), plug=channel, team_id=None)
    health = Health(plugged=one, **seen)
    return await probing.findings(one, context(one, NOW), health, "https://scrm.example.com")


async def test_the_self_test_survives_a_platform_that_refuses_or_breaks() -> None:
    refused, broken = Probing(Rejected("Secret 不对（40001）。")), Probing(ValueError("x"))

    assert (await probed(refused))[0].sentence == "Secret 不对（40001）。"
    assert (await probed(broken))[0].sentence == "自检时出错：ValueError，详情见日志。"


async def test_the_self_test_tells_an_unverified_address_from_one_that_works() -> None:
    fine = Probing([Finding(severity=Severity.OK, sentence="好")])

    assert [f.severity for f in await probed(fine)] == ["ok", "warn"]
    assert [f.severity for f in await probed(fine, reached_at=NOW)] == ["ok", "ok"]
    assert [f.severity for f in await probed(fine, reached_at=NOW, refused_1h=30)] == ["ok", "error", "ok"]


async def test_a_channel_that_asks_nothing_says_what_was_checked() -> None:
    assert "只检查了设置和回调" in (await probed(Channel()))[0].sentence
