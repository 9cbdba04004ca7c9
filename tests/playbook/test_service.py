"""The playbook at work: advice, cards rendered for the customer, what was taken is not offered again."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrm.db import Conn, Database
from scrm.playbook import service, store
from scrm.playbook.scripts import Script
from scrm.playbook.service import Library
from scrm.shapes import to_yaml
from tests.ground import NOW, script

TALK = 6
NAMED = {
    "text": "{{ member.name }}，您好",
    "examples": [{"given": {"member": {"name": "安"}}, "expect": "安，您好"}],
}
FACTS = {"member": {"name": "王女士"}}
GREETING = {
    "stage": "first-contact",
    "delivery": "auto",
    "triggers": ["加好友"],
    "says": ["我通过了你的请求"],
}


def library(*scripts: Script) -> Library:
    return Library(scripts or [script("price"), script("named", **NAMED)])


async def advise(conn: Conn, shelf: Library, event_id: int = 1, said: str = "太贵了") -> list[str]:
    used = (await store.recently_used(conn, [TALK])).get(TALK, set())
    ranked = shelf.advise([said], channel="testing", recently_sent=used)
    await store.save(conn, TALK, event_id, ranked, now=NOW)
    return [s.script_id for s in ranked]


async def test_cards_are_rendered_for_this_customer_best_first(database: Database) -> None:
    async with database.begin(1) as conn:
        ranked = await advise(conn, library())
        cards = await service.cards(conn, library(), TALK, FACTS)

    assert [c.script.id for c in cards] == ranked
    assert {c.rendered.text for c in cards} == {"回答 price", "王女士，您好"}
    assert all(c.reason and c.stage for c in cards)


async def test_what_the_rep_took_is_neither_shown_nor_offered_again(database: Database) -> None:
    async with database.begin(1) as conn:
        first = await advise(conn, library())
        (best, *_) = await service.cards(conn, library(), TALK, FACTS)
        await service.use(conn, TALK, conn.vault.public("suggestion", best.suggestion_id))

        assert first[0] not in [c.script.id for c in await service.cards(conn, library(), TALK, FACTS)]
        assert first[0] not in await advise(conn, library(), event_id=2)


@pytest.mark.parametrize(
    ("kind", "talk"),
    [
        ("suggestion", TALK + 1),  # of another conversation
        ("event", TALK),  # an id of another kind
        ("", TALK),  # nothing at all
    ],
)
async def test_a_foreign_or_made_up_suggestion_marks_nothing(
    database: Database, kind: str, talk: int
) -> None:
    async with database.begin(1) as conn:
        await advise(conn, library())
        (best, *_) = await store.latest(conn, TALK)
        await service.use(conn, talk, conn.vault.public(kind, best.suggestion_id) if kind else "")

        assert {o.state for o in await store.latest(conn, TALK)} == {"shown"}


async def test_a_script_that_left_the_library_shows_no_card(database: Database) -> None:
    async with database.begin(1) as conn:
        await advise(conn, library())

        assert [c.script.id for c in await service.cards(conn, library(script("price")), TALK, {})] == [
            "edu.price"
        ]


def test_advice_for_the_rep_stands_below_what_can_be_sent_where_it_surely_belongs() -> None:
    hint = script("hint", delivery="hint")
    shelf = library(hint, *(script(f"s{n}", title=f"第 {n} 条") for n in range(6)))

    heard = [s.script_id for s in shelf.advise(["太贵了"], channel="testing")]

    assert len(heard) == 5
    assert heard[-1] == "edu.hint"
    assert "edu.hint" not in heard[:4]
    assert "edu.hint" not in [s.script_id for s in shelf.advise(["今天下雨"], channel="testing")]
    assert shelf.get("edu.hint") == hint


def test_only_a_first_contact_script_marked_auto_greets_by_itself() -> None:
    for changes, text in (
        (GREETING, "回答 hi"),
        (GREETING | {"delivery": "confirm"}, None),
        (GREETING | {"stage": "objection"}, None),
        (GREETING | {"channels": ["wecom"]}, None),
        (GREETING | NAMED, None),  # a fact is missing: better silent than with a hole
    ):
        assert library(script("hi", **changes)).greeting("testing", {}) == text


def test_each_tenant_is_advised_and_greeted_from_its_own_packs() -> None:
    cars = script("car", **GREETING)
    homes = script("home")
    shelf = Library([cars, homes], trades={cars.id: "auto", homes.id: "housing"})

    def advised(*trades: str) -> list[str]:
        return [s.script_id for s in shelf.advise(["太贵了"], channel="testing", trades=trades)]

    assert advised("housing") == [homes.id]
    assert advised("insurance") == []
    assert shelf.greeting("testing", {}, trades=("auto",)) == "回答 car"
    assert shelf.greeting("testing", {}, trades=("housing",)) is None


def test_a_library_that_changed_on_disk_is_read_again(tmp_path: Path) -> None:
    before = Library.load(tmp_path)
    assert len(before) == 0
    assert Library.load(tmp_path) is before

    (tmp_path / "more.yaml").write_text(to_yaml([_PLAIN]), encoding="utf-8")

    assert len(Library.load(tmp_path)) == 1


_PLAIN = {
    "id": "edu.more",
    "version": 1,
    "title": "再来一条",
    "stage": "needs",
    "role": "any",
    "delivery": "confirm",
    "triggers": ["再来"],
    "text": "好",
    "examples": [{"given": {}, "expect": "好"}],
}
