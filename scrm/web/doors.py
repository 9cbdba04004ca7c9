"""Connections: who may have how many, and how long the head and the body of a request may take."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, web

from scrm.web.callers import is_near

#: From the first byte to the end of a request's head; also for connections that never say anything.
HEAD_S = 10.0
#: For a body, and a second more for each so many bytes: a picture over a slow line is no attack.
BODY_S, BODY_BYTES_S = 10.0, 16 * 1024
#: Silence between two requests. Longer than a proxy keeps its connections (nginx: 60 s): it must close first,
#: or it would send a callback into a connection that just ended.
IDLE_S = 75.0
#: What is read of a body nobody wants any more.
_LINGER_S = 2.0


class Doors(web.AppRunner):
    """Serves an app and closes on those who waste connections.

    At most `most` connections at a time, and `per_peer` from one address unless it `is_exempt`; 0 = no limit.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        most: int = 0,
        per_peer: int = 0,
        head_s: float = HEAD_S,
        body_s: float = BODY_S,
        is_exempt: Callable[[str], bool] = is_near,
        **more: Any,
    ) -> None:
        super().__init__(app, keepalive_timeout=IDLE_S, lingering_time=_LINGER_S, **more)
        self._keeper = _Keeper(
            most=most, per_peer=per_peer, head_s=head_s, body_s=body_s, is_exempt=is_exempt
        )

    @property
    def turned_away(self) -> int:
        """Connections refused because there were too many."""
        return self._keeper.turned_away

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            keeper=self._keeper,
            handler_args={k: v for k, v in self._kwargs.items() if k != "handler_cancellation"},
        )


class _Keeper:
    """Counts who is inside."""

    def __init__(
        self, *, most: int, per_peer: int, head_s: float, body_s: float, is_exempt: Callable[[str], bool]
    ) -> None:
        self.head_s, self.body_s = head_s, body_s
        self.turned_away = 0
        self._most, self._per_peer, self._is_exempt = most, per_peer, is_exempt
        self._inside = 0
        self._peers: Counter[str] = Counter()

    def admit(self, peer: str) -> bool:
        if self._most and self._inside >= self._most:
            self.turned_away += 1
            return False
        if self._per_peer and self._peers[peer] >= self._per_peer and not self._is_exempt(peer):
            self.turned_away += 1
            return False
        self._inside += 1
        self._peers[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        self._inside -= 1
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]


class _Server(web.Server):
    def __init__(self, handler: Any, *, keeper: _Keeper, handler_args: dict[str, Any], **more: Any) -> None:
        super().__init__(handler, **more)
        self._keeper = keeper
        self._args = handler_args

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._keeper, loop=asyncio.get_running_loop(), **self._args)


class _Connection(web.RequestHandler):
    """aiohttp's own, which limits the silence between requests only."""

    __slots__ = ("_arriving", "_body", "_came", "_head", "_keeper", "_peer", "_since")

    def __init__(self, manager: web.Server, keeper: _Keeper, **more: Any) -> None:
        super().__init__(manager, **more)
        self._keeper = keeper
        self._peer: str | None = None
        self._head: asyncio.TimerHandle | None = None
        self._body: asyncio.TimerHandle | None = None
        #: The body that is arriving, since when, and how much of it came.
        self._arriving: StreamReader | None = None
        self._since, self._came = 0.0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        peer = str(name[0]) if isinstance(name, tuple) else ""
        if not self._keeper.admit(peer):
            if isinstance(transport, asyncio.Transport):
                transport.abort()
            return
        self._peer = peer
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            if self._head is not None:
                self._head.cancel()
                self._head = None
            if not self._messages[-1][1].is_eof():
                self._await_body(self._messages[-1][1], len(data))
        elif self._arriving is not None:
            self._came += len(data)
            if self._arriving.is_eof():
                self._arriving = None
        elif self._head is None:
            self._await_head()  # it has begun and not ended

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._head, self._body):
            if timer is not None:
                timer.cancel()
        self._head = self._body = self._arriving = None
        if self._peer is not None:
            self._keeper.leave(self._peer)
            self._peer = None
            super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self._loop.call_later(self._keeper.head_s, self._head_late)

    def _head_late(self) -> None:
        self._head = None
        if self._waiter is not None and not self._waiter.done():
            self.force_close()
        elif self.transport is not None:
            self._await_head()  # the request before is still being answered

    def _await_body(self, payload: StreamReader, came: int) -> None:
        self._arriving, self._since, self._came = payload, self._loop.time(), came
        if self._body is None:
            self._body = self._loop.call_later(self._keeper.body_s, self._body_late)

    def _body_late(self) -> None:
        """Looks again as long as the body comes fast enough."""
        self._body, body = None, self._arriving
        if body is None or body.is_eof():
            self._arriving = None
            return
        left_s = self._since + self._keeper.body_s + self._came / BODY_BYTES_S - self._loop.time()
        if left_s > 0:
            self._body = self._loop.call_later(left_s, self._body_late)
        else:
            self.force_close()
