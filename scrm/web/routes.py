"""Routes with policies, and the guard every request passes: who is it, may they, is it our own page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from scrm.db import utcnow
from scrm.errors import BadConfig, BadInput, Forbidden, NotSignedIn
from scrm.staff import service as staff
from scrm.staff.rules import Actor, Policy, allows
from scrm.web import problems
from scrm.web.house import House, actor_or_none, house, set_actor

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_POLICIES = web.AppKey("policies", dict[web.AbstractRoute, Policy])
_SAFE = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; "
    "img-src 'self' https://wx.qlogo.cn data:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: plain forms would then say `Origin: null`, and old Safari says nothing else.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    handler: Handler
    policy: Policy


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Add routes; the policy is part of each."""
    policies = app.setdefault(_POLICIES, {}) if _POLICIES not in app else app[_POLICIES]
    for r in routes:
        policies[app.router.add_route(r.method, r.path, r.handler)] = r.policy


def verify(app: web.Application) -> None:
    """Raises `BadConfig` for any route without a policy: such an app does not start."""
    policies = app.get(_POLICIES, {})
    bare = [str(route) for route in app.router.routes() if route not in policies]
    if bare:
        raise BadConfig(f"这些路由没有声明权限策略：{'；'.join(bare)}")


def cookie_name(found: House, name: str = "scrm") -> str:
    return f"__Host-{name}" if found.settings.secure_cookies else name


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Deny by default; render every error; add the headers every answer carries."""
    policy = request.app[_POLICIES].get(request.match_info.route, Policy.SIGNED_IN)
    try:
        set_actor(request, await _who(request, policy))
        _admit(request, policy)
        response = await handler(request)
    except web.HTTPException as raised:
        response = problems.of_http(request, raised)
    except web.RequestPayloadError:
        response = problems.of_error(request, BadInput())
    except Exception as error:
        response = problems.of_error(request, error)
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        # Built files say otherwise themselves; sign-in pages are public but theirs alone who asked.
        response.headers.setdefault("Cache-Control", "no-store")
    house(request).metrics.requests.labels(policy.value, str(response.status)).inc()
    return response


async def _who(request: web.Request, policy: Policy) -> Actor | None:
    """The holder of the bearer token or of the session cookie. Public routes ask nobody."""
    if policy is Policy.PUBLIC:
        return None
    if request.path.startswith("/api/"):
        return await _by_token(request)
    token = request.cookies.get(cookie_name(house(request)), "")
    tenant, _, secret = token.partition(".")
    if not (secret and token.isascii() and tenant.isdigit() and len(tenant) < 19):
        return None
    async with house(request).db.read(int(tenant)) as conn:
        return await staff.actor_of_session(conn, token, now=utcnow())


async def _by_token(request: web.Request) -> Actor | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    parts = token.strip().split("_", 2)
    well_formed = len(parts) == 3 and token.isascii() and parts[1].isdigit() and len(parts[1]) < 19
    if kind.lower() != "bearer" or not well_formed:
        return None
    async with house(request).db.read(int(parts[1])) as conn:
        return await staff.actor_of_token(conn, token.strip())


def _admit(request: web.Request, policy: Policy) -> None:
    found = actor_or_none(request)
    if not allows(policy, found):
        raise NotSignedIn if found is None else Forbidden
    if request.method not in _SAFE and found is not None and not found.by_token:
        _same_origin(request)


def same_origin(request: web.Request) -> None:
    """For public forms (sign-in): the same check the guard makes for signed-in people."""
    _same_origin(request)


def _same_origin(request: web.Request) -> None:
    """A form of another site cannot act here, whatever the browser does with its cookies."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forbidden("这个请求来自别的网站，已拒绝。")
        return
    origin = request.headers.get("Origin", "")
    if origin.partition("://")[2] != request.host:
        raise Forbidden("这个请求来源不明，已拒绝。")
