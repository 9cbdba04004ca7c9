"""`/s/c/{cid}/sale`: opening, moving and describing an opportunity; `/s/c/{cid}/label`: tags."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from scrm.db import utcnow
from scrm.desk import stages
from scrm.desk import store as rooms
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.sales import rules as selling
from scrm.sales import service as sales
from scrm.sales import store as catalog
from scrm.sales.opportunities import rules, service, store
from scrm.sales.opportunities.rules import Kind, Move, Opportunity, State
from scrm.sales.opportunities.service import By, Wanted
from scrm.sales.tags import service as tags
from scrm.staff import store as staff
from scrm.timeline.rules import Talk
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, page, see_other, talk_of, wants_fragment
from scrm.web.reading import Reading
from scrm.web.sale.strip import chips, shown, title
from scrm.web.selling import Choice, MoveRow, SheetView
from scrm.web.undone import with_done

_KEY = re.compile(r"[0-9A-Za-z_-]{8,64}")
_PRODUCTS = 50
NO_KEY = "缺少操作编号，请刷新页面后重试。"
ORDERED, BY_SOP, BY_EVENT = "订单", "SOP", "事件"


async def sheet(request: web.Request) -> web.Response:
    """A fragment for the dialog, a page without scripts."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        view = await _view(desk, await talk_of(conn, request), request)
    name = "sidebar/sale_sheet.html" if wants_fragment(request) else "sidebar/sale_page.html"
    return page(request, name, sheet=view)


async def _view(desk: Reading, talk: Talk, request: web.Request) -> SheetView:
    home = await service.family(desk.conn, talk.node_id)
    found = await shown(desk, home)
    public = [desk.conn.vault.public("opportunity", o.opportunity_id) for o in found]
    wanted = request.query.get("o", "")
    one = found[public.index(wanted)] if wanted in public else None
    if wanted and one is None and wanted != "new":
        raise NotFound(service.GONE)
    return SheetView(
        cid=desk.cid(talk),
        back=_back(request),
        key=secrets.token_hex(12),
        id=wanted if one else "",
        version=one.version if one else 0,
        title=title(desk, one) if one else desk.say("新建商机"),
        over=desk.say(rules.STATES[one.state]) if one and one.state != "open" else "",
        stages=_stages(desk, one, await rooms.trade(desk.conn)),
        kinds=tuple(Choice(name=desk.say(name), key=key) for key, name in rules.KINDS.items()),
        products=await products(desk),
        product=(one.product_code or one.product) if one else "",
        amount=f"{one.amount / 100:g}" if one and one.amount is not None else "",
        others=chips(desk, talk, found, public, public.index(wanted)) if one else (),
        moves=await _moves(desk, one) if one else (),
    )


def _stages(desk: Reading, one: Opportunity | None, trade: str) -> tuple[Choice, ...]:
    now = one.stage if one else stages.FUNNEL[0]
    return tuple(
        Choice(name=desk.say(stages.name(key, trade)), key=key, on=key == now) for key in stages.STAGES
    )


async def products(desk: Reading) -> tuple[Choice, ...]:
    """What is on sale, with today's official price."""
    found = await catalog.products(desk.conn, limit=_PRODUCTS, on_sale=True)
    listed = await catalog.prices(desk.conn, [p.code for p in found])
    made = []
    for one in found:
        asked = selling.current(listed[one.code], desk.now)
        price = f" ¥{asked[0].amount / 100:,g}" if asked else ""
        made.append(Choice(name=f"{one.name}{price}", key=one.code))
    return tuple(made)


async def _moves(desk: Reading, one: Opportunity) -> tuple[MoveRow, ...]:
    found = await store.changes(desk.conn, one.opportunity_id, limit=8)
    people = await staff.members(desk.conn, sorted({c.by_id for c in found if c.by_id}))
    trade = await rooms.trade(desk.conn)
    return tuple(
        MoveRow(
            at=c.at,
            text=_went(desk, c, trade),
            who=people[c.by_id].name if c.by_id in people else desk.say(_SOURCES.get(c.source, "系统")),
        )
        for c in found
    )


_SOURCES = {"order": ORDERED, "sop": BY_SOP, "event": BY_EVENT}


def _went(desk: Reading, change: store.Change, trade: str) -> str:
    stage = stages.name(change.stage_to, trade)
    to = desk.say(rules.STATES[change.state] if change.state != "open" else stage)
    return "：".join(x for x in (to, change.why) if x)


def _back(request: web.Request) -> str:
    where = request.query.get("back") or request.headers.get("Referer", "").partition(request.host)[2]
    here = f"/s/c/{request.match_info['cid']}"
    where = inside(where, here)
    return here if where.startswith(f"{here}/sale") else where


