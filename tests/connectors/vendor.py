"""A scripted vendor on loopback: answers each API path from a list, well or badly, and counts the calls."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

TOKEN_OK: Mapping[str, Any] = {"errcode": 0, "access_token": "T", "expires_in": 7200}


@dataclass(frozen=True)
class Bytes:
    """Written as they are, then the connection is closed."""

    raw: bytes


def page(status: str, body: bytes, *, length: int | None = None, more: str = "") -> Bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{more}"
    return Bytes(f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body)


Misbehaviour = Literal["reset", "hang", "close", "drip"]
Reply = Mapping[str, Any] | Bytes | Misbehaviour


@dataclass
class Asked:
    path: str
    query: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Vendor:
    #: API path -> replies, one a call; the last is repeated for ever.
    script: Mapping[str, Any]
    host: str = "127.0.0.1"
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._replies: dict[str, list[Reply]] = {path: list(replies) for path, replies in self.script.items()}
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def calls(self) -> Counter[str]:
        return Counter(one.path for one in self.asked)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Vendor]:
        server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._connections):
                writer.transport.abort()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        url = urlsplit(head.split(" ")[1])
        path = url.path.removeprefix("/cgi-bin/")
        self.asked.append(Asked(path, dict(parse_qsl(url.query)), await reader.readexactly(length)))
        return await self._reply(self._next(path), reader, writer)

    def _next(self, path: str) -> Reply:
        if path not in self._replies:
            return TOKEN_OK if path in {"gettoken", "stable_token"} else page("404 Not Found", b"?")
        replies = self._replies[path]
        return replies.pop(0) if len(replies) > 1 else replies[0]

    async def _reply(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if reply == "hang":
            await reader.read()
        elif reply == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            await reader.read()
        elif reply == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif isinstance(reply, Bytes):
            writer.write(reply.raw)
            await writer.drain()
        elif isinstance(reply, Mapping):
            body = json.dumps(reply).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            return True
        return False
