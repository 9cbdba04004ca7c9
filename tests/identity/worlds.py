"""Small hostile histories by the handful: worlds that share a tenant and a batch, and no identifier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from itertools import chain

import sqlalchemy as sa
from hypothesis import strategies as st

from scrm.contract import Handle, Link
from scrm.db import Conn
from scrm.identity import decisions, store
from scrm.identity.gathering import Sighting
from scrm.identity.rules import Address, address
from scrm.identity.rules.policy import Policy
from scrm.identity.store import nodes
from scrm.schema import event, evidence, evidence_state, node, node_person
from tests.ground import NOW, handle

#: Histories in one transaction: what costs is the statement, not the row.
WORLDS = 5
LATER = NOW + timedelta(days=400)
NAMES = ("", "", "", "王伟", "李娜", "王女士", "开心果")
Story = list[Sighting]


def inhabitants(world: int) -> list[Handle]:
    w = f"w{world}-"
    return [
        _number(world, 0),
        handle(f"{w}o0"),
        handle(f"{w}u0", kind="wechat_unionid"),
        handle(f"{w}a0", kind="app_user", scope="app"),
        handle(f"{w}o1"),
        # So far those that few stories are about.
        handle(f"{w}o2"),
        handle(f"{w}u1", kind="wechat_unionid"),
        *(_number(world, n) for n in range(1, 3)),
        handle(f"{w}a1", kind="app_user", scope="app"),
        handle(f"{w}x", kind="wecom_external", scope="corp"),
        handle(f"{w}l", kind="learner", scope="app"),
        *(handle(f"{w}d{n}", kind="device", scope="") for n in range(2)),
    ]


def _number(world: int, n: int) -> Handle:
    return handle(f"+861391234{world + 56}{n:02}", kind="phone", scope="e164")


PEOPLE = [inhabitants(world) for world in range(WORLDS)]
EVERYBODY = list(chain.from_iterable(PEOPLE))
#: Identifiers of a world, and so many of them where all is to meet on few.
MANY, FEW = len(PEOPLE[0]), 5


@st.composite
def story(draw: st.DrawFn, world: int, *, most: int = 10, since: int = 0, among: int = MANY) -> Story:
    """What is seen in one world; `since` days after the beginning, and with keys of its own."""
    mine, made, indexes = PEOPLE[world], [], st.integers(0, among - 1)
    for n in range(draw(st.integers(1, most))):
        shown = [mine[i] for i in draw(st.lists(indexes, min_size=1, max_size=2, unique=True))]
        name = draw(st.sampled_from(NAMES))
        first = Handle(kind=shown[0].kind, scope=shown[0].scope, value=shown[0].value, name=name)
        pairs = draw(st.lists(st.tuples(indexes, indexes), max_size=3))
        links = [_link(draw, first if a == 0 else mine[a], mine[b]) for a, b in pairs]
        days = since + draw(st.sampled_from((0, 0, 1, 40, 100, 101, 250)))
        made.append(
            Sighting(
                event_id=since * 10**6 + world * 1000 + n + 1,
                at=NOW + timedelta(days=days, seconds=draw(st.integers(0, 2))),
                key=f"k{since}-{world}-{n}",
                handles=[first, *shown[1:]],
                links=links,
                rep=draw(st.sampled_from(("", "", "1", "2", "3", "4", "5", "6"))),
            )
        )
    return made


def _link(draw: st.DrawFn, a: Handle, b: Handle) -> Link:
    family = draw(st.integers(0, 3)) == 0
    if family:
        return Link(a=a, b=b, rule="statement", strength=75, kind="same_household")
    strength = draw(st.sampled_from((100, 80, 60)))
    return Link(a=a, b=b, rule=f"r{strength}", strength=strength)


def stories(*, most: int = 10, since: int = 0, among: int = 0) -> st.SearchStrategy[Story]:
    """One history of each world, in a row; where nothing is said every other world is a narrow one."""
    each = [
        story(world, most=most, since=since, among=among or (FEW if world % 2 else MANY))
        for world in range(WORLDS)
    ]
    return st.tuples(*each).map(lambda told: list(chain.from_iterable(told)))


async def known(conn: Conn) -> dict[Address, int]:
    """Nodes of everybody who was met, by address."""
    keys = {store.value_key(conn, h): address(h) for h in EVERYBODY}
    return {keys[key]: k.node_id for key, k in (await nodes.by_value_key(conn, keys)).items()}


# -- what must hold whatever was said (I1, I4, I6, I9) -----------------------------------------------------
async def invariants(conn: Conn, policy: Policy) -> None:
    """Read from the tables alone: no engine says what is right here."""
    at = await conn.rows(sa.select(node_person).where(node_person.c.tenant_id == conn.tenant_id))
    facts = {r.node_id: r for r in await conn.rows(sa.select(node).where(node.c.tenant_id == conn.tenant_id))}
    said = await conn.rows(
        sa.select(evidence, evidence_state.c.standing)
        .outerjoin(
            evidence_state,
            sa.and_(
                evidence_state.c.tenant_id == evidence.c.tenant_id,
                evidence_state.c.evidence_id == evidence.c.evidence_id,
            ),
        )
        .where(evidence.c.tenant_id == conn.tenant_id, evidence.c.retracted_at.is_(None))
    )
    people: dict[int, set[int]] = defaultdict(set)
    for r in at:
        people[r.person_id].add(r.node_id)
    recycled = {r.node_id for r in at if r.until_at is not None}
    words = _words(said)
    for person_id, members in people.items():
        strong = {n for n in members if policy.kind(facts[n].kind).merge}
        if not members & recycled:
            assert person_id == _founder([facts[n] for n in strong or members])
        assert len(strong) <= policy.person_cap
        assert _one_of_each(policy, [facts[n] for n in strong]) or _linked(words, strong)
        assert _hangs_together(strong, said)
    _last_words_stand(words, at, recycled)


def _founder(mine: Iterable[sa.Row[tuple[object, ...]]]) -> int:
    return int(min(mine, key=lambda r: (r.first_at, r.first_key, r.birth_id)).birth_id)


def _one_of_each(policy: Policy, mine: Iterable[sa.Row[tuple[object, ...]]]) -> bool:
    slots: dict[tuple[str, str], int] = defaultdict(int)
    for r in mine:
        if policy.kind(r.kind).exclusive:
            slots[r.kind, r.scope] += 1
    return all(many <= policy.kind(kind).exclusive for (kind, _), many in slots.items())


def _words(said: Iterable[sa.Row[tuple[object, ...]]]) -> dict[tuple[int, int], str]:
    """The newest human word about each pair of persons."""
    newest: dict[tuple[int, int], tuple[object, str]] = {}
    for r in said:
        cls = str(r._mapping["class"])
        if r.origin in ("rep", "admin") and cls.endswith("same_person"):
            newest[r.node_a, r.node_b] = max(
                newest.get((r.node_a, r.node_b), (r.last_at, cls)), (r.last_at, cls)
            )
    return {pair: cls for pair, (_, cls) in newest.items()}


def _linked(words: dict[tuple[int, int], str], mine: Collection[int]) -> bool:
    return any(cls == "same_person" and {*pair} <= {*mine} for pair, cls in words.items())


def _hangs_together(mine: set[int], said: Sequence[sa.Row[tuple[object, ...]]]) -> bool:
    near: dict[int, set[int]] = defaultdict(set)
    for r in said:
        if r._mapping["class"] == "same_person" and r.standing is None:
            near[r.node_a].add(r.node_b)
            near[r.node_b].add(r.node_a)
            assert r.first_event_id or r.actor_id, "every piece of evidence cites an event or a human"
    reached, todo = set[int](), [*mine][:1]
    while todo:
        n = todo.pop()
        if n not in reached:
            reached.add(n)
            todo += near[n] & mine
    return reached == mine


def _last_words_stand(
    words: dict[tuple[int, int], str],
    at: Iterable[sa.Row[tuple[object, ...]]],
    recycled: Collection[int],
) -> None:
    owners: dict[int, set[int]] = defaultdict(set)
    for r in at:
        owners[r.node_id].add(r.person_id)
    quarrel = "not_same_person" in words.values()
    for (a, b), cls in words.items():
        if cls == "not_same_person":
            assert not owners[a] & owners[b], "a rule joined whom a human parted"
        elif not quarrel and not {a, b} & {*recycled}:
            assert owners[a] == owners[b], "a rule parted whom a human joined"


async def events_by_node(conn: Conn) -> dict[int, int]:
    """How many rows of the timeline hang on each identifier."""
    stmt = sa.select(event.c.node_id, sa.func.count().label("n")).where(event.c.tenant_id == conn.tenant_id)
    return {r.node_id: r.n for r in await conn.rows(stmt.group_by(event.c.node_id))}


RULES = tuple(decisions.RULES)
