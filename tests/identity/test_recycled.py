"""A telephone number given up and sold again: fifty stories, half of them with the proof coming late.

Nobody's call is ever shown with somebody else, the two are no family, and it is told that it happened.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from scrm.contract import Handle, Link
from scrm.db import Conn, Database
from scrm.identity import policies, service
from scrm.identity.rules.memory import Engine
from scrm.identity.rules.reading import Ident, Seen
from scrm.identity.service import Sighting
from scrm.schema import node_person
from scrm.seal import new_id

POLICY = policies.read(Path(__file__).parents[2] / "config" / "identity.yaml")
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
#: What shows that it is somebody else: another identifier of an exclusive kind, or another name.
PROOFS = ("wechat_unionid", "wechat_openid", "wecom_external", "wechat_unionid+name", "name")
_NAMES = ("王伟", "李娜", "张秀英", "刘洋", "陈静", "赵敏")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One event of the story; `owner` is the truth."""

    key: str
    at: datetime
    owner: str
    phone: str
    #: (kind, value) of what the owner showed besides the number; "" = only the number.
    kind: str = ""
    name: str = ""

    @property
    def handles(self) -> tuple[Handle, ...]:
        number = Handle(kind="phone", scope="e164", value=self.phone, name=self.name)
        return (self.other, number) if self.kind else (number,)

    @property
    def other(self) -> Handle:
        return Handle(kind=self.kind, scope="s", value=f"{self.owner}-{self.phone}", name=self.name)

    @property
    def links(self) -> tuple[Link, ...]:
        return (Link(a=self.other, b=self.handles[-1], rule="register", strength=75),) if self.kind else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    acts: tuple[Act, ...]
    phone: str
    #: In the order they reach us.
    arrival: tuple[Act, ...]


def story(n: int) -> Story:
    """An owner, silence of 91 days or more, another owner.

    Every other story hears the proof last; of the rest half are heard in any order.
    """
    rng = random.Random(n)
    proof, late = PROOFS[n // 2 % len(PROOFS)], n % 2 == 1
    phone = f"+861376420{n:04}"
    kind = "" if proof == "name" else proof.partition("+")[0]
    old, new = rng.sample(_NAMES, 2)
    named = "name" in proof
    acts: list[Act] = []

    def act(day: float, owner: str, *, shows: bool, name: str = "") -> None:
        acts.append(
            Act(
                key=f"{n:03}-{len(acts):02}",
                at=BEGAN + timedelta(days=day, minutes=len(acts)),
                owner=owner,
                phone=phone,
                kind=kind if shows else "",
                name=name,
            )
        )

    act(0, "old", shows=True, name=old if named else "")
    days = sorted(rng.uniform(1, 60) for _ in range(rng.randint(1, 4)))
    for day in days:
        act(day, "old", shows=False)
    begins = days[-1] + rng.uniform(91, 300)
    # Before anything proves it the new owner calls, as somebody with this number and no more.
    calls = sorted(rng.uniform(0, 5) for _ in range(rng.randint(1, 3)))
    for after in calls:
        act(begins + after, "new", shows=False)
    act(begins + 6, "new", shows=True, name=new if named else "")
    proof_act = acts[-1]
    act(begins + 20, "new", shows=False)
    rest = [a for a in acts if a is not proof_act]
    if n % 4 == 3:
        rng.shuffle(rest)
    heard = rng.sample(acts, len(acts)) if n % 4 == 2 else acts
    return Story(acts=tuple(acts), phone=phone, arrival=(*rest, proof_act) if late else tuple(heard))


STORIES = [story(n) for n in range(50)]


def wrong(told: Story, person: dict[str, object]) -> list[str]:
    """Acts shown with somebody who did not do them: two owners, each of them one person."""
    owners = {owner: person[next(a.key for a in told.acts if a.owner == owner)] for owner in ("old", "new")}
    mixed = [a.key for a in told.acts if person[a.key] != owners[a.owner]]
    return mixed if owners["old"] != owners["new"] else [a.key for a in told.acts]


# -- in memory ---------------------------------------------------------------------------------------------
def seen(act: Act) -> Seen:
    ids = tuple(Ident(h.kind, h.scope, h.value) for h in act.handles)
    kind = "register" if act.kind else "call"
    return Seen(id=act.key, at=act.at, type=kind, slot="holder", ids=ids, name=act.name)


@pytest.mark.parametrize("n", range(50))
def test_the_engine_attributes_every_act_to_its_owner(n: int) -> None:
    told = STORIES[n]
    engine = Engine(POLICY)
    for act in told.arrival:
        engine.see([seen(act)])
    places = engine.assign()

    assert wrong(told, {key: place.person for key, place in places.items()}) == []
    homes = {places[a.key].household for a in told.acts}
    assert len(homes) == 2
    assert engine.recycled


def test_without_the_silence_it_is_one_owner_with_two_identifiers_at_odds() -> None:
    """The stories' silence decides: the same acts close together say nothing about a new owner."""
    told = STORIES[0]
    engine = Engine(POLICY)
    for n, act in enumerate(told.acts):
        close = Act(
            key=act.key, at=BEGAN + timedelta(hours=n), owner=act.owner, phone=act.phone, kind=act.kind
        )
        engine.see([seen(close)])

    assert not engine.recycled
    assert wrong(told, {key: place.person for key, place in engine.assign().items()}) != []


# -- in the database ---------------------------------------------------------------------------------------
async def owner_at(conn: Conn, act: Act) -> int:
    """Whose the number was when it was used."""
    node = await service.find(conn, act.handles[-1])
    c = node_person.c
    stmt = sa.select(c.person_id).where(
        c.tenant_id == conn.tenant_id,
        c.node_id == node,
        c.from_at <= act.at,
        sa.or_(c.until_at.is_(None), c.until_at > act.at),
    )
    (row,) = await conn.rows(stmt)
    return int(row.person_id)


async def resolve(conn: Conn, acts: Sequence[Act]) -> service.Resolved:
    batch = [Sighting(event_id=new_id(), at=a.at, key=a.key, handles=a.handles, links=a.links) for a in acts]
    return await service.resolve(conn, batch, NOW)


async def test_fifty_numbers_change_hands_and_no_act_is_shown_with_the_wrong_owner(
    database: Database,
) -> None:
    mistaken: dict[str, list[str]] = {}
    warned: set[int] = set()
    async with database.begin(1) as conn:
        for told in STORIES:
            for act in told.arrival:
                warned |= (await resolve(conn, [act])).recycled
        for told in STORIES:
            if found := wrong(told, {a.key: await owner_at(conn, a) for a in told.acts}):
                mistaken[told.phone] = found
            now, then = await owner_at(conn, told.acts[-1]), await owner_at(conn, told.acts[0])
            assert await service.household_now(conn, now) != await service.household_now(conn, then)
        numbers = {await service.find(conn, told.acts[0].handles[-1]) for told in STORIES}

    assert mistaken == {}
    assert warned == numbers
