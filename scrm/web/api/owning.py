"""The API's claims and rulings: whose customers are, who earns on which deal, appeals and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.ownership import claiming, deciding, service, versions
from scrm.ownership.claiming import Wanted
from scrm.ownership.deciding import By
from scrm.ownership.escalating import LATE
from scrm.ownership.rules import appeals as clock
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import CUSTOMER, Claimant, Reason, Share, claimant
from scrm.ownership.store import appeals as appeal_rows
from scrm.ownership.store import claims, deals, rulings
from scrm.ownership.store.claims import Kept
from scrm.ownership.watching import signals_of
from scrm.seal import Vault
from scrm.staff import store as staff
from scrm.staff.rules import Policy, scope
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.resources import Page
from scrm.web.house import actor, house

_KINDS = ("rep", "broker", "channel", "own")
#: A customer who sent another one.
_SENT = "老客户（介绍人）"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimantOut:
    #: rep | broker | channel | own
    kind: str
    #: A rep's staff id; the id their system gives a broker or channel; "" of the company.
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOut:
    """`node_id` is the identifier it hangs on; of a masked number one that proves nothing."""

    id: str
    node_id: str
    claimant: ClaimantOut
    #: report | visit | call | contact | signup | follow_up | referral
    kind: str
    business_line: str
    at: datetime
    told_at: datetime
    masked: bool
    complete: bool
    #: What looks wrong about it, in sentences.
    signals: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimIn:
    """`phone` in full, or its ends: 138****1234. A rep may claim for themselves only."""

    phone: str
    name: str
    kind: Literal["report", "visit", "call", "referral"] = "report"
    at: datetime | None = None
    business_line: str = ""
    #: Empty: the asker.
    claimant_kind: str = ""
    claimant_id: str = ""
    #: Code of a visit that report and visit share.
    token: str = ""
    #: The claimant's own number and device, where their system knows them.
    own_number: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOut:
    claimant: ClaimantOut
    #: Basis points; 10,000 is everything.
    share: int
    claim_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedOut:
    claim_id: str
    claimant: ClaimantOut
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulingOut:
    id: str
    deal_id: str
    number: str
    business_line: str
    at: datetime
    deal_at: datetime
    #: deal | claim | identity | refund | decide | appeal
    trigger: str
    #: final | pending (a human must agree)
    state: str
    winners: list[ShareOut]
    #: Sentences; the first decides.
    explanation: list[str]
    rejected: list[RefusedOut]
    policy_version: int
    #: What was paid less what was given back, fen.
    amount: int
    #: What a human wrote.
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealIn:
    #: The newest ruling of its deal.
    ruling_id: str
    #: Why, and what shows it.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealOut:
    id: str
    ruling_id: str
    at: datetime
    #: Until when it must be decided.
    due_at: datetime
    overdue: bool
    #: open | upheld | dismissed
    state: str
    #: Nobody decided in time and compliance was told; and the sentence that says so.
    escalated_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareIn:
    claimant_kind: str
    claimant_id: str = ""
    share: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionIn:
    """Agree: what waits comes into force, or the appeal is right. `winners` say whose the deal is instead."""

    ruling_id: str
    agree: bool
    why: str
    winners: list[ShareIn] = field(default_factory=list)


class Names:
    """Claimants as people know them, each looked up once."""

    def __init__(self, vault: Vault, known: Mapping[int, str]) -> None:
        self._vault, self._known = vault, known

    @classmethod
    async def of(cls, conn: Conn, who: Sequence[Claimant]) -> Names:
        ids = {int(c.ident) for c in who if c.kind == "rep" and c.ident.isdigit()}
        found = await staff.members(conn, sorted(ids)) if ids else {}
        return cls(conn.vault, {i: m.name for i, m in found.items()})

    def shown(self, who: Claimant) -> ClaimantOut:
        ident = who.ident
        if ident.startswith(CUSTOMER):
            node_id = int(ident.removeprefix(CUSTOMER))
            return ClaimantOut(kind=who.kind, id=self._vault.public("node", node_id), name=_SENT)
        if who.kind == "rep" and ident.isdigit():
            ident = self._vault.public("staff", int(ident))
        return ClaimantOut(kind=who.kind, id=ident, name=self.name(who.label))

    def name(self, label: str) -> str:
        who = claimant(label)
        if who.kind == "own":
            return "公司"
        if who.kind == "rep" and who.ident.isdigit():
            return self._known.get(int(who.ident), "已离开的同事")
        return _SENT if who.ident.startswith(CUSTOMER) else who.ident

    def say(self, why: Reason) -> str:
        return why.sentence(self.name)


def _asked(conn: Conn, request: web.Request, kind: str, ident: str) -> Claimant:
    """Whom a request means. Raises `BadInput`."""
    who = actor(request)
    if not kind:
        if who.staff_id is None:
            raise BadInput("请写明是谁的认领（claimant_kind、claimant_id）。")
        return Claimant(kind="rep", ident=str(who.staff_id))
    if kind not in _KINDS or (kind != "own") != bool(ident.strip()):
        raise BadInput("claimant_kind 只能是 rep、broker、channel 或 own；除 own 外都要写 claimant_id。")
    if kind == "rep":
        ident = str(conn.vault.private("staff", ident))
    return Claimant(kind=kind, ident=ident.strip())  # type: ignore[arg-type]  # checked above


# -- claims ------------------------------------------------------------------------------------------------
async def list_claims(request: web.Request) -> Page[ClaimOut]:
    """Of customers the asker may see, and the asker's own; a page may be shorter and still not the last."""
    who, limit = actor(request), limit_of(request)
    await audited(request, "api.claims.read")
    async with house(request).db.read(who.tenant_id) as conn:
        page = await claims.page(conn, before=before_of(conn, request, "claim"), limit=limit + 1)
        mine = page[:limit]
        if not scope(who).everything:
            seen = await conversations.visible_nodes(conn, scope(who), [k.claim.node_id for k in mine])
            own = f"rep:{who.staff_id}"
            mine = [k for k in mine if k.claim.node_id in seen or k.claim.by.label == own]
        names = await Names.of(conn, [k.claim.by for k in mine])
        items = [await _claim(conn, names, k) for k in mine]
        cursor = conn.vault.public("claim", page[limit - 1].claim.claim_id) if len(page) > limit else None
    return Page(items=items, next_cursor=cursor)


