"""A request's body within a size and a time, whatever its sender promised."""

from __future__ import annotations

import asyncio

from aiohttp import web

from scrm.errors import BadInput, TooLarge


async def read_body(request: web.Request, *, limit: int, timeout_s: float) -> bytes:
    """Raises `TooLarge` as soon as it is, and `BadInput` when it does not arrive in time."""
    if (request.content_length or 0) > limit:
        raise TooLarge
    if request.content.is_eof():  # it came with the headers, as nearly all do
        whole = await request.content.read()
        _within(whole, limit)
        return whole
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                _within(body, limit)
    except TimeoutError:
        raise BadInput("内容没有在限定的时间内传完，请重试。") from None
    return bytes(body)


def _within(body: bytes | bytearray, limit: int) -> None:
    if len(body) > limit:
        raise TooLarge
