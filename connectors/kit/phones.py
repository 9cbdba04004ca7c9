"""The customers' phones as web pages, and the plain page the simulated platforms answer people with."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from aiohttp import web

from connectors.kit.world import Bubble, Persona, World

_SHANGHAI = ZoneInfo("Asia/Shanghai")
_STATES = {"sending": "发送中", "failed": "发送失败", "recalled": "已撤回"}
_CHANNELS = {
    "wechat_oa": "公众号",
    "wecom_kf": "微信客服",
    "wecom": "企业微信",
    "miniprogram": "小程序",
    "tim": "即时通信",
}
_STYLE = """
body{font:16px/1.5 system-ui,"Noto Sans CJK SC",sans-serif;margin:0 auto;max-width:26rem;padding:.75rem;
background:#ededed;color:#111}a{color:#1a4f8a}li{margin:.5rem 0}ol,ul{list-style:none;margin:0;padding:0}
.b{display:inline-block;max-width:80%;padding:.4rem .6rem;border-radius:.4rem;background:#fff;
white-space:pre-wrap;overflow-wrap:anywhere;text-align:left}.me{text-align:right}.me .b{background:#95ec69}
small{display:block;color:#4a4a4a}s{color:#4a4a4a}iframe{width:100%;height:60vh;border:0}
.small{font-size:1rem}
.talk{display:flex;flex-direction:column-reverse;height:calc(100vh - 5rem);overflow:auto}
label{display:block;margin:.5rem 0}input,select,button{font:inherit;min-height:2.75rem;width:100%;
box-sizing:border-box}
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def phones(world: World) -> web.Application:
    """The customers' phones as web pages: read along and type as the customer. Works without scripts."""
    app = web.Application()
    pages = _Phones(world)
    app.router.add_get("/phones", pages.everyone)
    app.router.add_get("/phones/{number:[0-9]+}.json", pages.as_json)
    app.router.add_get("/phones/{number:[0-9]+}/screen", pages.screen)
    app.router.add_get("/phones/{number:[0-9]+}", pages.one)
    app.router.add_post("/phones/{number:[0-9]+}", pages.write)
    return app


class _Phones:
    def __init__(self, world: World) -> None:
        self._world = world

    async def everyone(self, request: web.Request) -> web.Response:
        del request
        rows = "".join(
            f'<li><a href="/phones/{person.number}">{escape(person.name)}</a> '
            f"<small>{escape(self._last_words(person))}</small></li>"
            for person in self._world.personas
        )
        return page("客户的手机", f"<main><h1>客户的手机</h1><ul>{rows}</ul></main>")

    async def one(self, request: web.Request) -> web.Response:
        person = self._person(request)
        options = "".join(
            f'<option value="{escape(slug)}">{_CHANNELS.get(outlet.channel, "")}（{escape(slug)}）</option>'
            for slug, outlet in self._world.outlets.items()
        )
        return page(
            f"{person.name}的手机",
            f'<main><p><a href="/phones">所有手机</a></p><h1>{escape(person.name)}的手机</h1>'
            # The messages reload in a frame of their own, so that half-typed words stay.
            f'<iframe src="/phones/{person.number}/screen" title="聊天记录"></iframe>'
            f'<form method="post"><label>发到<select name="slug">{options}</select></label>'
            '<label>以客户身份说<input name="text" required maxlength="600" autocomplete="off"></label>'
            "<button>发送</button></form></main>",
        )

    async def screen(self, request: web.Request) -> web.Response:
        person = self._person(request)
        still = "pause" in request.query
        switch = '<a href="?">恢复自动刷新</a>' if still else '<a href="?pause=1">停止自动刷新</a>'
        rows = "".join(map(_row, self._world.phone(person))) or "<li>还没有消息</li>"
        head = "" if still else '<meta http-equiv="refresh" content="3">'
        heading = f'<h1 class="small">{escape(person.name)}的聊天记录 {switch}</h1>'
        talk = f'<div class="talk" tabindex="0" role="group" aria-label="消息"><ol>{rows}</ol></div>'
        return page("聊天记录", f"<main>{heading}{talk}</main>", head)

    async def write(self, request: web.Request) -> web.Response:
        person = self._person(request)
        origin = request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="只接受本页的表单。")
        form = await request.post()
        slug, text = str(form.get("slug", "")), str(form.get("text", "")).strip()[:600]
        if slug not in self._world.outlets or not text:
            raise web.HTTPBadRequest(text="请选择通道并输入文字。")
        await self._world.say(person, slug, text)
        raise web.HTTPSeeOther(f"/phones/{person.number}")

    async def as_json(self, request: web.Request) -> web.Response:
        person = self._person(request)
        messages = [{**asdict(b), "at": b.at.isoformat()} for b in self._world.phone(person)]
        return web.json_response(
            {"number": person.number, "name": person.name, "unionid": person.unionid, "messages": messages},
            headers=_HEADERS,
        )

    def _person(self, request: web.Request) -> Persona:
        number = int(request.match_info["number"][:9])
        if not 1 <= number <= len(self._world.personas):
            raise web.HTTPNotFound(text="没有这部手机。")
        return self._world.personas[number - 1]

    def _last_words(self, person: Persona) -> str:
        bubbles = self._world.phone(person)
        return f"{'我：' if bubbles[-1].mine else ''}{bubbles[-1].text[:24]}" if bubbles else "还没有消息"


def _row(bubble: Bubble) -> str:
    text = escape(bubble.text if bubble.kind == "text" else f"[{bubble.kind}] {bubble.text}")
    notes = [
        bubble.slug,
        f"{bubble.at.astimezone(_SHANGHAI):%H:%M:%S}",
        bubble.by,
        _STATES.get(bubble.state, ""),
    ]
    return (
        f'<li class="{"me" if bubble.mine else "them"}"><span class="b">'
        f"{f'<s>{text}</s>' if bubble.state == 'recalled' else text}</span>"
        f"<small>{escape(' · '.join(note for note in notes if note))}</small></li>"
    )


def page(title: str, body: str, head: str = "") -> web.Response:
    """One plain page of the simulation."""
    text = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{head}<title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    return web.Response(text=text, content_type="text/html", headers=_HEADERS)
