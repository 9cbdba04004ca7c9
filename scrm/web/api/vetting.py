"""The API's checks: the verdict on a text, what was promised, what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput
from scrm.playbook.checks import lines
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.store import findings
from scrm.playbook.promises import service as promises
from scrm.playbook.promises import store as ledger
from scrm.playbook.promises.service import Right
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.reaching import addressed
from scrm.web.api.resources import Page
from scrm.web.house import actor, house
from scrm.web.vetting import taking
from scrm.web.vetting.gate import look

_STATES = ("", "live", "kept", "withdrawn", "replaced", "expired", "void")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    conversation_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectionOut:
    rule: str
    #: block | warn | note
    level: str
    title: str
    sentence: str
    #: Where in the text; both 0 = not about particular words.
    start: int
    end: int
    promise_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOut:
    #: ok | warn | block
    level: str
    hits: list[ObjectionOut]
    notes: list[str]
    #: The text as it could be sent; "" = nobody knows how.
    rewrite: str
    #: For `verdict` of `POST /pushes`, 120 seconds; "" when blocked.
    token: str


async def create_check(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, CheckIn)
    if not wanted.text.strip() or len(wanted.text) > 20_000:
        raise BadInput("text 不能为空，最多 20000 个字。")

    async def act(conn: Conn) -> VerdictOut:
        talks, _ = await addressed(request, conn, wanted.conversation_id, "")
        made = await look(conn, found, who, talks[0], wanted.text, now=utcnow())
        return VerdictOut(
            level=made.level,
            hits=[
                ObjectionOut(
                    rule=h.rule,
                    level=h.level,
                    title=h.title.sentence,
                    sentence=h.why.sentence,
                    start=h.start,
                    end=h.end,
                    promise_id=_public(conn, h.promise.promise_id if h.promise else None),
                )
                for h in made.hits
            ],
            notes=[n.sentence for n in made.notes],
            rewrite=made.rewrite,
            token=made.token,
        )

    return act


def _public(conn: Conn, ident: int | None) -> str | None:
    return conn.vault.public("promise", ident) if ident is not None and ident > 0 else None


# -- promises ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseOut:
    id: str
    #: message | call | manual (put right by a leader)
    source: str
    event_id: str | None
    node_id: str
    staff_id: str | None
    #: discount | price | off | gift | until | guarantee
    kind: str
    #: Of the price, in ten-thousandths: 8.5 折 = 8500. Amounts in fen.
    share: int | None
    fen: int | None
    min_fen: int | None
    text: str
    product_code: str
    product: str
    sentence: str
    made_at: datetime
    until_at: datetime | None
    #: live | kept | withdrawn | replaced | expired | void
    state: str
    why: str


async def list_promises(request: web.Request) -> Page[PromiseOut]:
    """To customers the asker may see; a page may be shorter than asked for and still not the last."""
    found, who, limit, state = (
        house(request),
        actor(request),
        limit_of(request),
        request.query.get("state", ""),
    )
    if state not in _STATES:
        raise BadInput("state 只能是 live、kept、withdrawn、replaced、expired、void 或不填。")
    await audited(request, "api.promises.read")
    async with found.db.read(who.tenant_id) as conn:
        nodes = None
        if conversation := request.query.get("conversation_id", ""):
            talks, _ = await addressed(request, conn, conversation, "")
            nodes = [talks[0].node_id]
        before = before_of(conn, request, "promise")
        page = await ledger.page(conn, node_ids=nodes, state=state, before=before, limit=limit + 1)
        mine = page[:limit]
        if not scope(who).everything:
            visible = await conversations.visible_nodes(conn, scope(who), {r.node_id for r in mine})
            mine = [r for r in mine if r.node_id in visible]
        cursor = conn.vault.public("promise", page[limit - 1].promise_id) if len(page) > limit else None
        return Page(items=[_promise(conn, r) for r in mine], next_cursor=cursor)


def _promise(conn: Conn, r: ledger.Row) -> PromiseOut:
    public = conn.vault.public
    return PromiseOut(
        id=public("promise", r.promise_id),
        source=r.source,
        event_id=public("event", r.event_id) if r.event_id else None,
        node_id=public("node", r.node_id),
        staff_id=public("staff", r.staff_id) if r.staff_id else None,
        kind=r.kind,
        share=r.share,
        fen=r.fen,
        min_fen=r.min_fen,
        text=r.text,
        product_code=r.product_code,
        product=r.product,
        sentence=lines.money(promises.kept_of(r)).sentence,
        made_at=r.made_at,
        until_at=r.until_at,
        state=r.state,
        why=r.why,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseWithdrawIn:
    promise_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseCorrectIn:
    """How it should have read; what is null stays. `share` in ten-thousandths, amounts in fen.

    `until` is the last day on which it holds, as `2026-11-30`.
    """

    promise_id: str
    why: str
    share: int | None = None
    fen: int | None = None
    min_fen: int | None = None
    until: str | None = None


async def withdraw_promise(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, PromiseWithdrawIn)

    async def act(conn: Conn) -> PromiseOut:
        ident = conn.vault.private("promise", wanted.promise_id)
        changes = await taking.withdraw(conn, who, ident, wanted.why, now=utcnow())
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
        (row,) = await ledger.some(conn, [ident])
        return _promise(conn, row)

    return act


async def correct_promise(request: web.Request) -> Act:
    found, who, wanted = house(request), actor(request), await body_of(request, PromiseCorrectIn)
    right = Right(
        share=wanted.share,
        fen=wanted.fen,
        min_fen=wanted.min_fen,
        until_at=taking.end_of(wanted.until) if wanted.until else None,
    )

    async def act(conn: Conn) -> PromiseOut:
        ident = conn.vault.private("promise", wanted.promise_id)
        made, changes = await taking.correct(conn, who, ident, right, wanted.why, now=utcnow())
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
        return _promise(conn, made)

    return act


# -- findings ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class FindingOut:
    id: str
    #: promise | words
    kind: str
    rule: str
    level: str
    title: str
    sentence: str
    event_id: str | None
    conversation_id: str | None
    staff_id: str | None
    promise_id: str | None
    at: datetime
    #: open | handed (compliance decides) | closed
    state: str
    note: str


async def list_findings(request: web.Request) -> Page[FindingOut]:
    """A leader's token sees their team's, a machine's all, a rep's their own."""
    found, who, limit, state = (
        house(request),
        actor(request),
        limit_of(request),
        request.query.get("state", ""),
    )
    if state not in ("", "open", "handed", "closed"):
        raise BadInput("state 只能是 open、handed、closed 或不填。")
    await audited(request, "api.findings.read")
    async with found.db.read(who.tenant_id) as conn:
        # Whoever sees no customers sees no words about them: an admin or an officer as a person.
        seen = scope(who)
        teams = None if seen.everything else [who.team_id] if seen.rep_id is not None else []
        before = before_of(conn, request, "finding")
        page = await findings.page(conn, team_ids=teams, state=state, before=before, limit=limit + 1)
        mine = [f for f in page[:limit] if who.role != "rep" or f.staff_id == who.staff_id]
        cursor = conn.vault.public("finding", page[limit - 1].finding_id) if len(page) > limit else None
        return Page(items=[_finding(conn, f) for f in mine], next_cursor=cursor)


def _finding(conn: Conn, f: findings.Finding) -> FindingOut:
    public = conn.vault.public
    return FindingOut(
        id=public("finding", f.finding_id),
        kind=f.kind,
        rule=f.rule,
        level=f.level,
        title=checks.line_of(f.facts.get("title")).sentence,
        sentence=checks.line_of(f.facts.get("why")).sentence,
        event_id=public("event", f.event_id) if f.event_id else None,
        conversation_id=public("conversation", f.conversation_id) if f.conversation_id else None,
        staff_id=public("staff", f.staff_id) if f.staff_id else None,
        promise_id=public("promise", f.promise_id) if f.promise_id else None,
        at=f.at,
        state=f.state,
        note=f.note,
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="POST",
        path="/checks",
        summary="The verdict on a text for a conversation, as sending would give it",
        policy=Policy.API_TALK,
        answer=VerdictOut,
        handler=create_check,
        body=CheckIn,
    ),
    Endpoint(
        method="GET",
        path="/promises",
        summary="What customers were promised, newest first",
        policy=Policy.API_DATA,
        answer=Page[PromiseOut],
        handler=list_promises,
        queries=(
            Query(name="conversation_id", about="Only to the customer of this conversation"),
            Query(name="state", about="`live`, `kept`, `withdrawn`, `replaced`, `expired`, `void`"),
            *PAGED,
        ),
    ),
    Endpoint(
        method="POST",
        path="/promises/withdraw",
        summary="Take a promise back, with a reason: leaders of whoever gave it or looks after the customer",
        policy=Policy.API_JUDGE,
        answer=PromiseOut,
        handler=withdraw_promise,
        body=PromiseWithdrawIn,
    ),
    Endpoint(
        method="POST",
        path="/promises/correct",
        summary="Put a promise right, with a reason; the answer is what stands instead",
        policy=Policy.API_JUDGE,
        answer=PromiseOut,
        handler=correct_promise,
        body=PromiseCorrectIn,
    ),
    Endpoint(
        method="GET",
        path="/findings",
        summary="What was said and should not have been, newest first",
        policy=Policy.API_DATA,
        answer=Page[FindingOut],
        handler=list_findings,
        queries=(Query(name="state", about="`open`, `handed` or `closed`"), *PAGED),
    ),
)
