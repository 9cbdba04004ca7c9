"""`/hooks/{account}`: read within limits, let the connector verify, store durably, then answer the vendor."""

from __future__ import annotations

import time
from functools import lru_cache
from types import ModuleType

import structlog
from aiohttp import web

from scrm.contract import Bulky, Call, Receives
from scrm.db import utcnow
from scrm.errors import BadInput, Busy, Refused, ScrmError, TooLarge
from scrm.staff.rules import Policy
from scrm.web.body import read_body
from scrm.web.callers import caller_of
from scrm.web.house import house
from scrm.web.routes import Route

log = structlog.get_logger()

BODY_LIMIT = 64 * 1024
BODY_TIMEOUT_S = 5.0


async def receive(request: web.Request) -> web.Response:
    """Answers 200 only after the commit; a forged, altered or stale call stores nothing."""
    started = time.perf_counter()
    found = house(request)
    slug = request.match_info["account"]
    try:
        response = await _receive(request, slug)
        outcome = "stored"
    except Refused as refused:
        account = found.directory.by_slug(slug).account
        found.directory.pulse.count(account.tenant_id, account.account_id, "refused", utcnow())
        if found.metrics.refused(slug):
            log.warning("many callbacks refused: check token, key and this machine's clock", account=slug)
        response, outcome = web.Response(status=refused.status), "refused"
    except Busy:
        response, outcome = web.Response(status=503, headers={"Retry-After": "1"}), "busy"
    except ScrmError as error:
        # Outsiders learn nothing about which accounts exist or what is wrong with them.
        response, outcome = web.Response(status=error.status), "failed"
    known = outcome != "failed"
    found.metrics.hooks.labels(slug if known else "", outcome).inc()
    found.metrics.ack.observe(time.perf_counter() - started)
    return response


async def _receive(request: web.Request, slug: str) -> web.Response:
    found = house(request)
    plugged = found.directory.by_slug(slug)
    receiver = _receiver(plugged.plug)
    if receiver is None:
        return web.Response(status=405)
    limit = plugged.plug.BODY_MAX if isinstance(plugged.plug, Bulky) else BODY_LIMIT
    # What is packed is unpacked while it is read, so that the limit holds for what it becomes.
    packings = ("identity", "gzip") if limit > BODY_LIMIT else ("identity",)
    if request.headers.get("Content-Encoding", "identity").lower() not in packings:
        return web.Response(status=415)
    try:
        body = await read_body(request, limit=limit, timeout_s=BODY_TIMEOUT_S)
    except TooLarge:
        return web.Response(status=413)
    except BadInput:
        raise Refused("请求体没有在 5 秒内传完。") from None
    now = utcnow()
    call = Call(
        method=request.method,
        tail=request.match_info.get("tail", ""),
        query=request.query,
        headers=request.headers,
        body=body,
        received_at=now,
        peer=caller_of(request),
    )
    receipt = receiver.receive(found.context(plugged, now), call)
    await found.inbox.accept(plugged.account, receipt.raws, received_at=now)
    if not receipt.raws:  # the platform only asked whether we are here
        account = plugged.account
        found.directory.pulse.count(account.tenant_id, account.account_id, "checked", now)
    return web.Response(
        status=receipt.status, body=receipt.body, content_type=receipt.mime, headers=receipt.headers
    )


@lru_cache(maxsize=64)
def _receiver(plug: ModuleType) -> Receives | None:
    """Asking a protocol takes as long as reading the body, so each connector is asked once."""
    return plug if isinstance(plug, Receives) else None


ROUTES = tuple(
    Route(method=method, path=path, handler=receive, policy=Policy.PUBLIC)
    for method in ("GET", "POST")
    for path in ("/hooks/{account}", "/hooks/{account}/{tail:.+}")
)
