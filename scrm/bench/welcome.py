"""A new contact's welcome while the first sync of 50,000 customers runs: WeCom gives 20 s, we want 3."""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from time import perf_counter
from typing import Any

from connectors.kit.platform import PLATFORM
from connectors.kit.world import Persona, World
from scrm import works
from scrm.app import TENANT, Service, running
from scrm.bench.ground import Figures
from scrm.bench.site import site
from scrm.contract import Account
from scrm.db import utcnow
from scrm.web.serving import listening

#: The channel that welcomes; its simulator can have a crowd.
CHANNEL, SLUG = "wecom", "bench-corp"
CUSTOMERS, CONTACTS, PACE_S = 50_000, 40, 1.0
#: What we promise, of the vendor's 20 seconds.
BAR_S = 3.0
_WAIT_S = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Corp:
    """The simulated company and the service it calls."""

    world: World
    service: Service
    platform: Any


async def run(
    *, database: str = "", customers: int = CUSTOMERS, contacts: int = CONTACTS, pace_s: float = PACE_S
) -> Figures:
    """Seconds from a customer's tap to the welcome on their phone, at rest and while the sync runs."""
    async with _corp(database, 2 * contacts) as corp:
        people = iter(corp.world.personas)
        calm = [await _welcomed(corp, next(people)) for _ in range(contacts)]
        corp.platform.office.crowd = customers
        job_id, began = await _start(corp), perf_counter()
        busy = []
        for _ in range(contacts):
            busy.append(await _welcomed(corp, next(people)))
            if await _open(corp, job_id):
                await asyncio.sleep(max(0.0, pace_s - busy[-1]))
        still, done = await _open(corp, job_id), await _done(corp, job_id)
    return {
        "customers": customers,
        "synced_meanwhile": done,
        "sync_per_s": round(done / (perf_counter() - began), 1),
        "still_syncing": int(still),
        "calm_p50_s": round(statistics.median(calm), 3),
        "busy_p50_s": round(statistics.median(busy), 3),
        "busy_max_s": round(max(busy), 3),
        "ratio": round(max(busy) / BAR_S, 3),
    }


@asynccontextmanager
async def _corp(database: str, people: int) -> AsyncIterator[Corp]:
    world = World(random.Random(7), people=people)
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(site(database))
        account = _account()
        simulator = import_module(f"connectors.{CHANNEL}.simulator")
        app = simulator.simulate(world, account, "")  # its own port comes first, then ours
        port = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
        given = {"slug": SLUG, "channel": CHANNEL, "api_base": f"http://127.0.0.1:{port}"}
        given |= {**account.options, **account.secrets}
        service = await stack.enter_async_context(running(place.settings, extra=[given]))
        ours = await stack.enter_async_context(listening(service.app, "127.0.0.1", 0))
        platform = app[PLATFORM]
        platform.hooks_url = f"http://127.0.0.1:{ours}/hooks/{SLUG}"
        yield Corp(world=world, service=service, platform=platform)


async def _welcomed(corp: Corp, persona: Persona) -> float:
    """Seconds until the welcome is on the phone; endless is a failure, and says so."""
    began = perf_counter()
    await corp.platform.meet(persona, corp.world.staff[0])
    async with asyncio.timeout(_WAIT_S):
        await corp.world.arrival(persona)
    return perf_counter() - began


async def _start(corp: Corp) -> int:
    house = corp.service.house
    ident = house.directory.by_slug(SLUG).account.account_id
    async with house.db.begin(TENANT) as conn:
        job_id = await works.start(conn, "sync", {"streams": ["customers"]}, account_id=ident, now=utcnow())
        conn.after_commit(corp.service.wakes["due"])
    return job_id


async def _work(corp: Corp, job_id: int) -> works.Work:
    async with corp.service.house.db.read(TENANT) as conn:
        found = await works.get(conn, job_id)
    assert found is not None
    return found


async def _open(corp: Corp, job_id: int) -> bool:
    return (await _work(corp, job_id)).state in works.OPEN


async def _done(corp: Corp, job_id: int) -> int:
    return (await _work(corp, job_id)).done


def _account() -> Account:
    keys = {
        "token": secrets.token_hex(12),
        "aes_key": base64.b64encode(secrets.token_bytes(32)).decode().rstrip("="),
        "secret": secrets.token_hex(16),
    }
    options = {"corp_id": "wwbench000000001", "agent_id": "1000002"}
    return Account(
        tenant_id=TENANT,
        account_id=0,
        slug=SLUG,
        channel=CHANNEL,
        name="bench",
        options=options,
        secrets=keys,
    )
