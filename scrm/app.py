"""The composition root: settings in, one running service out; the only place where all parts meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from connectors.kit.buckets import Buckets
from connectors.kit.http import Guard
from scrm import db as database
from scrm.accounts import pulse
from scrm.accounts import service as accounts
from scrm.accounts import store as account_store
from scrm.accounts.service import Directory, Plugged
from scrm.bus.hub import Bus
from scrm.bus.links import Links, linked
from scrm.contract import Context
from scrm.db import Database, utcnow
from scrm.desk import manners
from scrm.errors import Unavailable
from scrm.inbox import Inbox
from scrm.live import Live
from scrm.pipeline import Pipeline, Wakes
from scrm.pipeline.drafts import drafts
from scrm.playbook.answers import rules as answers
from scrm.playbook.library import service as scripts
from scrm.playbook.service import Library
from scrm.playbook.sops import files as sop_files
from scrm.playbook.sops import versions as sop_versions
from scrm.reserve import Reserve
from scrm.sales.opportunities.rules import ways
from scrm.seal import Vault, open_vault
from scrm.settings import Settings
from scrm.spool.host import Spool, spooling
from scrm.spool.intake import SpooledInbox
from scrm.tokens import NotedTokens, SharedTokens
from scrm.web import (
    about,
    admin,
    auth,
    catalog,
    deeds,
    effects,
    flows,
    gallery,
    groups,
    hands,
    hooks,
    inbox,
    knowing,
    lead,
    media,
    offering,
    ops,
    outward,
    passing,
    ringing,
    search,
    shelf,
    sidebar,
    stream,
    vetting,
    visitor,
)
from scrm.web.api import openapi
from scrm.web.family import doors as family
from scrm.web.house import HOUSE, House
from scrm.web.limits import Limits
from scrm.web.metrics import Metrics
from scrm.web.render import Renderer
from scrm.web.routes import Route, guard, mount, verify
from scrm.web.sale import doors as sale
from scrm.web.todo import doors as todo
from scrm.worker import Wake, Worker, finish, reindexing
from scrm.worker.hearing import Listen

log = structlog.get_logger()

#: The embedded profile serves one company; its rows carry the id all the same.
TENANT = 1
#: Larger than any callback or form of ours; uploads of pictures are the biggest.
_CLIENT_MAX = 3 * 1024 * 1024
_SHUTDOWN_S = 4.0
#: An hour of talk takes minutes to recognise.
_HEARING_S = 300.0
#: How often the counts of this process join those of the others.
_BEAT_S = 5.0

ROUTES: tuple[Route, ...] = (
    *hooks.ROUTES,
    *auth.ROUTES,
    *sidebar.ROUTES,
    *offering.ROUTES,
    *todo.ROUTES,
    *sale.ROUTES,
    *outward.ROUTES,
    *vetting.ROUTES,
    *about.ROUTES,
    *family.ROUTES,
    *groups.ROUTES,
    *ringing.ROUTES,  # before `/inbox/{cid}`
    *inbox.ROUTES,
    *hands.ROUTES,
    *catalog.ROUTES,
    *stream.ROUTES,
    *visitor.ROUTES,
    *media.ROUTES,
    *search.ROUTES,
    *openapi.ROUTES,
    *ops.ROUTES,
    *gallery.ROUTES,
    *admin.ROUTES,
    *deeds.ROUTES,
    *lead.ROUTES,
    *effects.ROUTES,  # before `/admin/scripts/{script}`
    *shelf.ROUTES,
    *flows.ROUTES,
    *knowing.ROUTES,
    *passing.ROUTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service: its web app and what commands and tests reach for."""

    app: web.Application
    house: House
    worker: Worker
    #: Wake a loop, here and in the other processes: settle | react | send | due.
    wakes: Mapping[str, Callable[[], None]]
    bus: Bus


