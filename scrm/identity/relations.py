"""Words, cards, names and documents become relations; what they make certain becomes evidence of one family.

Written once per event, however often it is read. Who is meant may be known at once, later, or never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from scrm.contract import Handle, Link
from scrm.db import Conn
from scrm.identity import proposals, service, statements
from scrm.identity import store as nodes
from scrm.identity.kin import store
from scrm.identity.kin.rules import WAYS
from scrm.identity.kin.store import Related
from scrm.identity.statements.words import given
from scrm.seal import new_id

CARD, NICKNAME, ADDED = "card", "nickname", "event.contact.added"
#: How sure a statement is about whom it means, by how it names them.
_SURE: Mapping[str, float] = {"phone": 0.9, "card": 0.8, "account": 0.7, "child": 0.6, "unknown": 0.0}
_CONFIRMED = 60
#: Whose card it is when such words stand next to it: nobody of the family.
_NO_FAMILY = ("朋友", "同事", "闺蜜", "邻居", "同学", "介绍", "推荐", "宝妈", "客户", "亲戚")
#: So many households of learners of one name are looked at; more say nothing.
_NAMESAKES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event with its opened body."""

    event_id: int
    account_id: int
    source_key: str
    at: datetime
    kind: str
    direction: str = "none"
    node_id: int | None = None
    #: The rep it was said to.
    staff_id: int | None = None
    text: str = field(default="", repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        return f"{self.account_id}|{self.source_key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A name a channel gave an identifier."""

    event_id: int
    account_id: int
    at: datetime
    node_id: int
    name: str = field(repr=False)
    staff_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Whose person or household may be another one now."""

    persons: frozenset[int] = frozenset()
    households: frozenset[int] = frozenset()

    def __or__(self, other: Learned) -> Learned:
        return Learned(persons=self.persons | other.persons, households=self.households | other.households)


def tells(kind: str, direction: str, text: str) -> bool:
    """Whether this event may say something about a family: nearly none does."""
    if kind == ADDED:
        return True
    if direction != "in":
        return False
    return kind == "message.card" or (kind == "message.text" and bool(statements.heard(text)))


async def learn(conn: Conn, batch: Sequence[Heard], *, now: datetime) -> Learned:
    """Write down what these say and turn into evidence what is certain."""
    rows: list[Related] = []
    for one in batch:
        if one.kind == ADDED:
            continue
        rows += await _card(conn, one, now) if one.kind == "message.card" else _said(conn, one)
    new = await store.note(conn, rows)
    found = [await _found(conn, r, _words_of(batch, r), now) for r in rows if r.relation_id in new]
    found += await _carded(conn, [r for r in rows if r.relation_id in new and r.rule == CARD])
    found += await _confirmed(conn, batch)
    certain = [r for r in found if r is not None]
    known = {r.relation_id for r in certain}
    for row in rows:
        if row.relation_id in new and row.relation_id not in known:
            await _suggest(conn, row, _words_of(batch, row), now=now)
    return await tie(conn, certain, now=now)


async def _suggest(conn: Conn, row: Related, words: str, *, now: datetime) -> None:
    """Probable, not certain: a human is asked. Of a name that several families share nobody is."""
    if row.rule == CARD and row.node_b is not None:
        said = await store.texts(conn, row.node_a, row.at - WAYS.near, row.at + WAYS.near)
        if not _speaks_of_others(said):
            await _ask(conn, row, row.node_b, "给我们转发过对方的名片", "card", now=now)
        return
    if row.target != "child" or row.type not in statements.FAMILY:
        return
    by_home, _ = await _namesakes(conn, row)
    if len(by_home) == 1:
        (found,) = by_home.values()
        other = min(one.node_id for one in found)
        await _ask(conn, row, other, f"说过“{words}”，和这位学员同名", "statement", now=now)


async def _ask(conn: Conn, row: Related, other: int, why: str, source: str, *, now: datetime) -> None:
    await proposals.suggest(conn, row.node_a, other, "same_household", [why], source=source, now=now)


def _speaks_of_others(said: Sequence[str]) -> bool:
    return any(word in text for text in said for word in _NO_FAMILY)


def _words_of(batch: Sequence[Heard], row: Related) -> str:
    one = next(h for h in batch if h.event_id == row.event_id)
    return one.text[row.said_from : row.said_to]


def _said(conn: Conn, one: Heard) -> list[Related]:
    if one.node_id is None:
        return []
    return [_row(conn, one, n, one.node_id, said) for n, said in enumerate(statements.heard(one.text))]


def _row(conn: Conn, one: Heard, n: int, node_id: int, said: statements.Statement) -> Related:
    child = said.target.value if said.target.kind == "child" else ""
    name_key, full_key = name_keys(conn, child)
    return Related(
        relation_id=new_id(),
        key=f"{one.key}#{n}",
        at=one.at,
        event_id=one.event_id,
        account_id=one.account_id,
        staff_id=one.staff_id,
        node_a=node_id,
        type=said.relation,
        rule=f"statement.{said.relation}",
        kin=said.speaker,
        strength=round(100 * said.confidence * _SURE[said.target.kind]),
        said_from=said.start,
        said_to=said.end,
        target=said.target.kind,
        name_key=name_key,
        full_key=full_key,
    )


def name_keys(conn: Conn, child: str) -> tuple[bytes | None, bytes | None]:
    """Of the given name, and of the whole name where there is a surname."""
    if not child:
        return None, None
    short = given(child)
    return store.name_key(conn, short), store.name_key(conn, child) if short != child else None


async def hold(conn: Conn) -> None:
    """Before the first of several looks at identity in one transaction, or two would wait in a circle."""
    await conn.lock("identity")


# -- who is meant --------------------------------------------------------------------------------------------
async def _found(conn: Conn, row: Related, words: str, now: datetime) -> Related | None:
    """The row with the other one in it; None while nobody knows."""
    if row.rule == CARD or row.type not in statements.FAMILY:
        return None
    if row.target == "phone":
        other = await _by_phone(conn, row, words, now)
    elif row.target == "child":
        other = await _by_name(conn, row)
    elif row.target == "card":
        other = await _by_card(conn, row)
    else:
        other = await _own_learner(conn, row) if row.target == "account" else None
    return replace(row, node_b=other) if other is not None and other != row.node_a else None


async def _by_phone(conn: Conn, row: Related, words: str, now: datetime) -> int | None:
    number = next((s.target.value for s in statements.heard(words) if s.target.kind == "phone"), "")
    if not number:
        return None
    handle = Handle(kind="phone", scope="e164", value=f"+86{number}", part="about")
    return await _node_of(conn, row, handle, now)


async def _node_of(conn: Conn, row: Related, handle: Handle, now: datetime) -> int:
    """The node of somebody only spoken of; it exists from then on."""
    return (await _nodes_of(conn, row.event_id, row.at, row.key, [handle], now))[0]


async def _nodes_of(
    conn: Conn, event_id: int, at: datetime, key: str, handles: Sequence[Handle], now: datetime
) -> list[int]:
    await hold(conn)
    # Behind what the event itself shows: who was only spoken of is not the elder.
    seen = service.Sighting(event_id=event_id, at=at, key=f"{key}~", handles=handles)
    resolved = await service.resolve(conn, [seen], now)
    return [resolved.nodes[(h.kind, h.scope, h.value)] for h in handles]


async def _by_card(conn: Conn, row: Related) -> int | None:
    """The owner of the card this one forwarded next to these words."""
    cards = await store.near(conn, row.node_a, [CARD], row.at - WAYS.near, row.at + WAYS.near)
    nearest = min(cards, key=lambda c: (abs(c.at - row.at), c.relation_id), default=None)
    return nearest.node_b if nearest else None


async def _own_learner(conn: Conn, row: Related) -> int | None:
    """The one child of the household that speaks."""
    home = (await store.households(conn, [row.node_a])).get(row.node_a)
    if home is None:
        return None
    members = await store.members(conn, home)
    learners = await store.kind_of(conn, list(members), "learner")
    return learners[0][0] if len({members[n] for n, _ in learners}) == 1 else None


async def _by_name(conn: Conn, row: Related) -> int | None:
    """The learner of this name, where only one household can be meant."""
    by_home, own = await _namesakes(conn, row)
    home = await _meant(conn, row, by_home, own)
    return min(one.node_id for one in by_home[home]) if home is not None else None


async def _namesakes(conn: Conn, row: Related) -> tuple[dict[int, list[store.Learner]], int | None]:
    """Learners of this name by household, and the household of who speaks."""
    if row.name_key is None:
        return {}, None
    known = [
        one
        for one in await store.learners(conn, [row.name_key])
        if not (row.full_key and one.full_key) or row.full_key == one.full_key
    ]
    homes = await store.households(conn, [row.node_a, *(one.node_id for one in known)])
    by_home: dict[int, list[store.Learner]] = {}
    for one in known:
        if one.node_id in homes:
            by_home.setdefault(homes[one.node_id], []).append(one)
    return by_home, homes.get(row.node_a)


async def _meant(
    conn: Conn, row: Related, by_home: Mapping[int, Sequence[store.Learner]], own: int | None
) -> int | None:
    """The speaker's own household; the only one of this rep; the only one with this whole name."""
    if own in by_home:
        return own
    if not by_home or len(by_home) > _NAMESAKES:
        return None
    if row.staff_id is not None:
        met = [
            home
            for home in sorted(by_home)
            if await store.met_by(conn, list(await store.members(conn, home)), row.staff_id)
        ]
        return met[0] if len(met) == 1 else None
    exact = [h for h, found in by_home.items() if row.full_key and any(o.full_key for o in found)]
    return exact[0] if len(exact) == 1 and len(by_home) == 1 else None


# -- cards -------------------------------------------------------------------------------------------------
async def _card(conn: Conn, one: Heard, now: datetime) -> list[Related]:
    """Somebody forwarded a contact's card: whose, and that they did."""
    told = (one.body.get("others") or {}).get("card")
    if one.node_id is None or not told:
        return []
    handle = Handle(kind=told[0], scope=told[1], value=told[2], part="about")
    (owner,) = await _nodes_of(conn, one.event_id, one.at, one.key, [handle], now)
    if owner == one.node_id:
        return []
    card = Related(
        relation_id=new_id(),
        key=f"{one.key}#card",
        at=one.at,
        event_id=one.event_id,
        account_id=one.account_id,
        staff_id=one.staff_id,
        node_a=one.node_id,
        node_b=owner,
        type="other",
        rule=CARD,
        strength=_CONFIRMED,
        target="card",
    )
    return [card]


async def _carded(conn: Conn, cards: Sequence[Related]) -> list[Related | None]:
    """Words that stood next to a card before it came, and cards whose owner was added already."""
    found: list[Related | None] = []
    rules = [f"statement.{r}" for r in sorted(statements.FAMILY)]
    for card in cards:
        said = await store.near(conn, card.node_a, rules, card.at - WAYS.near, card.at + WAYS.near)
        found += [replace(s, node_b=card.node_b) for s in said if s.target == "card" and s.node_b is None]
        owner = card.node_b or 0
        for _, at in await store.added(conn, [owner], ADDED):
            found.append(await _confirming(conn, card, at))
    return found


async def _confirmed(conn: Conn, batch: Sequence[Heard]) -> list[Related | None]:
    """Somebody whose card was forwarded has been added."""
    added = {h.node_id: h.at for h in batch if h.kind == ADDED and h.node_id is not None}
    cards = await store.forwarded(conn, sorted(added), CARD)
    return [await _confirming(conn, card, added[card.node_b or 0]) for card in cards]


async def _confirming(conn: Conn, card: Related, added_at: datetime) -> Related | None:
    if not card.at - WAYS.near <= added_at <= card.at + WAYS.confirms:
        return None
    said = await store.texts(conn, card.node_a, card.at - WAYS.near, card.at + WAYS.near)
    return None if _speaks_of_others(said) else card


# -- evidence ----------------------------------------------------------------------------------------------
async def tie(conn: Conn, rows: Iterable[Related], *, now: datetime) -> Learned:
    """What became certain is evidence of one household, by the event that said so."""
    certain = list(
        {r.relation_id: r for r in rows if r.node_b is not None and r.strength >= WAYS.floor}.values()
    )
    if not certain:
        return Learned()
    await hold(conn)
    ids = {n for r in certain for n in (r.node_a, r.node_b or 0)}
    handles = await nodes.handles(conn, sorted(ids))
    told = [r for r in certain if r.node_a in handles and r.node_b in handles]
    sightings = [
        service.Sighting(
            event_id=r.event_id,
            at=r.at,
            key=f"{r.key}~tie",
            handles=(),
            links=(_link(handles[r.node_a], handles[r.node_b or 0], r),),
        )
        for r in told
    ]
    resolved = await service.resolve(conn, sightings, now)
    await store.settle(conn, told, now=now)
    return Learned(persons=resolved.changed, households=resolved.households)


def _link(a: Handle, b: Handle, row: Related) -> Link:
    # Names were said when they were said, not now.
    first, other = replace(a, name="", avatar=""), replace(b, name="", avatar="")
    rule = "card.forward" if row.rule == CARD else row.rule
    return Link(a=first, b=other, rule=rule, strength=row.strength, kind="same_household")


# -- names -------------------------------------------------------------------------------------------------
async def named(conn: Conn, batch: Sequence[Named]) -> None:
    """What people call themselves says whose mother they are; the name itself is written nowhere here.

    Only written down: what follows from it is for later, when nothing else of identity is held.
    """
    rows = []
    for one in batch:
        said = statements.nickname(one.name)
        if said is None:
            continue
        name_key, full_key = name_keys(conn, said.child)
        key = f"nickname:{one.node_id}:{(full_key or name_key or b'').hex()[:24]}"
        row = Related(
            relation_id=new_id(),
            key=key,
            at=one.at,
            event_id=one.event_id,
            account_id=one.account_id,
            staff_id=one.staff_id,
            node_a=one.node_id,
            type=said.relation,
            rule=NICKNAME,
            kin=said.kin,
            strength=WAYS.floor,
            target="child",
            name_key=name_key,
            full_key=full_key,
        )
        rows.append(row)
    await store.note(conn, list({r.key: r for r in sorted(rows, key=_latest_first)}.values()))


def _latest_first(row: Related) -> tuple[float, str]:
    return (-row.at.timestamp(), row.key)


async def heed_names(conn: Conn, event_ids: Sequence[int], *, now: datetime) -> Learned:
    """The families that names written down with these events belong to."""
    rows = await store.named_by(conn, event_ids, NICKNAME)
    found = [await _by_name_row(conn, r) for r in rows]
    return await tie(conn, [r for r in found if r is not None], now=now)


async def _by_name_row(conn: Conn, row: Related) -> Related | None:
    other = await _by_name(conn, row)
    return replace(row, node_b=other) if other is not None and other != row.node_a else None


async def learner_named(conn: Conn, keys: Sequence[bytes], *, now: datetime) -> Learned:
    """Children of these names are learners now: who spoke of one of them before may be meant."""
    waiting = await store.waiting(conn, keys)
    found = [await _by_name_row(conn, r) for r in waiting if r.type in statements.FAMILY]
    return await tie(conn, [r for r in found if r is not None], now=now)
