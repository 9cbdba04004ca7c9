"""The API's opportunities, coupons and tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aiohttp import web

from scrm.campaigns.coupons import rules as coupon_rules
from scrm.campaigns.coupons import service as coupons
from scrm.campaigns.coupons import store as coupon_store
from scrm.db import Conn, utcnow
from scrm.desk import stages
from scrm.desk import store as desk
from scrm.desk.stages import STAGES
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.sales import service as sales
from scrm.sales import store as catalog
from scrm.sales.opportunities import rules, service, store
from scrm.sales.tags import service as tags
from scrm.sales.tags import store as tag_store
from scrm.seal import new_id
from scrm.staff.rules import Policy, scope
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.web.api.endpoint import PAGED, Act, Endpoint, Query, audited, before_of, body_of, limit_of
from scrm.web.api.reaching import addressed
from scrm.web.api.resources import Page
from scrm.web.house import actor, house

_STATES = frozenset(rules.STATES)


# -- opportunities -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """`amount` in fen. `stage` is one of the nine every trade shares, `stage_name` what yours calls it."""

    id: str
    node_id: str
    #: new | renewal | referral
    kind: str
    business_line: str
    product: str
    name: str
    amount: int | None
    stage: str
    stage_name: str
    #: open | won | lost
    state: str
    opened_at: datetime
    moved_at: datetime
    closed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityIn:
    """Opens one, or gives the family's open one of this kind and line.

    `product` is a code of the catalog; without `amount` it is today's official price.
    """

    conversation_id: str
    kind: Literal["new", "renewal", "referral"] = "new"
    business_line: str = ""
    product: str = ""
    name: str = ""
    amount: int | None = None
    stage: str = "first-contact"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveIn:
    """`version` = the one you looked at; null = whatever it is now."""

    opportunity_id: str
    stage: str = ""
    state: Literal["open", "won", "lost"] = "open"
    why: str = ""
    version: int | None = None


async def list_opportunities(request: web.Request) -> Page[Opportunity]:
    """Of customers the asker may see; a page may be shorter than asked for and still not the last."""
    who, limit = actor(request), limit_of(request)
    state, stage = request.query.get("state", ""), request.query.get("stage", "")
    if (state and state not in _STATES) or (stage and stage not in STAGES):
        raise BadInput("state 或 stage 看不懂，请看接口文档。")
    await audited(request, "api.opportunities.read")
    async with house(request).db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "opportunity")
        known = next((s for s in rules.STATES if s == state), None)
        found = await store.page(
            conn, state=known, stage=stage, staff_ids=None, before=before, limit=limit + 1
        )
        mine = found[:limit]
        if not scope(who).everything:
            visible = await conversations.visible_nodes(conn, scope(who), [o.node_id for o in mine])
            mine = [o for o in mine if o.node_id in visible]
        last = found[limit - 1].opportunity_id if len(found) > limit else None
        cursor = conn.vault.public("opportunity", last) if last is not None else None
        trade = await desk.trade(conn)
        return Page(items=[_opportunity(conn, o, trade) for o in mine], next_cursor=cursor)


def _opportunity(conn: Conn, one: rules.Opportunity, trade: str) -> Opportunity:
    return Opportunity(
        id=conn.vault.public("opportunity", one.opportunity_id),
        node_id=conn.vault.public("node", one.node_id),
        kind=one.kind,
        business_line=one.business_line,
        product=one.product_code,
        name=one.product,
        amount=one.amount,
        stage=one.stage,
        stage_name=stages.name(one.stage, trade),
        state=one.state,
        opened_at=one.opened_at,
        moved_at=one.moved_at,
        closed_at=one.closed_at,
        version=one.version,
    )


async def open_opportunity(request: web.Request) -> Act:
    wanted = await body_of(request, OpportunityIn)

    async def act(conn: Conn) -> Opportunity:
        talk = await _talk(request, conn, wanted.conversation_id)
        known = await catalog.product_of(conn, wanted.product) if wanted.product else None
        if wanted.product and known is None:
            raise NotFound("没有这个商品，请先添加。")
        order = service.Wanted(
            key=f"api:{new_id():x}",
            node_id=talk.node_id,
            account_id=talk.account_id,
            kind=wanted.kind,
            business_line=wanted.business_line or (known.business_line if known else ""),
            product_code=wanted.product,
            product=wanted.name or (known.name if known else ""),
            amount=await sales.official(conn, wanted.product, utcnow())
            if known and wanted.amount is None
            else wanted.amount,
            stage=wanted.stage,
            staff_id=actor(request).staff_id,
        )
        one = await service.open_one(conn, order, _by(request), now=utcnow())
        await _told(request, conn, "opportunity.open", one.node_id, one.opportunity_id)
        return _opportunity(conn, one, await desk.trade(conn))

    return act


async def move_opportunity(request: web.Request) -> Act:
    wanted = await body_of(request, MoveIn)

    async def act(conn: Conn) -> Opportunity:
        ident = conn.vault.private("opportunity", wanted.opportunity_id)
        one = await store.get(conn, ident)
        talks = await _visible(request, conn, one.node_id) if one else []
        if not talks:
            raise NotFound(service.GONE)
        moved = await service.move(
            conn,
            ident,
            rules.Move(stage=wanted.stage, state=wanted.state, why=wanted.why),
            _by(request),
            key=f"api:{new_id():x}",
            account_id=talks[0].account_id,
            now=utcnow(),
            seen=wanted.version,
        )
        await _told(request, conn, "opportunity.move", moved.node_id, ident)
        return _opportunity(conn, moved, await desk.trade(conn))

    return act


def _by(request: web.Request) -> service.By:
    return service.By(source="rep", staff_id=actor(request).staff_id)


async def _visible(request: web.Request, conn: Conn, node_id: int) -> list[Talk]:
    """Conversations with the family of this address that the asker may see."""
    home = await service.family(conn, node_id)
    return await conversations.visible_of_nodes(conn, scope(actor(request)), home)


async def _talk(request: web.Request, conn: Conn, conversation: str) -> Talk:
    (talk,), _ = await addressed(request, conn, conversation, "")
    return talk


async def _told(request: web.Request, conn: Conn, action: str, node_id: int, ident: int) -> None:
    """Written down, and shown on open pages; react reviews what was noted."""
    await audit(conn, actor(request).label, f"api.{action}", now=utcnow(), subject=f"node:{node_id}")
    changes: Sequence[Change] = [Change(topic=f"node:{node_id}", ident=ident, version=1)]
    found = house(request)
    conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
    conn.after_commit(found.wake_react)


# -- coupons -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Coupons of one kind. Amounts in fen, `share` in ten-thousandths of the price (8500 = 8.5 折)."""

    id: str
    code: str
    name: str
    #: off | discount
    kind: str
    amount: int | None
    share: int | None
    min_amount: int | None
    product: str
    #: 0 = without limit, both of them.
    stock: int
    per_household: int
    starts_at: datetime
    ends_at: datetime
    #: open | stopped
    state: str
    issued: int
    redeemed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponIn:
    """`batch` is the code of one. Issuing says nothing to the customer: push the code yourself."""

    conversation_id: str
    batch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    id: str
    batch: str
    #: What the customer shows.
    code: str
    node_id: str
    #: issued | redeemed | withdrawn
    state: str
    issued_at: datetime


