"""Eight workers on the same few people at once: nobody waits for ever, and all is as if said in turn."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from scrm.contract import Handle, Link
from scrm.db import Database
from scrm.identity import rebuild, service, versions
from scrm.identity.gathering import Sighting
from scrm.identity.rules.memory import Engine
from scrm.seal import Vault
from tests.ground import NOW, handle
from tests.identity import oracle

#: Only here do several processes write at the same time.
ENGINES = ["postgresql"]
WORKERS, EVENTS = 8, 240
LATER = NOW + timedelta(days=400)
POOL = [
    *(handle(f"o{n}") for n in range(8)),
    *(handle(f"u{n}", kind="wechat_unionid") for n in range(6)),
    *(handle(f"+86139123456{n:02}", kind="phone", scope="e164") for n in range(5)),
    *(handle(f"a{n}", kind="app_user", scope="app") for n in range(5)),
    *(handle(f"d{n}", kind="device", scope="") for n in range(3)),
]


def story(seed: int) -> list[Sighting]:
    """Few identifiers, many links: nearly every event meets another's."""
    rng, made = random.Random(seed), []
    for n in range(EVENTS):
        a, b, c = rng.sample(POOL, 3)
        name = rng.choice(("", "王伟", "李娜"))
        first = Handle(kind=a.kind, scope=a.scope, value=a.value, name=name)
        kind = rng.choice(("same_person", "same_person", "same_household"))
        links = [Link(a=first, b=b, rule=f"r{n % 3}", strength=60 + 20 * (n % 3), kind=kind)]  # type: ignore[arg-type]
        at = NOW + timedelta(days=rng.choice((0, 1, 30, 120, 121, 300)), seconds=n)
        made.append(Sighting(event_id=n + 1, at=at, key=f"k{n:04}", handles=[first, c], links=links))
    return made


async def _work(url: str, vault: Vault, mine: list[Sighting]) -> None:
    """As another process would: a pool of its own, small batches, each committed."""
    db = await Database.open(url, vault)
    try:
        for start in range(0, len(mine), 5):
            async with db.begin(1) as conn:
                await service.resolve(conn, mine[start : start + 5], LATER)
    finally:
        await db.close()


async def test_eight_workers_on_the_same_people_leave_what_one_would_have_left(
    database: Database, database_url: str, vault: Vault
) -> None:
    said = story(5)
    await asyncio.gather(*(_work(database_url, vault, said[n::WORKERS]) for n in range(WORKERS)))
    async with database.begin(2) as conn:
        await service.resolve(conn, said, LATER)
        in_turn = await oracle.state_in(conn)
    async with database.begin(1) as conn:
        at_once = await oracle.state_in(conn)
        engine = Engine(await versions.current(conn))
        oracle.tell(engine, engine.policy, said, LATER)

        assert at_once == in_turn == oracle.state_of(engine, engine.policy)
        assert (await rebuild.some(conn, now=LATER, write=False)).deeds == ()
