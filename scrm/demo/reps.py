"""The demo's reps: they work through the public API, and rest while you sit at their desk."""

from __future__ import annotations

import asyncio
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import ClientSession

from connectors.kit.http import is_loopback, open_session
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo.stage import Stage
from scrm.desk import service as desk
from scrm.staff import service as staff

#: A customer waits at least this long, so that visitors see the queue fill and empty.
_THINKS = timedelta(seconds=8)
#: Sooner than a silent page counts as closed.
_GETS_UP_S = 20.0
_OWN_WORDS = "好的，我马上帮您确认一下，稍等。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rep:
    login: str
    staff_id: int
    token: str


async def hire(stage: Stage) -> list[Rep]:
    """The reps of the stage, each with a token of their own."""
    reps = []
    async with stage.service.house.db.begin(TENANT) as conn:
        for userid, staff_id in list(stage.team.items())[:3]:
            token = await staff.new_token(conn, "rep", userid.lower(), now=utcnow())
            reps.append(Rep(login=userid.lower(), staff_id=staff_id, token=token))
    return reps


async def work(stage: Stage, rep: Rep, *, pace_s: float, rng: random.Random, http: ClientSession) -> None:
    """Answer whoever has waited longest, with the best script that needs nothing filled in; for ever."""
    live = stage.service.house.live
    while True:
        await _sit(stage, rep)
        await asyncio.sleep(min(pace_s * rng.uniform(0.7, 1.6), _GETS_UP_S))
        if not live.watched(TENANT, f"rep:{rep.staff_id}"):
            await _answer(stage.url, rep, http)


async def _sit(stage: Stage, rep: Rep) -> None:
    """At their desk, so that new conversations are given to them too."""
    async with stage.service.house.db.begin(TENANT) as conn:
        await desk.here(conn, rep.staff_id, now=utcnow())


async def _answer(url: str, rep: Rep, http: ClientSession) -> None:
    waiting = await _get(http, rep, f"{url}/api/v1/conversations", limit="200")
    ready = [
        c
        for c in waiting
        if c["session"] == "api"
        and c["waiting_since"]
        and datetime.now(UTC) - datetime.fromisoformat(c["waiting_since"]) > _THINKS
    ]
    if not ready:
        return
    chosen = min(ready, key=lambda c: (c["owner"] != rep.login, c["waiting_since"]))
    offers = await _get(http, rep, f"{url}/api/v1/suggestions", conversation_id=chosen["id"], limit="5")
    usable = sorted((o for o in offers if not o["missing"] and o["state"] != "used"), key=lambda o: o["rank"])
    body = {"conversation_id": chosen["id"], "text": usable[0]["text"] if usable else _OWN_WORDS}
    if usable:
        body["suggestion_id"] = usable[0]["id"]
    headers = {"Authorization": f"Bearer {rep.token}", "Idempotency-Key": secrets.token_hex(8)}
    async with http.post(f"{url}/api/v1/pushes", json=body, headers=headers) as answer:
        await answer.read()  # a closed window or a colleague who was faster is part of the day


async def _get(http: ClientSession, rep: Rep, url: str, **query: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {rep.token}"}
    async with http.get(url, params=query, headers=headers) as answer:
        body = await answer.json()
    items: list[dict[str, Any]] = body.get("items", [])
    return items


def client() -> ClientSession:
    """The reps' browser, as it were: it reaches this machine and nothing else."""
    return open_session(is_loopback)
