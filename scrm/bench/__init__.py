"""Benchmarks: each prints figures and ratios with the machine they were taken on."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from scrm.bench import ingest, live, react, settle, text, timeline
from scrm.bench.ground import Figures
from scrm.errors import BadInput
from scrm.shapes import to_json

_LIBRARIES = ("aiohttp", "uvloop", "sqlalchemy", "cryptography", "msgspec")


async def _text() -> Figures:
    return await asyncio.to_thread(text.measure)


_BENCHES: Mapping[str, Callable[[], Awaitable[Figures]]] = {
    "ingest": ingest.run,
    "settle": settle.run,
    "react": react.run,
    "live": live.run,
    "timeline": timeline.run,
    "text": _text,
}
NAMES = tuple(_BENCHES)


def machine() -> Figures:
    """What the figures depend on besides our code."""
    return {
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in _LIBRARIES},
    }


async def run(names: Sequence[str], out: Path | None, *, say: Callable[[str], None]) -> int:
    """Run these benches, or all of them; with `out`, the figures of all of them as one JSON object.

    Raises `BadInput` for a name we do not know.
    """
    if unknown := [name for name in names if name not in _BENCHES]:
        raise BadInput(f"没有名为 {'、'.join(unknown)} 的基准测试，可选：{'、'.join(NAMES)}。")
    found: dict[str, Figures] = {"machine": machine()}
    say("machine   " + "  ".join(f"{name} {value}" for name, value in found["machine"].items()))
    for name in names or NAMES:
        say(f"\n{name} ...")
        found[name] = await _BENCHES[name]()
        for figure, value in found[name].items():
            say(f"  {figure:<28} {value}")
    if out is not None:
        await asyncio.to_thread(out.write_bytes, to_json(found) + b"\n")
    return 0
