"""A process under load: `bare` only reads a body, `full` is our service, `idle` the same without its worker;
`settle` and `react` wait for a line, work off what waits and say how long it took.

Started by the benches as `python -m scrm.bench.host MODE CONFIG`; SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from aiohttp import web

from scrm import settings
from scrm.app import TENANT, running
from scrm.bench.site import pipeline, waiting
from scrm.errors import Unavailable
from scrm.logs import open_logs
from scrm.settings import Settings
from scrm.web.serving import listening

#: Between two looks, when the others hold what is left.
_PAUSE_S = 0.005
_FROM = {"settle": "new", "react": "settled"}


async def _swallow(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"success", content_type="text/plain")


def bare() -> web.Application:
    """The least aiohttp can do with a POST."""
    app = web.Application()
    app.router.add_post("/hooks/{account}", _swallow)
    return app


async def serve(mode: str, made: Settings) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        app = bare()
        if mode != "bare":
            app = (await stack.enter_async_context(running(made, work=mode == "full"))).app
        port = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
        print(f"ready http://127.0.0.1:{port}", flush=True)
        await stop.wait()


async def work(mode: str, made: Settings) -> None:
    """Says how many rows this process moved, when it began and when the last one was moved."""
    async with running(made, work=False) as one:
        line, moved = pipeline(one), 0
        step = line.settle if mode == "settle" else line.react
        print("ready to", mode, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = last = time.time()
        while (await waiting(one))[_FROM[mode]]:
            try:
                while rows := await step(TENANT):
                    moved, last = moved + rows, time.time()
            except Unavailable:
                pass  # another one was faster; as the worker does
            await asyncio.sleep(_PAUSE_S)
        print("done", moved, began, last, flush=True)


def main(mode: str, config: str) -> None:
    made = settings.load(Path(config), env={})
    open_logs(made.log_level)
    uvloop.run(work(mode, made) if mode in _FROM else serve(mode, made))


if __name__ == "__main__":
    main(*sys.argv[1:3])
