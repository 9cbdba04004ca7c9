"""What the core's tests stand on: a channel that says what a test tells it to, and a house around it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any, cast

import pytest
import sqlalchemy as sa

from scrm.accounts import store as account_store
from scrm.accounts.service import Directory, Plugged
from scrm.contract import (
    Account,
    Context,
    Envelope,
    Handle,
    Http,
    Need,
    Polled,
    Pull,
    Push,
    Raw,
    Tokens,
    Window,
)
from scrm.db import Conn, Database, utcnow
from scrm.identity import service as identity
from scrm.inbox import Inbox
from scrm.live import Live
from scrm.pipeline import Pipeline, Wakes
from scrm.playbook.scripts import Script
from scrm.playbook.service import Library
from scrm.schema import metadata
from scrm.seal import new_id
from scrm.shapes import load
from scrm.timeline import service as timeline
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.worker import Wake, Worker

#: A Monday morning in Shanghai, as in conftest.
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
CHANNEL = "testing"
CASTLE = Handle(kind="kf_account", scope="corp", value="kf1", part="about")


class Unwritable(str):
    """Text that gets past our own doors although no driver takes it: a row that really cannot be stored."""

    __slots__ = ()

    def isascii(self) -> bool:
        return True

    def __contains__(self, part: object) -> bool:
        return part != "\x00" and super().__contains__(part)  # type: ignore[operator]


class Channel(ModuleType):
    """A connector for tests: payload `x` translates to what `says["x"]` holds, or raises it."""

    TITLE, ICON = "测试渠道", "im"
    NEEDS = (
        Need(name="token", help="令牌", secret=True),
        Need(name="corp_id", help="企业", required=False, default="corp"),
    )

    def __init__(self) -> None:
        super().__init__(f"connectors.{CHANNEL}")
        self.says: dict[bytes, Sequence[Envelope | Pull] | Exception] = {}

    def translate(self, _ctx: Context, raw: Raw) -> Sequence[Envelope | Pull]:
        said = self.says[raw.payload]
        if isinstance(said, Exception):
            raise said
        return said


class Talking(Channel):
    """It sends too. `answers` scripts the vendor; every push it was handed is in `sent`."""

    IDEMPOTENT: bool = False
    WINDOWS: tuple[Window, ...] = ()
    TEXT_LIMIT = 2048
    TALKS = True
    KINDS = frozenset({"text", "image", "welcome"})

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Push] = []
        self.answers: list[str | Exception] = []

    async def send(self, _ctx: Context, push: Push) -> str:
        self.sent.append(push)
        answer = self.answers.pop(0) if self.answers else f"ext-{push.push_id}"
        if isinstance(answer, Exception):
            raise answer
        return answer


class Fetching(Talking):
    """It polls and enriches too: `pages` by (stream, cursor), `profiles` by handle value."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[tuple[str, str], Polled | Exception] = {}
        self.profiles: dict[str, tuple[Raw, ...] | Exception] = {}
        self.polled: list[tuple[str, str, str]] = []
        self.enriched: list[str] = []

    async def poll(self, _ctx: Context, stream: str, cursor: str, hint: str) -> Polled:
        self.polled.append((stream, cursor, hint))
        page = self.pages.get((stream, cursor), Polled(raws=(), cursor=cursor, more=False))
        if isinstance(page, Exception):
            raise page
        return page

    async def enrich(self, _ctx: Context, handle: Handle) -> tuple[Raw, ...]:
        self.enriched.append(handle.value)
        found = self.profiles.get(handle.value, ())
        if isinstance(found, Exception):
            raise found
        return found


# -- values ------------------------------------------------------------------------------------------------
def account(account_id: int = 11, *, tenant_id: int = 1, slug: str = "shop") -> Account:
    return Account(
        tenant_id=tenant_id,
        account_id=account_id,
        slug=slug,
        channel=CHANNEL,
        name="店",
        secrets={"token": "t"},
    )


