"""`/households/...`: the page, the sheets it and the sidebar open, and the routes of what they decide."""

from __future__ import annotations

from aiohttp import web

from scrm.db import utcnow
from scrm.staff.rules import Policy
from scrm.web.family import acts, correcting
from scrm.web.family.household import household
from scrm.web.family.kinfolk import folk, home_of, path_of
from scrm.web.family.members import roles_view
from scrm.web.family.sheet import match
from scrm.web.house import actor, house
from scrm.web.pages import inside, page, see_other, wants_fragment
from scrm.web.reading import Reading
from scrm.web.routes import Handler, Route


async def show(request: web.Request) -> web.Response:
    """An id of a person, or one from before a merge, leads to the household of today."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        home = await home_of(desk, request.match_info["id"])
        here = path_of(desk, home)
        if here != request.path and not wants_fragment(request):
            return see_other(f"{here}?{request.query_string}" if request.query_string else here)
        view = await household(desk, home)
    name = "households/household.html" if wants_fragment(request) else "households/page.html"
    return page(request, name, household=view)


async def candidate(request: web.Request) -> web.Response:
    """The merge sheet: a fragment for the dialog, a page without scripts."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        home = await home_of(desk, request.match_info["id"])
        view = await match(desk, home, request.query.get("proposal", ""), _back(request))
    return page(request, _sheet(request, "match"), match=view)


async def parts(request: web.Request) -> web.Response:
    """Who plays which part, and changing it."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        home = await home_of(desk, request.match_info["id"])
        view = await roles_view(desk, await folk(desk, home), _back(request))
    return page(request, _sheet(request, "roles"), roles=view)


def _sheet(request: web.Request, name: str) -> str:
    return f"households/{name}.html" if wants_fragment(request) else f"households/{name}_page.html"


def _back(request: web.Request) -> str:
    """Where the reader was; a sheet that was itself a page leads to the household."""
    home = f"/households/{request.match_info['id']}"
    where = request.query.get("back") or request.headers.get("Referer", "").partition(request.host)[2]
    where = inside(where, home)
    return home if where.startswith(f"{home}/") else where


def _route(method: str, tail: str, handler: Handler) -> Route:
    return Route(method=method, path=f"/households/{tail}", handler=handler, policy=Policy.TALK)


ROUTES = (
    _route("POST", "undo", acts.undo),
    _route("GET", "{id}", show),
    _route("GET", "{id}/match", candidate),
    _route("POST", "{id}/match", acts.match),
    _route("GET", "{id}/roles", parts),
    _route("POST", "{id}/roles", acts.role),
    _route("GET", "{id}/fields", correcting.ask),
    _route("POST", "{id}/fields", correcting.correct),
    _route("POST", "{id}/evidence", acts.evidence),
)
