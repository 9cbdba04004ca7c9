"""Sign-in through the vendor or with a local password, sign-out, and personal preferences."""

from __future__ import annotations

import secrets
from urllib.parse import quote

from aiohttp import web

from scrm.contract import Admits, Knows
from scrm.db import Conn, utcnow
from scrm.errors import NotFound, NotSignedIn, Refused
from scrm.ledger.store import audit
from scrm.seal import token_hash
from scrm.staff import service as staff
from scrm.staff import store
from scrm.staff.rules import Policy
from scrm.web import views
from scrm.web.callers import caller_of
from scrm.web.house import House, actor, house
from scrm.web.limits import NOBODYS
from scrm.web.pages import form_of, inside, locale, page, see_other, theme
from scrm.web.routes import Route, cookie_name, same_origin

_DOOR = "scrm_door"
#: Where those land who talk with nobody.
_HOMES = {"admin": "/admin", "compliance": "/compliance/identity"}


async def login_page(request: web.Request) -> web.Response:
    return _login(request)


def _login(request: web.Request, *, name: str = "", error: str = "") -> web.Response:
    found = house(request)
    doors = tuple(
        views.Door(slug=p.account.slug, name=p.account.name)
        for tenant in found.directory.tenants
        for p in found.directory.all(tenant.tenant_id)
        if isinstance(p.plug, Admits)
    )
    view = views.LoginView(doors=doors, next=inside(request.query.get("next", "")), name=name, error=error)
    return page(request, "login.html", status=401 if error else 200, login=view)


async def login(request: web.Request) -> web.Response:
    same_origin(request)
    found = house(request)
    await found.limits.take("sign-in", NOBODYS, "", caller_of(request))
    form, now = await form_of(request), utcnow()
    name, where = str(form.get("name", ""))[:100], inside(str(form.get("next", "")))
    tenant_id = found.directory.tenants[0].tenant_id
    async with found.db.read(tenant_id) as conn:
        hashed = await staff.hash_of(conn, name)
    good = await staff.fits(hashed, str(form.get("password", ""))[:200])
    async with found.db.begin(tenant_id) as conn:
        staff_id = await staff.check_in(conn, name, good=good, hashed=hashed, now=now)
        await audit(conn, f"staff:{staff_id or 0}", "sign-in" if staff_id else "sign-in.failed", now=now)
        # In one transaction: who changes the password meanwhile ends this session too.
        token = await _opened(found, conn, staff_id) if staff_id else ""
        where = await _landing(conn, staff_id or 0, where)
    if not token:
        return _login(request, name=name, error="用户名或密码不对；连续错 10 次会锁定 15 分钟。")
    return _enter(found, token, where)


async def _opened(found: House, conn: Conn, staff_id: int) -> str:
    """A new session id at every sign-in."""
    return await staff.open_session(conn, staff_id, now=utcnow(), hours=found.settings.session_h)


async def _landing(conn: Conn, staff_id: int, where: str) -> str:
    """Who talks with nobody has no queue to land in."""
    member = (await store.members(conn, [staff_id])).get(staff_id)
    return _HOMES.get(member.role, where) if member and where == "/inbox" else where


def _enter(found: House, token: str, where: str) -> web.Response:
    response = see_other(where)
    _set(found, response, cookie_name(found), token, max_age=found.settings.session_h * 3600)
    return response


def _set(found: House, response: web.Response, name: str, value: str, *, max_age: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path="/",
        httponly=True,
        secure=found.settings.secure_cookies,
        samesite="Lax",
    )


def _forget(found: House, response: web.Response, name: str) -> None:
    """Browsers take a `__Host-` cookie back only from an answer that is as strict as the one that set it."""
    response.del_cookie(name, path="/", httponly=True, secure=found.settings.secure_cookies, samesite="Lax")


