"""Whose conversation it is: given out by rules, taken, handed on, released; put off and closed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm.db import Conn
from scrm.desk import rules as desk_rules
from scrm.desk import service as desk
from scrm.desk import store as desk_store
from scrm.desk.rules import Candidate, Decision, Rule
from scrm.desk.store import Move
from scrm.desk.tasks import service as tasks
from scrm.errors import BadInput, Conflict
from scrm.identity import store as identity
from scrm.live import Change
from scrm.staff.rules import Scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations, hands

MOVED = "这个会话刚刚换了人接待，请看一眼再操作。"
_EVERYTHING = Scope(everything=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A conversation before and after: whoever watches either must look again."""

    before: Talk
    after: Talk

    @property
    def changes(self) -> list[Change]:
        return [*{c.topic: c for talk in (self.before, self.after) for c in watched(talk)}.values()]


def watched(talk: Talk) -> list[Change]:
    """The queues this conversation is in, and the pages that show it."""
    topics = [f"team:{talk.team_id or 0}", f"node:{talk.node_id}"]
    topics += [f"rep:{talk.rep_id}"] if talk.rep_id else []
    return [Change(topic=t, ident=talk.conversation_id, version=talk.version) for t in topics]


# -- by rules ----------------------------------------------------------------------------------------------
async def due(
    conn: Conn, account_ids: Collection[int], *, return_wait_s: int, now: datetime, limit: int = 200
) -> list[int]:
    """Conversations the rules would move now; reads only, decided again by `give`."""
    wait = timedelta(seconds=return_wait_s)
    found = await hands.unsettled(conn, account_ids, offered_before=now - wait, limit=limit)
    people: dict[int | None, list[Candidate]] = {}
    moving = []
    for talk in found:
        if talk.team_id not in people:
            people[talk.team_id] = await _candidates(conn, talk.team_id, now=now)
        decision = await _decide(conn, talk, people[talk.team_id], return_wait_s=return_wait_s, now=now)
        if decision.rule:
            moving.append(talk.conversation_id)
    return moving


async def give(conn: Conn, conversation_id: int, *, return_wait_s: int, now: datetime) -> Moved | None:
    """Give it to whom the rules say; None when meanwhile there is nothing to do. Happens once.

    One decision at a time per tenant: two must not count on the same free place.
    """
    await conn.lock("desk")
    talk = await conversations.get(conn, conversation_id, _EVERYTHING, lock=True)
    if talk is None or not _is_unsettled(talk, now - timedelta(seconds=return_wait_s)):
        return None
    people = await _candidates(conn, talk.team_id, but=talk.conversation_id, now=now)
    decision = await _decide(conn, talk, people, return_wait_s=return_wait_s, now=now)
    if not decision.rule:
        return None
    if decision.rep_id is None:
        after = await hands.change(conn, talk, rep_id=None, offered_at=None)
    else:
        after = await hands.change(conn, talk, rep_id=decision.rep_id, offered_at=now, state="open")
        await desk_store.set_assigned(conn, decision.rep_id, now=now)
    await _record(conn, talk, after, decision.rule, now=now, facts=dict(decision.facts))
    return Moved(before=talk, after=after)


def _is_unsettled(talk: Talk, offered_before: datetime) -> bool:
    """As `hands.unsettled` asks the database, on the row as it is now that we hold it."""
    if talk.waiting_since is None or talk.snooze_until is not None or talk.session != "api":
        return False
    if talk.offered_at is not None:
        return talk.rep_id is not None and talk.offered_at <= offered_before
    return talk.state == "new"


async def _candidates(
    conn: Conn, team_id: int | None, *, but: int | None = None, now: datetime
) -> list[Candidate]:
    seats = await desk.online(conn, team_id, now=now)
    return desk.candidates(seats, await hands.loads(conn, [s.staff_id for s in seats], but=but, now=now))


async def _decide(
    conn: Conn, talk: Talk, people: list[Candidate], *, return_wait_s: int, now: datetime
) -> Decision:
    since = talk.waiting_since or now
    tried = await desk_store.tried(conn, talk.conversation_id, since=since)
    if talk.offered_at is not None and talk.rep_id is not None:
        return desk_rules.pass_on(people, holder=talk.rep_id, tried=tried, waited_s=return_wait_s, now=now)
    last = talk.last_rep_id or talk.rep_id or await hands.last_rep(conn, await _nodes(conn, talk))
    return desk_rules.assign(people, last_rep=last, holder=talk.rep_id, tried=tried, now=now)


async def _nodes(conn: Conn, talk: Talk) -> list[int]:
    """Every address of the person this conversation is with."""
    person = (await identity.persons_of(conn, [talk.node_id])).get(talk.node_id)
    spans = await identity.intervals(conn, person) if person else []
    return [s.node_id for s in spans] or [talk.node_id]


