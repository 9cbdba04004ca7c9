"""`/search`: what was said, among all customers the reader may see."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from scrm.db import utcnow
from scrm.staff.rules import Policy
from scrm.web import lines, views
from scrm.web.house import actor, house
from scrm.web.pages import page
from scrm.web.reading import Reading
from scrm.web.routes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchView:
    """A page of what was found."""

    q: str = ""
    hits: tuple[views.Hit, ...] = ()
    #: Cursor of the next page, "" at the end.
    before: str = ""
    older: bool = False


async def search(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        want = lines.asked(conn.vault, request.query)
        hits, before = await lines.found(desk, want) if want.q else ((), "")
    view = SearchView(q=want.q, hits=hits, before=before, older=want.after is not None)
    return page(request, "search.html", search=view)


ROUTES = (Route(method="GET", path="/search", handler=search, policy=Policy.TALK),)