async def _claim(conn: Conn, names: Names, one: Kept) -> ClaimOut:
    c = one.claim
    return ClaimOut(
        id=conn.vault.public("claim", c.claim_id),
        node_id=conn.vault.public("node", c.node_id),
        claimant=names.shown(c.by),
        kind=c.kind,
        business_line=c.line,
        at=c.at,
        told_at=c.told_at,
        masked=c.masked,
        complete=c.named and c.phoned,
        signals=[signal.sentence for signal in await signals_of(conn, one)],
    )


async def create_claim(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, ClaimIn)
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise BadInput("登记认领必须带 Idempotency-Key，重复请求才不会记两次。")

    async def act(conn: Conn) -> ClaimOut:
        now = utcnow()
        by = _asked(conn, request, wanted.claimant_kind, wanted.claimant_id)
        if who.role == "rep" and by.label != f"rep:{who.staff_id}":
            raise BadInput("只能为自己登记；替别人或渠道登记请找主管。")
        asked = Wanted(
            claimant=by,
            kind=wanted.kind,
            phone=wanted.phone,
            at=wanted.at or now,
            name=wanted.name,
            line=wanted.business_line[:64],
            token=wanted.token[:64],
            device=wanted.device[:200],
            own_number=wanted.own_number,
        )
        kept = await claiming.enter(
            conn,
            asked,
            await versions.current(conn),
            key=f"{who.label}:{key}",
            by=who.label,
            by_id=who.staff_id,
            now=now,
        )
        await service.claimed(conn, kept, now=now)
        return await _claim(conn, await Names.of(conn, [by]), kept)

    return act


# -- rulings -----------------------------------------------------------------------------------------------
async def list_rulings(request: web.Request) -> Page[RulingOut]:
    """Of customers the asker may see; a page may be shorter than asked for and still not the last."""
    who, limit = actor(request), limit_of(request)
    state = request.query.get("state", "")
    if state not in ("", "waiting"):
        raise BadInput("state 只能是 waiting（等人决定的）或不填。")
    await audited(request, "api.rulings.read")
    async with house(request).db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "ruling")
        page = await rulings.page(conn, before=before, limit=limit + 1, waiting=bool(state))
        known = await deals.by_ids(conn, {r.deal_id for r in page[:limit]})
        mine = [r for r in page[:limit] if r.deal_id in known]
        if not scope(who).everything:
            nodes = {n for d in known.values() for n in d.nodes}
            seen = await conversations.visible_nodes(conn, scope(who), sorted(nodes))
            own = f"rep:{who.staff_id}"
            mine = [r for r in mine if seen & set(known[r.deal_id].nodes) or own in _labels(r)]
        items = [await _ruling(conn, r, known[r.deal_id]) for r in mine]
        cursor = conn.vault.public("ruling", page[limit - 1].ruling_id) if len(page) > limit else None
    return Page(items=items, next_cursor=cursor)


def _labels(one: Ruled) -> set[str]:
    return {s.by.label for s in one.shares} | {r.by.label for r in one.rejected}


async def _ruling(conn: Conn, one: Ruled, deal: deals.Kept) -> RulingOut:
    facts = {f for why in (*one.reasons, *(r.why for r in one.rejected)) for f in why.facts.values()}
    named = [claimant(f) for f in facts if f.startswith("rep:")]
    names = await Names.of(conn, [*named, *(s.by for s in one.shares), *(r.by for r in one.rejected)])

    def shown(claim_id: int | None) -> str | None:
        return None if claim_id is None else conn.vault.public("claim", claim_id)

    return RulingOut(
        id=conn.vault.public("ruling", one.ruling_id),
        deal_id=conn.vault.public("deal", deal.deal_id),
        number=deal.number,
        business_line=deal.line,
        at=one.at,
        deal_at=deal.at,
        trigger=one.trigger,
        state=one.state,
        winners=[
            ShareOut(claimant=names.shown(s.by), share=s.bp, claim_id=shown(s.claim_id)) for s in one.shares
        ],
        explanation=[names.say(why) for why in one.reasons],
        rejected=[
            RefusedOut(claim_id=shown(r.claim_id) or "", claimant=names.shown(r.by), why=names.say(r.why))
            for r in one.rejected
        ],
        policy_version=one.policy_version,
        amount=deal.amount,
        note=one.note,
    )


