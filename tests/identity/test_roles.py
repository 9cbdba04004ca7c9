"""Words, cards, nicknames, documents through the pipeline: who is family, who plays which part, how long."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from scrm.contract import Envelope, Handle
from scrm.db import Conn, Database, utcnow
from scrm.errors import BadInput, NotFound
from scrm.identity import proposals, relations, roles, service
from scrm.identity import store as nodes
from scrm.identity.kin import rules, store
from scrm.identity.kin.rules import Assigned, Voice
from tests.ground import House, Talking, handle, house, installed, node_of, said

BEGAN = utcnow().replace(microsecond=0) - timedelta(days=20)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines
    assert not [line for line in lines if line["log_level"] == "error"], lines


@pytest.fixture
async def home(database: Database, monkeypatch: pytest.MonkeyPatch) -> House:
    channel = Talking()
    installed(monkeypatch, channel)
    return await house(database, channel)


def day(n: float) -> datetime:
    return BEGAN + timedelta(days=n)


def learner(name: str) -> Handle:
    return Handle(kind="learner", scope="oak", value=f"L-{name}", part="about", name=name)


def order(
    number: str, at: datetime, *, version: int = 1, buyer: str = "mother", **others: Handle
) -> Envelope:
    """As the order system's connector puts it, without the family ties it would add itself."""
    who = {name: [h.kind, h.scope, h.value] for name, h in others.items()}
    child = {"learner": {"id": "x", "name": others["learner"].name}} if "learner" in others else {}
    usual = {"id": number, "version": version, "at": at.isoformat(), "status": "paid", "items": []}
    told = usual | {"business_line": "新签", "total": 100, "paid": 100} | child
    return Envelope(
        kind="event.order.paid",
        direction="none",
        at=at,
        handles=(handle(buyer), *others.values()),
        text="已付款",
        body={"order": told, "others": who},
    )


def lesson(name: str, at: datetime) -> Envelope:
    child = Handle(kind="learner", scope="oak", value=f"L-{name}", name=name)
    body = {"lesson": {"id": f"K{name}", "course": "math", "learner": {"id": f"L-{name}", "name": name}}}
    return Envelope(
        kind="event.lesson.attended", direction="none", at=at, handles=(child,), text="上课", body=body
    )


def card(by: str, owner: str, at: datetime) -> Envelope:
    told = {"others": {"card": ["wechat_openid", "app", owner]}}
    return said("[名片]", by=by, at=at, kind="message.card", body=told)


def added(who: str, at: datetime) -> Envelope:
    return Envelope(kind="event.contact.added", direction="in", at=at, handles=(handle(who),), text="添加")


async def take(home: House, *envelopes: Envelope) -> None:
    """Each as a row of its own, in this order of arrival."""
    start = len(await home.states())
    await home.take({f"k{start + n}": [e] for n, e in enumerate(envelopes)}, lane="one")
    while await home.pipeline.settle(1):
        pass
    while await home.pipeline.react(1):
        pass
    assert set((await home.states()).values()) == {"done"}


async def kin(conn: Conn, value: str, **more: Any) -> set[str]:
    """The addresses of the family of this one, without their own."""
    mine = (await nodes.persons_of(conn, [await node_of(conn, value, **more)])).values()
    (person,) = mine
    home = await service.household(conn, person)
    others = [n for n, p in home.owners.items() if p != person]
    return {h.value for h in (await nodes.handles(conn, others)).values()}


async def related(home: House, value: str) -> list[tuple[str, str, bool]]:
    async with home.db.read(1) as conn:
        rows = await store.of_nodes(conn, [await node_of(conn, value)])
        return sorted((r.type, r.rule, r.tied_at is not None) for r in rows)


# -- words -------------------------------------------------------------------------------------------------
async def test_a_telephone_in_the_words_makes_a_family_and_no_person(home: House) -> None:
    await take(home, said("我爱人电话是13912345678", by="mother", at=day(1)))

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == {"+8613912345678"}
    assert await related(home, "mother") == [("spouse", "statement.spouse", True)]


async def test_words_read_twice_are_written_once(home: House) -> None:
    await take(home, said("我爱人电话是13912345678", by="mother", at=day(1)))
    async with home.db.begin(1) as conn:
        (row,) = await store.of_nodes(conn, [await node_of(conn, "mother")])
        again = relations.Heard(
            event_id=row.event_id,
            account_id=row.account_id,
            source_key="k0",
            at=row.at,
            kind="message.text",
            direction="in",
            node_id=row.node_a,
            text="我爱人电话是13912345678",
        )
        assert again.key + "#0" == row.key
        assert await relations.learn(conn, [again], now=utcnow()) == relations.Learned()

    assert len(await related(home, "mother")) == 1