@asynccontextmanager
async def opened(
    settings: Settings, *, vault: Vault | None = None
) -> AsyncIterator[tuple[Database, Directory]]:
    """The migrated database with the accounts of the settings in it; what every command starts from."""
    key = vault or open_vault(settings.key_path, settings.master_key)
    await asyncio.to_thread(database.migrate, settings.db_url)
    db = await Database.open(settings.db_url, key)
    try:
        directory = Directory()
        async with db.begin(TENANT) as conn:
            await account_store.add_tenant(conn, settings.tenant, settings.company, now=utcnow())
            await scripts.begin(conn, settings.trades, now=utcnow())
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
    metrics = Metrics()
    async with (
        opened(settings) as (db, directory),
        _spooled(settings, db, metrics) as spool,
        linked(db, settings.redis_url, meter=metrics.bus) as links,
        Guard(buckets=Buckets(shared=links.levels, share=lambda: links.bus.share)) as wire,
    ):
        async with db.begin(TENANT) as conn:
            await accounts.add_all(conn, extra, now=utcnow())
        async with db.read(TENANT) as conn:
            await directory.load(conn)
        if work:
            async with db.begin(TENANT) as conn:
                await reindexing.begin(conn)
        service = _assemble(settings, db, directory, wire, links, metrics, spool)
        if work:
            await _take_over_sops(settings, db, service.house.library)
        task = (
            asyncio.create_task(service.worker.run(_pipeline(settings, service)), name="worker")
            if work
            else None
        )
        try:
            async with _upkeep(settings, service.house):
                yield service
        finally:
            service.house.live.close()
            if task is not None:
                await finish(task, service.worker)
            await service.house.inbox.flush()


async def _take_over_sops(settings: Settings, db: Database, library: Library) -> None:
    """What the files say that is not known yet. Raises `BadInput` naming the file at fault."""
    packs = await asyncio.to_thread(sop_files.read_packs, settings.library, library.ids)
    async with db.begin(TENANT) as conn:
        for sentence in await sop_versions.sync(conn, packs, now=utcnow()):
            log.warning("sop file", said=sentence)


@asynccontextmanager
async def _spooled(settings: Settings, db: Database, metrics: Metrics) -> AsyncIterator[Spool | None]:
    """The host's spool; the embedded database lies on this host itself and has none."""
    if settings.embedded:
        yield None
        return
    folder, pending = Path(settings.data_dir), settings.inbox_pending
    async with spooling(folder, db, pending=pending, max_rows=settings.spool_max_rows) as spool:
        spool.left, spool.turned = metrics.spool.forwarded.inc, metrics.spool.bypass.set
        yield spool


@asynccontextmanager
async def _upkeep(settings: Settings, house: House) -> AsyncIterator[None]:
    """What a process does besides serving: drain the spool, keep room on the disk."""
    chores = [asyncio.create_task(Reserve(Path(settings.data_dir), settings.reserve_mb << 20).watch())]
    chores.append(asyncio.create_task(_beating(house), name="pulse"))
    if house.spool is not None:
        ids = lambda: [t.tenant_id for t in house.directory.tenants]  # noqa: E731
        chores.append(asyncio.create_task(house.spool.run(ids), name="spool"))
    try:
        yield
    finally:
        for chore in chores:
            chore.cancel()
        await asyncio.wait(chores)
        await beat(house)


async def _beating(house: House) -> None:
    """Write down every few seconds how busy the accounts are."""
    swept = utcnow()
    while True:
        await asyncio.sleep(_BEAT_S)
        await beat(house)
        if (now := utcnow()) - swept > pulse.SLOT:
            swept = now
            with suppress(Unavailable):
                for tenant in house.directory.tenants:
                    async with house.db.begin(tenant.tenant_id) as conn:
                        await account_store.sweep_beats(conn, before=now - pulse.KEPT)


async def beat(house: House) -> None:
    """Write down what this process has counted."""
    held = house.directory.pulse
    tokens = held.take_tokens()
    for tenant_id, beats in held.take().items():
        try:
            async with house.db.begin(tenant_id) as conn:
                await account_store.add_beats(conn, beats)
        except Unavailable:
            held.give_back(beats)
    for tenant_id, until in tokens.items():
        with suppress(Unavailable):  # the next token will say it again
            async with house.db.begin(tenant_id) as conn:
                await accounts.note_tokens(conn, until, now=utcnow())


