"""Where a measured service lives: a folder with SQLite in it, or an empty PostgreSQL database; processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from scrm import db, inbox, settings
from scrm.app import TENANT, Service, running
from scrm.bench.ground import SLUG, account
from scrm.contract import Raw
from scrm.db import utcnow
from scrm.errors import BadInput
from scrm.pipeline import Pipeline, Wakes
from scrm.settings import Settings

T = TypeVar("T")

_START_S, _STOP_S, _STORED_S = 60.0, 20.0, 60.0
#: Where nobody answers: nothing is fetched from the platform.
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A service that exists for one measurement."""

    folder: Path
    #: Of PostgreSQL; "" = SQLite in the folder.
    database: str = ""

    @property
    def settings(self) -> Settings:
        """Defaults, whatever the environment says."""
        return settings.load(None, {}, **self._own())

    @property
    def many(self) -> bool:
        """Several processes may work on it."""
        return bool(self.database)

    def config(self, api_base: str = _NOWHERE) -> str:
        """The path of the same settings as a file, with the account, for other processes."""
        path = self.folder / "bench.toml"
        # A JSON string is a TOML string.
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._own().items()]
        lines += ["[[accounts]]", *(f"{k} = {json.dumps(v)}" for k, v in account(api_base).items())]
        path.touch(mode=0o600)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return str(path)

    def _own(self) -> dict[str, object]:
        return {
            "data_dir": str(self.folder),
            "database_url": self.database,
            "host": "127.0.0.1",
            "port": 0,
            "log_level": "error",
        }

    def ask(self, job: Callable[[sa.Connection], T]) -> T:
        """A blocking job on a connection of its own that sees every row."""
        return db.connected(self.settings.db_url, job)


@asynccontextmanager
async def site(database: str = "") -> AsyncIterator[Site]:
    """A site without a row. What is made in the database is dropped at the end: it must be empty before."""
    with tempfile.TemporaryDirectory(prefix="scrm-bench-") as folder:
        if database:
            await asyncio.to_thread(demand_empty, database)
        try:
            yield Site(folder=Path(folder), database=database)
        finally:
            if database:
                await asyncio.to_thread(db.connected, database, _clear)


def demand_empty(url: str) -> None:
    """Raises `BadInput` for a database with any table in it: what a bench finds there it would drop."""
    if not url.startswith("postgresql"):
        raise BadInput("--database 只接受 postgresql://…；不写就用内嵌 SQLite。")
    if found := db.connected(url, lambda sync: sa.inspect(sync).get_table_names()):
        raise BadInput(f"基准测试只用空数据库，这个库里已有 {len(found)} 张表：请新建一个。")


def _clear(sync: sa.Connection) -> None:
    quoted = [sync.dialect.identifier_preparer.quote(name) for name in sa.inspect(sync).get_table_names()]
    if quoted:
        sync.execute(sa.text(f"DROP TABLE {', '.join(quoted)} CASCADE"))
    sync.commit()


@asynccontextmanager
async def service(place: Site, api_base: str = _NOWHERE, *, work: bool = False) -> AsyncIterator[Service]:
    """A whole service in this process, without its loops: each bench turns the wheel it measures."""
    async with running(place.settings, work=work, extra=[account(api_base)]) as one:
        yield one


def pipeline(one: Service) -> Pipeline:
    """Settle and react by hand; nobody is woken."""
    house, made = one.house, one.house.settings
    return Pipeline(
        db=house.db,
        directory=house.directory,
        live=house.live,
        library=house.library,
        context=house.context,
        wakes=Wakes(react=_nothing, send=_nothing, due=_nothing),
        company=made.company,
        settle_rows=made.settle_rows,
        max_attempts=made.max_attempts,
        effect_max_age_s=made.effect_max_age_s,
    )


def _nothing() -> None: ...


async def store(one: Service, raws: Sequence[Raw], *, at_once: int = 500) -> None:
    """Into the inbox, as if they had been called in; nobody may be working on it."""
    plugged = one.house.directory.by_slug(SLUG)
    for start in range(0, len(raws), at_once):
        await one.house.inbox.accept(plugged.account, raws[start : start + at_once], received_at=utcnow())
    async with asyncio.timeout(_STORED_S):  # a database that hesitates leaves some to the spool for a while
        while (await waiting(one))["new"] < len(raws):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def waiting(one: Service) -> dict[str, int]:
    """Rows in each state that still needs somebody."""
    async with one.house.db.read(TENANT) as conn:
        return await inbox.counts(conn)


# -- processes ---------------------------------------------------------------------------------------------
@asynccontextmanager
async def process(*words: str, cwd: Path) -> AsyncIterator[str]:
    """A Python process that says `ready WHERE`; yields that word and ends the process."""
    async with started(*words, cwd=cwd) as one:
        yield await asyncio.wait_for(said(one, "ready"), _START_S)


@asynccontextmanager
async def started(*words: str, cwd: Path) -> AsyncIterator[Process]:
    """A Python process without our settings in its environment; it is ended on the way out."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SCRM_")}
    one = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, cwd=cwd, env=env, stdin=PIPE, stdout=PIPE
    )
    try:
        yield one
    finally:
        if one.returncode is None:
            one.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(one.wait(), _STOP_S)
            except TimeoutError:
                one.kill()
                await one.wait()


async def said(one: Process, word: str) -> str:
    """The rest of the line that begins with the word. Raises `RuntimeError` when it ends before."""
    assert one.stdout is not None
    while line := (await one.stdout.readline()).decode():
        first, _, rest = line.strip().partition(" ")
        if first == word:
            return rest
    raise RuntimeError(f"the measured process ended before it said {word}")