@pytest.mark.parametrize(
    "text", ["我爱人电话是13912345678吗？", "他说我爱人电话是13912345678", "我朋友电话13912345678"]
)
async def test_words_that_state_nothing_tie_nobody(home: House, text: str) -> None:
    await take(home, said(text, by="mother", at=day(1)))

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == set()
    assert await related(home, "mother") == []


async def test_who_was_sent_by_a_friend_is_nobodys_family(home: House) -> None:
    await take(home, said("朋友介绍的", by="mother", at=day(1)))

    assert await related(home, "mother") == [("referrer", "statement.referrer", False)]


@pytest.mark.parametrize("late", [False, True])
async def test_a_childs_whole_name_means_its_only_bearer_whoever_is_heard_first(
    home: House, late: bool
) -> None:
    words = said("您好，我是王子涵的爸爸", by="father", at=day(2))
    lessons = lesson("王子涵", day(1))
    await take(home, *((words, lessons) if late else (lessons, words)))

    async with home.db.read(1) as conn:
        assert await kin(conn, "father") == {"L-王子涵"}


@pytest.mark.parametrize("names", [("王子涵", "李子涵"), ("子涵", "王子涵")])
async def test_a_name_that_several_children_have_means_none_of_them(
    home: House, names: tuple[str, str]
) -> None:
    await take(home, *(lesson(n, day(1)) for n in names), said("我是子涵爸爸", by="father", at=day(2)))

    async with home.db.read(1) as conn:
        assert await kin(conn, "father") == set()
    assert await related(home, "father") == [("parent", "statement.parent", False)]


async def test_a_nickname_is_kept_until_the_child_is_known(home: House) -> None:
    named = (handle("mother", name="王子涵妈妈🌸"),)
    await take(home, said("你好", at=day(1), handles=named), said("在吗", at=day(2), handles=named))
    assert await related(home, "mother") == [("parent", "nickname", False)]
    await take(home, lesson("王子涵", day(3)))

    assert await related(home, "mother") == [("parent", "nickname", True)]
    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == {"L-王子涵"}


# -- cards -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("words_first", [False, True])
async def test_words_next_to_a_forwarded_card_say_whose_it_is(home: House, words_first: bool) -> None:
    both = [
        card("mother", "father", day(1)),
        said("这是我老公", by="mother", at=day(1) + timedelta(minutes=1)),
    ]
    await take(home, *(both[::-1] if words_first else both))

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == {"father"}


async def test_words_long_after_a_card_mean_another(home: House) -> None:
    await take(home, card("mother", "father", day(1)), said("这是我老公", by="mother", at=day(2)))

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == set()


@pytest.mark.parametrize("early", [False, True])
async def test_a_card_counts_once_its_owner_is_added(home: House, early: bool) -> None:
    both = [card("mother", "father", day(1)), added("father", day(3))]
    await take(home, *(both[::-1] if early else both))

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == {"father"}


@pytest.mark.parametrize("days", [0.0, 15.0])
async def test_a_card_nobody_followed_up_says_nothing(home: House, days: float) -> None:
    after = [added("father", day(1 + days))] if days else []
    await take(home, card("mother", "father", day(1)), *after)

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == set()


async def test_a_friends_card_is_a_friends(home: House) -> None:
    words = said("我朋友也想学", by="mother", at=day(1) + timedelta(minutes=1))
    await take(home, card("mother", "friend", day(1)), words, added("friend", day(2)))

    async with home.db.read(1) as conn:
        assert await kin(conn, "mother") == set()


# -- asking ------------------------------------------------------------------------------------------------
async def asked(home: House) -> list[tuple[str, str]]:
    async with home.db.read(1) as conn:
        found = await proposals.queue(conn, now=utcnow())
        return [(p.source, p.reasons[0].text) for p in found]


async def test_what_is_probable_and_not_certain_is_asked_and_changes_nothing(home: House) -> None:
    await take(home, lesson("王子涵", day(1)), said("我是子涵爸爸", by="father", at=day(2)))

    assert await asked(home) == [("statement", "说过“我是子涵爸爸”，和这位学员同名")]
    async with home.db.read(1) as conn:
        assert await kin(conn, "father") == set()


async def test_a_forwarded_card_is_asked_about_unless_it_is_a_friends(home: House) -> None:
    await take(home, card("mother", "father", day(1)))
    assert [source for source, _ in await asked(home)] == ["card"]

    friend = said("同事也想学", by="aunt", at=day(2) - timedelta(minutes=1))
    await take(home, friend, card("aunt", "friend", day(2)))
    assert len(await asked(home)) == 1


# -- parts -------------------------------------------------------------------------------------------------
async def parts(home: House, *values: str, at: datetime | None = None) -> dict[str, str]:
    """Role -> whose, for these addresses taken as one household."""
    async with home.db.read(1) as conn:
        ids = {await node_of(conn, v): v for v in values}
        persons = await nodes.persons_of(conn, list(ids))
        name = {persons[n]: v for n, v in ids.items()}
        return {p.role: name[p.person_id] for p in await roles.parts(conn, persons, at or utcnow())}