async def door(request: web.Request) -> web.Response:
    """To the vendor's sign-in page, with a state that works once, for five minutes, in this browser."""
    found = house(request)
    plugged = found.directory.by_slug(request.match_info["account"])
    if not isinstance(plugged.plug, Admits):
        raise NotFound("这个账号不支持登录。")
    async with found.db.begin(plugged.account.tenant_id) as conn:
        where = inside(request.query.get("next", ""))
        state = await staff.open_door(conn, plugged.account.account_id, where, now=utcnow())
    back = f"{found.settings.url}/auth/{quote(plugged.account.slug)}/back"
    response = see_other(plugged.plug.door(found.context(plugged, utcnow()), back, state))
    _set(found, response, cookie_name(found, _DOOR), token_hash(state).hex(), max_age=300)
    return response


async def back(request: web.Request) -> web.Response:
    """The visitor returns from the vendor with a code."""
    found, now = house(request), utcnow()
    plugged = found.directory.by_slug(request.match_info["account"])
    account, state = plugged.account, request.query.get("state", "")
    held = request.cookies.get(cookie_name(found, _DOOR), "")
    known = isinstance(plugged.plug, Knows) and held.isascii()
    if not known or not secrets.compare_digest(held, token_hash(state).hex()):
        raise NotSignedIn("登录链接已失效，请重新登录。")
    async with found.db.begin(account.tenant_id) as conn:
        where = await staff.close_door(conn, account.account_id, state, now=now)
    try:
        visitor = await plugged.plug.who(found.context(plugged, now), request.query.get("code", ""))
    except Refused:
        raise NotSignedIn("企业微信没有确认你的身份，请重新登录。") from None
    async with found.db.begin(account.tenant_id) as conn:
        bound = await store.bound(conn, [(account.realm, visitor.staff)])
        # A customer who came through this door has no staff id, and nothing may be bound to "".
        staff_id = bound.get((account.realm, visitor.staff)) if visitor.staff else None
        if staff_id is None:
            raise NotSignedIn("你的企业微信账号还没有开通，请联系管理员添加。")
        await audit(conn, f"staff:{staff_id}", "sign-in", now=now, subject=f"account:{account.account_id}")
        token = await _opened(found, conn, staff_id)
        where = await _landing(conn, staff_id, where)
    response = _enter(found, token, where)
    _forget(found, response, cookie_name(found, _DOOR))
    return response


async def logout(request: web.Request) -> web.Response:
    found = house(request)
    token = request.cookies.get(cookie_name(found), "")
    async with found.db.begin(actor(request).tenant_id) as conn:
        await store.end_session(conn, token_hash(token), now=utcnow())
        await audit(conn, actor(request).label, "sign-out", now=utcnow())
    response = see_other("/login")
    _forget(found, response, cookie_name(found))
    return response


async def prefs_page(request: web.Request) -> web.Response:
    who = actor(request)
    view = views.PrefsView(
        theme=theme(who),
        locale=locale(who),
        keys=who.shortcuts,
        back=inside(request.query.get("back", ""), _HOMES.get(who.role, "/inbox")),
        saved="saved" in request.query,
    )
    return page(request, "prefs.html", prefs=view)


async def prefs(request: web.Request) -> web.Response:
    form, who = await form_of(request), actor(request)
    async with house(request).db.begin(who.tenant_id) as conn:
        await store.set_prefs(
            conn,
            who.staff_id or 0,
            locale="en" if form.get("locale") == "en" else "zh_CN",
            theme=str(form.get("theme")) if form.get("theme") in ("light", "dark") else "auto",
            shortcuts="keys" in form,
        )
    return see_other("/me/prefs?saved=1")


ROUTES = (
    Route(method="GET", path="/login", handler=login_page, policy=Policy.PUBLIC),
    Route(method="POST", path="/login", handler=login, policy=Policy.PUBLIC),
    Route(method="POST", path="/logout", handler=logout, policy=Policy.SIGNED_IN),
    Route(method="GET", path="/auth/{account}/door", handler=door, policy=Policy.PUBLIC),
    Route(method="GET", path="/auth/{account}/back", handler=back, policy=Policy.PUBLIC),
    Route(method="GET", path="/me/prefs", handler=prefs_page, policy=Policy.SIGNED_IN),
    Route(method="POST", path="/me/prefs", handler=prefs, policy=Policy.SIGNED_IN),
)
