"""Benchmarks: each prints figures and ratios with the machine they were taken on."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from scrm import db
from scrm.bench import (
    cards,
    drafts,
    flow,
    history,
    ingest,
    live,
    promises,
    react,
    receive,
    settle,
    suggest,
    text,
    timeline,
    welcome,
)
from scrm.bench.ground import Figures
from scrm.bench.identity import command as identity
from scrm.bench.site import demand_empty
from scrm.errors import BadInput
from scrm.shapes import to_json

_LIBRARIES = ("aiohttp", "uvloop", "sqlalchemy", "cryptography", "msgspec")


class _Bench(Protocol):
    def __call__(self, *, database: str) -> Coroutine[Any, Any, Figures]: ...


async def _text(*, database: str) -> Figures:  # noqa: ARG001 - it has nothing to do with one
    return await asyncio.to_thread(text.measure)


_BENCHES: Mapping[str, _Bench] = {
    "receive": receive.run,
    "ingest": ingest.run,
    "settle": settle.run,
    "react": react.run,
    "flow": flow.run,
    "live": live.run,
    "cards": cards.run,
    "welcome": welcome.run,
    "timeline": timeline.run,
    "history": history.run,
    "identity": identity.brief,
    "text": _text,
    "suggest": suggest.run,
    "check": drafts.run,
    "promises": promises.run,
}
NAMES = tuple(_BENCHES)


def machine(database: str = "") -> Figures:
    """What the figures depend on besides our code; blocking."""
    return {
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **({"postgresql": _server(database)} if database else {"sqlite": sqlite3.sqlite_version}),
        **{name: version(name) for name in (*_LIBRARIES, *(["asyncpg"] if database else []))},
    }


def _server(database: str) -> str:
    told = db.connected(database, lambda sync: sync.execute(sa.text("SHOW server_version")).scalar())
    return str(told).split()[0]


async def run(
    names: Sequence[str], out: Path | None, *, database: str = "", say: Callable[[str], None]
) -> int:
    """Run these benches, or all of them; with `out`, the figures of all of them as one JSON object.

    On SQLite, or on an empty PostgreSQL database that is empty again afterwards. Raises `BadInput` for a name
    we do not know and for a database that holds something.
    """
    if unknown := [name for name in names if name not in _BENCHES]:
        raise BadInput(f"没有名为 {'、'.join(unknown)} 的基准测试，可选：{'、'.join(NAMES)}。")
    if database:
        await asyncio.to_thread(demand_empty, database)
    found: dict[str, Figures] = {"machine": await asyncio.to_thread(machine, database)}
    say("machine   " + "  ".join(f"{name} {value}" for name, value in found["machine"].items()))
    for name in names or NAMES:
        say(f"\n{name} ...")
        found[name] = await _BENCHES[name](database=database)
        for figure, value in found[name].items():
            say(f"  {figure:<28} {value}")
    if out is not None:
        await asyncio.to_thread(out.write_bytes, to_json(found) + b"\n")
    return 0
