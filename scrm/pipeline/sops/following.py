"""Following up: what a notice means for runs, whom a date or a silence concerns today, runs that got lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from scrm import jobs
from scrm.db import Conn
from scrm.desk.calendar.rules import ZONE, day_of
from scrm.desk.tasks import service as tasks
from scrm.live import Change
from scrm.pipeline.sops import around as surroundings
from scrm.pipeline.sops import notices
from scrm.pipeline.sops.notices import Notice
from scrm.pipeline.sops.turns import Means
from scrm.playbook.sops import rules, service, versions
from scrm.playbook.sops.rules import Happened
from scrm.playbook.sops.service import Whom
from scrm.playbook.sops.store import dates, history, runs
from scrm.playbook.sops.store.dates import Found
from scrm.playbook.sops.store.history import Did
from scrm.playbook.sops.store.runs import Row
from scrm.playbook.sops.values import Plan, Start

#: A silence counts while it is not older by more than that: whoever was silent long before the SOP was
#: switched on does not come in at once with everybody else.
CATCH_UP = timedelta(days=3)
#: A date after which something is to happen may be a day late, one before which it is may not.
_LATE = timedelta(days=1)
#: Nobody looked at such a run when it was its turn.
_LOST = timedelta(minutes=10)
_DEEDS, _SAID = 500, 40


async def follow(conn: Conn, means: Means, one: Notice, *, now: datetime) -> tuple[list[Change], bool]:
    """What it begins, ends and hurries; who must look, whether something is due at once."""
    found = await surroundings.look(
        conn,
        means.directory,
        one.node_id,
        conversation_id=one.conversation_id,
        company=means.company,
        now=now,
    )
    if found is None:
        return [], False
    talk = found.talk
    whom = Whom(
        nodes=found.nodes,
        node_id=one.node_id,
        account_id=found.account_id,
        conversation_id=talk.conversation_id if talk else None,
        staff_id=talk.rep_id if talk else None,
        event_id=one.event_id,
    )
    facts = await surroundings.facts(conn, found)
    made = await service.heed(conn, whom, notices.happened(one), facts, key=one.key, now=now)
    for row in made.begun:
        made.cancelled += await _over_already(conn, row, found.nodes, one.at, now)
    return tasks.changes(made.cancelled), True


async def _over_already(
    conn: Conn, row: Row, theirs: Sequence[int], since: datetime, now: datetime
) -> list[tasks.Task]:
    """What happened after its beginning may have been followed up before it: they take turns in no order."""
    plan = (await versions.of(conn, [(row.code, row.version)]))[row.code, row.version]
    for did in sorted(await history.of_nodes(conn, theirs, since, now, limit=_DEEDS), key=lambda d: d.at):
        over = rules.over(plan, as_happened(did)) if did.at > since else None
        if over is not None:
            return await service.ended(conn, row, over, now=now)
    return []


def as_happened(did: Did) -> Happened:
    return Happened(
        at=did.at,
        stage=did.stage,
        tags=frozenset([did.tag] if did.tag else ()),
        kind=did.kind,
        spoke=did.spoke,
        words="" if did.spoke else did.words[:_SAID],
    )


# -- every hour --------------------------------------------------------------------------------------------
async def begins_today(conn: Conn) -> list[tuple[Plan, Start]]:
    """What a date or a silence may begin."""
    return [
        (plan, start)
        for plan in await versions.in_force(conn)
        for start in plan.starts
        if start.date or start.silent_days
    ]


async def sweep(
    conn: Conn, plan: Plan, start: Start, *, after: int, limit: int, now: datetime
) -> tuple[int, int]:
    """Tells of the next ones this concerns; where to go on (0 = that was all), how many were told of."""
    page = await concerned(conn, start, after=after, limit=limit, now=now)
    told = [_notice(plan, start, one, now) for one in page]
    before = await runs.begun_by(conn, plan.code, [n.key for n in told])
    fresh = await notices.tell(conn, [n for n in told if n.key not in before], now=now)
    return (page[-1].ident if len(page) == limit else 0), fresh


async def concerned(conn: Conn, start: Start, *, after: int, limit: int, now: datetime) -> Sequence[Found]:
    if not start.date:
        until = now - timedelta(days=start.silent_days)
        return await dates.silent(conn, until - CATCH_UP, until, after=after, limit=limit)
    day = day_of(now) - timedelta(days=start.days)
    first = day if start.days < 0 else day - _LATE
    return await dates.dated(
        conn, start.date, midnight(first), midnight(day + timedelta(days=1)), after=after, limit=limit
    )


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def _notice(plan: Plan, start: Start, found: Found, now: datetime) -> Notice:
    """Once per date, once per silence."""
    what = start.date or "silent"
    return Notice(
        key=f"{what}:{start.days or start.silent_days}:{found.ident}:{found.at.isoformat()}",
        node_id=found.node_id,
        at=now,
        code=plan.code,
        silent_since=None if start.date else found.at,
        conversation_id=found.conversation_id,
    )


async def rescue(conn: Conn, *, limit: int, now: datetime) -> int:
    """Runs whose turn it was long ago are due again, should their due row be gone; how many were late."""
    late = await runs.overdue(conn, before=now - _LOST, limit=limit)
    for run_id, account_id in late:
        await jobs.begin(conn, service.DUE, str(run_id), account_id, {}, at=now)
    return len(late)
