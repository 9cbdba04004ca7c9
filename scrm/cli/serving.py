"""`scrm serve`, `scrm worker` and `scrm demo`: what runs until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from contextlib import AsyncExitStack, closing
from functools import partial
from tempfile import TemporaryDirectory

from prometheus_client import multiprocess

from scrm import demo
from scrm.app import running
from scrm.cli.inherited import given_socket, line_to_supervisor, supervised
from scrm.cli.line import Commands, add, say
from scrm.cli.supervisor import Kind, own_command, own_env, supervise
from scrm.errors import BadConfig
from scrm.settings import Settings
from scrm.web.serving import bound, listening

#: While stopping, this long a connection may still bring a request and gets its answer.
_LINGER_S = 1.0


async def serve(args: argparse.Namespace, configured: Settings) -> int:
    """Web and worker until SIGTERM or Ctrl-C: in this process, or in `--workers` supervised ones."""
    if configured.embedded and (args.workers or 1) != 1:
        raise BadConfig("内嵌 SQLite 只能由一个进程写入：请用 --workers 1。")
    if args.workers is not None and not supervised():
        return await _serve_supervised(configured, args.workers)
    line = line_to_supervisor()
    line.wait_for_go()
    stop = _stop_event()
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running(configured, work=not args.no_work))
        port = await stack.enter_async_context(
            listening(service.app, configured.host, configured.port, sock=given_socket(), linger_s=_LINGER_S)
        )
        line.ready()
        if not supervised():
            say(f"ready http://{configured.host}:{port}")
        await stop.wait()
        # What the loops hold is finished while the last callers get their answers.
        service.worker.stop()
    return 0


async def _serve_supervised(configured: Settings, size: int) -> int:
    with (
        closing(given_socket() or bound(configured.host, configured.port)) as listener,
        TemporaryDirectory(prefix="scrm-metrics-") as metrics,
    ):
        kind = Kind(
            argv=own_command(),
            # The counters of all processes add up in this folder, those of ended ones too.
            env=own_env(PROMETHEUS_MULTIPROC_DIR=metrics),
            listener=listener,
            overlap=not configured.embedded,
            ended=partial(multiprocess.mark_process_dead, path=metrics),
        )
        ready = partial(say, f"ready http://{configured.host}:{_port(listener)}")
        return await supervise(kind, size, ready=ready)


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


async def worker(args: argparse.Namespace, configured: Settings) -> int:
    """The loops without web, for hosts that only work."""
    if configured.embedded:
        raise BadConfig("内嵌 SQLite 只能由一个进程写入：scrm serve 已经带着后台处理，不能再开 scrm worker。")
    if args.processes is not None and not supervised():
        kind = Kind(argv=own_command(), env=own_env(), listener=None, overlap=True, ended=lambda _pid: None)
        return await supervise(kind, args.processes, ready=partial(say, "ready worker"))
    line = line_to_supervisor()
    line.wait_for_go()
    stop = _stop_event()
    async with running(configured):
        line.ready()
        if not supervised():
            say("ready worker")
        await stop.wait()
    return 0


def _stop_event() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def run_demo(args: argparse.Namespace, configured: Settings) -> int:
    return await demo.run(configured, pace_s=args.pace, seed=args.seed, stop=_stop_event(), say=say)


def commands(to: Commands) -> None:
    one = add(to, "serve", serve, "Run the service; prints `ready http://...` when it accepts")
    one.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    one.add_argument("--port", type=int, help="port to listen on (default 8080)")
    one.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="N processes behind one socket: one that dies is replaced, SIGHUP renews them one by one; "
        "without it, this process serves by itself; the embedded database takes one",
    )
    one.add_argument("--no-work", action="store_true", help="only web; `scrm worker` does the rest")
    one = add(to, "worker", worker, "Run the loops without web; prints `ready worker` when they go")
    one.add_argument(
        "--processes", type=_count, metavar="N", help="N of them; one that dies is replaced, SIGHUP renews"
    )
    one = add(to, "demo", run_demo, "A living team on simulated platforms: no account, no service needed")
    one.add_argument("--port", type=int, help="port of the service (default 8080)")
    one.add_argument("--pace", type=float, default=6.0, help="seconds between customers' turns (default 6)")
    one.add_argument("--seed", type=int, default=7, help="seed of everything that varies")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