async def list_batches(request: web.Request) -> Page[Batch]:
    who, limit = actor(request), limit_of(request)
    async with house(request).db.read(who.tenant_id) as conn:
        before = before_of(conn, request, "coupon_batch")
        found = await coupon_store.batches(conn, before=before, limit=limit + 1)
        counts = await coupon_store.counts(conn, [b.batch_id for b in found[:limit]])
        cursor = conn.vault.public("coupon_batch", found[limit - 1].batch_id) if len(found) > limit else None
        return Page(items=[_batch(conn, b, counts[b.batch_id]) for b in found[:limit]], next_cursor=cursor)


def _batch(conn: Conn, one: coupon_rules.Batch, counts: dict[str, int]) -> Batch:
    return Batch(
        id=conn.vault.public("coupon_batch", one.batch_id),
        code=one.code,
        name=one.name,
        kind=one.kind,
        amount=one.fen,
        share=one.share,
        min_amount=one.min_fen,
        product=one.product_code,
        stock=one.stock,
        per_household=one.per_household,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        state=one.state,
        issued=sum(n for state, n in counts.items() if state != "withdrawn"),
        redeemed=counts.get("redeemed", 0),
    )


async def issue_coupon(request: web.Request) -> Act:
    wanted = await body_of(request, CouponIn)

    async def act(conn: Conn) -> Coupon:
        talk = await _talk(request, conn, wanted.conversation_id)
        batch = await coupon_store.batch_of(conn, wanted.batch)
        if batch is None:
            raise NotFound(coupons.NO_BATCH)
        one = await coupons.issue(
            conn,
            batch.batch_id,
            talk.node_id,
            await service.family(conn, talk.node_id),
            key=f"api:{new_id():x}",
            staff_id=actor(request).staff_id,
            account_id=talk.account_id,
            now=utcnow(),
        )
        await _told(request, conn, "coupon.issue", talk.node_id, one.coupon_id)
        return Coupon(
            id=conn.vault.public("coupon", one.coupon_id),
            batch=batch.code,
            code=one.code,
            node_id=conn.vault.public("node", one.node_id),
            state=one.state,
            issued_at=one.issued_at,
        )

    return act


