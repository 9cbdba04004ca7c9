"""React reads what our side says: kept, recalled, edited, replayed, heard in calls, found when wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from scrm import inbox
from scrm.contract import Envelope, Link, Piece
from scrm.db import Database, utcnow
from scrm.identity import service as identity
from scrm.identity.service import Sighting
from scrm.pipeline import promising
from scrm.pipeline.drafts import Drafts, household
from scrm.playbook.checks.store import findings
from scrm.playbook.promises import service, store
from scrm.playbook.promises.store import Row
from scrm.seal import new_id
from scrm.timeline.store import events, hearing
from scrm.timeline.store.hearing import Recording
from tests.ground import House, Talking, answered, handle, house, installed, node_of, said

MOTHER, FATHER = "anna", "ben"


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel)


async def run(home: House) -> None:
    while await home.pipeline.settle(1):
        pass
    while await home.pipeline.react(1):
        pass


async def take(home: House, **says: Envelope) -> None:
    for key, envelope in says.items():
        await home.take({key: [envelope]})
    await run(home)


def ours(text: str, *, to: str = MOTHER, ago_s: float = 60, **more: Any) -> Envelope:
    return answered(text, to=to, at=utcnow() - timedelta(seconds=ago_s), **more)


def note(kind: str, text: str = "", **more: Any) -> Envelope:
    usual: dict[str, Any] = {"kind": kind, "direction": "none", "handles": (handle(MOTHER, part="other"),)}
    return Envelope(text=text, at=utcnow(), **(usual | more))


async def rows(home: House, who: str = MOTHER) -> list[Row]:
    async with home.db.read(1) as conn:
        return sorted(await store.of_nodes(conn, [await node_of(conn, who)]), key=lambda r: r.n)


async def states(home: House, who: str = MOTHER) -> list[tuple[int | None, str]]:
    return [(r.share, r.state) for r in await rows(home, who)]


async def found(home: House, *who: str) -> list[str]:
    async with home.db.read(1) as conn:
        nodes = [await node_of(conn, w) for w in who]
        return sorted(f.rule for f in await findings.of_nodes(conn, nodes))


async def family(home: House) -> None:
    a, b = handle(MOTHER), handle(FATHER)
    async with home.db.begin(1) as conn:
        link = Link(a=a, b=b, rule="order.payer", kind="same_household")
        one = Sighting(event_id=new_id(), at=utcnow(), key=f"k{new_id()}", handles=(a, b), links=(link,))
        await identity.resolve(conn, [one], utcnow())


async def test_what_we_say_is_kept_and_what_the_customer_says_is_not(home: House) -> None:
    await take(home, a=said("给我 7 折吧", at=utcnow()), b=ours("年课给您 8.5 折"))

    assert await states(home) == [(8500, "live")]


async def test_replaying_everything_changes_nothing(home: House) -> None:
    await take(home, a=ours("年课给您 8.5 折"))
    before = await rows(home)
    async with home.db.begin(1) as conn:
        told = await events.of_account(conn, [home.account.account_id], before=None, limit=9)
        assert not await promising.heed(conn, Drafts(), told, now=utcnow())
    assert await rows(home) == before


async def test_a_recall_takes_the_promise_back_whichever_arrives_first(home: House) -> None:
    await take(home, a=ours("年课给您 8.5 折"))
    await take(home, b=note("event.recall", recalls="a"))
    await take(home, d=note("event.recall", recalls="c"), c=ours("年课给您 8 折"))

    assert await states(home) == [(8500, "void")]


async def test_an_edit_says_what_is_promised_now(home: House) -> None:
    await take(home, a=ours("年课给您 8.5 折"))
    await take(home, b=note("event.edited", "年课给您 9 折", direction="out", edits="a"))

    assert await states(home) == [(8500, "void"), (9000, "live")]


async def test_a_better_reading_of_the_same_message_takes_the_old_one_s_place(home: House) -> None:
    await take(home, a=ours("年课给您 8.5 折"))
    await take_again(home, "a", ours("年课给您 8 折"))

    assert sorted(await states(home)) == [(8000, "live"), (8500, "void")]


async def take_again(home: House, key: str, envelope: Envelope) -> None:
    home.channel.says[key.encode()] = [envelope]
    async with home.db.begin(1) as conn:
        assert await inbox.replay(conn, since=utcnow() - timedelta(hours=1))
    await run(home)


async def test_worse_words_to_another_of_the_family_are_found(home: House) -> None:
    await take(home, a=said("多少钱", by=FATHER, at=utcnow()), b=ours("年课给您 8.5 折", ago_s=120))
    await family(home)
    await take(home, c=ours("年课 9 折", to=FATHER, ago_s=30))

    assert await found(home, FATHER) == ["promise.worse"]


async def test_worse_words_to_somebody_else_s_customer_are_nobody_s_business(home: House) -> None:
    await take(home, b=ours("年课给您 8.5 折", ago_s=120), c=ours("年课 9 折", to=FATHER, ago_s=30))

    assert await found(home, FATHER, MOTHER) == []


async def test_a_finding_is_closed_when_the_words_are_recalled(home: House) -> None:
    await take(home, a=ours("这个班包过，保证提分"))
    before = await found(home, MOTHER)
    await take(home, b=note("event.recall", recalls="a"))

    assert "edu.guarantee" in before
    assert await found(home, MOTHER) == []


async def test_history_that_arrives_late_is_kept_and_alarms_nobody(home: House) -> None:
    await take(home, a=ours("这个班包过，给您 8.5 折", ago_s=30 * 86_400))

    assert [r.kind for r in await rows(home)] != []
    assert await found(home, MOTHER) == []


async def test_a_call_is_read_once_it_has_been_written_down(home: House) -> None:
    await take(
        home, a=ours("通话 3 分钟", kind="message.call", pieces=(Piece(ref="r", kind="voice", name="录音"),))
    )
    text = "00:03 客服：年课给您 8.5 折\n00:09 客户：7 折行不行"
    async with home.db.begin(1) as conn:
        (event,) = await events.of_account(conn, [home.account.account_id], before=None, limit=1)
        one = Recording(
            event_id=event.event_id, n=0, account_id=event.account_id, node_id=event.node_id, media_id=1
        )
        await hearing.write(conn, one, text)
        before = await store.of_events(conn, [event.event_id])
        await promising.reread(conn, Drafts(), [event.event_id], now=utcnow())

    assert before == []
    assert [(r.share, r.source) for r in await rows(home)] == [(8500, "call")]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_order_of_words_and_of_finding_the_family_does_not_matter(
    home: House, order: tuple[int, ...]
) -> None:
    await take(home, x=said("在吗", by=MOTHER, at=utcnow()), y=said("在吗", by=FATHER, at=utcnow()))
    start = utcnow()

    async def mother() -> None:
        await take(home, a=_at(ours("年课给您 8.5 折"), start))

    async def father() -> None:
        await take(home, b=_at(ours("年课 9 折", to=FATHER), start + timedelta(seconds=1)))

    async def meet() -> None:
        await family(home)

    for n in order:
        await (mother, father, meet)[n]()

    async with home.db.read(1) as conn:
        nodes = await household(conn, await node_of(conn, FATHER))
        live = await service.live(conn, nodes, now=utcnow())
    assert sorted(k.share or 0 for k in live) == [8500, 9000]


def _at(envelope: Envelope, at: datetime) -> Envelope:
    return answered(envelope.text, to=envelope.handles[0].value, at=at)
