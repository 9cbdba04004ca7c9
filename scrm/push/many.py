"""One word to many customers at once, told by the vendor: the same decision for each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from scrm.accounts.service import Plugged
from scrm.contract import Handle, Reaches
from scrm.db import Conn
from scrm.desk import frequency
from scrm.desk.calendar.rules import Calendar
from scrm.desk.frequency import Reached
from scrm.desk.manners import Manners
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.rules import Entry
from scrm.push import looking, rules, store
from scrm.push.content import Content
from scrm.push.rules import Ask, Circumstances, Decision, Door, Verdict

#: Customers weighed in one go.
AT_ONCE = 100
_REACHED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Who may be told now, and why the others may not."""

    goes: tuple[str, ...] = ()
    #: A sentence for each of the others.
    left_out: Mapping[str, str] = field(default_factory=dict)
    #: Our nodes of those who may.
    nodes: Collection[int] = ()
    #: Of those who may: whom we have never met, so that nothing of them is known.
    strangers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    own: Collection[int]
    household: Collection[int]
    #: The person of each address of the others.
    others: Mapping[int, int]
    #: What `push.reach` locks for this household.
    lock: str


def hour(plugged: Plugged, reaches: Reaches, calendar: Calendar, *, now: datetime) -> Decision:
    """Whether this is an hour to tell anybody anything; `wait_until` when it is not."""
    return _decide(plugged, reaches, Circumstances(calendar=calendar), now=now)


async def weigh(
    conn: Conn,
    plugged: Plugged,
    reaches: Reaches,
    items: Sequence[str],
    *,
    manners: Manners,
    calendar: Calendar,
    already: Sequence[Reached] = (),
    lock: bool = False,
    now: datetime,
) -> Weighed:
    """For at most `AT_ONCE` of them, in the order of the list.

    `already`: who was let through before and is not written down. `lock`: they are, by the caller.
    """
    known = await _known(conn, plugged, reaches, items)
    people = await _people(conn, set(known.values()))
    if lock:
        for name in sorted({p.lock for p in people.values()}):
            await conn.lock(name)
    everybody = {n for p in people.values() for n in (*p.own, *p.household)}
    since = frequency.month_start(now)
    reached = await store.reached(conn, everybody, reaches.purpose, since=since, limit=_REACHED)
    reached += [r for r in already if r.node_id in everybody]
    spoke = await consents.who_spoke(conn, everybody)
    goes, left_out = [], {}
    for item in dict.fromkeys(items):
        person = people.get(known.get(item, 0))
        if person is None:
            goes.append(item)
            continue
        about = Circumstances(
            calendar=calendar,
            limits=manners.limits,
            consents=await consents.of_nodes(conn, spoke & set(person.own)),
            relatives=await _relatives(conn, person, spoke),
            reached=[r for r in reached if r.node_id in person.household],
            own=person.own,
        )
        found = _decide(plugged, reaches, about, now=now)
        if found.sends and found.wait_until is None:
            goes.append(item)
            reached.append(Reached(node_id=known[item], at=now))
        else:
            left_out[item] = reason(found)
    told = {known[item] for item in goes if item in known}
    strangers = sum(item not in known for item in goes)
    return Weighed(goes=tuple(goes), left_out=left_out, nodes=told, strangers=strangers)


async def foresee(
    conn: Conn, plugged: Plugged, reaches: Reaches, items: Sequence[str], *, manners: Manners, now: datetime
) -> tuple[Decision, Weighed]:
    """What would become of the whole list at the first hour that is not quiet. Writes nothing."""
    calendar = await looking.calendar_of(conn, manners, now=now)
    when = hour(plugged, reaches, calendar, now=now)
    then, already = when.wait_until or now, list[Reached]()
    goes, left_out, met, strangers = list[str](), dict[str, str](), set[int](), 0
    for chunk in chunks(items):
        one = await weigh(
            conn, plugged, reaches, chunk, manners=manners, calendar=calendar, already=already, now=then
        )
        goes += one.goes
        left_out |= one.left_out
        met |= set(one.nodes)
        strangers += one.strangers
        already += [Reached(node_id=n, at=then) for n in sorted(one.nodes)]
    return when, Weighed(goes=tuple(goes), left_out=left_out, nodes=met, strangers=strangers)


def chunks(items: Sequence[str]) -> list[Sequence[str]]:
    each = list(dict.fromkeys(items))
    return [each[n : n + AT_ONCE] for n in range(0, len(each), AT_ONCE)]


async def nodes_of(conn: Conn, plugged: Plugged, reaches: Reaches, items: Sequence[str]) -> set[int]:
    return set((await _known(conn, plugged, reaches, items)).values())


def reason(found: Decision) -> str:
    """Why not now."""
    return found.why or next((s.sentence for s in found.spoken if s.weight == "wait"), "")


def _decide(plugged: Plugged, reaches: Reaches, about: Circumstances, *, now: datetime) -> Decision:
    """The vendor tells them: no window is asked for, everything else is."""
    door = Door(
        conversation_id=0,
        channel=plugged.account.channel,
        title=plugged.title,
        verdict=Verdict(way="api"),
        kinds=("text",),
        text_limit=0,
        last_at=now,
    )
    return rules.decide([door], Ask(content=Content(text="…"), purpose=reaches.purpose), about, now=now)


async def _known(conn: Conn, plugged: Plugged, reaches: Reaches, items: Sequence[str]) -> dict[str, int]:
    scope = plugged.account.realm
    keys = {item: nodes.value_key(conn, Handle(kind=reaches.kind, scope=scope, value=item)) for item in items}
    found = await nodes.by_value_key(conn, list(keys.values()))
    return {item: found[key].node_id for item, key in keys.items() if key in found}


async def _people(conn: Conn, node_ids: Collection[int]) -> dict[int, _Person]:
    """By node. Only who lives with others is asked for their household."""
    persons = await nodes.persons_of(conn, node_ids)
    owners = await nodes.nodes_of(conn, set(persons.values()))
    tied = await nodes.households_of(conn, persons.values())
    made: dict[int, _Person] = {}
    for node_id in node_ids:
        person = persons.get(node_id, node_id)
        own = {node_id, *(n for n, p in owners.items() if p == person)}
        family = await identity.family(conn, person) if person in tied else [person]
        theirs = await nodes.nodes_of(conn, family) if person in tied else {}
        others = {n: p for n, p in theirs.items() if p != person}
        lock = f"reach:{min(family)}"
        made[node_id] = _Person(own=own, household={*own, *theirs}, others=others, lock=lock)
    return made


async def _relatives(conn: Conn, person: _Person, spoke: Collection[int]) -> list[list[Entry]]:
    others = {n: p for n, p in person.others.items() if n in spoke}
    return looking.by_person(await consents.of_nodes(conn, others), others)
