"""What these tests back up: an installation of either engine with two tenants, and the command `scrm`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from scrm import db as database
from scrm import outbox, schema
from scrm.cli import main
from scrm.contract import Media
from scrm.db import Conn, Database, utcnow
from scrm.desk.calendar import service as calendar
from scrm.ledger.store import audit
from scrm.push import store as pushes
from scrm.seal import Vault, new_id, open_vault, token_hash
from scrm.staff import service as staff
from tests import life, life_effect, life_promises, life_scripts, life_selling, life_sops, life_tasks
from tests.ground import House, dump, house, installed, node_of, said, talk_of

T = TypeVar("T")
TENANTS = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """One installation: its folder with the master key, and where its rows are ("" = in the folder)."""

    folder: Path
    database_url: str
    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'scrm.db'}"

    @property
    def key(self) -> Path:
        return self.folder / "master.key"

    @property
    def vault(self) -> Vault:
        return open_vault(self.key)

    def run(self, *argv: str) -> Ran:
        """The command as a person types it; no loop may run here."""
        self.patch.setenv("SCRM_DATA_DIR", str(self.folder))
        self.patch.setenv("SCRM_DATABASE_URL", self.database_url)
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(argv)
        out, err = self.capsys.readouterr()
        code = ended.value.code
        return Ran(code=code if isinstance(code, int) else int(bool(code)), out=out, err=err)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        db = await Database.open(self.url, self.vault)
        try:
            yield db
        finally:
            await db.close()

    def everything(self) -> dict[str, Any]:
        """Every row of every tenant, by tenant and table."""

        async def look() -> dict[str, Any]:
            async with self.opened() as db:
                found: dict[str, Any] = {}
                for tenant_id in TENANTS:
                    async with db.read(tenant_id) as conn:
                        found |= {f"{tenant_id}.{t}": rows for t, rows in (await dump(conn)).items()}
                return found

        return run(look())

    def texts(self) -> list[str]:
        async def look() -> list[str]:
            async with self.opened() as db, db.read(1) as conn:
                c = schema.event.c
                stmt = sa.select(c.text).where(c.tenant_id == 1).order_by(c.at, c.seq, c.event_id)
                return [r.text for r in await conn.rows(stmt)]

        return run(look())

    def fill(self, messages: int = 12) -> None:
        """Two tenants who talked with customers, and one of everything that may be running."""
        database.migrate(self.url)

        async def work() -> None:
            async with self.opened() as db:
                for tenant_id in TENANTS:
                    home = await self.home(db, tenant_id)
                    await talk(home, [f"第{n}句 {tenant_id}" for n in range(messages)])
                    await react(home)
                    async with db.begin(tenant_id) as conn:
                        await running_things(conn, home)

        run(work())

    def live(self) -> None:
        """Both tenants get rows in the younger tables: files, facts, deeds, works, orders, words to find."""

        async def work() -> None:
            async with self.opened() as db:
                for tenant_id in TENANTS:
                    home = await self.home(db, tenant_id)
                    home.channel.says |= {b"m1": [], b"told": []}
                    await home.take({"m2": [said("太贵了", at=utcnow())]} | life.told())
                    await settled(home)
                    await life.work(home)
                    await settled(home)
                    async with db.begin(tenant_id) as conn:
                        await life.files(conn)
                        await life.as_admin(conn, home)
                        await life.as_owner(conn, home)
                        await life_tasks.as_busy(conn)
                        await life_selling.as_seller(conn, home)
                        await life_sops.as_follower(conn, home)
                        await life_promises.as_promiser(conn, home)
                        await life_scripts.as_writer(conn)
                        await life_scripts.with_files(conn, home.account.account_id)
                        await life_effect.as_measured(conn)
                        await life.as_sender(conn)
                        await life.as_relative(conn)
                        day = utcnow().date()
                        await calendar.put(conn, day, day, "holiday", "校庆", now=utcnow())

        run(work())

    async def home(self, db: Database, tenant_id: int = 1) -> House:
        channel = life.Able()
        installed(self.patch, channel)
        return await house(db, channel, tenant_id=tenant_id)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def stored(premises: Premises, table: sa.Table) -> list[Any]:
    """Every tenant's rows."""

    async def look() -> list[Any]:
        async with premises.opened() as db, db.read_all() as conn:
            return list(await conn.rows(sa.select(table)))

    return run(look())


async def talk(home: House, texts: Sequence[str], *, by: str = "anna") -> None:
    """Said, and on the timeline."""
    await home.take({text: [said(text, by=by, at=utcnow())] for text in texts}, lane=by)
    while await home.pipeline.settle(home.account.tenant_id):
        pass


async def settled(home: House) -> None:
    tenant_id = home.account.tenant_id
    while await home.pipeline.settle(tenant_id) + await home.pipeline.react(tenant_id):
        pass


async def react(home: House) -> None:
    while await home.pipeline.react(home.account.tenant_id):
        pass


async def running_things(conn: Conn, home: House) -> None:
    """A signed-in rep, a picture, a job somebody works on, pushes that wait or are being sent, an entry."""
    now = utcnow()
    node_id, talked = await node_of(conn, "anna"), await talk_of(conn, "anna")
    await staff.add(conn, login="wang", name="小王", role="rep", team="", password="", now=now)
    await conn.insert(
        schema.session,
        [
            {
                "tenant_id": conn.tenant_id,
                "token_hash": token_hash("signed-in"),
                "staff_id": 7,
                "created_at": now,
                "expires_at": now,
                "ended_at": None,
            }
        ],
    )
    await pushes.add_media(conn, Media(name="a.png", mime="image/png", content=b"\x89PNG"), node_id, now=now)
    for name in ("waits", "goes"):
        await outbox.enqueue(conn, order(home, name, node_id, talked.conversation_id), now=now)
    c = schema.outbox.c
    going = sa.and_(c.tenant_id == conn.tenant_id, c.key == "goes")
    await conn.run(sa.update(schema.outbox).where(going).values(state="sending", lease_until=now))
    await audit(conn, "cli", "staff.added", now=now, subject="staff:7", fields=["name"])


def order(home: House, key: str, node_id: int, conversation_id: int) -> outbox.Order:
    return outbox.Order(
        outbox_id=new_id(),
        account_id=home.account.account_id,
        node_id=node_id,
        conversation_id=conversation_id,
        event_id=new_id(),
        lane=key.encode(),
        key=key,
        kind="text",
        payload=b'{"text": "hello"}',
    )