async def _visible(conn: Conn, request: web.Request, public: str) -> int:
    """The ruling, if the asker may see its customer or is named in it. Raises `NotFound`."""
    who, ident = actor(request), conn.vault.private("ruling", public)
    one = await rulings.get(conn, ident)
    deal = await deals.get(conn, one.deal_id) if one else None
    if one is None or deal is None:
        raise NotFound("没有这条判定。")
    if scope(who).everything or f"rep:{who.staff_id}" in _labels(one):
        return ident
    if not await conversations.visible_nodes(conn, scope(who), deal.nodes):
        raise NotFound("没有这条判定。")
    return ident


async def create_appeal(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, AppealIn)

    async def act(conn: Conn) -> AppealOut:
        now, by = utcnow(), By(label=who.label, staff_id=who.staff_id)
        ident = await _visible(conn, request, wanted.ruling_id)
        made = await deciding.appeal(conn, ident, wanted.text, by=by, now=now)
        return _appeal(conn, made, now)

    return act


def _appeal(conn: Conn, one: appeal_rows.Appeal, now: datetime) -> AppealOut:
    return AppealOut(
        id=conn.vault.public("appeal", one.appeal_id),
        ruling_id=conn.vault.public("ruling", one.ruling_id),
        at=one.at,
        due_at=one.due_at,
        overdue=clock.is_overdue(one.due_at, one.state, now=now),
        state=one.state,
        escalated_at=one.escalated_at,
        note=LATE if one.escalated_at is not None and one.state == "open" else "",
    )


async def list_appeals(request: web.Request) -> Page[AppealOut]:
    who, limit, state = actor(request), limit_of(request), request.query.get("state", "")
    if state not in ("", "open", "escalated", "upheld", "dismissed"):
        raise BadInput("state 只能是 open、escalated、upheld、dismissed 或不填。")
    await audited(request, "api.appeals.read")
    async with house(request).db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "appeal")
        page = await appeal_rows.page(conn, before=before, limit=limit + 1, state=state)
        cursor = conn.vault.public("appeal", page[limit - 1].appeal_id) if len(page) > limit else None
        items = [_appeal(conn, one, utcnow()) for one in page[:limit]]
    return Page(items=items, next_cursor=cursor)


async def decide_ruling(request: web.Request) -> Act:
    who, wanted = actor(request), await body_of(request, DecisionIn)

    async def act(conn: Conn) -> RulingOut:
        ident = await _visible(conn, request, wanted.ruling_id)
        shares = [
            Share(by=_asked(conn, request, s.claimant_kind or "own", s.claimant_id), bp=s.share)
            for s in wanted.winners
        ]
        by = By(label=who.label, staff_id=who.staff_id)
        ruled = await deciding.decide(
            conn, ident, agree=wanted.agree, why=wanted.why, by=by, now=utcnow(), shares=shares
        )
        deal = await deals.get(conn, ruled.deal_id)
        if deal is None:
            raise NotFound
        return await _ruling(conn, ruled, deal)

    return act


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/claims",
        summary="Claims on customers, newest first, with what looks wrong about them",
        policy=Policy.API_DATA,
        answer=Page[ClaimOut],
        handler=list_claims,
        queries=PAGED,
    ),
    Endpoint(
        method="POST",
        path="/claims",
        summary="Claim a customer: report them, or enter a visit, a call or a referral",
        policy=Policy.API_TALK,
        answer=ClaimOut,
        handler=create_claim,
        body=ClaimIn,
        status=201,
    ),
    Endpoint(
        method="GET",
        path="/rulings",
        summary="Whose each deal is and why, newest first",
        policy=Policy.API_DATA,
        answer=Page[RulingOut],
        handler=list_rulings,
        queries=(Query(name="state", about="`waiting`: only those a human must decide"), *PAGED),
    ),
    Endpoint(
        method="POST",
        path="/appeals",
        summary="Appeal against the newest ruling on a deal; its commission is frozen meanwhile",
        policy=Policy.API_TALK,
        answer=AppealOut,
        handler=create_appeal,
        body=AppealIn,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/rulings/decide",
        summary="Decide the appeal against a ruling, or a ruling that waits",
        policy=Policy.API_JUDGE,
        answer=RulingOut,
        handler=decide_ruling,
        body=DecisionIn,
    ),
    Endpoint(
        method="GET",
        path="/appeals",
        summary="Appeals, newest first",
        policy=Policy.API_JUDGE,
        answer=Page[AppealOut],
        handler=list_appeals,
        queries=(
            Query(name="state", about="`open`, `escalated` (open and late), `upheld`, `dismissed`"),
            *PAGED,
        ),
    ),
)
