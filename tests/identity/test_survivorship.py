"""Which value of a field shows, where it comes from, what stays visible; and whose no holds for whom."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import facts
from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.errors import BadInput, NotFound
from scrm.identity import service as identity
from scrm.identity import store
from scrm.identity.survivorship import rules, service
from scrm.identity.survivorship.correcting import clean
from scrm.identity.survivorship.rules import Field, Value, survive
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.rules import Entry, standing, strictest
from scrm.ledger.consent.store import Said
from scrm.schema import fact, node_person, person
from scrm.seal import new_id
from tests.ground import NOW, entry, handle, later, said, settle

WECOM = handle("wmMother", kind="wecom_external", scope="corp", name="子涵妈妈")
USER = handle("u1001", kind="app_user", scope="app", name="王丽")
PHONE = handle("+8613912345678", kind="phone", scope="e164")


# -- pure --------------------------------------------------------------------------------------------------
def value(said_: Any, text: str, *, days: int = 0, field: str = "name", node_id: int = 1) -> Value:
    return Value(field=field, value=text, said=said_, at=NOW + timedelta(days=days), node_id=node_id)


def test_whose_word_weighs_more_shows_however_old_it_is() -> None:
    order = ["human", "contract", "api", "order", "note", "nickname"]
    values = [value(s, f"名{n}", days=n) for n, s in enumerate(order)]

    (found,) = survive(values[::-1])

    assert [found.shown.said, *[v.said for v in found.others]] == order
    assert found.conflicting


def test_of_two_equal_words_the_newer_shows_and_the_older_stays_visible() -> None:
    (found,) = survive([value("order", "旧", days=1), value("order", "新", days=2)])

    assert (found.shown.value, [v.value for v in found.others]) == ("新", ["旧"])


def test_the_same_words_twice_are_no_contradiction() -> None:
    (found,) = survive([value("order", "王丽"), value("nickname", "王 丽", days=3)])

    assert (found.shown.said, found.others, found.conflicting) == ("order", (), False)


def test_several_telephones_are_all_true() -> None:
    (found,) = survive([value("api", "1", field="phone"), value("note", "2", field="phone")])

    assert [v.value for v in found.others] == ["2"]
    assert not found.conflicting


@pytest.mark.parametrize(
    ("name", "sex"),
    [("王女士", "f"), ("李先生", "m"), ("子涵妈妈", "f"), ("朵朵爸爸", "m"), ("王丽", ""), ("爸爸妈妈", "")],
)
def test_a_name_hints_at_a_gender_or_at_none(name: str, sex: str) -> None:
    assert rules.sex_of(name) == sex


def test_traits_are_understood_or_left_alone() -> None:
    assert rules.of_trait("$city", "杭州") == ("city", "杭州", "api")
    assert rules.of_trait("child_name", "子涵") == ("child", "子涵", "api")
    assert rules.of_trait("gender", "女") == ("gender", "f", "api")
    assert rules.of_trait("nickName", "小丽") == ("name", "小丽", "nickname")
    assert [rules.of_trait("gender", "x"), rules.of_trait("vip", "1"), rules.of_trait("city", "")] == [
        None
    ] * 3


# -- on the database ---------------------------------------------------------------------------------------
async def met(conn: Conn, *handles: Handle, at: datetime = NOW, rule: str = "app_phone") -> None:
    """One event about these, which says that they are one person."""
    links = [Link(a=handles[0], b=h, rule=rule) for h in handles[1:]]
    ident = new_id()
    await settle(conn, entry(said(at=at, handles=handles, links=links), f"k{ident}"), now=NOW)


async def node_id(conn: Conn, h: Handle) -> int:
    found = await identity.find(conn, h)
    assert found is not None
    return found


async def person_id(conn: Conn, h: Handle) -> int:
    np = node_person.c
    which = (np.tenant_id == conn.tenant_id, np.node_id == await node_id(conn, h), np.until_at.is_(None))
    return int(await conn.scalar(sa.select(np.person_id).where(*which)))


async def told(conn: Conn, h: Handle, kind: str, key: str, body: dict[str, Any], at: datetime = NOW) -> None:
    rank = int(at.timestamp() * 1e6)
    one = facts.Said(account_id=11, kind=kind, key=key, body=body, rank=rank, at=at)
    await facts.put_all(
        conn,
        [facts.Said(**{n: getattr(one, n) for n in one.__slots__} | {"node_id": await node_id(conn, h)})],
    )


def by_name(fields: list[Field]) -> dict[str, Field]:
    return {f.name: f for f in fields}


async def test_every_value_says_who_said_it_when_and_in_which_event(database: Database) -> None:
    async with database.begin(1) as conn:
        await met(conn, WECOM)
        await met(conn, USER, PHONE, at=later(5))
        await met(conn, WECOM, PHONE, at=later(9), rule="wecom_remark_phone")
        follow = {"remark": "王丽 朵朵", "mobiles": [], "tags": [{"name": "高意向"}]}
        await told(conn, WECOM, "follow", "a|b", follow, at=later(20))
        await told(conn, USER, "trait", "u:city", {"name": "city", "value": "杭州"})
        fields = by_name(await service.shown(conn, await person_id(conn, USER)))

    name, phone = fields["name"], fields["phone"]
    assert (name.shown.value, name.shown.said) == ("王丽", "order")
    assert [(v.value, v.said) for v in name.others] == [("王丽 朵朵", "note"), ("子涵妈妈", "nickname")]
    assert (name.shown.at, name.shown.event_id is not None, name.shown.account_id) == (later(5), True, 11)
    assert (phone.shown.value, phone.shown.at, phone.shown.event_id is not None) == (
        PHONE.value,
        later(5),
        True,
    )
    assert [fields[f].shown.value for f in ("city", "tags", "gender")] == ["杭州", "高意向", "f"]


async def test_a_colleague_s_correction_beats_all_and_can_be_undone(database: Database) -> None:
    async with database.begin(1) as conn:
        await met(conn, USER, PHONE)
        one = await person_id(conn, USER)
        ident = await service.correct(
            conn, one, "name", " 王莉 ", by="staff:7", staff_id=7, why="她说是茉莉的莉", now=later(60)
        )
        mended = by_name(await service.shown(conn, one))["name"]
        await service.undo(conn, ident, by="staff:7", now=later(70))
        await service.undo(conn, ident, by="staff:7", now=later(80))
        undone = by_name(await service.shown(conn, one))["name"]
        rows = await conn.rows(sa.select(fact.c.body, fact.c.gone_at).where(fact.c.kind == "correction"))

    shown = mended.shown
    assert (shown.value, shown.said, shown.at, shown.staff_id) == ("王莉", "human", later(60), 7)
    assert (shown.why, shown.correction_id, [v.value for v in mended.others]) == (
        "她说是茉莉的莉",
        ident,
        ["王丽"],
    )
    assert (undone.shown.value, undone.others) == ("王丽", ())
    assert [r.gone_at for r in rows] == [later(70)]  # it stays, as history
    assert all("王莉".encode() not in r.body for r in rows)


async def test_the_newer_of_two_corrections_shows(database: Database) -> None:
    async with database.begin(1) as conn:
        await met(conn, USER)
        one = await person_id(conn, USER)
        for n, text in enumerate(("甲", "乙")):
            await service.correct(conn, one, "city", text, by="staff:7", staff_id=7, now=later(n))
        city = by_name(await service.shown(conn, one))["city"]

    assert (city.shown.value, [v.value for v in city.others]) == ("乙", ["甲"])


async def test_a_correction_needs_a_field_a_value_and_a_person(database: Database) -> None:
    async with database.begin(1) as conn:
        await met(conn, USER)
        await met(conn, WECOM)
        one, other = await person_id(conn, USER), await node_id(conn, WECOM)
        for field, text in (("shoe_size", "43"), ("name", "  "), ("name", "长" * 81)):
            with pytest.raises(BadInput):
                await service.correct(conn, one, field, text, by="x", staff_id=None, now=NOW)
        with pytest.raises(NotFound):
            await service.correct(conn, one, "name", "甲", by="x", staff_id=None, node_id=other, now=NOW)
        with pytest.raises(NotFound):
            await service.correct(conn, 1, "name", "甲", by="x", staff_id=None, now=NOW)
        with pytest.raises(NotFound):
            await service.undo(conn, 1, by="x", now=NOW)


async def split(conn: Conn, h: Handle) -> int:
    """This identifier becomes somebody of its own, as a projection of a split would have it."""
    ident, np = new_id(), node_person.c
    which = (np.tenant_id == conn.tenant_id, np.node_id == await node_id(conn, h))
    await conn.run(sa.update(node_person).where(*which).values(person_id=ident))
    await conn.insert(
        person, [{"tenant_id": conn.tenant_id, "person_id": ident, "first_at": NOW, "version": 1}]
    )
    return ident


async def test_after_a_split_each_side_has_its_own_back(database: Database) -> None:
    async with database.begin(1) as conn:
        await met(conn, USER)
        await met(conn, WECOM, at=later(1))
        before = await service.shown(conn, await person_id(conn, USER))
        await met(conn, USER, WECOM, at=later(2), rule="human.link")
        one = await person_id(conn, USER)
        on = await node_id(conn, WECOM)
        await service.correct(conn, one, "city", "宁波", by="x", staff_id=7, node_id=on, now=later(3))
        both = by_name(await service.shown(conn, one))
        await told(conn, USER, "trait", "u:grade", {"name": "grade", "value": "三年级"}, at=later(4))
        apart = await split(conn, WECOM)
        left, right = [by_name(await service.shown(conn, p)) for p in (one, apart)]

    assert (both["city"].shown.value, both["name"].conflicting) == ("宁波", True)
    assert [f.shown.value for f in before] == ["王丽"] == [left["name"].shown.value]
    assert not left["name"].others
    assert set(left) == {"name", "grade"}
    assert (right["name"].shown.value, right["city"].shown.value) == ("子涵妈妈", "宁波")


async def test_what_a_number_said_before_it_changed_hands_stays_with_its_first_owner(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await met(conn, PHONE)
        await told(conn, PHONE, "trait", "p:city", {"name": "city", "value": "杭州"}, at=later(1))
        first, np, later_id = await person_id(conn, PHONE), node_person.c, new_id()
        which = (np.tenant_id == 1, np.node_id == await node_id(conn, PHONE))
        await conn.run(sa.update(node_person).where(*which).values(until_at=later(500)))
        again = {"node_id": await node_id(conn, PHONE), "from_at": later(500), "person_id": later_id}
        await conn.insert(node_person, [{"tenant_id": 1, **again}])
        mine, theirs = (await service.of_persons(conn, [first, later_id])).values()

    assert by_name(mine)["city"].shown.value == "杭州"
    assert "city" not in by_name(theirs)


# -- consent -----------------------------------------------------------------------------------------------
def spoke(state: Any, *, node: int, at: int, source: Any = "api", purpose: Any = "marketing") -> Entry:
    common = {"channel": "", "reason": "", "entry_id": at, "node_id": node}
    return Entry(state=state, at=later(at), source=source, purpose=purpose, **common)  # type: ignore[arg-type]


def test_of_one_address_the_newest_word_holds() -> None:
    found = standing([spoke("withdrawn", node=1, at=1), spoke("granted", node=1, at=2)], "marketing", "")

    assert found is not None
    assert found.state == "granted"


def test_one_address_that_says_no_is_enough() -> None:
    no, yes = spoke("withdrawn", node=1, at=1), spoke("granted", node=2, at=2)

    assert standing([no, yes], "marketing", "") == no
    assert standing([yes], "marketing", "") == yes  # split: each side its own


def test_the_customer_s_own_later_yes_lifts_a_no_said_elsewhere() -> None:
    no, yes = spoke("withdrawn", node=1, at=1), spoke("granted", node=2, at=2, source="customer")
    again = spoke("withdrawn", node=3, at=3)

    assert standing([no, yes], "marketing", "") == yes
    assert standing([no, yes, again], "marketing", "") == again


def test_of_a_family_one_no_is_everybody_s() -> None:
    mother = [spoke("granted", node=1, at=5, source="customer")]
    father = [spoke("withdrawn", node=2, at=1, purpose="all")]

    found = strictest([mother, father], "marketing", "")

    assert found == father[0]
    assert strictest([mother, []], "marketing", "") == mother[0]
    assert strictest([[], []], "marketing", "") is None


async def test_a_family_s_consent_is_its_strictest_and_a_split_restores_each(database: Database) -> None:
    async with database.begin(1) as conn:
        await met(conn, USER)
        await met(conn, WECOM, at=later(1))
        mother, father = await person_id(conn, USER), await person_id(conn, WECOM)
        for h, state in ((USER, "granted"), (WECOM, "withdrawn")):
            row = Said(
                key=h.value,
                node_id=await node_id(conn, h),
                purpose="marketing",
                state=state,  # type: ignore[arg-type]
                source="customer",
                at=NOW,
            )
            await consents.add(conn, row, now=NOW)
        together = await service.consent_of(conn, [mother, father])
        each = [await service.consent_of(conn, [p]) for p in (mother, father)]

    assert together is not None
    assert together.state == "withdrawn"
    assert [e.state for e in each if e] == ["granted", "withdrawn"]


# -- what a colleague corrects -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "written", "kept"),
    [
        ("name", " 王莉 ", "王莉"),
        ("gender", "女", "f"),
        ("gender", "M", "m"),
        ("phone", "139 1234-5678", "+8613912345678"),
        ("phone", "+44 20 7946 0000", "+442079460000"),
        ("birthday", "2016-05-01", "2016-05-01"),
    ],
)
def test_a_corrected_value_is_kept_as_its_field_keeps_it(field: str, written: str, kept: str) -> None:
    assert clean(field, written) == kept


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("phone", "138****5678"),
        ("phone", "没有"),
        ("birthday", "2016-13-01"),
        ("gender", "x"),
        ("city", "长" * 81),
    ],
)
def test_what_a_field_cannot_be_is_refused(field: str, written: str) -> None:
    with pytest.raises(BadInput):
        clean(field, written)


async def test_a_corrected_name_is_what_the_customer_is_called_until_it_is_taken_back(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        await met(conn, USER)
        await met(conn, WECOM, at=later(1))
        one, other = await person_id(conn, USER), await person_id(conn, WECOM)
        common: Any = {"by": "staff:7", "staff_id": 7}
        await service.correct(conn, one, "name", "王莉", now=later(60), **common)
        newest = await service.correct(conn, one, "name", "汪莉", now=later(61), **common)
        await service.correct(conn, one, "city", "杭州", now=later(62), **common)
        called = await store.shown(conn, [one, other])
        await service.undo(conn, newest, by="staff:7", now=later(70))
        then = await store.shown(conn, [one])

    assert [called[one].name, called[other].name] == ["汪莉", "子涵妈妈"]
    assert then[one].name == "王莉"


async def test_a_corrected_name_goes_with_its_identifier(database: Database) -> None:
    """Of a number that changed hands the first owner's correction stays with the first owner."""
    async with database.begin(1) as conn:
        await met(conn, PHONE)
        first, np, later_id = await person_id(conn, PHONE), node_person.c, new_id()
        await service.correct(conn, first, "name", "王莉", by="x", staff_id=7, now=later(10))
        which = (np.tenant_id == 1, np.node_id == await node_id(conn, PHONE))
        await conn.run(sa.update(node_person).where(*which).values(until_at=later(500)))
        again = {"node_id": await node_id(conn, PHONE), "from_at": later(500), "person_id": later_id}
        await conn.insert(node_person, [{"tenant_id": 1, **again}])
        await conn.insert(
            person, [{"tenant_id": 1, "person_id": later_id, "first_at": later(500), "version": 1}]
        )
        called = await store.shown(conn, [first, later_id])

    assert (called[first].name, called[later_id].name) == ("王莉", "")
