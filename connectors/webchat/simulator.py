"""A small shop that embeds the chat: another origin, a strict content policy, and a login of its own."""

from __future__ import annotations

import secrets
from html import escape
from urllib.parse import urlsplit

from aiohttp import web

from connectors.kit.world import Persona, World
from connectors.webchat.login import signed
from scrm.contract import Account

_COOKIE = "shop"
_STYLE = """
body{font:16px/1.6 system-ui,"Noto Sans CJK SC",sans-serif;max-width:60rem;margin:0 auto;padding:1rem;
background:#fff;color:#16202e}
header{display:flex;flex-wrap:wrap;gap:1rem;align-items:center;border-bottom:1px solid #d5dce6}
h1{font-size:1.4rem;margin:.5rem 0}ul{display:grid;gap:1rem;padding:0;list-style:none;
grid-template-columns:repeat(auto-fill,minmax(14rem,1fr))}
li{padding:1rem;border:1px solid #d5dce6;border-radius:.6rem}
select,button{font:inherit;min-height:2.75rem}a{color:#1557c8}
"""
_SCRIPT = """
// The login changed in another tab or on this page: the chat is told, nobody else is.
document.addEventListener("submit", ({ target }) => {
  if (target.action.endsWith("/logout")) document.dispatchEvent(new CustomEvent("scrm:forget"));
});
"""
_COURSES = (
    ("数学思维", "三到六年级，小班八人，每周六上午"),
    ("英语阅读", "二到五年级，分级绘本，周三、周六可选"),
    ("少儿编程", "四年级起，从图形化到 Python"),
    ("书法", "大班到初一，一对六"),
)


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The shop of `account`; the chat comes from where `hooks_url` points."""
    parts = urlsplit(hooks_url)
    shop = Shop(world, account, f"{parts.scheme}://{parts.netloc}")
    app = web.Application()
    app.router.add_get("/", shop.front)
    app.router.add_get("/shop.css", shop.style)
    app.router.add_get("/shop.js", shop.script)
    app.router.add_get("/chat-token", shop.token)
    app.router.add_post("/login", shop.login)
    app.router.add_post("/logout", shop.logout)
    return app


class Shop:
    """Its customers are those of the world; who is signed in says a cookie that means nothing elsewhere."""

    def __init__(self, world: World, account: Account, service: str) -> None:
        self._world, self._account, self._service = world, account, service
        self._sessions: dict[str, Persona] = {}
        self._headers = {
            # As strict as a careful site is: no inline anything, our origin for the chat and nothing else.
            "Content-Security-Policy": "default-src 'none'; "
            f"script-src 'self' {service}; style-src 'self'; connect-src 'self' {service}; "
            "img-src 'self' blob: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }

    async def front(self, request: web.Request) -> web.Response:
        who = self._who(request)
        lang = "en" if request.query.get("lang") == "en" else "zh-CN"
        courses = "".join(f"<li><h2>{escape(name)}</h2><p>{escape(what)}</p></li>" for name, what in _COURSES)
        slug = escape(self._account.slug)
        chat = f"{self._service}/chat/{slug}/widget.js"
        return self._page(
            f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>小橡树网校</title>'
            '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/shop.css">'
            '<link rel="icon" href="data:,">'
            f'<script src="/shop.js" defer></script><script src="{chat}" data-account="{slug}" '
            'data-identify-url="/chat-token" async></script></head>'
            f"<body><header><h1>小橡树网校</h1>{self._door(who)}</header>"
            f"<main><ul>{courses}</ul></main></body></html>"
        )

    def _door(self, who: Persona | None) -> str:
        if who is not None:
            leave = '<form method="post" action="/logout"><button>退出</button></form>'
            return f"<p>{escape(who.name)}，欢迎回来</p>{leave}"
        options = "".join(
            f'<option value="{p.number}">{escape(p.name)}</option>' for p in self._world.personas
        )
        return (
            '<form method="post" action="/login"><label>以会员身份登录 '
            f'<select name="number">{options}</select></label> <button>登录</button></form>'
        )

    async def login(self, request: web.Request) -> web.Response:
        number = str((await request.post()).get("number", ""))
        persona = next((p for p in self._world.personas if str(p.number) == number), None)
        response = web.Response(status=303, headers={"Location": "/"})
        if persona is not None:
            session = secrets.token_hex(16)
            self._sessions[session] = persona
            response.set_cookie(_COOKIE, session, httponly=True, samesite="Lax")
        return response

    async def logout(self, request: web.Request) -> web.Response:
        self._sessions.pop(request.cookies.get(_COOKIE, ""), None)
        response = web.Response(status=303, headers={"Location": "/"})
        response.del_cookie(_COOKIE)
        return response

    async def token(self, request: web.Request) -> web.Response:
        """What the shop's server says about who is signed in here; 204 = nobody."""
        who = self._who(request)
        if who is None:
            return web.Response(status=204)
        now = int(self._world.time())
        claims = {
            "sub": f"member-{who.number}",
            "name": who.name,
            "unionid": who.unionid,
            "iat": now,
            "exp": now + 3600,
        }
        return web.Response(text=signed(self._account.get("secret"), claims), headers=self._headers)

    async def style(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text=_STYLE, content_type="text/css")

    async def script(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text=_SCRIPT, content_type="text/javascript")

    def _who(self, request: web.Request) -> Persona | None:
        return self._sessions.get(request.cookies.get(_COOKIE, ""))

    def _page(self, text: str) -> web.Response:
        return web.Response(text=text, content_type="text/html", headers=self._headers)
