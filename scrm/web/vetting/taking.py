"""`/lead/promises/{promise}`: a promise taken back or put right, with a reason, by whose it is to decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.pipeline.drafts import household
from scrm.playbook.promises import service as promises
from scrm.playbook.promises import store as ledger
from scrm.playbook.promises.ledger import day_end
from scrm.playbook.promises.service import Right
from scrm.sales import rules as prices
from scrm.staff import store as staff
from scrm.staff.rules import Actor, Policy, scope
from scrm.timeline.store import conversations
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, see_other
from scrm.web.routes import Route

NO_FOLD = "折扣请写成 8.5 这样，在 0 到 10 之间。"
NO_DATE = "日期请写成 2026-11-30 这样。"
SENTENCES = (NO_FOLD, NO_DATE)
_FOLD = re.compile(r"[0-9](?:\.[0-9]{1,3})?")


async def decide(request: web.Request) -> web.Response:
    """`do` is withdraw (when nothing is said) or correct."""
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v).strip() for k, v in (await form_of(request)).items()}
    async with found.db.begin(who.tenant_id) as conn:
        ident = conn.vault.private("promise", request.match_info["promise"])
        why = form.get("note", "")
        if form.get("do") == "correct":
            _, changes = await correct(conn, who, ident, right_of(form), why, now=now)
        else:
            changes = await withdraw(conn, who, ident, why, now=now)
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    return see_other(inside(form.get("back", ""), "/lead/alerts?tab=findings"))


async def withdraw(conn: Conn, who: Actor, ident: int, why: str, *, now: datetime) -> list[Change]:
    """Raises `NotFound` for whom it is not to decide, `BadInput`, `Conflict`."""
    row = await _theirs(conn, who, ident)
    await promises.withdraw(conn, ident, by=who.staff_id, why=why, now=now)
    return await _told(conn, who, row, "promise.withdrawn", now=now)


async def correct(
    conn: Conn, who: Actor, ident: int, right: Right, why: str, *, now: datetime
) -> tuple[ledger.Row, list[Change]]:
    """The same; what stands instead."""
    row = await _theirs(conn, who, ident)
    made = await promises.correct(conn, ident, right, by=who.staff_id, why=why, now=now)
    return made, await _told(conn, who, row, "promise.corrected", now=now)


async def _theirs(conn: Conn, who: Actor, ident: int) -> ledger.Row:
    row = await ledger.get(conn, ident)
    if row is None or not await answers_for(conn, who, row):
        raise NotFound(promises.GONE)
    return row


async def answers_for(conn: Conn, who: Actor, row: ledger.Row) -> bool:
    """A leader of whoever gave it, or of whoever looks after the customer; a machine for everybody."""
    if who.role not in ("lead", "admin", "compliance"):
        return False
    given = (await staff.members(conn, [row.staff_id])).get(row.staff_id) if row.staff_id else None
    if given is not None and who.team_id is not None and given.team_id == who.team_id:
        return who.role == "lead"
    return bool(await conversations.visible_nodes(conn, scope(who), [row.node_id]))


async def _told(conn: Conn, who: Actor, row: ledger.Row, action: str, *, now: datetime) -> list[Change]:
    """Every page of the family shows what it was promised."""
    await audit(conn, who.label, action, now=now, subject=f"node:{row.node_id}")
    theirs = await household(conn, row.node_id)
    return [Change(topic=f"node:{n}", ident=row.promise_id, version=2) for n in theirs]


def right_of(form: Mapping[str, str]) -> Right:
    """What a form says; empty fields stay as they were. Raises `BadInput`."""
    fold, yuan, until = form.get("fold", ""), form.get("yuan", ""), form.get("until", "")
    if fold and not _FOLD.fullmatch(fold):
        raise BadInput(NO_FOLD)
    return Right(
        share=round(float(fold) * 1000) if fold else None,
        fen=prices.fen(yuan) if yuan else None,
        until_at=end_of(until) if until else None,
    )


def end_of(day: str) -> datetime:
    """The first moment after that day. Raises `BadInput`."""
    try:
        return day_end(date.fromisoformat(day))
    except (ValueError, OverflowError):
        raise BadInput(NO_DATE) from None


ROUTES = (Route(method="POST", path="/lead/promises/{promise}", handler=decide, policy=Policy.LEAD),)
