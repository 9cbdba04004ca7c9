"""What the decision about a push is made of: the doors' windows, the customer's word, what went out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from scrm.accounts.service import Plugged
from scrm.contract import Sends, Window
from scrm.db import Conn
from scrm.desk import frequency
from scrm.desk.calendar import service as calendars
from scrm.desk.calendar.rules import Calendar
from scrm.desk.manners import Manners
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.rules import Entry
from scrm.push import rules, store
from scrm.push.rules import Ask, Circumstances, Decision, Door, Verdict
from scrm.timeline.rules import Talk

USUAL = Manners()
#: Answers and greetings are nobody's nuisance: nothing of the customer is asked for them.
_ASKED_FOR = ("reply", "welcome")


async def verdict(
    conn: Conn, plugged: Plugged, talk: Talk, *, in_app: bool, but: str = "", now: datetime
) -> Verdict:
    """What the platform lets us do in this conversation now."""
    sends = isinstance(plugged.plug, Sends) and plugged.plug.TALKS
    windows = cast(tuple[Window, ...], plugged.plug.WINDOWS) if sends else ()
    openings, used = [], rules.Used()
    if windows:
        since = now - timedelta(seconds=max(w.seconds for w in windows))
        openings = await store.openings(conn, talk.account_id, talk.node_id, since=since)
        used = await store.used(conn, talk, since=since, but=but)
    return rules.verdict(windows, openings, used, sends=sends, session=talk.session, in_app=in_app, now=now)


async def door(
    conn: Conn, plugged: Plugged, talk: Talk, *, in_app: bool = False, but: str = "", now: datetime
) -> Door:
    plug = plugged.plug
    sends = isinstance(plug, Sends)
    return Door(
        conversation_id=talk.conversation_id,
        channel=plugged.account.channel,
        title=plugged.title,
        verdict=await verdict(conn, plugged, talk, in_app=in_app, but=but, now=now),
        kinds=cast(Collection[str], plug.KINDS) if sends else (),
        text_limit=int(plug.TEXT_LIMIT) if sends else 0,
        last_at=talk.last_at,
        last_in_at=talk.last_in_at,
        waiting=talk.waiting_since is not None,
    )


async def decide(
    conn: Conn,
    plugged_of: Callable[[int], Plugged],
    talks: Sequence[Talk],
    ask: Ask,
    *,
    manners: Manners = USUAL,
    in_app: bool = False,
    but: str = "",
    now: datetime,
) -> Decision:
    """The decision for these conversations of one person; one of them = the channel is given.

    `but` is the key of a word that was queued before and asks again.
    """
    found = await gather(
        conn, plugged_of, talks, ask.purpose, manners=manners, in_app=in_app, but=but, now=now
    )
    return rules.decide(found.doors, ask, found.about, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """All a decision is made of. What was gathered for a push that nobody asked for serves an answer too."""

    doors: Sequence[Door]
    about: Circumstances


async def gather(
    conn: Conn,
    plugged_of: Callable[[int], Plugged],
    talks: Sequence[Talk],
    purpose: str,
    *,
    manners: Manners = USUAL,
    in_app: bool = False,
    but: str = "",
    home: identity.Household | None = None,
    now: datetime,
) -> Gathered:
    """`home`: the household, where the asker knows it already."""
    doors = [
        await door(conn, plugged_of(t.account_id), t, in_app=in_app, but=but, now=now)
        for t in talks
        if _is_working(plugged_of(t.account_id), alone=len(talks) == 1)
    ]
    about = await circumstances(conn, talks, purpose, manners=manners, but=but, home=home, now=now)
    return Gathered(doors=doors, about=about)


def _is_working(plugged: Plugged, *, alone: bool) -> bool:
    """A paused account holds what is given to it: another way is better, if there is one."""
    return alone or plugged.state == "running"


async def circumstances(
    conn: Conn,
    talks: Sequence[Talk],
    purpose: str,
    *,
    manners: Manners,
    but: str = "",
    home: identity.Household | None = None,
    now: datetime,
) -> Circumstances:
    if purpose in _ASKED_FOR:
        calendar = await calendar_of(conn, manners, now=now) if purpose == "reply" else Calendar()
        return Circumstances(calendar=calendar)
    own, others = await _people(conn, {t.node_id for t in talks}, home)
    household = own | others.keys()
    since = frequency.month_start(now)
    reached = await store.reached(conn, household, purpose, since=since, but=but)
    return Circumstances(
        calendar=await calendar_of(conn, manners, now=now),
        limits=manners.limits,
        consents=await consents.of_nodes(conn, own),
        relatives=by_person(await consents.of_nodes(conn, others), others),
        reached=reached,
        own=own,
    )


async def calendar_of(conn: Conn, manners: Manners, *, now: datetime) -> Calendar:
    return await calendars.calendar(conn, manners, now=now)


def by_person(spoken: Iterable[Entry], others: Mapping[int, int]) -> list[list[Entry]]:
    """What each of the others of a household said; `others`: the person of each of their addresses."""
    found: dict[int, list[Entry]] = defaultdict(list)
    for entry in spoken:
        if entry.node_id in others:
            found[others[entry.node_id]].append(entry)
    return list(found.values())


async def _people(
    conn: Conn, node_ids: Collection[int], home: identity.Household | None
) -> tuple[set[int], dict[int, int]]:
    """Every address of the person today, and the person of those of their household."""
    if home is not None:
        persons, owners = home.members[:1], home.owners
    else:
        persons = sorted(set((await nodes.persons_of(conn, node_ids)).values()))
        if not persons:
            return set(node_ids), {}
        owners = (await identity.household(conn, persons[0])).owners
        if len(persons) > 1:
            owners = {**owners, **await nodes.nodes_of(conn, persons)}
    own = {n for n, p in owners.items() if p in persons}
    own |= set(node_ids)
    return own, {n: p for n, p in owners.items() if n not in own}
