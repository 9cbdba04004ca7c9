"""Ingest: signed callbacks a second that a process verifies, decrypts and commits before it answers."""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import sqlalchemy as sa

from connectors.kit.http import is_loopback, open_session
from scrm import db
from scrm.bench.ground import SLUG, Figures, platform, quantile, signed, talk, wrk
from scrm.bench.site import Site, process, site
from scrm.schema import inbox
from scrm.spool.host import FILE as SPOOL

CONNECTIONS, PEOPLE = 64, 2_000
SECONDS = 5.0
#: Signed beforehand for each second of load; if it were too few, requests would repeat and become cheap.
A_SECOND = 8_000
#: On PostgreSQL: so many processes behind one socket.
CREWS = (1, 2, 4)
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
    seconds: float = SECONDS,
    a_second: int = A_SECOND,
    *,
    database: str = "",
    crews: Sequence[int] = CREWS,
    say: Callable[[str], None] = print,
) -> Figures:
    """Bare server before and after, our service with its worker and without, each under the same load.

    On PostgreSQL also as many supervised processes as `crews` says, with their workers and without.
    """
    if wrk() is None:
        say("wrk is not installed: a client in Python makes the load, which slows both sides alike.")
    several = [f"{mode}_{size}" for size in (crews if database else ()) for mode in ("full", "idle")]
    with tempfile.TemporaryDirectory(prefix="scrm-bench-") as name:
        calls = Calls(Path(name), seed=random.randrange(10**6))
        taken = {
            mode: await measured(mode.removesuffix("_again"), database, calls, seconds, a_second)
            for mode in ("bare", "full", "idle", *several, "bare_again")
        }
    bound = statistics.fmean([taken["bare"].rate, taken.pop("bare_again").rate])
    figures: Figures = {
        "load": "wrk" if wrk() else "python",
        "connections": CONNECTIONS,
        "seconds": seconds,
        "body_bytes": calls.body_bytes,
    }
    for mode, one in taken.items():
        figures |= one.figures(mode)
    for mode in several:
        alone = taken[mode.partition("_")[0]]
        figures[f"{mode}_to_one"] = round(taken[mode].rate / alone.rate, 2)
    return figures | {
        "bound_s": round(bound),
        "ratio": round(taken["idle"].rate / bound, 3),
        "ratio_worker_on": round(taken["full"].rate / bound, 3),
        "bar": 0.40,
        "aim": 0.55,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A load and what it left in the inbox."""

    load: Load
    stored: int
    #: When the load stopped, so many waited to be settled.
    unsettled: int

    @property
    def rate(self) -> float:
        return self.load.rate

    def figures(self, mode: str) -> Figures:
        figures: Figures = {
            f"{mode}_s": round(self.rate),
            f"{mode}_p50_ms": round(self.load.p50_ms, 2),
            f"{mode}_p99_ms": round(self.load.p99_ms, 2),
            f"{mode}_failed": self.load.failed,
        }
        if mode == "bare":
            return figures
        return figures | {
            f"{mode}_answered": self.load.requests - self.load.failed,
            f"{mode}_stored": self.stored,
            f"{mode}_unsettled": self.unsettled,
        }


class Calls:
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


async def measured(mode: str, database: str, calls: Calls, seconds: float, a_second: int) -> Measured:
    """Raises `RuntimeError` when more was answered than is stored."""
    async with site(database) as place, platform() as api:
        async with process(*_words(mode, place.config(api)), cwd=place.folder) as url:
            await _load(url, calls, min(1.0, seconds), a_second)
            before = (await asyncio.to_thread(_rows, place))[0]
            load = await _load(url, calls, seconds, a_second)
            unsettled = (await asyncio.to_thread(_rows, place))[1]
        stored = (await asyncio.to_thread(_rows, place))[0] - before
    if mode != "bare":
        demand_stored(load, stored, made=int(seconds * a_second))
    return Measured(load=load, stored=stored, unsettled=unsettled)


def demand_stored(load: Load, stored: int, *, made: int) -> None:
    """Raises `RuntimeError` when less is stored than was answered; beyond what was made are repeats."""
    answered = load.requests - load.failed
    if stored < min(answered, int(0.9 * made)):
        raise RuntimeError(f"{answered} callbacks were answered, {stored} are stored")


def _words(mode: str, config: str) -> tuple[str, ...]:
    """The process of a mode; with a number the command itself, with so many processes behind one socket."""
    kind, _, size = mode.partition("_")
    if not size:
        return ("scrm.bench.host", kind, config)
    alone = ["--no-work"] if kind == "idle" else []
    return ("scrm", "--config", config, "serve", "--workers", size, *alone)


def _rows(place: Site) -> tuple[int, int]:
    """Callbacks stored, in the database or this host's spool, and how many of them wait to be settled."""
    spool = place.folder / SPOOL
    urls = [place.settings.db_url, *([f"sqlite:///{spool}"] if spool.exists() else [])]
    found = [db.connected(url, _counted) for url in urls]
    return sum(stored for stored, _ in found), sum(left for _, left in found)


def _counted(sync: sa.Connection) -> tuple[int, int]:
    if not sa.inspect(sync).has_table("inbox"):
        return 0, 0
    how_many = sa.select(sa.func.count()).select_from(inbox)
    calls = how_many.where(inbox.c.source_key.not_like("profile:%"))
    waiting = how_many.where(inbox.c.state == "new")
    return int(sync.execute(calls).scalar() or 0), int(sync.execute(waiting).scalar() or 0)


async def _load(url: str, calls: Calls, seconds: float, a_second: int) -> Load:
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
