"""The whole path in one process: simulated platforms with phones, our service over HTTP, and its API."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from aiohttp import ClientSession, ClientTimeout, web

from connectors.kit.platform import PLATFORM, Platform
from connectors.kit.world import Persona, World
from connectors.wechat_oa.simulator import OfficialAccount
from connectors.wecom.simulator import WeCom
from connectors.wecom_kf.simulator import CustomerService
from scrm import settings
from scrm.accounts import service as accounts
from scrm.app import TENANT, Service, running
from scrm.contract import Account
from scrm.db import utcnow
from scrm.push import service as push
from scrm.push.rules import Verdict
from scrm.staff import service as staff
from scrm.timeline.store import conversations
from scrm.web.serving import listening
from tests.chaos.harness import AES_KEY, APP_ID, PATIENCE_S, SECRET, TOKEN, Api
from tests.services import free_port

CORP_ID, SUITE_ID = "ww0123456789abcdef", "wwsuite0123456789"
OA, KF, WECOM = "school-oa", "school-kf", "school"
CHANNELS: Mapping[str, tuple[str, dict[str, str]]] = {
    OA: ("wechat_oa", {"app_id": APP_ID}),
    KF: ("wecom_kf", {"corp_id": CORP_ID}),
    WECOM: ("wecom", {"corp_id": CORP_ID, "agent_id": "1000002", "suite_id": SUITE_ID}),
}
NOWHERE = "http://127.0.0.1:9/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: What happens to one call of a vendor's API instead of a plain answer.
Twist = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


@dataclass
class Vendor:
    """One platform and its door, which may stay shut until `open`."""

    runner: web.AppRunner
    port: int
    #: By API path, used up one call each.
    twists: dict[str, list[Twist]] = field(default_factory=lambda: defaultdict(list))

    async def open(self) -> None:
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()


@dataclass
class Stage:
    world: World
    service: Service
    api: Api
    vendors: dict[str, Vendor]

    @property
    def oa(self) -> OfficialAccount:
        return cast(OfficialAccount, self.world.outlets[OA])

    @property
    def kf(self) -> CustomerService:
        return cast(CustomerService, self.world.outlets[KF])

    @property
    def wecom(self) -> WeCom:
        return cast(WeCom, self.world.outlets[WECOM])

    def platform(self, slug: str) -> Platform:
        return cast(Platform, self.world.outlets[slug])

    def persona(self, *channels: str) -> Persona:
        """The first customer who uses all of these channels."""
        return next(p for p in self.world.personas if p.channels >= set(channels))

    # -- waiting -------------------------------------------------------------------------------------------
    async def rows(self, sql: str, **given: object) -> list[tuple[Any, ...]]:
        async with self.service.house.db.read(TENANT) as conn:
            return [tuple(row) for row in await conn.rows(sa.text(sql), given)]

    async def change(self, sql: str) -> None:
        """Rewrite history behind the service's back; only when nothing waits."""
        async with self.service.house.db.begin(TENANT) as conn:
            await conn.run(sa.text(sql))

    async def quiet(self) -> None:
        """Nothing waits anywhere: not to be settled, reacted to, fetched or sent."""
        deadline = time.monotonic() + PATIENCE_S
        while busy := await self._busy():
            assert time.monotonic() < deadline, f"still busy: {busy}"
            await asyncio.sleep(0.01)

    async def _busy(self) -> list[tuple[Any, ...]]:
        now = int(time.time() * 1_000_000)
        return await self.rows(
            "SELECT 'inbox', source_key, state, error FROM inbox WHERE state IN ('new', 'settled') UNION ALL "
            "SELECT 'due', kind, key, error FROM due WHERE at <= :now OR lease_until IS NOT NULL UNION ALL "
            "SELECT 'outbox', key, state, error FROM outbox WHERE state IN ('queued', 'sending', 'retry')",
            now=now,
        )

    async def event(self, text: str, **wanted: str) -> dict[str, Any]:
        """The event with this text, once it is on the timeline."""

        async def find() -> dict[str, Any] | None:
            found = [e for e in await self.api.all("events") if e["text"] == text]
            return next((e for e in found if all(e[k] == v for k, v in wanted.items())), None)

        found: dict[str, Any] = await self.api.until(find, f"the event {text!r} {wanted}")
        return found

    async def kinds(self, slug: str) -> list[str]:
        """Kinds on one account's timeline, oldest first, without profiles."""
        found = await self.api.all("events", account=slug)
        return [e["kind"] for e in reversed(found) if e["kind"] != "event.profile"]

    # -- talking -------------------------------------------------------------------------------------------
    async def hear(self, persona: Persona, slug: str, text: str) -> str:
        """The customer writes; the id of the conversation once everything about it is done."""
        assert (await self.world.say(persona, slug, text)).state == "sent"
        await self.event(text, account=slug)
        await self.quiet()
        event = await self.event(text, account=slug)  # by now the vendor has said who this is
        talks = await self.api.all("conversations")
        return next(
            str(t["id"]) for t in talks if t["account"] == slug and t["person_id"] == event["person_id"]
        )

    async def reply(self, talk: str, text: str, key: str = "") -> int:
        status, _ = await self.api.post("pushes", {"conversation_id": talk, "text": text}, key or text)
        return status

    async def verdict(self, talk: str, *, in_app: bool) -> Verdict:
        """How a reply may go out, as the sidebar asks."""
        house = self.service.house
        async with house.db.read(TENANT) as conn:
            found = await conversations.of_id(conn, conn.vault.private("conversation", talk))
            assert found is not None
            plugged = house.directory.by_id(found.account_id)
            return await push.check(conn, plugged, found, in_app=in_app, now=utcnow())

    async def delivery(self, text: str, *, among: Collection[str]) -> str:
        """What became of a push, once it is one of these."""

        async def find() -> str | None:
            found = {e["text"]: e["delivery"] for e in await self.api.all("events")}
            return found.get(text) if found.get(text) in among else None

        return str(await self.api.until(find, f"{text!r} ends as one of {among}"))


