"""The schema's revisions: reach this release's, refuse one that no longer bears it. Blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from scrm import __version__, schema
from scrm.db import postgres, sqlite
from scrm.db.outages import translated
from scrm.db.url import url_of
from scrm.errors import BadConfig
from scrm.settings import shipped

T = TypeVar("T")

#: Processes that start together migrate one after another; the second finds nothing to do.
_TURN = sa.text("SELECT pg_advisory_lock(hashtextextended('scrm.migrate', 0))")


def migrate(url: str) -> str:
    """Bring the schema to this release's revision; the revision reached.

    A schema of a later release stays as it is. Raises `BadConfig` when it no longer bears this release.
    """
    config, found = _alembic(), revision(url)
    if found is not None and found not in revisions():
        connected(url, _demand_borne)
        return found
    if found != head():
        connected(url, lambda sync: _upgrade(sync, config))
    return revision(url) or ""


def move(url: str, to: str) -> None:
    """Give a database without rows exactly this revision, up or down: a restore fills it as it was."""
    config, found = _alembic(), revision(url)
    line = revisions()
    if found != to:
        back = found in line and line.index(found) > line.index(to)
        connected(url, lambda sync: _upgrade(sync, config, to, back=back))


def revisions() -> list[str]:
    """Every revision this release knows, first to last."""
    return [s.revision for s in ScriptDirectory.from_config(_alembic()).walk_revisions()][::-1]


def _upgrade(sync: sa.Connection, config: Config, to: str = "head", *, back: bool = False) -> None:
    if sync.dialect.name == "postgresql":
        sync.execute(sa.text("SET lock_timeout = 0"))
        sync.execute(_TURN)
        # A table somebody reads for long must not make everybody behind us wait.
        sync.execute(sa.text("SET lock_timeout = '3s'"))
        sync.commit()
    config.attributes["connection"] = sync
    (command.downgrade if back else command.upgrade)(config, to)


def _demand_borne(sync: sa.Connection) -> None:
    which = sa.select(schema.schema_info.c.value).where(schema.schema_info.c.name == "oldest_code")
    oldest = str(sync.execute(which).scalar() or "0")
    if _parts(__version__) < _parts(oldest):
        raise BadConfig(f"数据库已升级，需要 scrm {oldest} 或更新的版本，现在是 {__version__}。")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def revision(url: str) -> str | None:
    """The schema revision a database is at; None = empty."""
    return connected(url, lambda sync: MigrationContext.configure(sync).get_current_revision())


def head() -> str:
    """The schema revision this release wants."""
    return ScriptDirectory.from_config(_alembic()).get_current_head() or ""


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    return config


def connected(url: str, job: Callable[[sa.Connection], T]) -> T:
    """Run a blocking job on a connection of its own, with every tenant's rows before it."""
    made = url_of(url)
    if made.get_backend_name() == "sqlite":
        return _embedded(made, job)
    with ThreadPoolExecutor(1) as thread, translated():  # the driver needs a loop that nobody else runs
        return thread.submit(asyncio.run, _scaled(made, job)).result()


def _embedded(url: sa.URL, job: Callable[[sa.Connection], T]) -> T:
    engine = sqlite.once(url)
    try:
        with engine.connect() as sync:
            return job(sync)
    finally:
        engine.dispose()


async def _scaled(url: sa.URL, job: Callable[[sa.Connection], T]) -> T:
    engine = postgres.once(url)
    try:
        async with engine.connect() as conn:
            return await conn.run_sync(job)
    finally:
        await engine.dispose()
