"""The demo's colleagues at their desks: what they read and do, through the API and the pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession

from connectors.kit.http import is_loopback, open_session
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo.stage import ROLES, Stage
from scrm.staff import service as staff

_LOOKS_S = 0.5
Item = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleague:
    """One of the team with a token and a browser."""

    login: str
    name: str
    userid: str
    staff_id: int
    url: str
    token: str
    cookie: str
    http: ClientSession

    async def read(self, path: str, **query: str) -> list[Item]:
        """What a list of the API says; nothing of what they may not see."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.get(f"{self.url}/api/v1{path}", params=query, headers=headers) as answer:
            body = await answer.json()
        items: list[Item] = body.get("items", [])
        return items

    async def see(self, path: str) -> Item:
        """One thing of the API; {} when it is not there."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.get(f"{self.url}/api/v1{path}", headers=headers) as answer:
            found: Item = await answer.json()
            return found if answer.ok else {}

    async def do(self, path: str, **body: object) -> Item:
        """What came of it; {} when it was refused: a colleague who was faster is part of the day."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": secrets.token_hex(8)}
        async with self.http.post(f"{self.url}/api/v1{path}", json=body, headers=headers) as answer:
            made: Item = await answer.json()
            return made if answer.ok else {}

    async def fill(self, path: str, **form: str) -> bool:
        """A form of a page, for what only people do; whether it was taken."""
        headers = {"Cookie": self.cookie, "Origin": self.url}
        send = self.http.post(f"{self.url}{path}", data=form, headers=headers, allow_redirects=False)
        async with send as answer:
            return answer.status in (200, 204, 303)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    reps: tuple[Colleague, ...]
    lead: Colleague
    admin: Colleague

    @property
    def everybody(self) -> tuple[Colleague, ...]:
        return (*self.reps, self.lead, self.admin)


async def crew(stage: Stage, http: ClientSession) -> Crew:
    """Everybody of the stage who has something to do, signed in."""
    found: dict[str, list[Colleague]] = {}
    async with stage.service.house.db.begin(TENANT) as conn:
        now = utcnow()
        for (userid, staff_id), role in zip(stage.team.items(), ROLES, strict=False):
            member = stage.world.member(userid)
            session = await staff.open_session(conn, staff_id, now=now, hours=24 * 30)
            one = Colleague(
                login=userid.lower(),
                name=member.name if member else userid,
                userid=userid,
                staff_id=staff_id,
                url=stage.url,
                token=await staff.new_token(conn, role, userid.lower(), now=now),
                cookie=f"scrm={session}",
                http=http,
            )
            found.setdefault(role, []).append(one)
    return Crew(reps=tuple(found["rep"]), lead=found["lead"][0], admin=found["admin"][0])


async def talk_with(
    who: Colleague, names: Collection[str], slugs: Collection[str] = (), *, patience_s: float = 20.0
) -> Item:
    """Their newest conversation with one of these customers; {} when none has come."""
    for _ in range(round(patience_s / _LOOKS_S)):
        for one in await who.read("/conversations", limit="200"):
            if one["name"] in names and (not slugs or one["account"] in slugs):
                return one
        await asyncio.sleep(_LOOKS_S)
    return {}


def client() -> ClientSession:
    """Their browsers, as it were: they reach this machine and nothing else."""
    return open_session(is_loopback)