@asynccontextmanager
async def staged(
    folder: Path,
    url: str = "",
    *,
    shut: Collection[str] = (),
    channels: Mapping[str, tuple[str, dict[str, str]]] = CHANNELS,
) -> AsyncIterator[Stage]:
    """Everything on loopback, stopped together; the doors of the vendors in `shut` are still closed."""
    configured = settings.load(
        env={}, data_dir=str(folder), database_url=url, port=free_port(), company="小橡树"
    )
    world = World(random.Random(7))
    async with AsyncExitStack() as stack:
        vendors, given = {}, []
        for slug, (channel, options) in channels.items():
            secrets = {"token": TOKEN, "aes_key": AES_KEY, "secret": SECRET}
            vendors[slug] = await _vendor(
                stack, world, _account(slug, channel, options, secrets), configured.url
            )
            if slug not in shut:
                await vendors[slug].open()
            base = f"http://127.0.0.1:{vendors[slug].port}"
            known = {need.name for need in accounts.connector(channel).NEEDS}
            own = {k: v for k, v in {**options, **secrets, "api_base": base}.items() if k in known}
            given.append({"slug": slug, "channel": channel, **own})
        service = await stack.enter_async_context(running(configured, extra=given))
        await stack.enter_async_context(listening(service.app, "127.0.0.1", configured.port))
        http = await stack.enter_async_context(
            ClientSession(timeout=ClientTimeout(total=30), trust_env=False)
        )
        async with service.house.db.begin(TENANT) as conn:
            token = await staff.new_token(conn, "admin", "", now=utcnow())
        yield Stage(
            world=world,
            service=service,
            api=Api(configured.url, token, http),
            vendors=vendors,
        )


def _account(slug: str, channel: str, options: dict[str, str], secrets: dict[str, str]) -> Account:
    return Account(
        tenant_id=TENANT,
        account_id=0,
        slug=slug,
        channel=channel,
        name=slug,
        options=options,
        secrets=secrets,
    )


async def _vendor(stack: AsyncExitStack, world: World, account: Account, url: str) -> Vendor:
    simulator = import_module(f"connectors.{account.channel}.simulator")
    app = simulator.simulate(world, account, f"{url}/hooks/{account.slug}")
    platform: Platform = app[PLATFORM]
    platform.retry_s = 0
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    vendor = Vendor(runner=runner, port=free_port())

    @web.middleware
    async def twisted(request: web.Request, handler: Handler) -> web.StreamResponse:
        planned = vendor.twists[request.path.removeprefix("/cgi-bin/")]
        return await (planned.pop(0)(request, handler) if planned else handler(request))

    app.middlewares.append(twisted)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return vendor


async def plug_in(stage: Stage, slug: str, channel: str) -> None:
    """One more account, of a channel without settings."""
    house = stage.service.house
    async with house.db.begin(TENANT) as conn:
        await accounts.add(conn, {"slug": slug, "channel": channel}, now=utcnow())
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)
