"""The composition root: settings in, one running service out; the only place where all parts meet."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from aiohttp import web
from structlog.typing import EventDict

from connectors.kit.http import Guard
from connectors.kit.tokens import MemoryTokens
from scrm import db as database
from scrm.accounts import service as accounts
from scrm.accounts import store as account_store
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context
from scrm.db import Database, utcnow
from scrm.errors import BadConfig
from scrm.inbox import Inbox
from scrm.live import Live
from scrm.pipeline import Pipeline, Wakes
from scrm.playbook.service import Library
from scrm.seal import Vault, master_key
from scrm.settings import Settings
from scrm.web import auth, gallery, hooks, inbox, ops, sidebar, stream
from scrm.web.api import openapi
from scrm.web.house import HOUSE, House
from scrm.web.metrics import Metrics
from scrm.web.render import Renderer
from scrm.web.routes import Route, guard, mount, verify
from scrm.worker import Worker, finish

log = structlog.get_logger()

#: The embedded profile serves one company; its rows carry the id all the same.
TENANT = 1
#: Larger than any callback or form of ours; uploads of pictures are the biggest.
_CLIENT_MAX = 3 * 1024 * 1024
_SHUTDOWN_S = 4.0

ROUTES: tuple[Route, ...] = (
    *hooks.ROUTES,
    *auth.ROUTES,
    *sidebar.ROUTES,
    *inbox.ROUTES,
    *stream.ROUTES,
    *openapi.ROUTES,
    *ops.ROUTES,
    *gallery.ROUTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service: its web app and what commands and tests reach for."""

    app: web.Application
    house: House
    worker: Worker


def open_logs(level: str) -> None:
    """JSON lines without personal data: events name ids and kinds, never what somebody said."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )
    if not any(isinstance(handler, _Libraries) for handler in logging.getLogger().handlers):
        logging.getLogger().addHandler(_Libraries(logging.WARNING))
    # Access lines carry paths and addresses; our own counters say the rest.
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)


class _Libraries(logging.Handler):
    """What libraries complain about: who and where. Their messages may quote a request, so they stay out."""

    def emit(self, record: logging.LogRecord) -> None:
        where = f"{record.module}:{record.lineno}"
        log.log(record.levelno, "library", logger=record.name, at=where, exc_info=record.exc_info)


def _without_values(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """A traceback names files and lines; an exception's message may quote a customer, so it stays out."""
    if given := fields.pop("exc_info", None):
        kind, _, trace = given if isinstance(given, tuple) else sys.exc_info()
        fields["error"] = kind.__name__ if kind else ""
        frames = traceback.extract_tb(trace)[-8:]
        fields["where"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
    return fields


@asynccontextmanager
async def opened(
    settings: Settings, *, vault: Vault | None = None
) -> AsyncIterator[tuple[Database, Directory]]:
    """The migrated database with the accounts of the settings in it; what every command starts from."""
    key = vault or Vault(master_key(settings.key_path, settings.master_key))
    await asyncio.to_thread(database.migrate, settings.db_url)
    db = await Database.open(settings.db_url, key)
    try:
        directory = Directory()
        async with db.begin(TENANT) as conn:
            await account_store.add_tenant(conn, settings.tenant, settings.company, now=utcnow())
            await accounts.add_all(conn, settings.accounts, now=utcnow())
        async with db.read(TENANT) as conn:
            await directory.load(conn)
        yield db, directory
    finally:
        await db.close()


@asynccontextmanager
async def running(
    settings: Settings, *, work: bool = True, extra: Sequence[Mapping[str, object]] = ()
) -> AsyncIterator[Service]:
    """A whole service in this process; leaving the context stops it within a few seconds.

    `extra` are accounts besides those of the settings; `work=False` only takes in and shows.
    """
    async with opened(settings) as (db, directory), Guard() as wire:
        async with db.begin(TENANT) as conn:
            await accounts.add_all(conn, extra, now=utcnow())
        async with db.read(TENANT) as conn:
            await directory.load(conn)
        service = _assemble(settings, db, directory, wire)
        task = (
            asyncio.create_task(service.worker.run(_pipeline(settings, service)), name="worker")
            if work
            else None
        )
        try:
            yield service
        finally:
            service.house.live.close()
            if task is not None:
                await finish(task, service.worker)
            await service.house.inbox.flush()


def _assemble(settings: Settings, db: Database, directory: Directory, wire: Guard) -> Service:
    tokens, live = MemoryTokens(), Live()

    def context(plugged: Plugged, now: datetime) -> Context:
        return Context(account=plugged.account, http=wire.http(plugged.account), tokens=tokens, now=now)

    box = Inbox(db, pending=settings.inbox_pending, stored=lambda: worker.settle.set())
    worker = Worker(
        db=db,
        directory=directory,
        inbox=box,
        live=live,
        context=context,
        max_attempts=settings.max_attempts,
        effect_max_age_s=settings.effect_max_age_s,
    )
    house = House(
        settings=settings,
        db=db,
        directory=directory,
        inbox=box,
        live=live,
        library=Library.load(settings.library),
        renderer=Renderer(),
        metrics=Metrics(),
        context=context,
        wake_send=worker.send.set,
        wake_react=worker.react.set,
    )
    if house.renderer.missing_assets:
        log.warning(
            "front-end assets missing: pages work but plainly; reinstall with Node reachable to build them"
        )
    return Service(app=web_app(house), house=house, worker=worker)


def web_app(house: House) -> web.Application:
    """Raises `BadConfig` when a route has no policy."""
    app = web.Application(middlewares=[guard], client_max_size=_CLIENT_MAX)
    app[HOUSE] = house
    mount(app, ROUTES)
    verify(app)
    return app


def _pipeline(settings: Settings, service: Service) -> Pipeline:
    house, worker = service.house, service.worker
    return Pipeline(
        db=house.db,
        directory=house.directory,
        live=house.live,
        library=house.library,
        context=house.context,
        wakes=Wakes(react=worker.react.set, send=worker.send.set, due=worker.due.set),
        company=settings.company,
        settle_rows=settings.settle_rows,
        max_attempts=settings.max_attempts,
        effect_max_age_s=settings.effect_max_age_s,
    )


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve an app; yields the port, which is chosen when 0 was asked for."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    try:
        try:
            await site.start()
        except OSError:
            raise BadConfig(f"{host}:{port} 不能监听：端口被占用或没有权限，请用 --port 换一个。") from None
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()
