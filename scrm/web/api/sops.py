"""The API's SOPs: versions and which is in force, runs and their steps, rehearsals that write nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from aiohttp import web

from scrm.campaigns.coupons import store as batches
from scrm.db import Conn, utcnow
from scrm.desk.calendar import rules as calendar
from scrm.desk.tasks import service as tasks
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.pipeline.sops import rehearsing
from scrm.pipeline.sops.rehearsing import DryRun, Rehearsal
from scrm.pipeline.sops.turns import Means
from scrm.playbook.library import service as shelves
from scrm.playbook.scripts import TRADES
from scrm.playbook.sops import files, service, versions
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.store.versions import Head, Version
from scrm.playbook.sops.values import Plan
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.resources import Page
from scrm.web.house import House, actor, house

_STATES = ("running", "done", "met", "stopped", "failed")
NO_TRADE = "没有“{trade}”这个行业，可用的有 {known}。"


# -- what goes in and out ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Sop:
    code: str
    trade: str
    title: str
    #: 0 = none yet.
    live_version: int
    #: on | off (begins nothing new; what is under way goes on)
    state: str
    #: How many runs are in each state, over all versions.
    runs: Mapping[str, int]
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SopVersion:
    code: str
    version: int
    #: draft | live | retired
    state: str
    #: file | page | import
    source: str
    #: As it would stand in a file.
    content: Mapping[str, Any]
    note: str
    #: What works but may not be meant.
    warnings: Sequence[str]
    created_at: datetime
    published_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SopStep:
    step: str
    kind: str
    #: done | waiting (a colleague was asked) | skipped
    state: str
    why: str
    planned_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SopRun:
    id: str
    code: str
    version: int
    conversation: str
    #: running | done (to its end) | met (the goal) | stopped | failed
    state: str
    step: str
    why: str
    started_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    steps: Sequence[SopStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class SopIn:
    trade: str
    content: dict[str, Any]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    code: str
    version: int
    #: What is under way stays on its version, or goes over to this one.
    running: Literal["keep", "migrate"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    code: str
    version: int
    #: Runs that went over.
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    code: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    run: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearse:
    """A version that is there (0 = the one in force), or `content` that is not."""

    code: str = ""
    version: int = 0
    content: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunIn(Rehearse):
    days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateIn(Rehearse):
    conversation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One family's way. Without names and words for those who see no customers."""

    name: str
    start: datetime
    steps: Sequence[Mapping[str, Any]]
    ended_at: datetime | None
    state: str
    why: str
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunOut:
    families: int
    messages: int
    tasks: int
    shown: Sequence[Tried]
    more: bool


# -- reading -----------------------------------------------------------------------------------------------
async def list_sops(request: web.Request) -> Page[Sop]:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        heads = await store.heads(conn)
        counted = await runs.counts(conn)
        plans = await versions.of(conn, {(h.code, h.live_version) for h in heads})
    return Page(
        items=[_sop(h, plans.get((h.code, h.live_version)), counted.get(h.code, {})) for h in heads],
        next_cursor=None,
    )


def _sop(head: Head, plan: Plan | None, counted: Mapping[tuple[int, str], int]) -> Sop:
    by_state = {name: sum(n for (_, s), n in counted.items() if s == name) for name in _STATES}
    return Sop(
        code=head.code,
        trade=head.trade,
        title=plan.title if plan else "",
        live_version=head.live_version,
        state=head.state,
        runs=by_state,
        changed_at=head.changed_at,
    )


async def list_versions(request: web.Request) -> Page[SopVersion]:
    found, who, code = house(request), actor(request), request.query["code"]
    async with found.db.read(who.tenant_id) as conn:
        known = await store.versions(conn, code)
        coupons = [b.code for b in await batches.batches(conn)]
    if not known:
        raise NotFound(versions.NO_SOP)
    return Page(items=[_version(one, found, coupons) for one in known], next_cursor=None)


def _version(one: Version, at: House, coupons: Sequence[str]) -> SopVersion:
    plan = versions.read(one.content, one.code, one.version)
    return SopVersion(
        code=one.code,
        version=one.version,
        state=one.state,
        source=one.source,
        content=one.content,
        note=one.note,
        warnings=[str(w) for w in files.warnings(plan, calendar.quiet(at.manners.quiet_hours), coupons)],
        created_at=one.created_at,
        published_at=one.published_at,
    )


