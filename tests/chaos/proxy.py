"""A TCP proxy on loopback that can be slow, narrow, deaf, half closed or brutal; changed while it runs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

_CHUNK = 16 * 1024


@dataclass
class Proxy:
    """Stands between a client and `host:target_port`; the attributes say how badly it behaves from now on."""

    target_port: int
    host: str = "127.0.0.1"
    port: int = 0
    #: Seconds each chunk is kept before it goes on.
    latency_s: float = 0.0
    #: Bytes a second and direction; 0 = as fast as it goes.
    rate: int = 0
    #: New connections are closed at once.
    refusing: bool = False
    #: Connections stay open, but nothing comes through until this ends: a broken cable.
    blackhole: bool = False
    connections: int = 0
    _pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(default_factory=set)
    _serving: set[asyncio.Task[object]] = field(default_factory=set)
    _let_through: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.reset()
            self.heal()
            if self._serving:
                await asyncio.wait(self._serving)
            await server.wait_closed()

    # -- what happens to the open connections --------------------------------------------------------------
    def drop(self) -> None:
        """Close all of them, orderly."""
        for pair in list(self._pairs):
            for writer in pair:
                writer.close()

    def reset(self) -> None:
        """RST to both ends: the peer crashed, or a firewall forgot the connection."""
        for pair in list(self._pairs):
            for writer in pair:
                sock = writer.get_extra_info("socket")
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    def half_close(self) -> None:
        """The client's way in ends (FIN to the target); answers still come back."""
        for _, target in list(self._pairs):
            with suppress(OSError):
                target.write_eof()

    def heal(self) -> None:
        """Well-behaved again; what a blackhole kept back goes on."""
        self.latency_s, self.rate, self.refusing, self.blackhole = 0.0, 0, False, False
        self._let_through.set()
        self._let_through = asyncio.Event()

    # -- passing on ----------------------------------------------------------------------------------------
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        pair = [writer]
        try:
            if not self.refusing:
                back, onward = await asyncio.open_connection(self.host, self.target_port)
                pair.append(onward)
                await self._both(reader, writer, back, onward)
        except OSError:
            pass
        finally:
            for one in pair:
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
    ) -> None:
        pair = (writer, onward)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward))
                group.create_task(self._pass(back, writer))
        except* OSError:
            pass
        finally:
            self._pairs.discard(pair)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            while self.blackhole:
                await self._let_through.wait()
            if wait_s := self.latency_s + (len(chunk) / self.rate if self.rate else 0):
                await asyncio.sleep(wait_s)
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof() and not writer.is_closing():
            with suppress(OSError, RuntimeError):
                writer.write_eof()
