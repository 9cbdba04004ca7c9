"""History: what an answer, a page and a merge cost with ten times as much history behind them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from time import perf_counter

from scrm.app import TENANT, Service
from scrm.bench.crowd import Crowd, gather, handle, load
from scrm.bench.ground import SLUG, Figures, talk
from scrm.bench.site import service, site
from scrm.bench.timeline import pages_by_turns
from scrm.contract import Link
from scrm.db import Database, utcnow
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.schema import inbox, seen
from scrm.seal import new_id

EVENTS, PAIRS, ACKS, ROWS = 400_000, 30, 300, 30_000
_MANY = 10
_PART = 2_000
_ROUNDS = 5


async def run(
    events: int = EVENTS, rows: int = ROWS, pairs: int = PAIRS, acks: int = ACKS, *, database: str = ""
) -> Figures:
    """Pages and merges of persons with a short history and with a long one, among `events` of others;
    answers when the inbox has kept `rows` and when it has kept ten times as many.
    """
    async with site(database) as place, service(place) as one:
        base = one.house.db
        crowd = await gather(base, 2 * pairs)
        loaded, _ = await load(place, crowd, events, exactly=True)
        page = await pages_by_turns(base, crowd, rounds=_ROUNDS)
        merge = await _merges(base, crowd)
        ack = await _acks(one, rows, acks)
    figures: Figures = {"events": loaded, "inbox_rows": rows, "merges": pairs, "acks": acks}
    costs = {}
    for name, (usual, more) in (("ack", ack), ("page", page), ("merge", merge)):
        short, long = statistics.median(usual), statistics.median(more)
        figures |= {f"{name}_us": round(short * 1e6), f"{name}_10x_history_us": round(long * 1e6)}
        costs[f"{name}_10x_costs"] = round(long / short, 2)
    worst = max(costs.values())
    return {**figures, **costs, "ratio": round(1 / worst, 3), "bar": round(1 / 1.3, 3)}


async def _merges(base: Database, crowd: Crowd) -> tuple[list[float], list[float]]:
    """Seconds from a link that joins two persons to its commit, short and long histories by turns."""
    times: tuple[list[float], list[float]] = ([], [])
    size = len(crowd.short)
    for number in range(0, size, 2):
        for first, taken in ((number, times[0]), (size + number, times[1])):
            began = perf_counter()
            await _merge(base, first)
            taken.append(perf_counter() - began)
    async with base.read(TENANT) as conn:
        left = set(
            (await nodes.persons_of(conn, [n for mine in crowd.nodes.values() for n in mine])).values()
        )
    if len(left) != size:
        raise RuntimeError(f"{2 * size} persons were joined two by two, {len(left)} are left")
    return times


async def _merge(base: Database, number: int) -> None:
    """One event shows that this person and the next are the same."""
    now, pair = utcnow(), (handle(number, 0), handle(number + 1, 0))
    link = Link(a=pair[0], b=pair[1], rule="bench")
    said = identity.Sighting(event_id=0, at=now, key=f"merge:{number}", handles=pair, links=[link])
    async with base.begin(TENANT) as conn:
        await identity.resolve(conn, [said], now)


async def _acks(one: Service, rows: int, count: int) -> tuple[list[float], list[float]]:
    await _keep(one, 0, rows)
    usual = await _ack(one, count, first=0)
    await _keep(one, rows, _MANY * rows)
    return usual, await _ack(one, count, first=count)


async def _ack(one: Service, count: int, *, first: int) -> list[float]:
    """Seconds until a message is durable, one by one."""
    account, times = one.house.directory.by_slug(SLUG).account, []
    for said in talk(count, people=max(1, count // 10), first=first):
        began = perf_counter()
        await one.house.inbox.accept(account, [said.raw], received_at=utcnow())
        times.append(perf_counter() - began)
    return times


async def _keep(one: Service, start: int, end: int) -> None:
    """What the inbox has done with already, from row `start` to `end`."""
    for number in range(start, end, _PART):
        await _keep_part(one, range(number, min(end, number + _PART)))


async def _keep_part(one: Service, numbers: Sequence[int]) -> None:
    vault, now = one.house.db.vault, utcnow()
    account_id = one.house.directory.by_slug(SLUG).account.account_id
    keys = [
        {"tenant_id": TENANT, "account_id": account_id, "source_key": f"old:{n:019d}", "inbox_id": new_id()}
        for n in numbers
    ]
    done = {"rank": 0, "state": "done", "payload": bytes(400), "received_at": now, "next_at": now}
    lanes = [vault.lane(account_id, f"o_old_{n % 5000}") for n in numbers]
    async with one.house.db.begin(TENANT) as conn:
        await conn.insert(seen, keys)
        await conn.insert(inbox, [k | done | {"lane": lane} for k, lane in zip(keys, lanes, strict=True)])
