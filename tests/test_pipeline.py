"""From inbox to timeline and on to reactions: one bad row harms no other, and no reaction the timeline."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from scrm import inbox, jobs, outbox, schema
from scrm.accounts import store as accounts
from scrm.contract import Envelope, Link, Pull
from scrm.db import Database, utcnow
from scrm.errors import Untranslatable
from scrm.identity import store as nodes
from scrm.playbook import store as playbook
from scrm.staff import store as staff
from tests.ground import (
    CASTLE,
    Fetching,
    House,
    Talking,
    Unwritable,
    answered,
    dump,
    handle,
    house,
    installed,
    node_of,
    raw,
    said,
    script,
    talk_of,
)

GREETING = script(
    "hi", stage="first-contact", delivery="auto", triggers=["加好友"], says=["我通过了你的请求"]
)
PRICE = script("price")
#: Fits no text column: storing it fails.
POISON = Unwritable("\ud800")


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged, as fields; rendering tracebacks would take longer than the tests."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Fetching()
    installed(monkeypatch, channel)
    return await house(database, channel, scripts=[PRICE, GREETING])


def ask(text: str = "太贵了", **more: Any) -> Envelope:
    return said(text, at=utcnow(), **more)


async def welcome(home: House, key: str, *, ago_s: float = 0, by: str = "anna", **more: Any) -> None:
    at = utcnow() - timedelta(seconds=ago_s)
    usual: dict[str, Any] = {"kind": "event.add", "welcome": f"code-{key}", "direction": "in"}
    await home.take({key: [said("", by=by, at=at, **(usual | more))]})


async def settle(home: House) -> None:
    while await home.pipeline.settle(1):
        pass


async def react(home: House) -> None:
    while await home.pipeline.react(1):
        pass


async def pushes(home: House) -> list[outbox.Delivery]:
    async with home.db.read(1) as conn:
        return await outbox.page(conn, state="", before=None, limit=99)


async def offers(home: House) -> Sequence[playbook.Offer]:
    async with home.db.read(1) as conn:
        return await playbook.page(conn, conversation_id=None, before=None, limit=99)


# -- settle ------------------------------------------------------------------------------------------------
async def test_a_message_goes_from_the_inbox_to_the_timeline_to_advice(home: House) -> None:
    await home.take({"m1": [ask()]})

    await settle(home)
    assert (await home.states(), await home.texts()) == ({"m1": "settled"}, ["太贵了"])
    await react(home)

    assert await home.states() == {"m1": "done"}
    assert [o.script_id for o in await offers(home)] == ["edu.price"]
    assert home.woken == ["react", "due"]


async def test_open_screens_hear_of_node_and_queue_after_the_commit(home: House) -> None:
    with home.live.subscribe(1, ["team:0"]) as queue:
        await home.take({"m1": [ask()]})
        assert await queue.take(0) == []
        await settle(home)
        (change,) = await queue.take(30)

    async with home.db.read(1) as conn:
        talk = await talk_of(conn, "anna")
        assert change.ident == talk.conversation_id
        with home.live.subscribe(1, [f"node:{talk.node_id}"]) as screen:
            await home.take({"m2": [ask("又")]})
            await settle(home)
            assert len(await screen.take(30)) == 1


@pytest.mark.parametrize("fault", [Untranslatable("看不懂"), ZeroDivisionError()], ids=["refused", "crashed"])
async def test_what_cannot_be_translated_is_quarantined_alone_and_at_once(
    home: House, fault: Exception
) -> None:
    await home.take({"m1": [ask("一")], "bad": fault, "m2": [ask("二")]})

    await settle(home)

    assert await home.states() == {"m1": "settled", "bad": "quarantined", "m2": "settled"}
    assert sorted(await home.texts()) == ["一", "二"]


async def test_after_a_parser_fix_replay_puts_the_row_in_its_place(home: House) -> None:
    early = utcnow() - timedelta(minutes=5)
    await home.take({"bad": Untranslatable("看不懂"), "m2": [ask("二")]}, lane="anna")
    await settle(home)
    home.channel.says[b"bad"] = [said("一", at=early)]

    async with home.db.begin(1) as conn:
        assert await inbox.replay(conn) == 1
    await settle(home)

    assert await home.texts() == ["一", "二"]


async def test_replaying_everything_with_the_same_parser_changes_no_event(home: House) -> None:
    await home.take({"m1": [ask()], "m2": [ask("嗯")]})
    await settle(home)
    await react(home)
    async with home.db.begin(1) as conn:
        before = await dump(conn)
        assert await inbox.replay(conn, since=utcnow() - timedelta(hours=1)) == 2
    await settle(home)
    await react(home)

    async with home.db.read(1) as conn:
        after = await dump(conn)
    assert {t for t in before if before[t] != after[t]} <= {"inbox", "node", "due"}
    assert await home.states() == {"m1": "done", "m2": "done"}


async def test_a_row_that_cannot_be_stored_fails_alone_and_is_quarantined_in_the_end(home: House) -> None:
    await home.take({f"m{n}": [ask(f"{n}")] for n in range(9)} | {"bad": [ask(POISON)]})

    await settle(home)

    states = await home.states()
    assert states.pop("bad") == "new"
    assert set(states.values()) == {"settled"}
    for _ in range(2):
        async with home.db.begin(1) as conn:  # its time to wait is over
            await conn.run(sa.update(schema.inbox).values(next_at=utcnow()))
        await settle(home)
    assert (await home.states())["bad"] == "quarantined"
    async with home.db.read(1) as conn:
        (entry,) = await inbox.page(conn, state="quarantined", before=None, limit=9)
    assert (entry.stage, entry.attempts) == ("settle", 3)
    assert POISON not in entry.error


async def test_a_batch_is_no_larger_than_set(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    small = await house(database, channel, settle_rows=4)
    await small.take({f"m{n}": [ask(f"{n}")] for n in range(10)})

    moved = [await small.pipeline.settle(1) for _ in range(4)]

    assert moved == [4, 4, 2, 0]


async def test_one_raw_may_become_several_events(home: House) -> None:
    await home.take({"m1": [ask("一"), ask("二", suffix="2")]})
    await settle(home)
    await react(home)

    async with home.db.read(1) as conn:
        rows = await conn.rows(sa.select(schema.event.c.source_key).order_by(schema.event.c.source_key))
    assert [r.source_key for r in rows] == ["m1", "m1#2"]


async def test_our_own_staff_by_the_vendors_name_claims_what_they_answer(home: House) -> None:
    async with home.db.begin(1) as conn:
        await staff.bind(conn, home.account.realm, "zhang", 77)
    await home.take({"m1": [ask()], "m2": [answered(at=utcnow(), staff="zhang")]})
    await settle(home)

    async with home.db.read(1) as conn:
        assert (await talk_of(conn, "anna")).rep_id == 77


async def test_a_link_in_a_message_joins_the_persons(home: House) -> None:
    union = handle("u1", kind="wechat_unionid")
    link = Link(a=handle("anna"), b=union, rule="wechat.unionid")
    await home.take({"m1": [ask()], "m2": [ask("嗯", links=(link,))]})
    await settle(home)

    async with home.db.read(1) as conn:
        both = [await node_of(conn, "anna"), await node_of(conn, "u1", kind=union.kind)]
        assert len(set((await nodes.persons_of(conn, both)).values())) == 1


# -- what must be fetched ----------------------------------------------------------------------------------
async def test_an_announced_stream_and_a_new_customer_become_due_once(home: House) -> None:
    await home.take({"n1": [Pull(stream="kf1", hint="t1")], "n2": [Pull(stream="kf1", hint="t2")]})
    await home.take({"m1": [ask(handles=(handle("anna"), CASTLE))]})
    await settle(home)
    await home.take({"m2": [ask("又")]})
    await settle(home)

    async with home.db.begin(1) as conn:
        due = await jobs.claim(conn, now=utcnow(), limit=9)
        anna = await node_of(conn, "anna")
    found = {(j.kind, str(sorted(j.payload.items()))) for j in due}
    assert found == {  # the place is not asked for, nor anna again
        ("poll", "[('hint', 't2'), ('stream', 'kf1')]"),
        ("enrich", f"[('node_id', {anna})]"),
    }
    assert "due" in home.woken


async def test_a_channel_that_knows_nobody_is_not_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Talking()
    installed(monkeypatch, channel)
    plain = await house(database, channel)
    await plain.take({"m1": [ask()]})
    await settle(plain)

    async with plain.db.read(1) as conn:
        assert await jobs.next_at(conn) is None


# -- react -------------------------------------------------------------------------------------------------
async def test_advice_comes_once_however_often_the_row_is_reacted_to(home: House) -> None:
    await home.take({"m1": [ask()]})
    await settle(home)
    await react(home)
    once = await offers(home)
    async with home.db.begin(1) as conn:
        await conn.run(sa.update(schema.inbox).values(state="settled"))
    await react(home)

    assert await offers(home) == once


async def test_what_we_say_gets_no_advice(home: House) -> None:
    await home.take({"m1": [answered("太贵了", at=utcnow())]})
    await settle(home)
    await react(home)

    assert (await home.states(), await offers(home)) == ({"m1": "done"}, [])


async def test_a_new_contact_is_greeted_once_with_the_vendors_code(home: House) -> None:
    await welcome(home, "w1")
    await settle(home)
    await react(home)
    async with home.db.begin(1) as conn:
        await conn.run(sa.update(schema.inbox).values(state="settled"))
    await react(home)

    (push,) = await pushes(home)
    assert (push.kind, push.state, push.key) == ("welcome", "queued", "greet:w1:0")
    assert "send" in home.woken


@pytest.mark.parametrize(
    ("ago_s", "welcome_s", "greets"),
    [
        (0, 20, True),
        (21, 20, False),  # the code is dead
        (1000, 86_400, False),  # older than any effect may be, whatever the code allows
        (100, 86_400, True),
    ],
)
async def test_an_effect_that_is_too_old_is_not_fired(
    home: House, ago_s: float, welcome_s: int, greets: bool
) -> None:
    await welcome(home, "w1", ago_s=ago_s, welcome_s=welcome_s)
    await settle(home)
    await react(home)

    assert bool(await pushes(home)) is greets
    assert (await home.states())["w1"] == "done"


async def test_old_messages_still_get_their_advice(home: House) -> None:
    await home.take({"m1": [said("太贵了", at=utcnow() - timedelta(days=30))]})
    await settle(home)
    await react(home)

    assert len(await offers(home)) == 1  # a card is a record, not an effect


async def test_a_failed_reaction_spoils_neither_the_timeline_nor_the_others(home: House) -> None:
    """Two accounts greet for the same source key: the second push is refused when it is stored."""
    async with home.db.begin(1) as conn:
        other = await accounts.save(
            conn,
            slug="second",
            channel=home.account.channel,
            name="二店",
            max_age_s=600,
            options={},
            secrets={},
            team_id=None,
            now=utcnow(),
        )
        await home.directory.load(conn)
    await welcome(home, "w1")
    await home.inbox.accept(home.directory.by_id(other).account, [raw("w1")], received_at=utcnow())
    await home.take({f"m{n}": [ask(by=f"c{n}")] for n in range(4)})
    await settle(home)
    await react(home)

    async with home.db.read(1) as conn:
        rows = await conn.rows(
            sa.select(schema.inbox.c.account_id, schema.inbox.c.state, schema.inbox.c.stage)
        )
    waiting = [r for r in rows if r.state == "settled" and r.stage]
    assert [(r.account_id, r.stage) for r in waiting] == [(other, "react")]
    assert len([r for r in rows if r.state == "done"]) == 6  # the greeting, four messages, what we said
    assert len(await pushes(home)) == 1
    assert len(await offers(home)) == 4
    assert [text for text in await home.texts() if text == "太贵了"] == ["太贵了"] * 4


async def test_a_reaction_that_cannot_be_decided_waits_while_the_timeline_stands(home: House) -> None:
    await home.take({"m1": [ask()]})
    await settle(home)
    async with home.db.begin(1) as conn:  # its account vanishes before react
        row = dict((await conn.rows(sa.select(schema.account)))[0]._mapping)
        await conn.run(sa.delete(schema.account))
        await home.directory.load(conn)
    await home.pipeline.react(1)
    assert (await home.states(), await home.texts()) == ({"m1": "settled"}, ["太贵了"])

    async with home.db.begin(1) as conn:
        await conn.run(sa.insert(schema.account), [row])
        await home.directory.load(conn)
        await conn.run(sa.update(schema.inbox).values(next_at=utcnow()))
    await react(home)

    assert (await home.states(), len(await offers(home))) == ({"m1": "done"}, 1)


# -- the way back ------------------------------------------------------------------------------------------
async def test_a_push_the_vendor_reports_failed_is_marked_and_its_screen_told(home: House) -> None:
    await welcome(home, "w1")
    await settle(home)
    await react(home)
    async with home.db.begin(1) as conn:
        (row,) = await outbox.claim(conn, now=utcnow(), limit=9)
        await outbox.finish(conn, row.outbox_id, "sent", now=utcnow(), external_id="ext-1")

    failed = Envelope(
        kind="event.push_failed", direction="none", at=utcnow(), text="客户已拒收", failed_push="ext-1"
    )
    with home.live.subscribe(1, [f"node:{row.node_id}"]) as screen:
        await home.take({"f1": [failed]})
        await settle(home)
        heard = await screen.take(30)

    (push,) = await pushes(home)
    assert (push.state, push.error) == ("dead", "客户已拒收")
    assert row.event_id in [change.ident for change in heard]


async def test_nothing_to_do_is_no_work(home: House) -> None:
    assert (await home.pipeline.settle(1), await home.pipeline.react(1)) == (0, 0)
    assert home.woken == []
