"""An office for the web tests: a whole service on loopback, two teams, customers who write, and browsers."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from time import time
from typing import Any
from xml.sax.saxutils import escape

import aiohttp

from connectors.kit.codec import Codec
from connectors.kit.profiles import profile_raw
from connectors.wecom.told import asked
from scrm import inbox, settings
from scrm.accounts import service as accounts
from scrm.app import TENANT, Service, running
from scrm.contract import Handle
from scrm.db import utcnow
from scrm.identity import service as identity
from scrm.staff import service as staff
from scrm.staff import store as staff_store
from scrm.timeline.store import conversations
from scrm.web.serving import listening

APP_ID, CORP_ID = "wx5823bf96d3bd56c7", "ww9c2f1e7a60b84d35"
PASSWORD = "a-long-enough-password"
#: login -> (role, team)
PEOPLE = {
    "rep": ("rep", "A"),
    "peer": ("rep", "A"),
    "other": ("rep", "B"),
    "lead": ("lead", "A"),
    "marketing": ("marketing", ""),
    "compliance": ("compliance", ""),
    "admin": ("admin", ""),
}
#: slug -> (channel, team)
ACCOUNTS = {"oa-a": ("wechat_oa", "A"), "oa-b": ("wechat_oa", "B"), "corp": ("wecom", "A")}
ROLES = ("rep", "lead", "marketing", "compliance", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    cookies: Mapping[str, Any]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def where(self) -> str:
        return self.headers.get("Location", "")


@dataclass
class Office:
    service: Service
    url: str
    http: aiohttp.ClientSession
    #: Callback secrets by slug.
    keys: dict[str, dict[str, str]]
    #: Session tokens and API tokens by login; machines' tokens as `machine-<role>`.
    sessions: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    staff_ids: dict[str, int] = field(default_factory=dict)

    # -- requests --------------------------------------------------------------------------------------
    async def ask(self, method: str, path: str, *, who: str = "", **more: Any) -> Reply:
        """As the browser of `who`: cookie and, when it writes, the headers a browser adds."""
        headers = dict(more.pop("headers", {}))
        if who:
            headers["Cookie"] = f"scrm={self.sessions[who]}"
        if method != "GET" and not {"Origin", "Sec-Fetch-Site"} & headers.keys():
            headers["Sec-Fetch-Site"] = "same-origin"
        return await self._send(method, path, headers, more)

    async def api(self, method: str, path: str, *, token: str = "", **more: Any) -> Reply:
        """As a program that holds the token of `token` (a login or `machine-<role>`)."""
        headers = dict(more.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        return await self._send(method, f"/api/v1{path}", headers, more)

    async def bare(self, method: str, path: str, **more: Any) -> Reply:
        """With exactly the headers given."""
        return await self._send(method, path, dict(more.pop("headers", {})), more)

    async def _send(self, method: str, path: str, headers: dict[str, str], more: dict[str, Any]) -> Reply:
        url = path if path.startswith("http") else self.url + path
        async with self.http.request(method, url, headers=headers, allow_redirects=False, **more) as answer:
            text = await answer.text(errors="replace")
            return Reply(
                status=answer.status, headers=answer.headers.copy(), cookies=answer.cookies, text=text
            )

    # -- customers -------------------------------------------------------------------------------------
    def sealed(self, slug: str, plain: str, *, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """A callback as the platform would post it: query and body."""
        key, to = self.keys[slug], CORP_ID if ACCOUNTS[slug][0] == "wecom" else APP_ID
        codec = Codec(key["token"], key["aes_key"], frozenset({to}))
        encrypt = codec.encrypt(plain.encode(), receive_id=to, salt=secrets.token_bytes(16))
        stamp, nonce = str(int(at or time())), secrets.token_hex(5)
        query = {"timestamp": stamp, "nonce": nonce, "msg_signature": codec.signature(stamp, nonce, encrypt)}
        body = f"<xml><ToUserName>{to}</ToUserName><Encrypt>{encrypt}</Encrypt></xml>"
        return query, body.encode()

    async def callback(self, slug: str, plain: str, *, at: float | None = None) -> Reply:
        query, body = self.sealed(slug, plain, at=at)
        return await self.bare("POST", f"/hooks/{slug}", params=query, data=body)

    async def hear(self, slug: str, openid: str, text: str, *, kind: str = "text") -> None:
        """A customer writes to an Official Account; returns when suggestions have been made."""
        fields = {"Content": text} if kind == "text" else {"Title": text, "Url": text, "Description": text}
        answer = await self.callback(slug, message(openid, kind, **fields))
        assert answer.status == 200
        await self.quiet()

    async def profile(self, external_userid: str, name: str, *, follower: str = "") -> None:
        """What WeCom answers about an outside contact, as the worker would bring it home."""
        answer = {
            "errcode": 0,
            "external_contact": {"external_userid": external_userid, "name": name, "type": 1},
            "follow_user": [{"userid": follower, "createtime": int(time())}] if follower else [],
        }
        raw = profile_raw(external_userid, f"contact:{external_userid}", answer, utcnow())
        house = self.service.house
        await house.inbox.accept(house.directory.by_slug("corp").account, (raw,), received_at=utcnow())
        await self.quiet()

    async def group(self, chat_id: str, name: str, *, ours: str, customers: Mapping[str, str]) -> str:
        """What WeCom answers about a customer group; the public id of its page."""
        people = [{"userid": who, "type": 2, "name": called} for who, called in customers.items()]
        member = {"userid": ours, "type": 1, "name": ours}
        chat = {"chat_id": chat_id, "name": name, "owner": ours, "member_list": [member, *people]}
        raw = asked("chat", chat_id, {"group_chat": chat}, utcnow())
        house = self.service.house
        await house.inbox.accept(house.directory.by_slug("corp").account, (raw,), received_at=utcnow())
        await self.quiet()
        async with house.db.read(TENANT) as conn:
            place = Handle(kind="wecom_chat", scope=CORP_ID, value=chat_id)
            node_id = await identity.find(conn, place)
        assert node_id is not None
        return self.public("chat", node_id)

    async def quiet(self) -> None:
        """Until every row that came in has been understood and answered with suggestions."""

        async def done() -> bool:
            house = self.service.house
            # A database that was slow for a moment has left some of it on this host.
            if house.spool is not None and (await house.spool.depth([TENANT])).waiting:
                return False
            async with house.db.read(TENANT) as conn:
                waiting = await inbox.counts(conn)
            return not (waiting["new"] or waiting["settled"])

        await until(done)

    async def quarantined(self, rows: int = 1) -> None:
        """Until so many rows were put aside as not understood."""

        async def done() -> bool:
            async with self.service.house.db.read(TENANT) as conn:
                return (await inbox.counts(conn))["quarantined"] == rows

        await until(done)

    # -- who has what ----------------------------------------------------------------------------------
    async def cid(self, slug: str) -> str:
        """Public id of the latest conversation of an account."""
        items = (await self.api("GET", "/conversations", token="machine-admin")).json()["items"]
        return str(next(c["id"] for c in items if c["account"] == slug))

    async def push(self, who: str, cid: str, text: str, *, key: str = "") -> Reply:
        body = {"conversation_id": cid, "text": text}
        headers = {"Idempotency-Key": key or secrets.token_hex(8)}
        return await self.api("POST", "/pushes", token=who, json=body, headers=headers)

    def private(self, kind: str, public: str) -> int:
        return self.service.house.db.vault.private(kind, public)

    def public(self, kind: str, ident: int) -> str:
        return self.service.house.db.vault.public(kind, ident)

    async def node_of(self, cid: str) -> int:
        async with self.service.house.db.read(TENANT) as conn:
            talk = await conversations.of_id(conn, self.private("conversation", cid))
        assert talk is not None
        return talk.node_id


def message(openid: str, kind: str, **fields: str) -> str:
    """A plaintext of an Official Account message."""
    inner = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in fields.items())
    return (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName>{openid}</FromUserName>"
        f"<CreateTime>{int(time())}</CreateTime><MsgType>{kind}</MsgType>{inner}"
        f"<MsgId>{secrets.randbits(60)}</MsgId></xml>"
    )


def event(openid: str, name: str, **fields: str) -> str:
    """A plaintext of an Official Account event."""
    inner = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in fields.items())
    return (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName>{openid}</FromUserName>"
        f"<CreateTime>{int(time())}</CreateTime><MsgType>event</MsgType><Event>{escape(name)}</Event>{inner}</xml>"
    )


async def until(so: Callable[[], Awaitable[bool]], *, timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not await so():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.02)


def configured(folder: Path, **over: object) -> settings.Settings:
    """Settings of a service in this folder, on whatever port is free."""
    return settings.load(env={}, data_dir=str(folder), port=0, log_level="debug", **over)


def given(slug: str) -> tuple[dict[str, object], dict[str, str]]:
    """An account as an admin would write it, and its secrets; its platform is a closed local port."""
    channel, _ = ACCOUNTS[slug]
    key = {
        "token": secrets.token_hex(8),
        "aes_key": base64.b64encode(secrets.token_bytes(32)).decode().rstrip("="),
        "secret": secrets.token_hex(16),
    }
    own = {"app_id": APP_ID} if channel == "wechat_oa" else {"corp_id": CORP_ID, "agent_id": "1000002"}
    base = "http://127.0.0.1:9"
    return {"slug": slug, "channel": channel, "name": slug, "api_base": base, **own, **key}, key


@asynccontextmanager
async def office(folder: Path, *, people: bool = True, **over: object) -> AsyncIterator[Office]:
    """The whole service on a free port, hired and configured; stopped at the end."""
    keys: dict[str, dict[str, str]] = {}
    async with (
        running(configured(folder, **over)) as service,
        listening(service.app, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        made = Office(service=service, url=f"http://127.0.0.1:{port}", http=http, keys=keys)
        if people:
            await hire(made)
        yield made


async def hire(made: Office) -> None:
    house, now = made.service.house, utcnow()
    async with house.db.begin(TENANT) as conn:
        for slug, (_, team) in ACCOUNTS.items():
            written, made.keys[slug] = given(slug)
            await accounts.add(conn, written, now=now, team_id=await staff_store.team_id(conn, team))
        for login, (role, team) in PEOPLE.items():
            ident = await staff.add(conn, login=login, name=f"员工{login}", role=role, team=team, now=now)
            made.staff_ids[login] = ident
            made.sessions[login] = await staff.open_session(conn, ident, now=now, hours=8)
            made.tokens[login] = await staff.new_token(conn, role, login, now=now)
        for role in ROLES:
            made.tokens[f"machine-{role}"] = await staff.new_token(conn, role, "", now=now)
        await staff_store.bind(conn, CORP_ID, "RepUser", made.staff_ids["rep"])
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


async def set_password(made: Office, login: str) -> None:
    """A changed password ends the member's sessions, so they get a new one."""
    (role, team), now = PEOPLE[login], utcnow()
    async with made.service.house.db.begin(TENANT) as conn:
        ident = await staff.add(
            conn, login=login, name=login, role=role, team=team, password=PASSWORD, now=now
        )
        made.sessions[login] = await staff.open_session(conn, ident, now=now, hours=8)


class Page(HTMLParser):
    """What a browser makes of an answer: every element with its attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def values(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] for name, attrs in self.elements if name == tag and attribute in attrs]