def _assemble(
    settings: Settings,
    db: Database,
    directory: Directory,
    wire: Guard,
    links: Links,
    metrics: Metrics,
    spool: Spool | None,
) -> Service:
    bus, tokens, live = links.bus, SharedTokens(db), Live(links.bus)

    def context(plugged: Plugged, now: datetime) -> Context:
        account = plugged.account
        noted = partial(directory.pulse.token, account.tenant_id, account.account_id)
        kept = NotedTokens(tokens.of(account.tenant_id), noted)
        return Context(account=account, http=wire.http(account), tokens=kept, now=now)

    box = _inbox(settings, db, spool, lambda: wakes["settle"]())
    box.counted = lambda tenant, ident, at, number: directory.pulse.count(
        tenant, ident, "received", at, number
    )
    library = Library.load(settings.library)
    worker = Worker(
        db=db,
        directory=directory,
        inbox=box,
        live=live,
        context=context,
        max_attempts=settings.max_attempts,
        effect_max_age_s=settings.effect_max_age_s,
        return_wait_s=settings.return_wait_s,
        propose_hour=settings.propose_hour,
        manners=manners.of(settings),
        lag_alarm=timedelta(hours=settings.lag_alarm_h),
        listen=_listener(settings, wire),
        media_max_mb=settings.media_max_mb,
        library=library,
        company=settings.company,
        drafts=drafts(settings, directory),
    )
    wakes = waking(worker, bus)
    house = House(
        settings=settings,
        manners=manners.of(settings),
        drafts=drafts(settings, directory),
        db=db,
        directory=directory,
        inbox=box,
        live=live,
        library=library,
        renderer=Renderer(),
        metrics=metrics,
        context=context,
        wake_send=wakes["send"],
        wake_react=wakes["react"],
        wake_due=wakes["due"],
        spool=spool,
        limits=_limits(db, links),
    )
    if house.renderer.missing_assets:
        log.warning(
            "front-end assets missing: pages work but plainly; reinstall with Node reachable to build them"
        )
    return Service(app=web_app(house), house=house, worker=worker, wakes=wakes, bus=bus)


def _listener(settings: Settings, wire: Guard) -> Listen | None:
    """Speech recognition as configured: a file goes there, words come back."""
    if not settings.asr_url:
        return None
    http = wire.named(settings.asr_url)
    headers = {"Authorization": f"Bearer {settings.asr_key}"} if settings.asr_key else {}
    return lambda media: http.upload(
        settings.asr_url, params={}, media=media, timeout_s=_HEARING_S, headers=headers, field="file"
    )


def _limits(db: Database, links: Links) -> Limits:
    """What visitors may ask of all processes together; Redis learns neither addresses nor who is who."""

    def mark(who: str) -> str:
        return db.vault.blind("limit", who)[:12].hex()

    return Limits(shared=links.levels, share=lambda: links.bus.share, mark=mark)


def _inbox(settings: Settings, db: Database, spool: Spool | None, stored: Callable[[], None]) -> Inbox:
    if spool is None:
        return Inbox(db, pending=settings.inbox_pending, stored=stored)
    return SpooledInbox(db, pending=settings.inbox_pending, stored=stored, spool=spool)


def waking(worker: Worker, bus: Bus) -> Mapping[str, Callable[[], None]]:
    """How to wake each loop, in whatever process it has nothing to do."""
    loops = {"settle": worker.settle, "react": worker.react, "send": worker.send, "due": worker.due}

    def waker(name: str, loop: Wake) -> Callable[[], None]:
        def wake() -> None:
            loop.set()
            bus.publish("wake", name)

        return wake

    def heard(name: str) -> None:
        if name in loops:  # a later release may know more of them
            loops[name].set()

    bus.hear("wake", heard)
    return {name: waker(name, loop) for name, loop in loops.items()}


def web_app(house: House) -> web.Application:
    """Raises `BadConfig` when a route has no policy."""
    app = web.Application(middlewares=[guard], client_max_size=_CLIENT_MAX)
    app[HOUSE] = house
    mount(app, ROUTES)
    verify(app)

    async def end_streams(_app: web.Application) -> None:
        house.live.close()

    app.on_shutdown.append(end_streams)
    return app


def _pipeline(settings: Settings, service: Service) -> Pipeline:
    house, wakes = service.house, service.wakes
    return Pipeline(
        db=house.db,
        directory=house.directory,
        live=house.live,
        library=house.library,
        context=house.context,
        wakes=Wakes(react=wakes["react"], send=wakes["send"], due=wakes["due"]),
        company=settings.company,
        settle_rows=settings.settle_rows,
        max_attempts=settings.max_attempts,
        effect_max_age_s=settings.effect_max_age_s,
        opens=ways(settings.opportunity_opens),
        answers=answers.ways(settings.auto_answers),
        manners=house.manners,
        priors=house.priors,
        drafts=house.drafts,
    )
