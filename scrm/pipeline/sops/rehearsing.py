"""How an SOP would go with one family, and how it would have gone with all of them: nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scrm.db import Conn
from scrm.desk.calendar.rules import Calendar, quiet_until
from scrm.desk.frequency import Reached
from scrm.errors import BadInput, NotFound
from scrm.identity import store as nodes
from scrm.pipeline.sops import around as surroundings
from scrm.pipeline.sops import following, wording
from scrm.pipeline.sops.around import Around
from scrm.pipeline.sops.turns import NO_TALK, Means
from scrm.playbook.library import service as shelves
from scrm.playbook.sops import forecast as forecasts
from scrm.playbook.sops.forecast import Course, Speaks
from scrm.playbook.sops.rules import Facts, Happened, lacking
from scrm.playbook.sops.store import dates, history
from scrm.playbook.sops.store.history import Did
from scrm.playbook.sops.values import Message, Plan, Start, Step
from scrm.push import looking
from scrm.push import rules as pushing
from scrm.push.content import Content
from scrm.push.rules import Ask, Circumstances, Door, Verdict
from scrm.push.windows import BY_HAND

#: Of history: so far back, so many beginnings and families looked at, so many shown with their words.
FARTHEST = timedelta(days=92)
_BEGINNINGS, _FAMILIES, _SHOWN, _DEEDS = 2000, 200, 20, 500

TOO_FAR = "最多往回看 {days} 天。"
GONE = "没有这个客户。"
SENTENCES = (TOO_FAR, GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One step as it would be, with its words."""

    step: str
    kind: str
    #: done (by itself) | waiting (a colleague does it) | skipped
    state: str
    at: datetime
    why: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One family's way through it; `why_not` says why it would not begin, "" = it would."""

    node_id: int
    name: str
    start: datetime
    steps: tuple[Shown, ...] = ()
    ended_at: datetime | None = None
    state: str = ""
    why: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What would have been: how many messages and tasks for how many families; `more` = there are others."""

    families: int = 0
    messages: int = 0
    tasks: int = 0
    #: The first of them, with the words.
    shown: tuple[Rehearsal, ...] = ()
    more: bool = False


async def simulate(conn: Conn, means: Means, plan: Plan, node_id: int, *, now: datetime) -> Rehearsal:
    """Dates and words for one family, were it to begin now. Raises `NotFound`."""
    means = await _with_shelves(conn, means, now)
    found = await surroundings.look(conn, means.directory, node_id, company=means.company, now=now)
    if found is None:
        raise NotFound(GONE)
    made = await _rehearsed(conn, means, plan, found, start=now, end=None, happened=(), now=now)
    facts = await surroundings.facts(conn, found)
    return replace(made, why_not=lacking(plan.when, None, facts))


async def sample(
    conn: Conn, means: Means, plan: Plan, known: Mapping[str, object], *, now: datetime
) -> Rehearsal:
    """The same for a family that is not there: it fits all conditions, `known` is what is known of it."""
    means = await _with_shelves(conn, means, now)
    calendar = await looking.calendar_of(conn, means.manners, now=now)

    def said(message: Message) -> wording.Said:
        return wording.told(means.library, message, known, plan.when.channel[0] if plan.when.channel else "")

    def speaks(facts: Facts, step: Step, at: datetime, _sent: Sequence[datetime]) -> Facts:
        by_hand = said(step.message).by_hand if step.message else ""
        return replace(facts, by_hand=by_hand, speaks_at=quiet_until(calendar, at))

    course = forecasts.forecast(plan, _fitting(plan), calendar, speaks, start=now)
    return Rehearsal(
        node_id=0,
        name="",
        start=now,
        steps=_shown(plan, course, lambda message, _at: said(message).text),
        ended_at=course.ended_at,
        state=course.state or "",
        why=course.why,
    )


def _fitting(plan: Plan) -> Facts:
    """Of somebody who may begin; where a stage begins it, they have come to that one."""
    when = plan.when
    begun = next((s.stage for s in plan.starts if s.stage), surroundings.FIRST)
    return Facts(
        stage=begun if not when.stage or begun in when.stage else when.stage[0],
        role=when.role[0] if when.role else "",
        tags=frozenset(when.tags),
        channel=when.channel[0] if when.channel else "",
        product=when.product[0] if when.product else "",
    )


async def dry_run(conn: Conn, means: Means, plan: Plan, since: datetime, *, now: datetime) -> DryRun:
    """Against what happened since: with whom it would have begun, and what they would have got by now.

    Stages, roles and tags are those of today. Raises `BadInput` for too long a time.
    """
    if now - since > FARTHEST:
        raise BadInput(TOO_FAR.format(days=FARTHEST.days))
    means = await _with_shelves(conn, means, now)
    begins = await _beginnings(conn, means, plan, since, now)
    more = len(begins) >= _BEGINNINGS
    seen: dict[int, datetime] = {}
    made: list[Rehearsal] = []
    for did in begins:
        if _lately(seen.get(did.node_id), did.at, plan):
            continue
        found = await surroundings.look(
            conn,
            means.directory,
            did.node_id,
            conversation_id=did.conversation_id,
            company=means.company,
            now=now,
        )
        if found is None or any(_lately(seen.get(n), did.at, plan) for n in found.nodes):
            continue
        if len(made) >= _FAMILIES:
            more = True
            break
        if lacking(plan.when, None, await surroundings.facts(conn, found)):
            continue
        seen |= dict.fromkeys(found.nodes, did.at)
        happened = await _afterwards(conn, found, did.at, now)
        made.append(
            await _rehearsed(
                conn,
                means,
                plan,
                found,
                start=did.at,
                end=now,
                happened=happened,
                worded=len(made) < _SHOWN,
                now=now,
            )
        )
    return _summed(made, more=more)


def _lately(before: datetime | None, at: datetime, plan: Plan) -> bool:
    return before is not None and at - before < timedelta(days=max(1, plan.again_after_days))


def _summed(made: Sequence[Rehearsal], *, more: bool) -> DryRun:
    steps = [s for one in made for s in one.steps if s.state != "skipped"]
    return DryRun(
        families=len(made),
        messages=sum(s.kind == "message" and s.state == "done" for s in steps),
        tasks=sum(s.kind == "task" or s.state == "waiting" for s in steps),
        shown=tuple(made[:_SHOWN]),
        more=more,
    )


# -- history -----------------------------------------------------------------------------------------------
async def _beginnings(conn: Conn, means: Means, plan: Plan, since: datetime, until: datetime) -> list[Did]:
    found: list[Did] = []
    for start in plan.starts:
        found += await _begun_by(conn, means, start, since, until)
    return sorted(found, key=lambda d: (d.at, d.node_id))[:_BEGINNINGS]


async def _begun_by(conn: Conn, means: Means, start: Start, since: datetime, until: datetime) -> list[Did]:
    if start.stage:
        return await history.staged(conn, start.stage, since, until, limit=_BEGINNINGS)
    if start.tag:
        return await history.tagged(conn, start.tag, since, until, limit=_BEGINNINGS)
    if start.event:
        ids = [p.account.account_id for p in means.directory.all(conn.tenant_id)]
        return await history.events(conn, start.event, ids, since, until, limit=_BEGINNINGS)
    span = timedelta(days=start.days or start.silent_days)
    begin, end = since - span, until - span
    page = (
        await dates.dated(conn, start.date, begin, end, after=0, limit=_BEGINNINGS)
        if start.date
        else await dates.silent(conn, begin, end, after=0, limit=_BEGINNINGS)
    )
    return [
        Did(
            node_id=one.node_id,
            at=following.midnight((one.at + span).date()) if start.date else one.at + span,
            conversation_id=one.conversation_id,
        )
        for one in page
    ]


async def _afterwards(conn: Conn, found: Around, since: datetime, until: datetime) -> list[Happened]:
    deeds = await history.of_nodes(conn, found.nodes, since, until, limit=_DEEDS)
    return [following.as_happened(did) for did in deeds]


async def _with_shelves(conn: Conn, means: Means, now: datetime) -> Means:
    """What is said is what this tenant says: its trades, its own versions."""
    return replace(means, library=await shelves.load(conn, means.library, now=now))


# -- one family --------------------------------------------------------------------------------------------
async def _rehearsed(
    conn: Conn,
    means: Means,
    plan: Plan,
    found: Around,
    *,
    start: datetime,
    end: datetime | None,
    happened: Sequence[Happened],
    worded: bool = True,
    now: datetime,
) -> Rehearsal:
    calendar = await looking.calendar_of(conn, means.manners, now=start)
    facts = await surroundings.facts(conn, found)
    speaks = await _speaking(conn, means, found, calendar, now=now)
    base = replace(facts, last_in_at=None, bought_at=None)
    course = forecasts.forecast(plan, base, calendar, speaks, start=start, end=end, happened=happened)
    name = (await nodes.names(conn, [found.node_id])).get(found.node_id, "")

    def words(message: Message, at: datetime) -> str:
        return wording.worded(means.library, message, found, now=at).text

    return Rehearsal(
        node_id=found.node_id,
        name=name,
        start=start,
        steps=_shown(plan, course, words if worded else None),
        ended_at=course.ended_at,
        state=course.state or "",
        why=course.why,
    )


_Words = Callable[[Message, datetime], str]


def _shown(plan: Plan, course: Course, words: _Words | None) -> tuple[Shown, ...]:
    return tuple(
        Shown(
            step=one.step,
            kind=one.kind,
            state=one.state,
            at=one.at,
            why=one.why,
            text=_text(plan.step(one.step), one.at, words) if words else "",
        )
        for one in course.planned
    )


def _text(step: Step | None, at: datetime, words: _Words) -> str:
    if step is None:
        return ""
    if step.message:
        return words(step.message, at)
    return step.task.title if step.task else step.coupon.batch if step.coupon else step.stage


async def _speaking(conn: Conn, means: Means, found: Around, calendar: Calendar, *, now: datetime) -> Speaks:
    """By push's own decision at the time it would be; the platform's windows then are not known."""
    talk = found.talk
    if talk is None:
        return lambda facts, _step, _at, _sent: replace(facts, mute=NO_TALK)
    door = await looking.door(conn, means.directory.by_id(talk.account_id), talk, now=now)
    by_hand = door.verdict.why if door.verdict.why == BY_HAND else ""
    about = await looking.circumstances(conn, [talk], "sop", manners=means.manners, now=now)
    ready = replace(door, verdict=Verdict(way="api"))

    def speaks(facts: Facts, step: Step, at: datetime, sent: Sequence[datetime]) -> Facts:
        said = wording.Said(by_hand=by_hand)
        if step.message is not None and not by_hand:
            said = wording.worded(means.library, step.message, found, now=at)
        may = _may(ready, replace(about, calendar=calendar), talk.node_id, said, at, sent)
        return replace(facts, mute=may.mute, by_hand=may.by_hand, speaks_at=may.at)

    return speaks


def _may(
    door: Door,
    about: Circumstances,
    node_id: int,
    said: wording.Said,
    at: datetime,
    sent: Sequence[datetime],
) -> wording.May:
    reached = [*about.reached, *(Reached(node_id=node_id, at=one) for one in sent)]
    ask = Ask(content=Content(kind="text", text=said.text or "…"), purpose="sop")
    found = pushing.decide([door], ask, replace(about, reached=reached), now=at)
    return wording.judged(found, said)