async def list_runs(request: web.Request) -> Page[SopRun]:
    found, who, limit = house(request), actor(request), limit_of(request)
    state = request.query.get("state", "")
    if state and state not in _STATES:
        raise BadInput(f"state 可用的有 {'、'.join(_STATES)}。")
    await audited(request, "api.sop_runs.read")
    async with found.db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "sop_run")
        page = await runs.page(conn, request.query["code"], state=state, before=before, limit=limit + 1)
        steps = await runs.steps(conn, [r.run_id for r in page[:limit]])
        items = [_run(conn, r, steps[r.run_id]) for r in page[:limit]]
        cursor = conn.vault.public("sop_run", page[limit - 1].run_id) if len(page) > limit else None
    return Page(items=items, next_cursor=cursor)


def _run(conn: Conn, row: runs.Row, steps: Sequence[runs.Taken]) -> SopRun:
    talk = row.conversation_id
    return SopRun(
        id=conn.vault.public("sop_run", row.run_id),
        code=row.code,
        version=row.version,
        conversation=conn.vault.public("conversation", talk) if talk else "",
        state=row.state,
        step=row.step,
        why=row.why,
        started_at=row.started_at,
        next_at=row.next_at,
        ended_at=row.ended_at,
        steps=[
            SopStep(step=s.step, kind=s.kind, state=s.state, why=s.why, planned_at=s.planned_at, at=s.at)
            for s in steps
        ],
    )


# -- writing -----------------------------------------------------------------------------------------------
async def create_draft(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, SopIn)
    if wanted.trade not in TRADES:
        raise BadInput(NO_TRADE.format(trade=wanted.trade, known="、".join(TRADES)))
    plan = _read(wanted.content)

    async def act(conn: Conn) -> SopVersion:
        scripts = (await shelves.load(conn, found.library, now=utcnow())).ids
        made = await versions.draft(
            conn, wanted.trade, plan, scripts, by=who.staff_id, note=wanted.note, now=utcnow()
        )
        await audit(conn, who.label, "sop.draft", now=utcnow(), subject=f"sop:{made.code}@{made.version}")
        return _version(made, found, [b.code for b in await batches.batches(conn)])

    return act


def _read(content: Mapping[str, Any]) -> Plan:
    (plan,) = files.parse([{"version": 1, **content}], where="content")
    return plan


async def publish_version(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, Publish)

    async def act(conn: Conn) -> Published:
        now = utcnow()
        moved = await versions.publish(conn, wanted.code, wanted.version, wanted.running, now=now)
        subject = f"sop:{wanted.code}@{wanted.version}"
        await audit(conn, who.label, f"sop.publish.{wanted.running}", now=now, subject=subject)
        return Published(code=wanted.code, version=wanted.version, moved=moved)

    return act


async def switch(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, Switch)

    async def act(conn: Conn) -> Sop:
        now = utcnow()
        head = await versions.switch(conn, wanted.code, on=wanted.on, now=now)
        await audit(conn, who.label, f"sop.{head.state}", now=now, subject=f"sop:{head.code}")
        plans = await versions.of(conn, [(head.code, head.live_version)])
        counted = (await runs.counts(conn)).get(head.code, {})
        return _sop(head, plans.get((head.code, head.live_version)), counted)

    return act


async def stop_run(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, Stop)

    async def act(conn: Conn) -> SopRun:
        run_id, now = conn.vault.private("sop_run", wanted.run), utcnow()
        cancelled = await service.stop(conn, run_id, wanted.why, now=now)
        row = await runs.get(conn, run_id)
        if row is None:
            raise NotFound(versions.NO_SOP)
        await audit(conn, who.label, "sop.stop", now=now, subject=f"sop_run:{run_id}")
        conn.after_commit(lambda: found.live.publish(conn.tenant_id, tasks.changes(cancelled)))
        return _run(conn, row, (await runs.steps(conn, [run_id]))[run_id])

    return act


# -- rehearsals --------------------------------------------------------------------------------------------
async def dry_run(request: web.Request) -> Act:
    """Worked out on a snapshot before the answer's own transaction begins: it may take seconds."""
    found, who, wanted = house(request), actor(request), await body_of(request, DryRunIn)
    if not 1 <= wanted.days <= rehearsing.FARTHEST.days:
        raise BadInput(rehearsing.TOO_FAR.format(days=rehearsing.FARTHEST.days))
    await audited(request, "api.sop_dry_run")
    now = utcnow()
    async with found.db.read(who.tenant_id) as conn:
        plan = await _plan(conn, found, wanted)
        made = await rehearsing.dry_run(conn, _means(found), plan, now - timedelta(days=wanted.days), now=now)
    shown = _counted(made, everything=scope(who).everything)

    async def act(_conn: Conn) -> DryRunOut:
        return shown

    return act


