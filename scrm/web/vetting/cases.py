"""`/compliance/alerts`: findings that leaders handed over, with what was said around them; decided there."""

from __future__ import annotations

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.ledger.store import audit
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.store import findings
from scrm.playbook.checks.store.findings import Finding
from scrm.staff.rules import Policy
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other
from scrm.web.reading import Reading
from scrm.web.routes import Route
from scrm.web.vetting.alerts import PAGE, REACH, AlertsView, finding_rows, settled, shown, template

PATH = "/compliance/alerts"


async def listed(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    cursor = request.query.get("before", "")
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        before = conn.vault.private("finding", cursor) if cursor else None
        told = await findings.page(conn, team_ids=None, state="handed", before=before, limit=PAGE + 1)
        rows = await finding_rows(desk, told[:PAGE], path=PATH)
        last = conn.vault.public("finding", told[PAGE - 1].finding_id) if len(told) > PAGE else ""
    view = AlertsView(tab="handed", rows=rows, before=last, path=PATH)
    return page(request, "vetting/alerts.html", view=view)


async def evidence(request: web.Request) -> web.Response:
    """Reading a customer's words is written down before they are shown."""
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.begin(who.tenant_id) as conn:
        one = await _case(conn, request.match_info["alert"])
        subject = f"conversation:{one.conversation_id}"
        await audit(conn, who.label, "finding.read", now=now, subject=subject)
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        view = await shown(desk, one, reach=REACH, back=PATH)
    return page(request, template(request), evidence=view)


async def decide(request: web.Request) -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    async with found.db.begin(who.tenant_id) as conn:
        one = await _case(conn, request.match_info["alert"])
        changes = await settled(
            conn, who, one, form.get("do", ""), form.get("note", ""), hands=False, now=now
        )
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    return see_other(PATH)


async def _case(conn: Conn, public: str) -> Finding:
    """Only what was handed over: the rest is the leaders'."""
    one = await findings.get(conn, conn.vault.private("finding", public))
    if one is None or one.state != "handed":
        raise NotFound(checks.GONE)
    return one


ROUTES = (
    Route(method="GET", path=PATH, handler=listed, policy=Policy.REVIEW),
    Route(method="GET", path=f"{PATH}/{{alert}}", handler=evidence, policy=Policy.REVIEW),
    Route(method="POST", path=f"{PATH}/{{alert}}", handler=decide, policy=Policy.REVIEW),
)
