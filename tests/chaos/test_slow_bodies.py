"""Clients that waste connections: each is closed within 15 s, and who behaves is served meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

import psutil
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from tests.chaos.conftest import NewServer, Tell
from tests.chaos.harness import SLUG, Load, Server

CLOSED_WITHIN_S = 15.0
QUIET_S = 4.0
HEAD = "POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: 4000\r\n"


@dataclass
class Wasters:
    """Bad connections by kind: how many seconds the closed ones lasted, and how many are open."""

    port: int
    lasted: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    open: Counter[str] = field(default_factory=Counter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def send(self, kind: str, number: int, head: bytes, *, drip: bool = False, first: bytes = b"") -> None:
        """So many that say `head`, then nothing or a byte a second; `first` is answered before it."""
        for _ in range(number):
            self._tasks.append(asyncio.create_task(self._waste(kind, head, first, drip=drip)))

    async def _waste(self, kind: str, head: bytes, first: bytes, *, drip: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = monotonic()
        self.open[kind] += 1
        try:
            with suppress(ConnectionError):
                if first:
                    writer.write(first)
                    await reader.readuntil(b"ok")
                writer.write(head)
                await self._until_closed(reader, writer, drip=drip)
            self.lasted[kind].append(monotonic() - began)
            self.open[kind] -= 1
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _until_closed(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, drip: bool
    ) -> None:
        while True:
            try:
                if not await asyncio.wait_for(reader.read(4096), 1.0 if drip else None):
                    return
            except TimeoutError:
                writer.write(b"x")
                await writer.drain()

    async def watch(self, limit_s: float) -> None:
        """Until all are closed, at most so long."""
        await asyncio.wait(self._tasks, timeout=limit_s)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def assault(wasters: Wasters) -> None:
    """Every kind of waste at once: 1,050 connections."""
    body = f"{HEAD.format(path=f'/hooks/{SLUG}')}\r\n".encode()
    of_a_page = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    form = f"{HEAD.format(path='/login')}{of_a_page}".encode()
    wasters.send("half a callback", 100, body + b"<xml>")
    wasters.send("dripping callback", 100, body + b"<xml>", drip=True)
    wasters.send("half a form", 50, form + b"login=")
    wasters.send("dripping form", 50, form + b"login=", drip=True)
    wasters.send("half a head", 100, body[:-2])
    wasters.send("dripping head", 100, b"POST / HTTP/1.1\r\nHost: ", drip=True)
    first = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
    wasters.send("a request, then half a head", 50, body[:-2], first=first)
    wasters.send("silent", 500, b"")


@asynccontextmanager
async def naive() -> AsyncIterator[int]:
    """The same framework without our limits."""

    async def read(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", read)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def acks(load: Load, seconds: float) -> list[float]:
    """How long single callbacks took, one after the other, over so many seconds."""
    rng, took, until = random.Random(5), list[float](), monotonic() + seconds
    async with ClientSession(timeout=ClientTimeout(total=10), trust_env=False) as http:
        while monotonic() < until:
            query, body = load.sealed(load.next(rng), rng)
            began = monotonic()
            async with http.post(f"{load.url}/hooks/{SLUG}", params=query, data=body) as answer:
                assert answer.status == 200
            took.append(monotonic() - began)
            await asyncio.sleep(0.01)
    return took


def p99_ms(took: Sequence[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)] * 1000


async def test_wasted_connections_are_closed_and_callbacks_go_on(new_server: NewServer, tell: Tell) -> None:
    server = await _started(new_server)
    load = Load(server.url, random.Random(3))
    quiet = await acks(load, QUIET_S)
    ours = Wasters(server.port)
    async with naive() as port:
        theirs = Wasters(port)
        try:
            assault(ours)
            assault(theirs)
            busy, _, _ = await asyncio.gather(
                acks(load, CLOSED_WITHIN_S), ours.watch(CLOSED_WITHIN_S), theirs.watch(CLOSED_WITHIN_S)
            )
            left, still = +ours.open, theirs.open.total()
        finally:
            await ours.stop()
            await theirs.stop()
    worst = {kind: round(max(times), 1) for kind, times in sorted(ours.lasted.items())}
    tell(
        f"{sum(map(len, ours.lasted.values()))} bad connections, longest by kind in s: {worst}; "
        f"callbacks' p99 quiet {p99_ms(quiet):.1f} ms, meanwhile {p99_ms(busy):.1f} ms, "
        f"ratio {p99_ms(busy) / p99_ms(quiet):.2f}"
    )

    assert not left
    assert max(worst.values()) <= CLOSED_WITHIN_S
    assert busy
    assert still >= 1000, "control: without our limits they stay open"


#: A body that is more than it seems, and what it is answered with.
BOMBS: dict[str, tuple[Callable[[], tuple[bytes, dict[str, str]]], int]] = {
    "an element within an element, 8,000 deep": (lambda: (b"<a>" * 8000, {}), 400),
    "a list within a list, 60,000 deep": (lambda: (b'{"a":' + b"[" * 60_000, {}), 400),
    "a thousand million laughs": (
        lambda: (b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><xml>&b;</xml>', {}),
        400,
    ),
    "10,000 members of gzip": (lambda: (gzip.compress(b"") * 3000, {"Content-Encoding": "gzip"}), 415),
    "70 KB": (lambda: (b"<xml>" + b"x" * 70_000, {}), 413),
    "60 MB in chunks": (lambda: (b"x" * 60_000_000, {"Transfer-Encoding": "chunked"}), 413),
}


async def test_bombs_and_oversize_are_refused_and_cost_nothing(new_server: NewServer, tell: Tell) -> None:
    server = await _started(new_server)
    process, said = psutil.Process(server.pid), dict[str, int]()
    before = process.memory_info().rss
    async with ClientSession(timeout=ClientTimeout(total=30), trust_env=False) as http:
        for name, (made, _) in BOMBS.items():
            body, headers = made()
            for _ in range(5):
                said[name] = await _status(http, f"{server.url}/hooks/{SLUG}", body, headers)
        async with http.get(f"{server.url}/readyz") as answer:
            assert answer.status == 200
    grown = (process.memory_info().rss - before) / 1e6
    tell(f"bombs: {said}; the server grew by {grown:.0f} MB")

    assert {name: status for name, status in said.items() if status} == {
        name: BOMBS[name][1] for name, status in said.items() if status
    }
    assert sum(1 for status in said.values() if status) >= len(BOMBS) - 1
    assert grown < 60


async def _status(http: ClientSession, url: str, body: bytes, headers: dict[str, str]) -> int:
    """0 = the connection was closed before we had said everything."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    try:
        async with http.post(
            url,
            data=pieces() if "Transfer-Encoding" in headers else body,
            headers={k: v for k, v in headers.items() if k != "Transfer-Encoding"},
            params={"msg_signature": "0", "timestamp": "0", "nonce": "0", "encrypt_type": "aes"},
        ) as answer:
            return answer.status
    except (ClientError, OSError):
        return 0


async def _started(new_server: NewServer) -> Server:
    server = new_server()
    server.configure("http://127.0.0.1:9/")
    await server.start()
    return server