def _counted(made: DryRun, *, everything: bool) -> DryRunOut:
    shown = [_tried(one, everything=everything) for one in made.shown]
    return DryRunOut(
        families=made.families, messages=made.messages, tasks=made.tasks, shown=shown, more=made.more
    )


def _tried(one: Rehearsal, *, everything: bool) -> Tried:
    steps = one.steps if everything else tuple(replace(s, text="") for s in one.steps)
    return Tried(
        name=one.name if everything else "",
        start=one.start,
        steps=[asdict(s) for s in steps],
        ended_at=one.ended_at,
        state=one.state,
        why=one.why,
        why_not=one.why_not,
    )


async def simulate(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, SimulateIn)
    await audited(request, "api.sop_simulate")
    async with found.db.read(who.tenant_id) as conn:
        plan = await _plan(conn, found, wanted)
        ident = conn.vault.private("conversation", wanted.conversation)
        talk = await conversations.get(conn, ident, scope(who))
        if talk is None:
            raise NotFound(rehearsing.GONE)
        made = await rehearsing.simulate(conn, _means(found), plan, talk.node_id, now=utcnow())

    async def act(_conn: Conn) -> Tried:
        return _tried(made, everything=True)

    return act


async def _plan(conn: Conn, at: House, wanted: Rehearse) -> Plan:
    """Raises `BadInput` or `NotFound`."""
    if wanted.content is not None:
        plan = _read(wanted.content)
        files.prove(plan, (await shelves.load(conn, at.library, now=utcnow())).ids, where="content")
        return plan
    head = await store.head(conn, wanted.code)
    number = wanted.version or (head.live_version if head else 0)
    plans = await versions.of(conn, [(wanted.code, number)])
    if (wanted.code, number) not in plans:
        raise NotFound(versions.NO_VERSION)
    return plans[wanted.code, number]


def _means(at: House) -> Means:
    return Means(directory=at.directory, library=at.library, company=at.settings.company, manners=at.manners)


_CODE = Query(name="code", about="Of the SOP", required=True)

ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/sops",
        summary="SOPs: which version is in force, how many runs are in which state",
        policy=Policy.API_ADMIN,
        answer=Page[Sop],
        handler=list_sops,
    ),
    Endpoint(
        method="POST",
        path="/sops",
        summary="A new version of an SOP, as a draft",
        policy=Policy.API_ADMIN,
        answer=SopVersion,
        handler=create_draft,
        body=SopIn,
        status=201,
    ),
    Endpoint(
        method="GET",
        path="/sops/versions",
        summary="Every version of an SOP, newest first",
        policy=Policy.API_ADMIN,
        answer=Page[SopVersion],
        handler=list_versions,
        queries=(_CODE,),
    ),
    Endpoint(
        method="POST",
        path="/sops/publish",
        summary="New runs begin with this version; those under way stay on theirs or go over",
        policy=Policy.API_ADMIN,
        answer=Published,
        handler=publish_version,
        body=Publish,
    ),
    Endpoint(
        method="POST",
        path="/sops/state",
        summary="Switch an SOP on or off; off begins nothing new",
        policy=Policy.API_ADMIN,
        answer=Sop,
        handler=switch,
        body=Switch,
    ),
    Endpoint(
        method="GET",
        path="/sops/runs",
        summary="Runs of an SOP with the steps they took, newest first",
        policy=Policy.API_ADMIN,
        answer=Page[SopRun],
        handler=list_runs,
        queries=(_CODE, Query(name="state", about="running, done, met, stopped or failed"), *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/sops/runs/stop",
        summary="Stop a run",
        policy=Policy.API_ADMIN,
        answer=SopRun,
        handler=stop_run,
        body=Stop,
    ),
    Endpoint(
        method="POST",
        path="/sops/dry-run",
        summary="What an SOP would have done in the last days: how many messages to how many families",
        policy=Policy.API_ADMIN,
        answer=DryRunOut,
        handler=dry_run,
        body=DryRunIn,
    ),
    Endpoint(
        method="POST",
        path="/sops/simulate",
        summary="Dates and words of an SOP for one family",
        policy=Policy.API_DATA,
        answer=Tried,
        handler=simulate,
        body=SimulateIn,
    ),
)