def handle(value: str, *, kind: str = "wechat_openid", scope: str = "app", **more: Any) -> Handle:
    return Handle(kind=kind, scope=scope, value=value, **more)


def said(text: str = "你好", *, by: str = "anna", at: datetime = NOW, **more: Any) -> Envelope:
    """What a customer says."""
    usual: dict[str, Any] = {"kind": "message.text", "direction": "in", "handles": (handle(by),)}
    return Envelope(text=text, at=at, **(usual | more))


def answered(text: str = "在的", *, to: str = "anna", at: datetime = NOW, **more: Any) -> Envelope:
    """What one of us says."""
    usual: dict[str, Any] = {
        "kind": "message.text",
        "direction": "out",
        "handles": (handle(to, part="other"),),
    }
    return Envelope(text=text, at=at, **(usual | more))


def raw(key: str, *, lane: str = "anna", payload: bytes = b"", urgent: bool = False) -> Raw:
    return Raw(source_key=key, lane=lane, payload=payload or key.encode(), urgent=urgent)


def script(name: str, **changes: Any) -> Script:
    plain: dict[str, object] = {
        "id": f"edu.{name}",
        "version": 1,
        "title": name,
        "stage": "objection",
        "role": "any",
        "delivery": "confirm",
        "triggers": ["贵"],
        "text": f"回答 {name}",
        "examples": [{"given": {}, "expect": f"回答 {name}"}],
        "says": ["太贵了"],
    }
    return load(Script, plain | changes, where="test")


# -- acts --------------------------------------------------------------------------------------------------
def entry(envelope: Envelope, key: str, *, account_id: int = 11, **more: Any) -> timeline.Entry:
    usual: dict[str, Any] = {"team_id": None, "inbox_id": None}
    return timeline.Entry(
        event_id=new_id(), account_id=account_id, source_key=key, envelope=envelope, **(usual | more)
    )


async def settle(conn: Conn, *entries: timeline.Entry, now: datetime = NOW) -> timeline.Appended:
    """Identity and timeline for these entries, as the pipeline does it."""
    sightings = [
        identity.Sighting(
            event_id=e.event_id,
            at=e.envelope.at,
            key=e.source_key,
            handles=e.envelope.handles,
            links=e.envelope.links,
        )
        for e in entries
    ]
    resolved = await identity.resolve(conn, sightings, now)
    return await timeline.append(conn, entries, resolved.nodes, now=now)


async def node_of(conn: Conn, value: str, **more: Any) -> int:
    found = await identity.find(conn, handle(value, **more))
    assert found is not None
    return found


async def talk_of(conn: Conn, value: str, **more: Any) -> Talk:
    (talk,) = await conversations.of_nodes(conn, [await node_of(conn, value, **more)])
    return talk


async def dump(conn: Conn) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the connection's tenant, by table."""
    found = {}
    for table in metadata.sorted_tables:
        if "tenant_id" in table.c:
            rows = await conn.rows(sa.select(table).where(table.c.tenant_id == conn.tenant_id))
            found[table.name] = sorted((tuple(map(_plain, row)) for row in rows), key=repr)
    return found