# -- by hand -----------------------------------------------------------------------------------------------
async def take(conn: Conn, talk: Talk, *, by: int, now: datetime) -> Moved:
    """`by` looks after it from now on."""
    return await _choose(conn, talk, "take", rep_id=by, by=by, now=now)


async def hand(conn: Conn, talk: Talk, *, to: int, by: int, now: datetime) -> Moved:
    """To a colleague who may have it. Raises `BadInput` for anybody else."""
    known = {s.staff_id for s in await desk_store.colleagues(conn, talk.team_id)}
    if to not in known:
        raise BadInput("只能转给本组在职的同事。")
    return await _choose(conn, talk, "take" if to == by else "hand", rep_id=to, by=by, now=now)


async def hand_to_team(conn: Conn, talk: Talk, *, team_id: int, by: int, now: datetime) -> Moved:
    """Into another team's queue, where the rules or a colleague take it up."""
    if team_id not in await desk_store.teams(conn) or team_id == talk.team_id:
        raise BadInput("请选择另一个小组。")
    after = await hands.change(conn, talk, rep_id=None, offered_at=None, state="new", team_id=team_id)
    await _record(conn, talk, after, "team", by=by, now=now)
    return Moved(before=talk, after=after)


async def release(conn: Conn, talk: Talk, *, by: int, now: datetime) -> Moved:
    """Back into the team's queue; the rules do not give it to the same rep again for this question."""
    after = await hands.change(conn, talk, rep_id=None, offered_at=None, state="new")
    await _record(conn, talk, after, "release", by=by, now=now)
    return Moved(before=talk, after=after)


async def pool(conn: Conn, talk: Talk, *, by: int | None = None, now: datetime) -> Moved:
    """Into the public pool: nobody's until it is taken, or the customer writes."""
    after = await hands.pool(conn, talk, now=now)
    await _record(conn, talk, after, "pool", by=by, now=now)
    return Moved(before=talk, after=after)


async def pick(conn: Conn, talk: Talk, *, by: int, now: datetime) -> Moved:
    """Out of the public pool, into the hands of `by`."""
    after = await hands.change(conn, talk, rep_id=by, offered_at=None, state="open", closed_at=None)
    await _record(conn, talk, after, "pick", by=by, now=now)
    return Moved(before=talk, after=after)


async def hand_over(conn: Conn, talk: Talk, *, to: int, by: int | None, now: datetime) -> Moved:
    """With everything as it is: what is closed stays closed, who waits goes on waiting."""
    after = await hands.change(conn, talk, rep_id=to, last_rep_id=to, offered_at=None)
    await _record(conn, talk, after, "hand", by=by, now=now)
    return Moved(before=talk, after=after)


def demand_unmoved(talk: Talk, seen_rep: int | None) -> None:
    """Raises `Conflict` when somebody else has it than the page showed."""
    if talk.rep_id != seen_rep:
        raise Conflict(MOVED)


async def _choose(conn: Conn, talk: Talk, rule: Rule, *, rep_id: int, by: int, now: datetime) -> Moved:
    if talk.rep_id == rep_id and talk.offered_at is None and talk.state != "closed":
        return Moved(before=talk, after=talk)
    after = await hands.change(conn, talk, rep_id=rep_id, offered_at=None, state="open", closed_at=None)
    await _record(conn, talk, after, rule, by=by, now=now)
    return Moved(before=talk, after=after)


async def _record(
    conn: Conn,
    before: Talk,
    after: Talk,
    rule: Rule,
    *,
    by: int | None = None,
    now: datetime,
    facts: dict[str, int] | None = None,
) -> None:
    move = Move(
        conversation_id=before.conversation_id,
        rule=rule,
        at=now,
        from_id=before.rep_id,
        to_id=after.rep_id,
        by_id=by,
        team_id=after.team_id if rule == "team" else None,
        facts=facts or {},
    )
    await desk_store.record(conn, move)
    handed = tasks.Handed(conversation_id=before.conversation_id, was=before.rep_id, is_now=after.rep_id)
    await tasks.follow(conn, [handed])


# -- put off and closed ------------------------------------------------------------------------------------
async def snooze(conn: Conn, talk: Talk, until: datetime) -> Moved:
    """Out of sight until then, or until the customer writes."""
    if talk.state == "closed":
        raise BadInput("会话已经结束，不用稍后处理。")
    after = await hands.change(conn, talk, snooze_until=until, offered_at=None)
    return Moved(before=talk, after=after)


async def wake(conn: Conn, talk: Talk) -> Moved:
    return Moved(before=talk, after=await hands.change(conn, talk, snooze_until=None))


async def close(conn: Conn, talk: Talk, *, now: datetime) -> Moved:
    """Nothing is left to do; the customer's next words open it again."""
    after = await hands.change(
        conn, talk, state="closed", closed_at=now, waiting_since=None, snooze_until=None, offered_at=None
    )
    return Moved(before=talk, after=after)


async def reopen(conn: Conn, talk: Talk) -> Moved:
    return Moved(before=talk, after=await hands.change(conn, talk, state="open", closed_at=None))
