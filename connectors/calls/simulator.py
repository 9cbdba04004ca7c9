"""A small phone exchange: who rings whom, answered or not, on a plain page; reports go out as `generic`."""

from __future__ import annotations

import io
import json
import math
import struct
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import escape
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from connectors.kit.http import is_loopback, open_session
from connectors.kit.phones import page
from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from connectors.kit.world import Persona, World
from scrm.contract import Account

State = Literal["ringing", "talking", "ended", "missed"]
LINE = "02087654321"
_WORDS = {"ringing": "振铃中", "talking": "通话中", "ended": "已结束", "missed": "未接"}
_RATE, _LONGEST_S = 8000, 20
_TIMEOUT = ClientTimeout(total=10)


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The exchange of `account`; it reports to `hooks_url`."""
    app = web.Application()
    exchange = app[EXCHANGE] = Exchange(world, account, hooks_url)
    app.cleanup_ctx.append(exchange.running)
    app.router.add_get("/", exchange.desk)
    app.router.add_post("/ring", exchange.dial)
    app.router.add_post("/calls/{id}/{verb:answer|hangup}", exchange.act)
    app.router.add_get("/recordings/{id}.wav", exchange.recording)
    return app


@dataclass(slots=True, kw_only=True)
class Line:
    """One call."""

    call_id: str
    persona: Persona
    #: Who of us is called, or calls.
    agent: str
    direction: Literal["in", "out"]
    started_at: float
    answered_at: float = 0.0
    ended_at: float = 0.0
    state: State = "ringing"


class Exchange:
    """Calls by id. Our tests use `ring`, `answer` and `hang_up`; people use the page."""

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        self._world, self._account, self._hooks = world, account, hooks_url
        self._http: ClientSession | None = None
        self.lines: dict[str, Line] = {}

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        self._http = open_session(is_loopback)
        yield
        await self._http.close()

    # -- calls -----------------------------------------------------------------------------------------
    async def ring(
        self, persona: Persona, agent: str = "", *, direction: Literal["in", "out"] = "in"
    ) -> Line:
        """Somebody's telephone rings; "" rings at nobody's desk in particular."""
        line = Line(
            call_id=f"call-{self._world.serial()}",
            persona=persona,
            agent=agent,
            direction=direction,
            started_at=self._world.time(),
        )
        self.lines[line.call_id] = line
        await self._report(line, "ringing")
        return line

    async def answer(self, line: Line) -> None:
        line.state, line.answered_at = "talking", self._world.time()
        await self._report(line, "answered")

    async def hang_up(self, line: Line) -> None:
        """With a recording a moment later, if anybody talked."""
        line.ended_at = self._world.time()
        line.state = "ended" if line.answered_at else "missed"
        await self._report(line, "ended")
        if line.answered_at:
            await self._report(line, "recording_ready")

    async def _report(self, line: Line, event: str) -> bool:
        """Whether it was taken."""
        body = json.dumps(self._document(line, event), ensure_ascii=False).encode()
        stamp = str(int(self._world.time()))
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: stamp,
            SIGNATURE: signature(self._account.get("secret"), stamp, body),
        }
        if self._http is None:
            return False
        try:
            async with self._http.post(self._hooks, data=body, headers=headers, timeout=_TIMEOUT) as answer:
                return answer.status == 200
        except (ClientError, TimeoutError):
            return False

    def _document(self, line: Line, event: str) -> dict[str, object]:
        caller, callee = line.persona.mobile, LINE
        if line.direction == "out":
            caller, callee = callee, caller
        document: dict[str, object] = {
            "call_id": line.call_id,
            "event": event,
            "direction": line.direction,
            "caller": caller,
            "callee": callee,
            "agent": line.agent,
            "started_at": line.started_at,
            "answered_at": line.answered_at or None,
            "ended_at": line.ended_at or None,
            "result": "" if line.answered_at or event != "ended" else "主叫挂断",
        }
        if event == "recording_ready":
            # Below the account's `recordings_base`, which is this server.
            document["recording_url"] = f"/recordings/{line.call_id}.wav"
            document["recording_s"] = int(line.ended_at - line.answered_at)
        return {name: value for name, value in document.items() if value not in (None, "")}

    # -- the page --------------------------------------------------------------------------------------
    async def desk(self, request: web.Request) -> web.Response:
        del request
        people = "".join(
            f'<option value="{p.number}">{escape(p.name)} {p.mobile}</option>' for p in self._world.personas
        )
        staff = "".join(f'<option value="{s.userid}">{escape(s.name)}</option>' for s in self._world.staff)
        rows = "".join(map(self._row, reversed(list(self.lines.values())[-20:]))) or "<li>还没有电话</li>"
        return page(
            "电话交换机",
            "<main><h1>电话交换机</h1>"
            f'<form method="post" action="/ring"><label>客户<select name="number">{people}</select></label>'
            f'<label>同事<select name="agent">{staff}<option value="">不指定</option></select></label>'
            '<label>方向<select name="direction"><option value="in">客户打来</option>'
            '<option value="out">我们打去</option></select></label><button>振铃</button></form>'
            f"<h2>最近的电话</h2><ul>{rows}</ul></main>",
        )

    def _row(self, line: Line) -> str:
        way = "打给我们" if line.direction == "in" else "接到我们的电话"
        verbs = {"ringing": (("answer", "接听"), ("hangup", "不接")), "talking": (("hangup", "挂断"),)}
        buttons = "".join(
            f'<form method="post" action="/calls/{line.call_id}/{verb}"><button>{name}</button></form>'
            for verb, name in verbs.get(line.state, ())
        )
        return f"<li>{escape(line.persona.name)} {way} <small>{_WORDS[line.state]}</small>{buttons}</li>"

    async def dial(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        number = form.get("number", "")
        persona = next((p for p in self._world.personas if str(p.number) == number), None)
        agent = self._world.member(form.get("agent", ""))
        if persona is None:
            raise web.HTTPBadRequest(text="请选择客户。")
        way: Literal["in", "out"] = "out" if form.get("direction") == "out" else "in"
        await self.ring(persona, agent.userid if agent else "", direction=way)
        raise web.HTTPSeeOther("/")

    async def act(self, request: web.Request) -> web.Response:
        await self._form(request)
        line = self._line(request)
        if request.match_info["verb"] == "answer" and line.state == "ringing":
            await self.answer(line)
        elif line.state in ("ringing", "talking"):
            await self.hang_up(line)
        raise web.HTTPSeeOther("/")

    async def recording(self, request: web.Request) -> web.Response:
        line = self._line(request)
        seconds = min(max(int(line.ended_at - line.answered_at), 1), _LONGEST_S)
        return web.Response(body=tone(seconds), content_type="audio/wav")

    def _line(self, request: web.Request) -> Line:
        found = self.lines.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="没有这个电话。")
        return found

    @staticmethod
    async def _form(request: web.Request) -> dict[str, str]:
        origin = request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="只接受本页的表单。")
        return {k: v for k, v in (await request.post()).items() if isinstance(v, str)}


EXCHANGE = web.AppKey("exchange", Exchange)


def tone(seconds: int) -> bytes:
    """A recording nobody spoke in: two soft tones in turn, as WAV."""
    frames = b"".join(
        struct.pack("<h", int(6000 * math.sin(2 * math.pi * (440 if n // _RATE % 2 else 330) * n / _RATE)))
        for n in range(seconds * _RATE)
    )
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(frames)
    return out.getvalue()
