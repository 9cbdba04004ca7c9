"""A simulated platform with phones that can keep an answer to itself, and a rep who insists."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, web

from connectors.kit.world import World
from connectors.wechat_oa.simulator import simulate
from scrm.contract import Account
from scrm.web.serving import listening
from tests.chaos.harness import AES_KEY, APP_ID, SECRET, SLUG, TOKEN, Api, Server, seed

SEND = "message/custom/send"


@dataclass
class Vendor:
    """A simulated Official Account that can keep the answer to itself after the message is on the phone."""

    world: World
    holding: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self) -> None:
        """Keep one answer back until the caller is dead."""
        self.holding = False
        self.held.set()
        await asyncio.sleep(30)

    def phones(self) -> Counter[str]:
        return Counter(b.text for p in self.world.personas for b in self.world.received(p))


@asynccontextmanager
async def simulated(server: Server) -> AsyncIterator[Vendor]:
    """The vendor of the server's account, in this process; it outlives the server's deaths."""
    account = Account(
        tenant_id=1,
        account_id=1,
        slug=SLUG,
        channel="wechat_oa",
        name="学堂",
        options={"app_id": APP_ID},
        secrets={"token": TOKEN, "aes_key": AES_KEY, "secret": SECRET},
    )
    vendor = Vendor(World(random.Random(seed()), people=12))
    app = simulate(vendor.world, account, f"{server.url}/hooks/{SLUG}")

    @web.middleware
    async def hold(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(request)
        if vendor.holding and request.path.endswith(SEND):
            await vendor.pause()
        return answer

    app.middlewares.append(hold)
    async with listening(app, "127.0.0.1", 0) as port:
        server.configure(f"http://127.0.0.1:{port}")
        yield vendor


async def say(api: Api, talk: str, text: str, promised: list[str]) -> None:
    """Queue one push, with the same key until somebody lives to promise it."""
    for _ in range(400):
        try:
            status, answer = await api.post("pushes", {"conversation_id": talk, "text": text}, text)
        except (ClientError, TimeoutError):
            await asyncio.sleep(0.05)
            continue
        assert status == 201, answer
        promised.append(text)
        return
    raise AssertionError(f"nobody took {text}")
