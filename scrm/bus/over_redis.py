"""The bus over Redis, and the one client for all we ask of it: 250 ms, no retry, quiet after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from scrm.bus.hub import Heard
from scrm.errors import BadConfig, Busy

T = TypeVar("T")

#: Longest that anybody waits for Redis.
TIMEOUT_S = 0.25
#: A silent connection is asked whether it still lives this often.
_PING_S = 1.0
_CONNECTIONS = 16
_CHANNEL = "scrm:bus"


class RedisWire:
    """One Redis. While it does not answer, `ask` fails at once: the listener alone tries it again."""

    name = "redis"

    def __init__(self, url: str) -> None:
        try:
            self._client: Redis = Redis.from_url(
                url,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
                max_connections=_CONNECTIONS,
                decode_responses=True,
            )
        except ValueError:  # its words may quote a piece of the password
            raise BadConfig("redis_url 不是有效的 Redis 地址（redis://主机:端口/库号）。") from None
        self._answers = False

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, question: Callable[[Redis], Awaitable[T]]) -> T:
        """One question, at most 250 ms. Raises `Busy` without asking while Redis is known not to answer."""
        if not self._answers:
            raise Busy
        try:
            return await _answered(question(self._client))
        except Silent:
            self._answers = False
            raise

    async def send(self, message: str) -> None:
        await self.ask(lambda client: client.publish(_CHANNEL, message))

    async def listen(self, heard: Heard, ready: Callable[[], None]) -> None:
        async with self._subscribed() as pubsub:
            self._answers = True
            ready()
            try:
                while self._answers:
                    await _next(pubsub, heard)
            finally:
                self._answers = False

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[Any]:
        pubsub = self._client.pubsub()
        try:
            await _answered(pubsub.subscribe(_CHANNEL))
            await _answered(_confirmed(pubsub))
            yield pubsub
        finally:
            # Both only close sockets; a frozen server cannot hold them up.
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await self._client.connection_pool.disconnect()


class Silent(Busy):
    """Redis is down, frozen or unreachable."""


async def _next(pubsub: Any, heard: Heard) -> None:
    """One message; after a second of silence an answer to "are you there", or `Silent`."""
    found = await _told(pubsub.get_message(timeout=_PING_S))
    if found is None:
        await _answered(pubsub.ping())
        found = await _told(pubsub.get_message(timeout=TIMEOUT_S))
        if found is None:
            raise Silent
    if found["type"] == "message":
        heard(found["data"])


async def _confirmed(pubsub: Any) -> None:
    found = None
    while found is None or found["type"] != "subscribe":
        found = await _told(pubsub.get_message(timeout=TIMEOUT_S))


async def _answered(question: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _told(question)
    except TimeoutError as error:
        raise Silent from error


async def _told(question: Awaitable[T]) -> T:
    """Redis' own errors as ours: it does not answer, or it refuses (full, not allowed).

    Its client may report a broken connection in place of a cancellation that came at the same moment.
    """
    try:
        return await question
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise Silent from error
    except ResponseError as error:
        raise Busy(f"Redis 拒绝了请求：{str(error)[:80]}") from error
    except RedisError as error:
        raise Silent from error
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
