"""Effect at work: what was sent is recognised, what came of it is kept, and the counts that rank by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scrm.db import Conn
from scrm.errors import BadInput, Conflict, NotFound
from scrm.playbook.effect import rules, store
from scrm.playbook.effect.rules import GOALS, OPEN, Goal, Offered, Standing
from scrm.playbook.effect.store import Cell, Day, Outcome, trials
from scrm.playbook.effect.store.trials import Trial
from scrm.playbook.prior import HALF_LIFE_DAYS, Counts, Lately, Prior
from scrm.playbook.store import Offer
from scrm.seal import new_id

#: What is older weighs less than a hundredth, and is not counted any more.
REMEMBERED = timedelta(days=180)
_LATELY = timedelta(days=30)
#: A rep who says that one does not fit means it more than one who sends another.
_UNFIT = 4
#: So long the counts in memory are good enough.
_FRESH = timedelta(minutes=2)
RUNNING = "这条话术已经有一个对比在进行，先结束它。"
SAME = "请选两个不同的版本来对比。"
NO_GOAL = "请选择对比的目标：回复、阶段推进或成交。"
NO_TRIAL = "没有这个对比。"
SENTENCES = (RUNNING, SAME, NO_GOAL, NO_TRIAL)


# -- what was sent -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message one of us sent, from a card, from a sheet or typed by hand in the vendor's app."""

    event_id: int
    conversation_id: int
    at: datetime
    text: str
    staff_id: int | None


async def heed(conn: Conn, sent: Sequence[Sent], text_of: Callable[[Offer], str]) -> None:
    """Which suggestions these were, and which were passed over. A replay changes nothing."""
    if not sent:
        return
    since = min(one.at for one in sent) - OPEN
    open_ = await store.at_stake(conn, {one.conversation_id for one in sent}, since=since)
    left: dict[int, list[Offer]] = defaultdict(list)
    for offer in open_:
        left[offer.conversation_id].append(offer)
    for one in sorted(sent, key=lambda s: (s.at, s.event_id)):
        offers = [o for o in left[one.conversation_id] if _may_be(o, one)]
        taken = await _took(conn, one, offers, text_of)
        gone = [o.suggestion_id for o in offers if o.suggestion_id != taken and o.state == "shown"]
        await store.pass_by(conn, gone)
        left[one.conversation_id] = [o for o in left[one.conversation_id] if o.suggestion_id != taken]


def _may_be(offer: Offer, one: Sent) -> bool:
    """It was there when this was sent; what was sent from its card is told by that."""
    if offer.state == "used":
        return offer.used_event_id == one.event_id
    return offer.created_at <= one.at <= offer.created_at + OPEN


async def _took(
    conn: Conn, one: Sent, offers: Sequence[Offer], text_of: Callable[[Offer], str]
) -> int | None:
    choice = [
        Offered(suggestion_id=o.suggestion_id, text=text_of(o), claimed=o.used_event_id == one.event_id)
        for o in offers
    ]
    found = rules.adopted(choice, one.text)
    if found is None:
        return None
    await store.take(conn, found, event_id=one.event_id, staff_id=one.staff_id, at=one.at)
    return found.suggestion_id


# -- what came of it ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A household did what was hoped for: anybody of it."""

    goal: Goal
    nodes: Collection[int]
    at: datetime
    event_id: int | None


async def reached(conn: Conn, told: Sequence[Reached]) -> int:
    """Written down for what was said to the household shortly before, once per goal; how many."""
    if not told:
        return 0
    since = min(one.at - GOALS[one.goal] for one in told)
    until = max(one.at for one in told)
    said = await store.sent_to(conn, {n for one in told for n in one.nodes}, since=since, until=until)
    rows: dict[tuple[int, Goal], Outcome] = {}
    for one in sorted(told, key=lambda t: (t.at, t.event_id or 0)):
        for offer in said:
            used_at = offer.used_at or offer.created_at
            if offer.node_id in one.nodes and used_at < one.at <= used_at + GOALS[one.goal]:
                outcome = Outcome(
                    suggestion_id=offer.suggestion_id, goal=one.goal, at=one.at, event_id=one.event_id
                )
                rows.setdefault((offer.suggestion_id, one.goal), outcome)
    return await store.reach(conn, [rows[key] for key in sorted(rows)])


