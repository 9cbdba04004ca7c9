"""Is it alive, is it ready, how is it doing; and the built front end."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from scrm import inbox, outbox
from scrm.accounts.health import Health, healths
from scrm.db import utcnow
from scrm.errors import NotFound, Unavailable
from scrm.reserve import Reserve
from scrm.staff.rules import Policy
from scrm.web.house import House, house
from scrm.web.render import DIST
from scrm.web.routes import Route

T = TypeVar("T")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".map": "application/json"}


async def healthz(_request: web.Request) -> web.Response:
    """The process answers."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Callbacks can be acknowledged, by the database or the spool; else 503. The body says what is down."""
    found = house(request)
    if found.spool is None:
        await _waiting(found)
        return web.Response(text="ready\n")
    said, up = list[str](), await _answer(found, _waiting(found)) is not None
    if not up:
        said.append("database: down or slow, callbacks go to the spool")
    takes = not found.spool.full
    try:
        depth = await found.spool.depth([t.tenant_id for t in found.directory.tenants])
    except Unavailable:
        takes = False
        said.append("spool: its disk does not answer")
    else:
        if depth.rows or found.spool.full:
            full = ", full" if found.spool.full else ""
            said.append(f"spool: {depth.waiting} waiting, {depth.stuck} stuck{full}")
    ready = up or takes
    lines = ["ready" if ready else "not ready", *said, ""]
    return web.Response(status=200 if ready else 503, text="\n".join(lines))


async def metrics(request: web.Request) -> web.Response:
    """Answers whatever is down: that is when somebody looks."""
    found, now = house(request), utcnow()
    queues = await _answer(found, _queues(found, now))
    meter = found.metrics.spool
    meter.database.set(queues is not None)
    if found.spool is not None:
        with suppress(Unavailable):
            meter.show(await found.spool.depth([t.tenant_id for t in found.directory.tenants]), now=now)
    found.metrics.disk.set(Reserve(Path(found.settings.data_dir), 0).used)
    found.metrics.behind(await _answer(found, _behind(found)) or {})
    for one in await _answer(found, _accounts(found, now)) or ():
        found.metrics.account(
            one.plugged.account.slug,
            trouble=("ok", "warn", "bad").index(one.level()),
            waiting=one.waiting,
            lag_s=one.lag.total_seconds(),
        )
    waiting, going, lag_s = queues or ({}, {}, 0.0)
    body = found.metrics.scrape(inbox=waiting, outbox=going, lag_s=lag_s)
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def _waiting(found: House) -> dict[str, int]:
    async with found.db.read(found.directory.tenants[0].tenant_id) as conn:
        return await inbox.counts(conn)


async def _queues(found: House, now: datetime) -> tuple[dict[str, int], dict[str, int], float]:
    waiting, going, lag_s = dict[str, int](), dict[str, int](), 0.0
    for tenant in found.directory.tenants:
        async with found.db.read(tenant.tenant_id) as conn:
            waiting = _sum(waiting, await inbox.counts(conn))
            going = _sum(going, await outbox.counts(conn))
            oldest = await inbox.oldest(conn)
            lag_s = max(lag_s, (now - oldest).total_seconds() if oldest else 0.0)
    return waiting, going, lag_s


async def _accounts(found: House, now: datetime) -> list[Health]:
    known = list[Health]()
    for tenant in found.directory.tenants:
        async with found.db.read(tenant.tenant_id) as conn:
            known += await healths(conn, found.directory.all(tenant.tenant_id), now=now)
    return known


async def _behind(found: House) -> dict[tuple[str, str], float]:
    """Seconds by account and stream, where we know how far we are."""
    behind = dict[tuple[str, str], float]()
    for tenant in found.directory.tenants:
        slugs = {p.account.account_id: p.account.slug for p in found.directory.all(tenant.tenant_id)}
        async with found.db.read(tenant.tenant_id) as conn:
            for lag in await inbox.lags(conn, now=await conn.now()):
                if lag.account_id in slugs:
                    behind[slugs[lag.account_id], lag.stream] = lag.behind.total_seconds()
    return behind


async def _answer(found: House, asked: Coroutine[object, object, T]) -> T | None:
    """What the database says within the time callbacks have too; None = it is down or slow."""
    try:
        if found.spool is None:
            return await asked
        return await found.spool.asked.within(asked, found.spool.breaker.patience_s)
    except Unavailable:
        return None


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
    return built(request, path, headers)


def built(request: web.Request, path: Path, headers: dict[str, str]) -> web.Response:
    """A built file as small as the browser takes it."""
    accepted = request.headers.get("Accept-Encoding", "")
    for coding, suffix in (("br", ".br"), ("gzip", ".gz")):
        packed = path.with_name(path.name + suffix)
        if coding in accepted and packed.is_file():
            return web.Response(body=packed.read_bytes(), headers=headers | {"Content-Encoding": coding})
    return web.Response(body=path.read_bytes(), headers=headers)


ROUTES = (
    Route(method="GET", path="/healthz", handler=healthz, policy=Policy.PUBLIC),
    Route(method="GET", path="/readyz", handler=readyz, policy=Policy.PUBLIC),
    Route(method="GET", path="/metrics", handler=metrics, policy=Policy.PUBLIC),
    Route(method="GET", path="/static/dist/{name}", handler=dist, policy=Policy.PUBLIC),
)
