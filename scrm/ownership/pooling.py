"""The public pool at work: reps are warned, customers fall in and are taken; claims stay as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from scrm.db import Conn
from scrm.errors import BadInput, Conflict, NotFound
from scrm.identity import store as persons
from scrm.ledger.store import audit
from scrm.ownership import versions
from scrm.ownership.deciding import By
from scrm.ownership.rules import pool as rules
from scrm.ownership.rules.policy import Pooling
from scrm.ownership.store import pool as store
from scrm.ownership.store.pool import Entry, Kept
from scrm.timeline import hands
from scrm.timeline.hands import Moved
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.timeline.store import hands as whose

_ZONE = ZoneInfo("Asia/Shanghai")
_SYSTEM = By(label="system")
GONE = "这位客户刚刚已被别的同事领取，或自己联系了我们。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One customer in one rep's hands: their conversations, and what the rules say."""

    rep_id: int
    team_id: int | None
    talks: tuple[Kept, ...]
    #: The identifier an entry hangs on, and every identifier of the customer.
    node_id: int
    nodes: frozenset[int]
    held: rules.Held


# -- looking through -----------------------------------------------------------------------------------------
async def cases(conn: Conn, found: Sequence[Kept]) -> list[Case]:
    """The customers of these conversations with all that the rules look at."""
    owners = await persons.persons_of(conn, {k.node_id for k in found})
    nodes: dict[int, set[int]] = defaultdict(set)
    for node_id, person_id in (await persons.nodes_of(conn, set(owners.values()))).items():
        nodes[person_id].add(node_id)
    everything = {n for mine in nodes.values() for n in mine} | {k.node_id for k in found}
    groups: dict[tuple[int, int], list[Kept]] = defaultdict(list)
    talks = await store.kept_of(conn, everything)
    person_of = {n: person_id for person_id, mine in nodes.items() for n in mine}
    for one in talks:
        groups[one.rep_id, person_of.get(one.node_id, one.node_id)].append(one)
    known = await _known(conn, everything, talks)
    return [
        _case(known, rep_id, group, frozenset(nodes.get(person_id, {person_id})))
        for (rep_id, person_id), group in sorted(groups.items())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    followed: dict[tuple[int, str], datetime]
    visited: set[int]
    bought: set[int]
    given: dict[int, tuple[datetime, str]]
    gone: set[int]


async def _known(conn: Conn, node_ids: Collection[int], talks: Sequence[Kept]) -> _Known:
    return _Known(
        followed=await store.followed(conn, node_ids),
        visited=await store.visited(conn, node_ids),
        bought=await store.bought(conn, node_ids),
        given=await store.given(conn, [t.conversation_id for t in talks]),
        gone=await store.gone(conn, {t.rep_id for t in talks}),
    )


def _case(known: _Known, rep_id: int, talks: Sequence[Kept], nodes: frozenset[int]) -> Case:
    label = f"rep:{rep_id}"
    did = [at for n in nodes if (at := known.followed.get((n, label)))]
    did += [t.last_at for t in talks if t.last_direction == "out"]
    given = [known.given[t.conversation_id] for t in talks if t.conversation_id in known.given]
    picked = max((at for at, rule in given if rule == "pick"), default=None)
    begun = max([*(at for at, _ in given), *(t.created_at for t in talks)])
    followed_at = max([begun, *did])
    return Case(
        rep_id=rep_id,
        team_id=talks[0].team_id,
        talks=tuple(talks),
        node_id=min(t.node_id for t in talks),
        nodes=nodes | {t.node_id for t in talks},
        held=rules.Held(
            gone=rep_id in known.gone,
            level=rules.level_of(
                bought=bool(nodes & known.bought),
                visited=bool(nodes & known.visited),
                talked=any(t.last_in_at for t in talks),
            ),
            followed_at=followed_at,
            picked_at=picked if picked is not None and followed_at <= picked else None,
        ),
    )


async def sweep(conn: Conn, *, after: int, limit: int, now: datetime) -> tuple[int, list[int]]:
    """Warn, or take warnings back, for one batch; where to go on (0 = the end) and who has to fall now.

    Who falls is decided once more by `fall`, one transaction each.
    """
    policy = (await versions.current(conn)).pool
    batch = await store.kept(conn, after=after, limit=limit)
    falling = [
        min(t.conversation_id for t in one.talks)
        for one in (await cases(conn, batch) if policy.enabled else ())
        if await _weighed(conn, one, policy, now=now) == "fall"
    ]
    return (batch[-1].conversation_id if len(batch) == limit else 0), falling


async def _weighed(conn: Conn, one: Case, policy: Pooling, *, now: datetime) -> rules.Step:
    found = rules.fate(one.held, policy, now=now)
    entry = await _entry_of(conn, one)
    step = rules.step(found, entry.falls_at if entry else None, policy, now=now)
    if step == "keep" and entry is not None:
        await store.change(conn, entry.entry_id, "kept", ended_at=now)
    elif step == "warn" and found is not None:
        await store.add(
            conn,
            store.fresh(
                node_id=one.node_id,
                from_id=one.rep_id,
                team_id=one.team_id,
                state="warned",
                rule=found.rule,
                level=one.held.level,
                facts=found.facts,
                warned_at=now,
                falls_at=rules.warned_until(found, policy, now=now),
            ),
        )
    return step


async def _entry_of(conn: Conn, one: Case) -> Entry | None:
    """The warning this rep was given about this customer."""
    found = (await store.open_of(conn, one.nodes)).values()
    return next((e for e in found if e.state == "warned" and e.from_id == one.rep_id), None)


async def fall(conn: Conn, conversation_id: int, *, now: datetime) -> list[Moved]:
    """Let the customer of this conversation fall, if that is still so now that it is held."""
    talk = await conversations.of_id(conn, conversation_id)
    if talk is None or talk.rep_id is None:
        return []
    policy = (await versions.current(conn)).pool
    one = await _held_case(conn, talk)
    if one is None or await _weighed(conn, one, policy, now=now) != "fall":
        return []
    found = rules.fate(one.held, policy, now=now)
    if found is None:
        return []
    return await _into(conn, one, found.rule, dict(found.facts), by=_SYSTEM, now=now)


async def _held_case(conn: Conn, talk: Talk) -> Case | None:
    """As it is now that its conversations are held for this transaction."""
    person = (await persons.persons_of(conn, [talk.node_id])).get(talk.node_id)
    nodes = {talk.node_id, *(await persons.nodes_of(conn, [person]) if person else ())}
    await conversations.hold(conn, nodes)
    found = await cases(conn, await store.kept_of(conn, nodes))
    return next((c for c in found if c.rep_id == talk.rep_id and talk.node_id in c.nodes), None)


async def _into(
    conn: Conn, one: Case, rule: rules.Rule, facts: dict[str, str], *, by: By, now: datetime
) -> list[Moved]:
    entry = await _entry_of(conn, one)
    if entry is not None:
        await store.change(
            conn, entry.entry_id, "in", rule=rule, facts=facts, fell_at=now, level=one.held.level
        )
        ident = entry.entry_id
    else:
        made = store.fresh(
            node_id=one.node_id,
            from_id=one.rep_id,
            team_id=one.team_id,
            state="in",
            rule=rule,
            level=one.held.level,
            facts=facts,
            fell_at=now,
        )
        if not await store.add(conn, made):
            return []  # another rep's warning about the same customer: theirs comes first
        ident = made.entry_id
    mine = {t.conversation_id for t in one.talks}
    talks = [t for t in await conversations.hold(conn, one.nodes) if t.conversation_id in mine]
    await audit(conn, by.label, f"pool.{rule}", now=now, subject=f"pool:{ident}")
    return [await hands.pool(conn, t, by=by.staff_id, now=now) for t in talks]


async def tidy(conn: Conn, *, after: int, limit: int, now: datetime) -> int:
    """Customers of the pool who came back by themselves leave it; warnings of who has them no more end."""
    found = await store.beyond(conn, after=after, limit=limit)
    waiting = await store.in_nobodys_hands(conn, {e.node_id for e in found if e.state == "in"})
    held = {(k.node_id, k.rep_id) for k in await store.kept_of(conn, {e.node_id for e in found})}
    for one in found:
        if one.state == "in" and one.node_id not in waiting:
            await store.change(conn, one.entry_id, "back", ended_at=now)
        elif one.state == "warned" and (one.node_id, one.from_id) not in held:
            await store.change(conn, one.entry_id, "kept", ended_at=now)
    await store.forget_looks(conn, day_of(now))
    return found[-1].entry_id if len(found) == limit else 0


# -- by hand -------------------------------------------------------------------------------------------------
async def give_up(conn: Conn, talk: Talk, rule: str, *, by: By, now: datetime) -> list[Moved]:
    """A rep gives up a customer of theirs. `talk` is held. Raises `BadInput`."""
    if rule not in rules.BY_HAND:
        raise BadInput("请选择放弃的原因。")
    if talk.rep_id is None or talk.rep_id != by.staff_id:
        raise BadInput("只能放弃自己名下的客户。")
    one = await _held_case(conn, talk)
    if one is None:
        raise BadInput("只能放弃自己名下的客户。")
    policy = (await versions.current(conn)).pool
    facts = {"rest": f"{policy.rest_days:g}"} if rule == "declined" else {}
    moved = await _into(conn, one, "declined" if rule == "declined" else "given", facts, by=by, now=now)
    if not moved:
        raise Conflict("另一位同事也在跟进这位客户，请先商量。")
    return moved


async def look(conn: Conn, entry: Entry, staff_id: int, *, now: datetime) -> None:
    """Count it against the day. Raises `BadInput` when the day is used up."""
    await conn.lock(f"pool:{staff_id}")
    seen = await store.looks(conn, day_of(now), staff_id)
    if entry.entry_id in seen:
        return
    policy = (await versions.current(conn)).pool
    if refused := rules.may_look(len(seen), policy):
        raise BadInput(refused.sentence())
    await store.look(conn, day_of(now), staff_id, entry.entry_id)


async def may_take(conn: Conn, entry: Entry, staff_id: int, *, now: datetime) -> rules.Refusal | None:
    """None: they may."""
    policy = (await versions.current(conn)).pool
    taker = rules.Taker(
        staff_id=staff_id,
        held=await store.held(conn, staff_id),
        taken=await store.taken(conn, staff_id, since=_midnight(now)),
    )
    return rules.may_take(
        taker,
        from_id=entry.from_id,
        rule=entry.rule,
        fell_at=entry.fell_at or now,
        policy=policy,
        now=now,
    )


async def take(conn: Conn, entry_id: int, *, by: By, now: datetime) -> list[Moved]:
    """First come, first served. Raises `BadInput`, `Conflict` when somebody was faster, or `NotFound`."""
    if by.staff_id is None:
        raise BadInput("只有同事本人可以领取客户。")
    await conn.lock(f"pool:{by.staff_id}")  # one of their own at a time: limits are counted
    entry = await store.get(conn, entry_id)
    if entry is None:
        raise NotFound("公海里没有这位客户。")
    if entry.state != "in":
        raise Conflict(GONE)
    if refused := await may_take(conn, entry, by.staff_id, now=now):
        raise BadInput(refused.sentence())
    if not await store.change(conn, entry_id, "taken", taken_by=by.staff_id, ended_at=now):
        raise Conflict(GONE)
    person = (await persons.persons_of(conn, [entry.node_id])).get(entry.node_id)
    nodes = {entry.node_id, *(await persons.nodes_of(conn, [person]) if person else ())}
    talks = await whose.pooled(conn, nodes)
    if not talks:
        raise Conflict(GONE)
    await audit(conn, by.label, "pool.taken", now=now, subject=f"pool:{entry_id}")
    return [await hands.pick(conn, t, by=by.staff_id, now=now) for t in talks]


def day_of(now: datetime) -> int:
    return int(f"{now.astimezone(_ZONE):%Y%m%d}")


def _midnight(now: datetime) -> datetime:
    return now.astimezone(_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
