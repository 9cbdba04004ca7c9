"""Serving an app at an address or on a socket handed down, and leaving without cutting anybody off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from time import monotonic

from aiohttp import web

from scrm.errors import BadConfig
from scrm.web.doors import Doors
from scrm.web.house import HOUSE

_SHUTDOWN_S = 4.0
_BACKLOG = 1024
#: Turns of the loop from accepting a connection to a protocol that knows of it: two, and one to spare.
_TURNS_TO_ENTER = 3


def bound(host: str, port: int) -> socket.socket:
    """A listening socket of our own. Raises `BadConfig` when the address cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as unless_it_listens:
            sock = unless_it_listens.enter_context(socket.socket(family, kind, proto))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
            unless_it_listens.pop_all()
    except OSError:
        raise BadConfig(f"{host}:{port} 不能监听：端口被占用或没有权限，请用 --port 换一个。") from None
    return sock


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, sock: socket.socket | None = None, linger_s: float = 0
) -> AsyncIterator[int]:
    """Serve an app at an address or on a socket that listens already; yields the port (asked for 0: chosen).

    Leaving ends gently: no new connections, streams end, who is connected gets a last answer for `linger_s`.
    """
    leaving = asyncio.Event()

    async def last_answer(_request: web.Request, response: web.StreamResponse) -> None:
        if leaving.is_set():
            response.force_close()
            response.headers["Connection"] = "close"

    app.on_response_prepare.append(last_answer)
    runner = _doors(app)
    await runner.setup()
    door = sock or bound(host, port)
    site = web.SockSite(runner, door)
    try:
        await site.start()
        yield runner.addresses[0][1]
        leaving.set()
        await _shut(door)
        await site.stop()
        await runner.shutdown()  # streams end now, not when time is up
        await _gone(runner, linger_s)
    finally:
        await runner.cleanup()


async def _shut(door: socket.socket) -> None:
    """Take in nobody else, and let those in who were taken in just now.

    asyncio drops a connection that it has accepted but not set up when the server closes; the others wait at
    the socket for whoever else listens there.
    """
    asyncio.get_running_loop().remove_reader(door.fileno())
    for _ in range(_TURNS_TO_ENTER):
        await asyncio.sleep(0)


def _doors(app: web.Application) -> Doors:
    """With the limits of the settings; an app that is no house of ours (a simulator) has no settings."""
    found = app.get(HOUSE)
    return Doors(
        app,
        most=found.settings.connections if found else 0,
        per_peer=found.settings.connections_per_address if found else 0,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
        handler_cancellation=True,
    )


async def _gone(runner: web.AppRunner, linger_s: float) -> None:
    """Until everybody connected has left, or had the time to.

    Closing at once would reset those whose request is on its way; with an answer they go of themselves.
    """
    until = monotonic() + linger_s
    while runner.server and runner.server.connections and monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # aiohttp has no event for it