# -- counts ------------------------------------------------------------------------------------------------
async def recount(conn: Conn, *, now: datetime) -> int:
    """The prior anew from what happened, whatever it said before; how many cells."""
    cells = await counted(conn, now=now)
    await store.set_cells(conn, cells)
    return len(cells)


async def counted(conn: Conn, *, now: datetime) -> list[Cell]:
    """What the prior is to be. Reads only."""
    found: dict[tuple[str, str, str], Cell] = {}
    for day in await store.days(conn, since=now - REMEMBERED):
        key = (day.script_id, day.stage, day.role)
        known = found.get(key)
        found[key] = _weighed(day, now) if known is None else _together(known, _weighed(day, now))
    return [found[key] for key in sorted(found)]


def _weighed(day: Day, now: datetime) -> Cell:
    at = datetime.fromtimestamp(day.day * 86_400, UTC)
    share = 0.5 ** (max((now - at).total_seconds() / 86_400, 0.0) / HALF_LIFE_DAYS)
    shown = day.shown + (_UNFIT - 1) * day.unfit
    lately = now - at <= _LATELY
    counts = Counts(
        at=now,
        shown=shown * share,
        used=day.used * share,
        edited=day.edited * share,
        ignored=day.ignored * share,
        replied=day.replied * share,
        moved=day.moved * share,
    )
    return Cell(
        script_id=day.script_id,
        stage=day.stage,
        role=day.role,
        counts=counts,
        dealt=day.dealt * share,
        lately_used=day.used + day.edited if lately else 0,
        lately_replied=day.replied if lately else 0,
    )


def _together(a: Cell, b: Cell) -> Cell:
    return Cell(
        script_id=a.script_id,
        stage=a.stage,
        role=a.role,
        counts=a.counts.plus(b.counts),
        dealt=a.dealt + b.dealt,
        lately_used=a.lately_used + b.lately_used,
        lately_replied=a.lately_replied + b.lately_replied,
    )


async def prior(conn: Conn, *, now: datetime) -> Prior:
    """The tenant's past as ranking asks for it."""
    known = await store.cells(conn)
    lately: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for cell in known:
        used, replied = lately[cell.script_id]
        lately[cell.script_id] = used + cell.lately_used, replied + cell.lately_replied
    hours = round(rules.REPLY.total_seconds() / 3600)
    return Prior(
        ((c.script_id, c.stage, c.role, c.counts) for c in known),
        now=now,
        lately={k: Lately(used=u, replied=r, hours=hours) for k, (u, r) in lately.items()},
    )


class Priors:
    """The prior of each tenant, held in memory for a few minutes."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[datetime, Prior]] = {}

    async def of(self, conn: Conn, *, now: datetime) -> Prior:
        known = self._known.get(conn.tenant_id)
        if known is None or not known[0] <= now < known[0] + _FRESH:
            known = now, await prior(conn, now=now)
            self._known[conn.tenant_id] = known
        return known[1]


# -- trials ------------------------------------------------------------------------------------------------
async def begin(
    conn: Conn, code: str, version_a: int, version_b: int, goal: str, *, by: int | None, now: datetime
) -> Trial:
    """Raises `BadInput` or, when one runs, `Conflict`."""
    wanted = next((g for g in GOALS if g == goal), None)
    if wanted is None:
        raise BadInput(NO_GOAL)
    if version_a == version_b:
        raise BadInput(SAME)
    await conn.lock(f"trial:{code}")
    if await trials.page(conn, state="running", code=code, limit=1):
        raise Conflict(RUNNING)
    one = Trial(
        trial_id=new_id(),
        code=code,
        version_a=version_a,
        version_b=version_b,
        goal=wanted,
        state="running",
        verdict="",
        by_id=by,
        started_at=now,
        stopped_at=None,
    )
    await trials.add(conn, one)
    return one


async def stop(conn: Conn, trial_id: int, *, now: datetime) -> Standing:
    """It ends with whatever can be said now; one that has ended stays as it is. Raises `NotFound`."""
    one = await trials.get(conn, trial_id)
    if one is None:
        raise NotFound(NO_TRIAL)
    standing = await stands(conn, one, now=now)
    await trials.stop(conn, trial_id, standing.verdict, now=now)
    return standing


async def stands(conn: Conn, one: Trial, *, now: datetime) -> Standing:
    return rules.trial(await trials.seen(conn, one, now=now))