# -- tags --------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    name: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Of the customer's whole household, by name."""

    items: list[Tagged]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagsIn:
    conversation_id: str
    add: list[str]
    remove: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagsChanged:
    added: list[str]
    removed: list[str]


async def list_tags(request: web.Request) -> Tags:
    await audited(request, "api.tags.read")
    async with house(request).db.read(actor(request).tenant_id) as conn:
        talk = await _talk(request, conn, request.query["conversation_id"])
        found = await tag_store.of_nodes(conn, await service.family(conn, talk.node_id))
    return Tags(items=[Tagged(name=name, at=at) for name, at in found.items()])


async def change_tags(request: web.Request) -> Act:
    wanted = await body_of(request, TagsIn)

    async def act(conn: Conn) -> TagsChanged:
        talk = await _talk(request, conn, wanted.conversation_id)
        home = await service.family(conn, talk.node_id)
        changed = await tags.change(
            conn,
            tags.Whom(node_id=talk.node_id, nodes=home, account_id=talk.account_id),
            add=wanted.add,
            remove=wanted.remove,
            staff_id=actor(request).staff_id,
            key="api",
            now=utcnow(),
        )
        await _told(request, conn, "tags.change", talk.node_id, talk.conversation_id)
        return TagsChanged(added=list(changed.added), removed=list(changed.removed))

    return act


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/opportunities",
        summary="Opportunities, newest first",
        policy=Policy.API_DATA,
        answer=Page[Opportunity],
        handler=list_opportunities,
        queries=(
            Query(name="state", about="open, won or lost; all of them when not given"),
            Query(name="stage", about="One of the nine stages; all of them when not given"),
            *PAGED,
        ),
    ),
    Endpoint(
        method="POST",
        path="/opportunities",
        summary="Open an opportunity for the family of a conversation",
        policy=Policy.API_TALK,
        answer=Opportunity,
        handler=open_opportunity,
        body=OpportunityIn,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/opportunities/move",
        summary="Move an opportunity to a stage, win it or give it up",
        policy=Policy.API_TALK,
        answer=Opportunity,
        handler=move_opportunity,
        body=MoveIn,
    ),
    Endpoint(
        method="GET",
        path="/coupons",
        summary="Batches of coupons with how many were issued and used, newest first",
        policy=Policy.API_DATA,
        answer=Page[Batch],
        handler=list_batches,
        queries=PAGED,
    ),
    Endpoint(
        method="POST",
        path="/coupons",
        summary="Issue one coupon of a batch to the customer of a conversation",
        policy=Policy.API_TALK,
        answer=Coupon,
        handler=issue_coupon,
        body=CouponIn,
        status=201,
    ),
    Endpoint(
        method="GET",
        path="/tags",
        summary="Tags of a customer's household",
        policy=Policy.API_DATA,
        answer=Tags,
        handler=list_tags,
        queries=(Query(name="conversation_id", about="A conversation with any of them", required=True),),
    ),
    Endpoint(
        method="POST",
        path="/tags",
        summary="Put tags on a household or take them off",
        policy=Policy.API_TALK,
        answer=TagsChanged,
        handler=change_tags,
        body=TagsIn,
    ),
)
