"""Connections before and between requests: how many, from where, and how long they may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from scrm.web.doors import BODY_BYTES_S, Doors, is_near

HELLO = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def open_doors(**limits: Any) -> AsyncIterator[tuple[Doors, int]]:
    """A server that says how long the body was; doors with these limits."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(text="slow")

    app = web.Application(client_max_size=1 << 24)
    app.router.add_get("/slow", slow)
    app.router.add_route("*", "/", answer)
    doors = Doors(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True, **limits)
    await doors.setup()
    try:
        await web.TCPSite(doors, "127.0.0.1", 0).start()
        yield doors, doors.addresses[0][1]
    finally:
        await doors.cleanup()


async def connect(port: int) -> Pipe:
    return await asyncio.open_connection("127.0.0.1", port)


async def ask(pipe: Pipe, request: bytes = HELLO) -> bytes:
    """The first line of the answer, or nothing when the connection was closed."""
    reader, writer = pipe
    with suppress(ConnectionError, EOFError):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        return head.split(b"\r\n")[0]
    return b""


async def closed(pipe: Pipe) -> bool:
    """Waits for the end."""
    with suppress(ConnectionError):
        async with asyncio.timeout(20):
            await pipe[0].read()
    return True


async def let_go(*pipes: Pipe) -> None:
    for _, writer in pipes:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "said",
    [
        b"",  # nothing at all
        HELLO[:-2],  # a head without its end
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
async def test_a_connection_that_does_not_finish_is_closed(said: bytes) -> None:
    async with open_doors(head_s=0.2, body_s=0.2) as (_, port):
        pipe = await connect(port)
        pipe[1].write(said)

        assert await closed(pipe)
        await let_go(pipe)


async def test_a_head_that_began_while_the_last_answer_was_made_is_not_forgotten() -> None:
    async with open_doors(head_s=0.2, body_s=0.2) as (_, port):
        pipe = await connect(port)
        pipe[1].write(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        await asyncio.sleep(0.05)
        pipe[1].write(HELLO[:-2])

        assert await closed(pipe)
        await let_go(pipe)


async def test_who_is_silent_between_requests_is_not_sent_away() -> None:
    async with open_doors(head_s=0.1, body_s=0.1) as (_, port):
        pipe = await connect(port)
        first = await ask(pipe)
        await asyncio.sleep(0.4)  # longer than a head or a body may take

        second = await ask(pipe)
        await let_go(pipe)

    assert (first, second) == (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK")


async def test_an_answer_may_take_longer_than_a_head() -> None:
    async with open_doors(head_s=0.1, body_s=0.1) as (_, port):
        pipe = await connect(port)

        assert await ask(pipe, b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n") == b"HTTP/1.1 200 OK"
        await let_go(pipe)


async def test_a_large_body_over_a_slow_line_has_the_time_it_needs() -> None:
    size = BODY_BYTES_S * 4
    async with open_doors(body_s=0.2) as (_, port):
        pipe = await connect(port)
        pipe[1].write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(4):
            pipe[1].write(bytes(size // 4))
            await asyncio.sleep(0.2)

        assert await ask(pipe, b"") == b"HTTP/1.1 200 OK"
        await let_go(pipe)


async def test_one_address_has_so_many_connections_and_no_more() -> None:
    async with open_doors(per_peer=3, is_exempt=lambda _peer: False) as (doors, port):
        pipes = [await connect(port) for _ in range(5)]
        said = [await ask(pipe) for pipe in pipes]
        await let_go(*pipes)
        while True:  # those that left make room
            again = await connect(port)
            answer = await ask(again)
            await let_go(again)
            if answer:
                break

    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert doors.turned_away >= 2


async def test_a_proxy_nearby_has_as_many_as_it_likes() -> None:
    async with open_doors(per_peer=3) as (doors, port):
        pipes = [await connect(port) for _ in range(20)]
        said = {await ask(pipe) for pipe in pipes}
        await let_go(*pipes)

    assert (said, doors.turned_away) == ({b"HTTP/1.1 200 OK"}, 0)


async def test_the_house_has_so_many_connections_and_no_more() -> None:
    async with open_doors(most=4) as (doors, port):
        pipes = [await connect(port) for _ in range(6)]
        said = [await ask(pipe) for pipe in pipes]
        await let_go(*pipes)

    assert said.count(b"HTTP/1.1 200 OK") == 4
    assert doors.turned_away == 2


@pytest.mark.parametrize(
    ("peer", "near"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("192.168.0.9", True),
        ("fe80::1%eth0", True),
        ("", True),  # a unix socket
        ("81.69.216.43", False),
        ("2402:4e00::1", False),
    ],
)
def test_proxies_are_looked_for_on_this_machine_and_in_private_networks(peer: str, near: bool) -> None:
    assert is_near(peer) is near