async def test_an_order_says_who_bought_paid_and_learns(home: House) -> None:
    child = Handle(kind="wechat_openid", scope="app", value="child", part="about", name="王子涵")
    await take(home, order("D1", day(1), payer=handle("father", part="other"), learner=child))

    found = await parts(home, "mother", "father", "child")
    assert found == {"buyer": "mother", "payer": "father", "user": "child", "decision_maker": "father"}


@pytest.mark.parametrize("turned", [False, True])
async def test_a_newer_version_of_an_order_names_another_payer_from_then_on(
    home: House, turned: bool
) -> None:
    first = order("D1", day(1), payer=handle("father", part="other"))
    second = order("D1", day(3), version=2, payer=handle("gran", part="other"))
    await take(home, *((second, first) if turned else (first, second)))

    family = ("mother", "father", "gran")
    assert (await parts(home, *family))["payer"] == "gran"
    assert (await parts(home, *family, at=day(2)))["payer"] == "father"


async def test_who_registered_first_in_the_household_is_its_registrant(home: House) -> None:
    def registers(who: str, at: datetime) -> Envelope:
        return Envelope(
            kind="event.app.track", direction="none", at=at, handles=(handle(who),), text="注册成功"
        )

    await take(home, registers("father", day(3)), registers("mother", day(1)))

    assert (await parts(home, "mother", "father"))["registrant"] == "mother"
    assert (await parts(home, "father"))["registrant"] == "father"


async def test_a_humans_word_beats_the_order_and_can_be_taken_back(home: House) -> None:
    await take(home, order("D1", day(1), payer=handle("father", part="other")))
    async with home.db.begin(1) as conn:
        node = await node_of(conn, "mother")
        ident = await roles.assign(conn, node, "payer", by=7, why="妈妈转的账", now=day(5))

    family = ("mother", "father")
    assert (await parts(home, *family))["payer"] == "mother"
    assert (await parts(home, *family, at=day(4)))["payer"] == "father"
    async with home.db.begin(1) as conn:
        await roles.take_back(conn, ident, now=day(8))
        with pytest.raises(NotFound):
            await roles.take_back(conn, ident, now=day(9))
    assert (await parts(home, *family))["payer"] == "father"
    assert (await parts(home, *family, at=day(6)))["payer"] == "mother"


async def test_an_unknown_part_is_refused(home: House) -> None:
    async with home.db.begin(1) as conn:
        with pytest.raises(BadInput):
            await roles.assign(conn, 1, "boss", by=7, why="", now=day(1))
        with pytest.raises(BadInput):
            await roles.assign(conn, 1, "payer", by=7, why="", now=day(1), context_type="party")


async def test_who_talks_and_asks_for_prices_decides_until_somebody_pays(home: House) -> None:
    talk = [said(t, by="mother", at=day(1)) for t in ("多少钱一节课", "有优惠吗", "好的")]
    await take(home, *talk, said("嗯", by="father", at=day(1)))
    assert (await parts(home, "mother", "father"))["decision_maker"] == "mother"

    await take(home, order("D1", day(2), payer=handle("father", part="other")))
    assert (await parts(home, "mother", "father"))["decision_maker"] == "father"


async def test_parts_of_another_tenant_are_not_seen(home: House) -> None:
    await take(home, order("D1", day(1)))
    async with home.db.read(1) as conn:
        node = await node_of(conn, "mother")
    async with home.db.read(2) as conn:
        assert await roles.roles_of(conn, [node], utcnow()) == []
        assert await store.of_nodes(conn, [node]) == []


# -- pure --------------------------------------------------------------------------------------------------
def row(role_id: int, role: str, node: int, at: float = 0, **more: Any) -> Assigned:
    usual: dict[str, Any] = {"context_type": "order", "context_id": "1"}
    return Assigned(role_id=role_id, role=role, node_id=node, valid_from=day(at), **(usual | more))


def test_of_two_humans_the_later_word_stands() -> None:
    rows = [row(1, "payer", 1), row(2, "payer", 2, 1, origin="rep"), row(3, "payer", 3, 2, origin="admin")]

    assert [r.node_id for r in rules.holding(rows, day(3))] == [3]
    assert [r.node_id for r in rules.holding(rows, day(1.5))] == [2]
    assert [r.node_id for r in rules.holding(rows, day(0.5))] == [1]


def test_paying_decides_more_than_talking_and_says_so() -> None:
    persons = {1: 10, 2: 20}
    voices = [Voice(node_id=1, messages=9, prices=0), Voice(node_id=2, messages=1)]
    found = rules.deciders(persons, voices, [2])

    assert found[20].score == 1.0
    assert found[20].reasons == ("付款", "说了 10% 的话")
    assert found[10].score < rules.DECIDES