def _plain(value: object) -> object:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so; 30 s say that it never will."""
    async with asyncio.timeout(30):
        while not await so():  # noqa: ASYNC110 - what is waited for is rows, not an event of ours
            await asyncio.sleep(0.01)


# -- a house -----------------------------------------------------------------------------------------------
@dataclass(kw_only=True)
class House:
    """One tenant's pipeline and worker around one channel; loops run only when a test starts them."""

    db: Database
    channel: Channel
    account: Account
    directory: Directory
    live: Live
    inbox: Inbox
    worker: Worker
    pipeline: Pipeline
    woken: list[str] = field(default_factory=list)

    async def take(
        self, says: Mapping[str, Sequence[Envelope | Pull] | Exception], *, lane: str = ""
    ) -> None:
        """Durable in the inbox; a row's source key is its payload and, by default, its lane."""
        for key, envelopes in says.items():
            self.channel.says[key.encode()] = envelopes
        raws = [raw(key, lane=lane or key) for key in says]
        await self.inbox.accept(self.account, raws, received_at=utcnow())

    async def states(self) -> dict[str, str]:
        """Inbox states by source key."""
        return await self._column("inbox", "source_key", "state")

    async def texts(self) -> list[str]:
        """What stands on the timeline, oldest first."""
        event = metadata.tables["event"].c
        async with self.db.read(self.account.tenant_id) as conn:
            stmt = sa.select(event.text).where(event.tenant_id == self.account.tenant_id)
            rows = await conn.rows(stmt.where(event.superseded_by.is_(None)).order_by(event.at, event.seq))
        return [row.text for row in rows]

    async def _column(self, table: str, key: str, value: str) -> dict[str, str]:
        c = metadata.tables[table].c
        async with self.db.read(self.account.tenant_id) as conn:
            stmt = sa.select(c[key], c[value]).where(c.tenant_id == self.account.tenant_id)
            return dict(tuple(row) for row in await conn.rows(stmt))


def library(*scripts: Script) -> Library:
    return Library(scripts or [script("price"), script("value", triggers=["优惠"], says=["有优惠吗"])])


async def house(
    db: Database, channel: Channel, *, scripts: Sequence[Script] = (), tenant_id: int = 1, **limits: int
) -> House:
    """A house whose only account is on this channel, which must be `installed`."""
    ruled = {"settle_rows": 100, "max_attempts": 3, "effect_max_age_s": 900} | limits
    async with db.begin(tenant_id) as conn:
        await account_store.add_tenant(conn, f"tenant-{tenant_id}", "本公司", now=utcnow())
        account_id = await account_store.save(
            conn,
            slug=f"shop-{tenant_id}",
            channel=CHANNEL,
            name="店",
            max_age_s=600,
            options={"corp_id": "corp"},
            secrets={"token": "t"},
            team_id=None,
            now=utcnow(),
        )
    directory, live = Directory(), Live()
    async with db.read(tenant_id) as conn:
        await directory.load(conn)
    box = Inbox(db, pending=1000, stored=lambda: worker.settle.set())
    attempts, age = ruled["max_attempts"], ruled["effect_max_age_s"]
    worker = Worker(
        db=db,
        directory=directory,
        inbox=box,
        live=live,
        context=context,
        max_attempts=attempts,
        effect_max_age_s=age,
    )
    woken: list[str] = []

    def wake(name: str, loop: Wake) -> None:
        woken.append(name)
        loop.set()

    pipeline = Pipeline(
        db=db,
        directory=directory,
        live=live,
        library=library(*scripts),
        context=context,
        wakes=Wakes(
            react=partial(wake, "react", worker.react),
            send=partial(wake, "send", worker.send),
            due=partial(wake, "due", worker.due),
        ),
        company="本公司",
        settle_rows=ruled["settle_rows"],
        max_attempts=attempts,
        effect_max_age_s=age,
    )
    return House(
        db=db,
        channel=channel,
        account=directory.by_id(account_id).account,
        directory=directory,
        live=live,
        inbox=box,
        worker=worker,
        pipeline=pipeline,
        woken=woken,
    )


def context(plugged: Plugged, now: datetime) -> Context:
    """The channels above never use their client or tokens."""
    return Context(account=plugged.account, http=cast(Http, None), tokens=cast(Tokens, None), now=now)


def installed(patch: pytest.MonkeyPatch, channel: Channel) -> None:
    """The channel can be imported like a folder in connectors/."""
    patch.setitem(sys.modules, channel.__name__, channel)


def plugged(channel: Channel, *, account_id: int = 11, team_id: int | None = None) -> Plugged:
    return Plugged(account=account(account_id), plug=channel, team_id=team_id)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
