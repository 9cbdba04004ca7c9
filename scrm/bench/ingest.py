"""Ingest: signed callbacks a second that one process verifies, decrypts and commits before it answers."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from connectors.kit.http import is_loopback, open_session
from scrm.bench.ground import SLUG, Figures, platform, process, quantile, signed, talk, wrk

CONNECTIONS, PEOPLE = 64, 2_000
SECONDS = 5.0
#: Signed beforehand for each second of load; if it were too few, requests would repeat and become cheap.
A_SECOND = 8_000
_THREADS = 2
#: Each thread of wrk has its own file of requests, `path <tab> body` a line, and walks through it once.
_SCRIPT = """
local folder, number = "{folder}", 0
function setup(thread) thread:set("id", number); number = number + 1 end
function init()
  requests, at = {{}}, 0
  for line in io.lines(folder .. "/" .. id .. ".txt") do
    local path, body = line:match("^(%S+)\\t(.*)$")
    requests[#requests + 1] = wrk.format("POST", path, {{["Content-Type"] = "text/xml"}}, body)
  end
end
function request() at = at % #requests + 1; return requests[at] end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load generator saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    #: Answers other than 200, and broken connections.
    failed: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


async def run(
    seconds: float = SECONDS, a_second: int = A_SECOND, *, say: Callable[[str], None] = print
) -> Figures:
    """Bare server before and after, our service with its worker and without, each under the same load."""
    if wrk() is None:
        say("wrk is not installed: a client in Python makes the load, which slows both sides alike.")
    with tempfile.TemporaryDirectory(prefix="scrm-bench-") as name:
        folder = Path(name)
        calls = _Calls(folder, seed=random.randrange(10**6))
        bare = [await _measured("bare", folder, calls, seconds, a_second)]
        full = await _measured("full", folder, calls, seconds, a_second)
        idle = await _measured("idle", folder, calls, seconds, a_second)
        bare.append(await _measured("bare", folder, calls, seconds, a_second))
    bound = statistics.fmean(load.rate for load, _, _ in bare)
    return {
        "load": "wrk" if wrk() else "python",
        "connections": CONNECTIONS,
        "seconds": seconds,
        "body_bytes": calls.body_bytes,
        **_figures("bare", bare[0]),
        **_figures("full", full),
        **_figures("idle", idle),
        "bound_s": round(bound),
        "ratio": round(idle[0].rate / bound, 3),
        "ratio_worker_on": round(full[0].rate / bound, 3),
        "bar": 0.40,
        "aim": 0.55,
    }


def _figures(name: str, measured: tuple[Load, int, int]) -> Figures:
    load, stored, left = measured
    figures: Figures = {
        f"{name}_s": round(load.rate),
        f"{name}_p50_ms": round(load.p50_ms, 2),
        f"{name}_p99_ms": round(load.p99_ms, 2),
        f"{name}_failed": load.failed,
    }
    if name != "bare":
        figures |= {f"{name}_answered": load.requests, f"{name}_stored": stored, f"{name}_unsettled": left}
    return figures


class _Calls:
    """Requests that were never made before."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self._folder, self._seed, self._made = folder, seed, 0
        self.body_bytes = 0

    def fresh(self, count: int) -> Iterator[tuple[str, bytes]]:
        rng = random.Random(self._seed + self._made)
        for said in talk(count, people=PEOPLE, first=self._made, seed=self._seed):
            query, body = signed(said, salt=rng.randbytes(16))
            self.body_bytes = len(body)
            yield f"/hooks/{SLUG}?{query}", body
        self._made += count

    def write(self, count: int) -> Path:
        """The script that walks through `count` fresh requests."""
        files = [(self._folder / f"{number}.txt").open("wb") for number in range(_THREADS)]
        for at, (path, body) in enumerate(self.fresh(count)):
            files[at % _THREADS].write(path.encode() + b"\t" + body + b"\n")
        for file in files:
            file.close()
        script = self._folder / "load.lua"
        script.write_text(_SCRIPT.format(folder=self._folder))
        return script


async def _measured(
    mode: str, folder: Path, calls: _Calls, seconds: float, a_second: int
) -> tuple[Load, int, int]:
    """The load, how many rows the inbox holds afterwards, and how many of them wait to be settled."""
    data = folder / f"{mode}-{time.monotonic_ns()}"
    async with platform() as api, process("scrm.bench.host", mode, str(data), api, cwd=folder) as url:
        await _load(url, calls, min(1.0, seconds), a_second)
        before = _rows(data)[0]
        load = await _load(url, calls, seconds, a_second)
        stored, left = _rows(data)
    return load, stored - before, left


def _rows(data: Path) -> tuple[int, int]:
    path = data / "scrm.db"
    if not path.exists():
        return 0, 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        calls = "SELECT count(*) FROM inbox WHERE source_key NOT LIKE 'profile:%'"
        waiting = "SELECT count(*) FROM inbox WHERE state = 'new'"
        return int(db.execute(calls).fetchone()[0]), int(db.execute(waiting).fetchone()[0])


async def _load(url: str, calls: _Calls, seconds: float, a_second: int) -> Load:
    count = max(CONNECTIONS, int(seconds * a_second))
    program = wrk()
    if program is None:
        return await _by_hand(url, list(await asyncio.to_thread(lambda: list(calls.fresh(count)))), seconds)
    script = await asyncio.to_thread(calls.write, count)
    words = (f"-t{_THREADS}", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "10s")
    started = await asyncio.create_subprocess_exec(
        program, *words, "-s", str(script), url, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await asyncio.wait_for(started.communicate(), seconds + 60)
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()
    return read_wrk(out.decode())


def read_wrk(text: str) -> Load:
    """What the script's last line says. Raises `RuntimeError` when there is none."""
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk did not finish:\n{text}")
    requests, took_us, p50_us, p99_us, status, broken = map(int, found.groups())
    return Load(
        requests=requests,
        seconds=took_us / 1e6,
        p50_ms=p50_us / 1e3,
        p99_ms=p99_us / 1e3,
        failed=status + broken,
    )


async def _by_hand(url: str, requests: list[tuple[str, bytes]], seconds: float) -> Load:
    """The same load from this process: as many connections, each asks again once it is answered."""
    times: list[float] = []
    failed, left, end = 0, iter(requests), perf_counter() + seconds

    async with open_session(is_loopback) as http:

        async def connection() -> None:
            nonlocal failed
            while perf_counter() < end and (request := next(left, None)) is not None:
                began = perf_counter()
                async with http.post(url + request[0], data=request[1]) as answer:
                    await answer.read()
                times.append(perf_counter() - began)
                failed += answer.status != 200

        began = perf_counter()
        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
        took = perf_counter() - began
    p50, p99 = (quantile(times, share) * 1e3 for share in (0.5, 0.99))
    return Load(requests=len(times), seconds=took, p50_ms=p50, p99_ms=p99, failed=failed)
