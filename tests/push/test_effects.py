"""What a platform's refusal means: each of the vocabulary, seen from the sender's loop to our own rows."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from scrm import facts, outbox, schema
from scrm.contract import Card, Media, Window
from scrm.db import Database, utcnow
from scrm.errors import Conflict, NotSent, Rejected, Unknown
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.store import Said
from scrm.outbox import Delivery
from scrm.push import effects
from scrm.push import service as push
from scrm.push.service import Word
from tests.ground import House, Talking, house, installed, node_of, said, talk_of

WINDOW = (Window(opens=("message.",), seconds=48 * 3600, count=5),)


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    channel.WINDOWS = WINDOW
    channel.KINDS = frozenset({"text", "image", "link", "file"})
    installed(monkeypatch, channel)
    made = await house(database, channel)
    await made.take({"hello": [said(at=utcnow() - timedelta(minutes=1))]})
    while await made.pipeline.settle(1):
        pass
    return made


def vendor(home: House) -> Talking:
    assert isinstance(home.channel, Talking)
    return home.channel


async def queue(home: House, word: Word, *, now: datetime | None = None) -> None:
    async with home.db.begin(1) as conn:
        plugged = home.directory.by_id(home.account.account_id)
        await push.say(conn, plugged, await talk_of(conn, "anna"), word, now=now or utcnow())


async def send(home: House, *keys: str) -> dict[str, Delivery]:
    for key in keys:
        await queue(home, Word(key=key, text=f"话 {key}"))
    while await home.worker.sender.batch(1):
        pass
    async with home.db.read(1) as conn:
        return {d.key: d for d in await outbox.page(conn, state="", before=None, limit=99)}


async def alarms(home: House) -> list[str]:
    async with home.db.read(1) as conn:
        return [f.key for f in await facts.page(conn, home.account.account_id, effects.ALARM)]


async def test_a_refused_window_is_shut_here_too_until_the_customer_speaks(home: House) -> None:
    vendor(home).answers = [Rejected("条数已用完", code="45047", effect="out_of_window")]
    await send(home, "w1")

    with pytest.raises(Conflict, match="平台刚刚拒绝了发送"):
        await queue(home, Word(key="w2", text="再说"))

    await home.take({"again": [said("在吗", at=utcnow())]})
    while await home.pipeline.settle(1):
        pass
    assert (await send(home, "w3"))["w3:0"].state == "sent"


async def test_without_an_effect_the_window_stays_as_it_was(home: House) -> None:
    """The negative control of the test above."""
    vendor(home).answers = [Rejected("内容不行", code="40201", effect="content")]
    await send(home, "w1")

    assert (await send(home, "w2"))["w2:0"].state == "sent"


@pytest.mark.parametrize(
    ("refusal", "session", "state"),
    [
        (Rejected("x", code="95018", effect="session_human"), "human", "open"),
        (Rejected("x", code="session_human"), "human", "open"),  # a connector without a table
        (Rejected("x", code="95013", effect="session_ended"), "ended", "open"),
        (Rejected("x", code="84061", effect="no_relation"), "ended", "closed"),
        (Rejected("x", code="40201", effect="content"), "api", "open"),
    ],
)
async def test_who_may_answer_from_now_on(home: House, refusal: Rejected, session: str, state: str) -> None:
    vendor(home).answers = [refusal]
    async with home.db.begin(1) as conn:
        await conn.run(sa.update(schema.conversation).values(state="open"))
    await send(home, "w1")

    async with home.db.read(1) as conn:
        talk = await talk_of(conn, "anna")
    assert (talk.session, talk.state) == (session, state)


async def test_a_customer_who_refuses_messages_is_out_of_everything_nobody_asked_for(home: House) -> None:
    vendor(home).answers = [Rejected("客户拒收", code="48002", effect="opted_out")]
    await send(home, "w1")

    async with home.db.read(1) as conn:
        (entry,) = await consents.of_nodes(conn, [await node_of(conn, "anna")])
    assert (entry.purpose, entry.channel, entry.source) == ("all", "testing", "vendor")
    with pytest.raises(Conflict, match="已退订"):
        await queue(home, Word(key="w2", text="通知", purpose="service"))
    assert (await send(home, "w3"))["w3:0"].state == "sent"  # an answer is another matter


@pytest.mark.parametrize("effect", ["config", "permission"])
async def test_an_alarm_stands_on_the_account_until_something_goes_out(home: House, effect: str) -> None:
    vendor(home).answers = [Rejected("IP 不在白名单", code="60020", effect=effect)]
    await send(home, "w1")
    assert await alarms(home) == ["60020"]

    await send(home, "w2")
    assert await alarms(home) == []


async def test_a_used_up_quota_makes_the_whole_account_wait(home: House) -> None:
    vendor(home).answers = [NotSent("上限", code="45009", retry_after_s=60, effect="quota")]
    await home.take({"ben": [said("在吗", by="ben", at=utcnow())]})
    while await home.pipeline.settle(1):
        pass
    async with home.db.begin(1) as conn:  # another customer's, one behind the other
        plugged = home.directory.by_id(home.account.account_id)
        for key in ("b1", "b2"):
            await push.say(conn, plugged, await talk_of(conn, "ben"), Word(key=key, text="x"), now=utcnow())
    vendor(home).answers.append("ext-b1")
    await send(home, "w1")

    async with home.db.read(1) as conn:
        c = schema.outbox.c
        waiting = await conn.rows(sa.select(c.key, c.next_at).where(c.state.in_(["queued", "retry"])))
    assert len(vendor(home).sent) <= 2  # what was on its way, and nothing more
    assert waiting
    assert all(r.next_at > utcnow() + timedelta(seconds=50) for r in waiting)
    async with home.db.read(1) as conn:
        (told,) = await facts.page(conn, home.account.account_id, effects.QUOTA)
    assert told.body["sentence"] == "上限"
    assert datetime.fromisoformat(told.body["until"]) > utcnow() + timedelta(seconds=50)


@pytest.mark.parametrize(("first", "second"), [(60, 3600), (3600, 60)])
async def test_a_short_wait_never_hides_a_long_one(home: House, first: int, second: int) -> None:
    await queue(home, Word(key="w1", text="x"))
    async with home.db.begin(1) as conn:
        now = await conn.now()
        (row,) = await outbox.claim(conn, now=now, limit=1)
        for seconds in (first, second):
            until = now + timedelta(seconds=seconds)
            told = effects.Refusal(
                row=row, channel="x", effect="quota", code="45009", sentence="上限", until=until
            )
            await effects.apply(conn, told, now=now)

        (known,) = await facts.page(conn, row.account_id, effects.QUOTA)

    assert datetime.fromisoformat(known.body["until"]) == now + timedelta(hours=1)


def test_a_quota_that_lasts_is_taken_for_the_hours_limit() -> None:
    assert [effects.quota_wait(n) for n in (0, 1, 2, 9)] == [
        timedelta(seconds=60),
        timedelta(seconds=60),
        timedelta(hours=1),
        timedelta(hours=1),
    ]


# -- decided again before the call -------------------------------------------------------------------------
async def wait(home: House, word: Word) -> None:
    """Queued for a time that has come."""
    await queue(home, word, now=utcnow() - timedelta(minutes=30))
    async with home.db.begin(1) as conn:
        now = utcnow()
        values = {"next_at": now, "planned_at": now, "deadline_at": now + timedelta(hours=4)}
        await conn.run(sa.update(schema.outbox).values(created_at=now - timedelta(minutes=30), **values))


async def test_what_waited_is_not_sent_when_the_customer_opted_out_meanwhile(home: House) -> None:
    home.worker.sender._manners = push.looking.Manners(quiet_hours="")  # noqa: SLF001
    await wait(home, Word(key="w1", text="活动", purpose="marketing"))
    async with home.db.begin(1) as conn:
        stop = Said(
            key="s",
            node_id=await node_of(conn, "anna"),
            purpose="marketing",
            state="withdrawn",
            source="customer",
            at=utcnow(),
        )
        await consents.add(conn, stop, now=utcnow())

    found = (await send(home))["w1:0"]

    assert (found.state, found.code) == ("dead", "consent")
    assert "已退订" in found.error
    assert vendor(home).sent == []


async def test_what_waited_goes_out_when_nothing_changed(home: House) -> None:
    """The negative control of the test above."""
    home.worker.sender._manners = push.looking.Manners(quiet_hours="")  # noqa: SLF001
    await wait(home, Word(key="w1", text="活动", purpose="marketing"))

    assert (await send(home))["w1:0"].state == "sent"


async def test_what_waited_is_not_sent_into_a_window_that_shut_meanwhile(home: House) -> None:
    await wait(home, Word(key="w1", text="早"))
    async with home.db.begin(1) as conn:
        await conn.run(sa.update(schema.event_node).values(at=utcnow() - timedelta(hours=49)))

    found = (await send(home))["w1:0"]

    assert (found.state, found.code) == ("dead", "window")
    assert vendor(home).sent == []


async def test_what_comes_due_in_the_quiet_hours_waits_on(home: House) -> None:
    hour = utcnow().astimezone(push.looking.calendars.rules.ZONE)
    now, end = f"{hour:%H:%M}", f"{hour + timedelta(hours=2):%H:%M}"
    await wait(home, Word(key="w1", text="活动", purpose="service"))
    home.worker.sender._manners = push.looking.Manners(quiet_hours=f"{now}-{end}")  # noqa: SLF001

    found = (await send(home))["w1:0"]

    assert found.state == "queued"
    assert found.planned_at is not None
    assert found.planned_at > utcnow()
    assert vendor(home).sent == []


# -- rich kinds --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "word",
    [
        Word(key="w1", card=Card(title="课程表", url="https://a.cn")),
        Word(key="w1", media=Media(name="a.pdf", mime="application/pdf", content=b"%PDF"), form="file"),
        Word(key="w1", media=Media(name="a.png", mime="image/png", content=b"\x89PNG\r\n\x1a\n")),
    ],
    ids=["link", "file", "image"],
)
async def test_an_unclear_end_is_never_a_second_message(home: House, word: Word) -> None:
    vendor(home).answers = [Unknown()]
    await queue(home, word)

    found = await send(home)
    await send(home)

    assert found["w1:0"].state == "unknown"
    assert len(vendor(home).sent) == 1
