"""Answers by themselves: only where an account allows it, once, in time, never over somebody's shoulder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from scrm.db import Database, utcnow
from scrm.desk.calendar.rules import ZONE
from scrm.desk.manners import Manners
from scrm.errors import BadConfig
from scrm.pipeline import Pipeline
from scrm.playbook import store
from scrm.playbook.answers import rules
from scrm.playbook.answers import store as leaves
from scrm.playbook.answers.rules import Kind
from scrm.playbook.enclosures import rules as enclosures
from scrm.playbook.enclosures import service as attached
from scrm.playbook.scripts import Script
from scrm.timeline.store import conversations
from tests.ground import House, Talking, answered, house, installed, said, script, talk_of
from tests.playbook.enclosures import PNG

AUTO = script("hello", delivery="auto", triggers=["在吗"], says=["在吗", "有人吗"])
ALWAYS = Manners(business_hours="1-7 00:00-24:00")
#: At work on one day of the week alone, which is not today.
NEVER = Manners(business_hours=f"{(utcnow().astimezone(ZONE).weekday() + 3) % 7 + 1} 09:00-10:00")


async def desk(
    db: Database, patch: pytest.MonkeyPatch, *kinds: Kind, manners: Manners = ALWAYS, one: Script = AUTO
) -> tuple[House, Pipeline]:
    channel = Talking()
    installed(patch, channel)
    home = await house(db, channel, scripts=[one])
    allowed: Mapping[str, frozenset[Kind]] = {home.account.slug: frozenset(kinds)} if kinds else {}
    return home, replace(home.pipeline, answers=allowed, manners=manners)


async def hear(home: House, line: Pipeline, *texts: str, age_s: float = 0, start: int = 0) -> list[str]:
    """The customer writes; what went out by itself."""
    for n, text in enumerate(texts, start):
        at = utcnow() - timedelta(seconds=age_s)
        await home.take({f"m{n}": [said(text, at=at)]}, lane="anna")
        await line.settle(1)
        while await line.react(1):
            pass
    while await line.settle(1) or await line.react(1):
        pass
    await home.worker.sender.batch(1)
    assert isinstance(home.channel, Talking)
    return [push.text for push in home.channel.sent]


@pytest.mark.parametrize(
    ("kinds", "manners", "goes"),
    [
        ((), ALWAYS, False),
        (("first",), ALWAYS, True),
        (("night",), ALWAYS, False),
        (("night",), NEVER, True),
        (("faq",), ALWAYS, True),
    ],
)
async def test_it_goes_out_where_the_account_allows_it_now(
    database: Database, monkeypatch: pytest.MonkeyPatch, kinds: tuple[Kind, ...], manners: Manners, goes: bool
) -> None:
    home, line = await desk(database, monkeypatch, *kinds, manners=manners)

    assert await hear(home, line, "在吗") == (["回答 hello"] if goes else [])


async def test_it_is_said_once_and_the_customer_goes_on_waiting_for_one_of_us(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch, "first", "faq")

    sent = await hear(home, line, "在吗", "有人吗", "在吗在吗")

    assert sent == ["回答 hello"]
    async with database.read(1) as conn:
        talk = await talk_of(conn, "anna")
        offers = await store.page(conn, conversation_id=talk.conversation_id, before=None, limit=9)
    assert talk.waiting_since is not None
    assert [(o.script_id, o.staff_id) for o in offers if o.state == "used"] == [("edu.hello", None)]


async def test_what_is_only_guessed_at_is_no_common_question(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch, "faq", one=replace(AUTO, fallback=True))

    assert await hear(home, line, "今天下雨了") == []


async def test_what_came_late_is_not_answered_any_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch, "first")

    assert await hear(home, line, "在吗", age_s=901) == []


async def test_whoever_answered_or_has_the_talk_open_is_not_interrupted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch, "faq")
    assert await hear(home, line, "今天下雨了") == []
    async with database.begin(1) as conn:
        talk = await talk_of(conn, "anna")
        await conversations.mark_read(conn, talk.conversation_id, now=utcnow())

    assert await hear(home, line, "在吗", start=1) == []


async def test_what_was_answered_meanwhile_is_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch, "first", "faq")
    now = utcnow()
    await home.take({"q": [said("在吗", at=now - timedelta(seconds=9))]}, lane="anna")
    await home.take({"a": [answered("在的", at=now - timedelta(seconds=5))]}, lane="anna")

    assert await hear(home, line) == []


@pytest.mark.parametrize(
    "changes",
    [
        {
            "text": "{{ child.name }}，在的",
            "examples": [{"given": {"child": {"name": "安"}}, "expect": "安，在的"}],
        },
        {"text": "在的，我们保证提分", "examples": [{"given": {}, "expect": "在的，我们保证提分"}]},
        {"delivery": "confirm"},
    ],
)
async def test_with_a_gap_against_a_rule_or_without_leave_nothing_goes(
    database: Database, monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, object]
) -> None:
    plain = {"delivery": "auto", "triggers": ["在吗"], "says": ["在吗", "有人吗"], **changes}
    home, line = await desk(database, monkeypatch, "first", "night", "faq", one=script("hello", **plain))

    assert await hear(home, line, "在吗") == []


def test_the_setting_names_accounts_and_what_they_allow() -> None:
    assert rules.ways("web:first,night  shop:faq") == {
        "web": frozenset({"first", "night"}),
        "shop": frozenset({"faq"}),
    }
    assert rules.ways("") == {}
    for wrong in ("web", "web:", ":faq", "web:always"):
        with pytest.raises(BadConfig):
            rules.ways(wrong)


async def test_a_switch_here_is_stronger_than_the_setting_and_can_be_taken_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch, "first", "faq")

    async def switched(kind: Kind, *, on: bool | None) -> None:
        async with database.begin(1) as conn:
            ident = home.account.account_id
            await leaves.decide(conn, ident, kind, on=on, by_id=7, now=utcnow())

    await switched("first", on=False)
    await switched("faq", on=False)
    assert await hear(home, line, "在吗") == []
    await switched("faq", on=None)
    assert await hear(home, line, "有人吗", start=1) == ["回答 hello"]
    async with database.read(1) as conn:
        (gone,) = await leaves.gone(conn, limit=9)
        decided = await leaves.decided(conn)
    assert gone.script_id == "edu.hello"
    assert [(k, d.on, d.by_id) for of in decided.values() for k, d in of.items()] == [("first", False, 7)]


async def test_without_any_setting_an_account_can_be_switched_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await desk(database, monkeypatch)
    async with database.begin(1) as conn:
        await leaves.decide(conn, home.account.account_id, "first", on=True, by_id=None, now=utcnow())

    assert await hear(home, line, "在吗") == ["回答 hello"]


async def test_words_with_a_picture_go_out_with_it_or_not_at_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.begin(1) as conn:
        picture = enclosures.admitted("课表.png", PNG)
        named = await attached.keep(conn, [picture], author_id=None, now=utcnow())
    home, line = await desk(database, monkeypatch, "first", one=replace(AUTO, files=named))
    assert isinstance(home.channel, Talking)

    assert await hear(home, line, "在吗") == ["回答 hello"]
    await home.worker.sender.batch(1)
    assert [(p.kind, p.media.content if p.media else b"") for p in home.channel.sent] == [
        ("text", b""),
        ("image", PNG),
    ]
