"""A wrong server on purpose: it thanks the platform first and stores afterwards. Everything else is ours.

Run as `python ack_first.py serve --port P --config F --data-dir D`, like the real one.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path

from aiohttp import web

from scrm import settings
from scrm.app import Service, running
from scrm.contract import Call
from scrm.db import utcnow
from scrm.logs import open_logs
from scrm.settings import Settings
from scrm.web.serving import listening


def hasty(service: Service) -> web.Application:
    """One callback address that promises what it has not done yet."""
    house, tasks = service.house, set[asyncio.Task[int]]()

    async def receive(request: web.Request) -> web.Response:
        plugged, now = house.directory.by_slug(request.match_info["account"]), utcnow()
        call = Call(
            method=request.method,
            tail="",
            query=dict(request.query),
            headers=dict(request.headers),
            body=await request.read(),
            received_at=now,
        )
        receipt = plugged.plug.receive(house.context(plugged, now), call)
        task = asyncio.create_task(house.inbox.accept(plugged.account, receipt.raws, received_at=now))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return web.Response(body=receipt.body)

    app = web.Application()
    app.router.add_post("/hooks/{account}", receive)
    return app


async def serve(configured: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        running(configured) as service,
        listening(hasty(service), "127.0.0.1", configured.port) as port,
    ):
        sys.stdout.write(f"ready http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data-dir", dest="data_dir")
    args = parser.parse_args()
    open_logs("info")
    asyncio.run(serve(settings.load(args.config, port=args.port, data_dir=args.data_dir)))


if __name__ == "__main__":
    main()
