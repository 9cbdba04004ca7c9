"""The proxy does to a connection exactly what it is told, and nothing when told nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.chaos.proxy import Proxy

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[Proxy]:
    """An echo server that, at the end of its input, says `bye`; and a proxy before it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(1024):
                writer.write(chunk)
            writer.write(b"bye")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]).running() as proxy:
        yield proxy
    await done.wait()
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def echoed(stream: Stream, text: bytes) -> bytes:
    stream[1].write(text)
    async with asyncio.timeout(10):
        return await stream[0].readexactly(len(text))


async def silent(stream: Stream) -> bool:
    """Nothing arrives for a while."""
    try:
        async with asyncio.timeout(0.2):
            await stream[0].read(1)
    except TimeoutError:
        return True
    return False


async def test_it_passes_on_what_it_gets() -> None:
    async with echo_behind_proxy() as proxy, connected(proxy) as stream:
        assert await echoed(stream, b"x" * 100_000) == b"x" * 100_000
        assert proxy.connections == 1


async def test_latency_and_rate_take_their_time() -> None:
    async with echo_behind_proxy() as proxy, connected(proxy) as stream:
        await echoed(stream, b"warm")
        proxy.latency_s = 0.15

        began = time.monotonic()
        await echoed(stream, b"late")
        late_s, proxy.latency_s, proxy.rate = time.monotonic() - began, 0.0, 20_000
        began = time.monotonic()
        await echoed(stream, b"x" * 4_000)

        assert late_s >= 0.3  # both directions
        assert time.monotonic() - began >= 0.2


async def test_a_blackhole_keeps_everything_until_it_heals() -> None:
    async with echo_behind_proxy() as proxy, connected(proxy) as stream:
        await echoed(stream, b"warm")

        proxy.blackhole = True
        stream[1].write(b"into the void")
        lost = await silent(stream)
        proxy.heal()

        assert lost
        assert await stream[0].readexactly(13) == b"into the void"


async def test_a_reset_is_an_error() -> None:
    async with echo_behind_proxy() as proxy, connected(proxy) as stream:
        await echoed(stream, b"warm")

        proxy.reset()

        with pytest.raises(ConnectionResetError):
            await stream[0].read()


async def test_a_dropped_or_refused_connection_ends_without_a_word() -> None:
    async with echo_behind_proxy() as proxy, connected(proxy) as dropped:
        await echoed(dropped, b"warm")

        proxy.drop()
        proxy.refusing = True

        assert await dropped[0].read() == b""
        async with connected(proxy) as refused:
            assert await refused[0].read() == b""


async def test_a_half_closed_connection_still_answers() -> None:
    async with echo_behind_proxy() as proxy, connected(proxy) as stream:
        await echoed(stream, b"warm")

        proxy.half_close()

        assert await stream[0].read() == b"bye"
