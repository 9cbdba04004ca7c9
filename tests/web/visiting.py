"""A website's visitor for the web tests: what a browser on another origin may send, and nothing more."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import quote

import aiohttp

from connectors.webchat.login import signed
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.staff import store as staff_store
from tests.web.office import Office, Reply, office, until

SITE, OTHER_SITE = "https://shop.example", "https://outlet.example"
SECRET = "a-secret-of-the-shop-that-is-long-enough"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64


def chat_account(slug: str = "shop", **more: str) -> dict[str, object]:
    return {"slug": slug, "channel": "webchat", "name": "小店", "secret": SECRET, "origins": SITE, **more}


async def open_site(desk: Office, slug: str = "shop", **more: str) -> None:
    """One more website, for team A."""
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        team_id = await staff_store.team_id(conn, "A")
        await accounts.add(conn, chat_account(slug, **more), now=utcnow(), team_id=team_id)
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


@asynccontextmanager
async def shop(folder: Path, database_url: str, **more: str) -> AsyncIterator[Office]:
    """A hired office with one website. On whichever engine the address names."""
    async with office(folder, database_url=database_url) as made:
        await open_site(made, **more)
        yield made


@dataclass
class Visitor:
    """One browser on the site's page."""

    desk: Office
    slug: str = "shop"
    origin: str = SITE
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def come(self) -> Visitor:
        answer = await self.ask("POST", "session", json={"token": self.token})
        assert answer.status == 200, answer.text
        self.token = answer.json()["token"]
        return self

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        headers = {"Origin": self.origin} if self.origin else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        headers |= self.headers | dict(more.pop("headers", {}))
        return await self.desk.bare(method, f"/chat/{self.slug}/{path}", headers=headers, **more)

    async def says(self, text: str, *, key: str = "") -> Reply:
        key = key or secrets.token_hex(8)
        return await self.ask("POST", "messages", json={"text": text}, headers={"Idempotency-Key": key})

    async def uploads(self, name: str, content: bytes, *, key: str = "") -> Reply:
        headers = {"Idempotency-Key": key or secrets.token_hex(8), "X-Upload-Name": quote(name)}
        return await self.ask("POST", "files", data=io.BytesIO(content), headers=headers)

    async def signs_in(self, sub: str, *, slug_secret: str = SECRET, **more: Any) -> Reply:
        now = int(time())
        claims = {"sub": sub, "iat": now, "exp": now + 600, **more}
        answer = await self.ask("POST", "identify", json={"identity": signed(slug_secret, claims)})
        if answer.status == 200:
            self.token = answer.json()["token"]
        return answer

    async def reads(self, **query: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", "history", params=query)
        assert answer.status == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def hears(self, count: int) -> list[dict[str, Any]]:
        """Until so many messages of ours have arrived."""
        found: list[dict[str, Any]] = []

        async def so() -> bool:
            nonlocal found
            found = [i for i in await self.reads() if not i["mine"]]
            return len(found) >= count

        await until(so)
        return found


async def lines(answer: aiohttp.ClientResponse, wanted: str) -> None:
    """Read a stream until an event of this name."""
    async for raw in answer.content:
        if raw.decode().strip() == f"event: {wanted}":
            return
    raise AssertionError(f"the stream ended before {wanted}")


async def events_of(desk: Office, slug: str = "shop") -> list[dict[str, Any]]:
    """What the timeline of the account holds, oldest first, as an admin's program sees it."""
    await desk.quiet()
    answer = await desk.api("GET", f"/events?account={slug}", token="machine-admin")
    items: list[dict[str, Any]] = json.loads(answer.text)["items"]
    return items[::-1]
