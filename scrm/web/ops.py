"""Is it alive, is it ready, how is it doing; and the built front end."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from scrm import inbox, outbox
from scrm.db import utcnow
from scrm.errors import NotFound
from scrm.staff.rules import Policy
from scrm.web.house import house
from scrm.web.render import DIST
from scrm.web.routes import Route

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".map": "application/json"}


async def healthz(_request: web.Request) -> web.Response:
    """The process answers."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """The database takes a read; 503 otherwise."""
    found = house(request)
    async with found.db.read(found.directory.tenants[0].tenant_id) as conn:
        await inbox.counts(conn)
    return web.Response(text="ready\n")


async def metrics(request: web.Request) -> web.Response:
    found, now = house(request), utcnow()
    waiting, going, lag_s = dict[str, int](), dict[str, int](), 0.0
    for tenant in found.directory.tenants:
        async with found.db.read(tenant.tenant_id) as conn:
            waiting = _sum(waiting, await inbox.counts(conn))
            going = _sum(going, await outbox.counts(conn))
            oldest = await inbox.oldest(conn)
            lag_s = max(lag_s, (now - oldest).total_seconds() if oldest else 0.0)
    body = found.metrics.scrape(inbox=waiting, outbox=going, lag_s=lag_s, screens=found.live.screens)
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _sum(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {k: a.get(k, 0) + b.get(k, 0) for k in {*a, *b}}


async def dist(request: web.Request) -> web.StreamResponse:
    """A built file, precompressed when the browser takes it; its name changes with its content."""
    name = request.match_info["name"]
    path = DIST / name
    if len(name) > 100 or Path(name).name != name or path.suffix not in _TYPES or not path.is_file():
        raise NotFound
    headers = {
        "Content-Type": f"{_TYPES[path.suffix]}; charset=utf-8",
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    accepted = request.headers.get("Accept-Encoding", "")
    for coding, suffix in (("br", ".br"), ("gzip", ".gz")):
        packed = path.with_name(name + suffix)
        if coding in accepted and packed.is_file():
            return web.Response(body=packed.read_bytes(), headers=headers | {"Content-Encoding": coding})
    return web.Response(body=path.read_bytes(), headers=headers)


ROUTES = (
    Route(method="GET", path="/healthz", handler=healthz, policy=Policy.PUBLIC),
    Route(method="GET", path="/readyz", handler=readyz, policy=Policy.PUBLIC),
    Route(method="GET", path="/metrics", handler=metrics, policy=Policy.PUBLIC),
    Route(method="GET", path="/static/dist/{name}", handler=dist, policy=Policy.PUBLIC),
)
