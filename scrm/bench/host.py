"""A process under load: `bare` only reads a body, `full` is our service, `idle` the same without its worker.

Started by the benches as `python -m scrm.bench.host MODE FOLDER API_BASE`; SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

import uvloop
from aiohttp import web

from scrm.app import listening, open_logs, running
from scrm.bench.ground import account, fresh_settings


async def _swallow(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"success", content_type="text/plain")


def bare() -> web.Application:
    """The least aiohttp can do with a POST."""
    app = web.Application()
    app.router.add_post("/hooks/{account}", _swallow)
    return app


async def serve(mode: str, folder: str, api_base: str) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        app = bare()
        if mode != "bare":
            open_logs("error")
            one = running(fresh_settings(folder), work=mode == "full", extra=[account(api_base)])
            app = (await stack.enter_async_context(one)).app
        port = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
        print(f"ready http://127.0.0.1:{port}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:4]))
