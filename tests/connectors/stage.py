"""A stage for the simulated platforms: our hooks as a recorder, one world, plain HTTP clients."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from connectors.kit.codec import Codec
from connectors.kit.platform import PLATFORM
from connectors.kit.world import Persona, World
from connectors.miniprogram import simulator as mini_simulator
from connectors.tim import simulator as tim_simulator
from connectors.wechat_oa import simulator as oa_simulator
from connectors.wecom import simulator as wecom_simulator
from connectors.wecom_kf import simulator as kf_simulator
from scrm.contract import Account

TOKEN, AES_KEY, SECRET = "callbackToken", "q1Os1ZMe0nG28KUEx9lg3HjK7V5QyXvi212fzsgDqgW", "app-secret"
APP_ID, CORP_ID, SUITE_ID = "wx0123456789abcdef", "ww0123456789abcdef", "wwsuite0123456789"
SDK_APP_ID = "1400000001"
SIMULATORS = {
    "wechat_oa": oa_simulator,
    "miniprogram": mini_simulator,
    "tim": tim_simulator,
    "wecom_kf": kf_simulator,
    "wecom": wecom_simulator,
}

Api = TestClient[web.Request, web.Application]


def account(channel: str, **more: str) -> Account:
    options = {"app_id": APP_ID, "corp_id": CORP_ID, "suite_id": SUITE_ID, "agent_id": "1000002", **more}
    options = {"sdk_app_id": SDK_APP_ID, "admin": "administrator", **options}
    secrets = {"token": TOKEN, "aes_key": AES_KEY, "secret": SECRET}
    return Account(
        tenant_id=1,
        account_id=1,
        slug=channel,
        channel=channel,
        name=channel,
        options=options,
        secrets=secrets,
    )


@dataclass
class Hooks:
    """Our side of a callback: keeps what came and answers as told."""

    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    #: One answer per call, then `success` for ever.
    answers: list[Callable[[web.Request], web.StreamResponse]] = field(default_factory=list)
    #: Takes the calls instead, when set.
    take_by: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    rang: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((dict(request.query), await request.read()))
        self.rang.set()
        if self.take_by is not None:
            return await self.take_by(request)
        return self.answers.pop(0)(request) if self.answers else web.Response(text="success")

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait until it is so, looking again after every call."""
        async with asyncio.timeout(30):
            while not so():
                self.rang.clear()
                await self.rang.wait()


@dataclass
class Stage:
    """A running world; simulators join by name and leave at the end."""

    world: World
    hooks: Hooks
    url: str
    clients: list[Api] = field(default_factory=list)

    async def start(self, channel: str, **more: str) -> tuple[Any, Api]:
        app = SIMULATORS[channel].simulate(self.world, account(channel, **more), self.url)
        client = TestClient(TestServer(app, host="127.0.0.1"))
        self.clients.append(client)
        await client.start_server()
        platform = app[PLATFORM]
        platform.retry_s = 0
        return platform, client

    async def oa(self, **more: str) -> tuple[oa_simulator.OfficialAccount, Api]:
        return await self.start("wechat_oa", **more)

    async def kf(self) -> tuple[kf_simulator.CustomerService, Api]:
        platform, client = await self.start("wecom_kf")
        platform.hiccups = 0
        return platform, client

    async def wecom(self) -> tuple[wecom_simulator.WeCom, Api]:
        return await self.start("wecom")


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    hooks, app = Hooks(), web.Application()
    app.router.add_route("*", "/hooks/x", hooks.take)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    stage = Stage(World(random.Random(7)), hooks, str(server.make_url("/hooks/x")))
    try:
        yield stage
    finally:
        for client in stage.clients:
            await client.close()
        await server.close()


async def get(api: Api, path: str, **query: str) -> dict[str, Any]:
    async with api.get(f"/cgi-bin/{path}", params=query) as answer:
        assert answer.status == 200
        body: dict[str, Any] = await answer.json()
        return body


async def post(api: Api, path: str, body: object, token: str) -> dict[str, Any]:
    async with api.post(f"/cgi-bin/{path}", params={"access_token": token}, json=body) as answer:
        assert answer.status == 200
        result: dict[str, Any] = await answer.json()
        return result


async def corp_token(api: Api) -> str:
    return str((await get(api, "gettoken", corpid=CORP_ID, corpsecret=SECRET))["access_token"])


async def stable_token(api: Api, *, force: bool = False) -> str:
    asked = {
        "grant_type": "client_credential",
        "appid": APP_ID,
        "secret": SECRET,
        "force_refresh": force,
    }
    return str((await post(api, "stable_token", asked, ""))["access_token"])


def text_to(openid: str, text: str) -> dict[str, object]:
    return {"touser": openid, "msgtype": "text", "text": {"content": text}}


def sha1_sorted(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def opened(stage: Stage, receive_id: str) -> bytes:
    """The plaintext of the last callback."""
    query, body = stage.hooks.calls[-1]
    sealed = body.decode().partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    codec = Codec(TOKEN, AES_KEY, frozenset({receive_id}))
    codec.verify(query, sealed)
    return codec.decrypt(sealed)


def door() -> dict[str, str]:
    return {
        "appid": CORP_ID,
        "redirect_uri": "http://127.0.0.1:8080/auth/wecom?keep=1",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": "s1",
    }


async def signed_in(api: Api, query: dict[str, str]) -> Any:
    async with api.get("/connect/oauth2/authorize", params=query, allow_redirects=False) as answer:
        assert answer.status == 302
        return URL(answer.headers["Location"])


async def sync(kf: kf_simulator.CustomerService, api: Api, **fields: object) -> dict[str, Any]:
    body = {"open_kfid": kf.open_kfid, **fields}
    return await post(api, "kf/sync_msg", body, await corp_token(api))


async def answer_by_api(
    kf: kf_simulator.CustomerService, api: Api, person: Persona, *, msgid: str = ""
) -> dict[str, Any]:
    body = text_to(person.external_userid(CORP_ID), "您好") | {"open_kfid": kf.open_kfid, "msgid": msgid}
    return await post(api, "kf/send_msg", body, await corp_token(api))


async def state_of(kf: kf_simulator.CustomerService, api: Api, person: Persona) -> dict[str, Any]:
    body = {"open_kfid": kf.open_kfid, "external_userid": person.external_userid(CORP_ID)}
    return await post(api, "kf/service_state/get", body, await corp_token(api))


async def trans(
    kf: kf_simulator.CustomerService, api: Api, person: Persona, state: int, servicer: str = ""
) -> dict[str, Any]:
    body = {
        "open_kfid": kf.open_kfid,
        "external_userid": person.external_userid(CORP_ID),
        "service_state": state,
        "servicer_userid": servicer,
    }
    return await post(api, "kf/service_state/trans", body, await corp_token(api))