# -- acts --------------------------------------------------------------------------------------------------
async def act(request: web.Request) -> web.Response:
    """`do` is open | move | won | lost | describe."""
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v).strip() for k, v in (await form_of(request)).items()}
    async with found.db.begin(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        talk = await talk_of(conn, request)
        done = await _done(desk, talk, form, key_of(form))
        subject = f"opportunity:{done.opportunity_id}"
        await audit(conn, who.label, f"opportunity.{form.get('do')}", now=now, subject=subject)
        tell(desk, talk, done.opportunity_id)
    return see_other(with_done(inside(form.get("back", ""), f"/s/c/{request.match_info['cid']}"), "sale"))


async def _done(desk: Reading, talk: Talk, form: dict[str, str], key: str) -> Opportunity:
    by = By(source="rep", staff_id=desk.actor.staff_id)
    if form.get("do") == "open":
        return await _open(desk, talk, form, key, by)
    one = await _theirs(desk, talk, form.get("o", ""))
    seen = int(v) if (v := form.get("version", "")).isascii() and v.isdigit() and len(v) < 10 else None
    if form.get("do") == "describe":
        about = await _about(desk, form)
        return await service.describe(
            desk.conn,
            one.opportunity_id,
            product_code=about.code,
            product=about.name,
            amount=about.amount,
            seen=seen,
        )
    states: dict[str, State] = {"move": "open", "won": "won", "lost": "lost"}
    if form.get("do") not in states:
        raise BadInput
    state = states[form["do"]]
    to = Move(stage=form.get("stage", "") if state == "open" else "", state=state, why=form.get("why", ""))
    if state == "won" and one.stage in stages.FUNNEL:
        to = Move(stage="closing", state=state, why=to.why)
    return await service.move(
        desk.conn,
        one.opportunity_id,
        to,
        by,
        key=f"rep:{key}",
        account_id=talk.account_id,
        now=desk.now,
        seen=seen,
    )


async def _open(desk: Reading, talk: Talk, form: dict[str, str], key: str, by: By) -> Opportunity:
    about = await _about(desk, form)
    if form.get("kind") not in rules.KINDS:
        raise BadInput
    wanted = Wanted(
        key=f"rep:{key}",
        node_id=talk.node_id,
        account_id=talk.account_id,
        kind=cast(Kind, form["kind"]),
        business_line=about.line,
        product_code=about.code,
        product=about.name,
        amount=about.amount,
        stage=form.get("stage") or stages.FUNNEL[0],
        staff_id=desk.actor.staff_id,
    )
    return await service.open_one(desk.conn, wanted, by, now=desk.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What is to be sold; `amount` in fen."""

    code: str = ""
    name: str
    line: str = ""
    amount: int | None


async def _about(desk: Reading, form: dict[str, str]) -> _About:
    """A product of the catalog with its official price, or words with an amount. Raises `BadInput`."""
    said = form.get("product", "")
    known = await catalog.product_of(desk.conn, said) if said else None
    amount = selling.fen(form["amount"]) if form.get("amount") else None
    if known is None:
        return _About(name=said, amount=amount)
    if amount is None:
        amount = await sales.official(desk.conn, known.code, desk.now)
    return _About(code=known.code, name=known.name, line=known.business_line, amount=amount)


async def _theirs(desk: Reading, talk: Talk, public: str) -> Opportunity:
    """Of this family; of nobody else."""
    if not public:
        raise BadInput
    ident = desk.conn.vault.private("opportunity", public)
    home = await service.of_household(desk.conn, talk.node_id)
    one = next((o for o in home if o.opportunity_id == ident), None)
    if one is None:
        raise NotFound(service.GONE)
    return one


async def label(request: web.Request) -> web.Response:
    """`add` puts a tag on the family, `remove` takes it off."""
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v).strip() for k, v in (await form_of(request)).items()}
    async with found.db.begin(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        talk = await talk_of(conn, request)
        nodes = await service.family(conn, talk.node_id)
        whom = tags.Whom(node_id=talk.node_id, nodes=nodes, account_id=talk.account_id)
        await tags.change(
            conn,
            whom,
            add=_words(form.get("add", "")),
            remove=_words(form.get("remove", "")),
            staff_id=who.staff_id,
            key=f"rep:{key_of(form)}",
            now=now,
        )
        await audit(conn, who.label, "tag.changed", now=now, subject=f"node:{talk.node_id}")
        tell(desk, talk, talk.conversation_id)
    back = request.headers.get("Referer", "").partition(request.host)[2]
    return see_other(with_done(inside(back, f"/s/c/{request.match_info['cid']}"), "label"))


def _words(text: str) -> list[str]:
    """Several at once, with commas between them."""
    return [one for one in re.split("[,，、;；]", text) if one.strip()]


def key_of(form: dict[str, str]) -> str:
    """Of the form, so that a repeat does nothing. Raises `BadInput`."""
    if not _KEY.fullmatch(form.get("key", "")):
        raise BadInput(NO_KEY)
    return form["key"]


def tell(desk: Reading, talk: Talk, ident: int) -> None:
    """Open sidebars look again, and react sees what was noted."""
    changes: Sequence[Change] = [Change(topic=f"node:{talk.node_id}", ident=ident, version=1)]
    live, tenant = desk.house.live, desk.conn.tenant_id
    desk.conn.after_commit(lambda: live.publish(tenant, changes))
    desk.conn.after_commit(desk.house.wake_react)
