"""`/compliance/identity`: what may be one person or family, the most telling question first."""

from __future__ import annotations

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Conflict
from scrm.identity import proposals
from scrm.identity import store as identity
from scrm.identity.decisions import Actor as By
from scrm.identity.decisions import Outcome
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.ownership import service as ownership
from scrm.web.house import actor, house
from scrm.web.knowing import asking
from scrm.web.knowing import views as v
from scrm.web.pages import form_of, locale, page, see_other

PAGE = 30
_TOLD = 500
_BASE = "/compliance/identity"
_DEEDS = ("accept", "decline", "later", "undo")


async def queue(request: web.Request) -> web.Response:
    """The list; the first of it is open."""
    return await _shown(request)


async def show(request: web.Request) -> web.Response:
    return await _shown(request, request.match_info["proposal"])


async def _shown(request: web.Request, public: str = "", fault: str = "") -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.begin(who.tenant_id) as conn:
        before = _place(conn, request.query.get("before", ""))
        waiting = await proposals.queue(conn, before, PAGE + 1, now=now)
        rows = waiting[:PAGE]
        ident = conn.vault.private("proposal", public) if public else None
        one = await proposals.get(conn, ident) if ident else rows[0] if rows else None
        question = await asking.question(conn, found, who, one, now=now) if one else None
        if one is not None:
            await audit(conn, who.label, "proposal.read", now=now, subject=f"proposal:{one.proposal_id}")
        view = v.QueueView(
            rows=await asking.rows(conn, rows, who, current=one.proposal_id if one else 0),
            waiting=(await proposals.counts(conn)).get("open", 0),
            question=question,
            undo=request.query.get("undo", ""),
            undone=request.query.get("what", ""),
            before=_place_out(conn, rows[-1]) if len(waiting) > PAGE else "",
            fault=fault,
        )
    return page(request, "knowing/review.html", status=409 if fault else 200, view=view)


def _place_out(conn: Conn, one: proposals.Proposal) -> str:
    return f"{one.rank:x}.{conn.vault.public('proposal', one.proposal_id)}"


def _place(conn: Conn, text: str) -> tuple[int, int] | None:
    rank, dot, public = text.partition(".")
    if not dot:
        return None
    try:
        return int(rank, 16), conn.vault.private("proposal", public)
    except ValueError:
        raise BadInput("翻页位置无效，请从头看起。") from None


async def decide(request: web.Request) -> web.Response:
    """Yes, no, not now, or as it was before; the next question follows by itself."""
    found, who, now = house(request), actor(request), utcnow()
    form = await form_of(request)
    what, why, public = (
        str(form.get("what", "")),
        str(form.get("why", ""))[:200],
        request.match_info["proposal"],
    )
    if what not in _DEEDS:
        raise BadInput("请选择是、不是还是稍后。")
    by = By(origin="admin", staff_id=who.staff_id)
    try:
        async with found.db.begin(who.tenant_id) as conn:
            ident = conn.vault.private("proposal", public)
            outcome = None
            if what == "accept":
                outcome = await proposals.accept(conn, ident, by=by, now=now, why=why)
            elif what == "decline":
                outcome = await proposals.reject(conn, ident, by=by, now=now, why=why)
            elif what == "undo":
                outcome = await proposals.reopen(conn, ident, by=by, why=why or "复核时撤销", now=now)
            else:
                await proposals.later(conn, ident, now=now)
            await audit(conn, who.label, f"proposal.{what}", now=now, subject=f"proposal:{ident}")
            if outcome is not None:
                await told(conn, request, outcome)
    except Conflict as wrong:
        return await _shown(request, fault=found.renderer.say(locale(who), wrong.sentence))
    if what == "undo":
        return see_other(f"{_BASE}/{public}")
    undo = f"?undo={public}&what={what}" if what != "later" else "?what=later"
    return see_other(_BASE + undo)


async def told(conn: Conn, request: web.Request, done: Outcome) -> None:
    """Deals are looked at again, and open screens learn of it."""
    found, now = house(request), utcnow()
    if await ownership.touched(conn, done.persons, done.households, now=now):
        conn.after_commit(found.wake_due)
    nodes = sorted(await identity.nodes_of(conn, done.persons))[:_TOLD]
    changes = [Change(topic=f"node:{n}", ident=n, version=1) for n in nodes]
    conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
