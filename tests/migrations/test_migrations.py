"""Migrations: they end at the schema of the code, and carry every row from the first revision there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from scrm import db as database
from scrm import inbox, jobs, outbox, schema
from scrm.accounts import store as accounts
from scrm.db import Database
from scrm.errors import BadConfig
from scrm.identity import store as nodes
from scrm.ledger import store as ledger
from scrm.playbook import store as playbook
from scrm.seal import Vault, close
from scrm.settings import shipped
from scrm.staff import store as staff
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations, events
from tests.ground import NOW

TENANT, IDENT, MICRO = 1, 77, int(NOW.timestamp() * 1_000_000)


@pytest.fixture
def config(database_url: str) -> Config:
    made = Config()
    made.set_main_option("script_location", str(shipped("migrations")))
    made.attributes["url"] = database_url
    return made


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield made
    made.dispose()


def revisions(config: Config) -> list[str]:
    """First to last."""
    return [s.revision for s in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def differences(engine: sa.Engine) -> list[Any]:
    with engine.connect() as sync:
        here = MigrationContext.configure(sync, opts={"compare_type": True})
        return list(compare_metadata(here, schema.metadata))


# -- the schema --------------------------------------------------------------------------------------------
def test_from_nothing_to_head_is_the_schema_of_the_code(database_url: str, engine: sa.Engine) -> None:
    assert database.revision(database_url) is None

    reached = database.migrate(database_url)

    assert reached == database.head() == database.revision(database_url)
    assert differences(engine) == []


def test_the_comparison_can_fail(database_url: str, engine: sa.Engine) -> None:
    database.migrate(database_url)
    with engine.begin() as sync:
        sync.execute(sa.text("ALTER TABLE person DROP COLUMN version"))

    assert differences(engine) != []


def test_indexes_and_keys_are_the_same_as_the_tests_tables(
    database_url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    database.migrate(database_url)
    fresh = sa.create_engine(f"sqlite:///{tmp_path / 'fresh.db'}", poolclass=sa.NullPool)
    schema.metadata.create_all(fresh)

    def shape(on: sa.Engine) -> dict[str, Any]:
        look = sa.inspect(on)
        return {
            t: (
                look.get_pk_constraint(t)["constrained_columns"],
                sorted((str(i["name"]), tuple(i["column_names"])) for i in look.get_indexes(t)),
                sorted(tuple(u["column_names"]) for u in look.get_unique_constraints(t)),
                sorted(
                    (c["name"], c["nullable"], str(c["default"] or "").strip("'"))
                    for c in look.get_columns(t)
                ),
            )
            for t in schema.metadata.tables
        }

    migrated, made = shape(engine), shape(fresh)
    fresh.dispose()
    assert migrated == made


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert database.migrate(database_url) == database.migrate(database_url)


def test_the_history_is_one_line_of_dated_files(config: Config) -> None:
    scripts = ScriptDirectory.from_config(config)

    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        assert Path(script.path).name[:10].replace("-", "_") == script.revision[:10]


def test_every_step_goes_down_and_up_again(config: Config, engine: sa.Engine) -> None:
    names = revisions(config)
    command.upgrade(config, "head")
    for name in names[:-1][::-1]:
        command.downgrade(config, name)
    command.upgrade(config, "head")

    assert differences(engine) == []


# -- what is in it -----------------------------------------------------------------------------------------
def sample(table: sa.Table, vault: Vault) -> dict[str, Any]:
    """A row of any table of the first revision: sealed where it must open, plausible elsewhere."""
    key, wrapped = KEYS.setdefault(id(vault), vault.new_key(IDENT, "tenant"))
    row: dict[str, Any] = {}
    for column in table.c:
        if isinstance(column.type, sa.LargeBinary):
            plain = b'{"token": "t"}' if column.name == "secrets" else b"{}"
            row[column.name] = close(key, plain, table.name, IDENT, column.name)
        elif isinstance(column.type, sa.JSON):
            row[column.name] = ["phone"] if column.name == "fields" else {"stream": "s"}
        elif isinstance(column.type, sa.Text):
            row[column.name] = f"{table.name}-{column.name}"
        elif column.name.endswith("_at") or column.name == "at":
            row[column.name] = None if column.nullable else MICRO
        elif column.name in {"attempts", "failures", "version", "rank", "n"}:
            row[column.name] = 1
        else:
            row[column.name] = TENANT if column.name == "tenant_id" else IDENT
    return row | (
        {"wrapped": wrapped, "owner": "tenant"} if table.name == "data_key" else STATES.get(table.name, {})
    )


KEYS: dict[int, Any] = {}
STATES: dict[str, dict[str, Any]] = {
    "inbox": {"state": "new"},
    "outbox": {"state": "queued"},
    "suggestion": {"state": "used"},
    "event": {"superseded_by": None},
}


def filled(config: Config, engine: sa.Engine, vault: Vault) -> dict[str, list[dict[str, Any]]]:
    """The first revision with a row in every table; what is in it, by table."""
    command.upgrade(config, revisions(config)[0])
    old = sa.MetaData()
    old.reflect(engine)
    tables = [t for t in old.sorted_tables if t.name != "alembic_version"]
    with engine.begin() as sync:
        for table in tables:
            sync.execute(sa.insert(table), [sample(table, vault)])
        return {t.name: [dict(r._mapping) for r in sync.execute(sa.select(t))] for t in tables}


def test_every_row_of_the_first_revision_is_still_there_at_head(
    config: Config, engine: sa.Engine, vault: Vault, database_url: str
) -> None:
    before = filled(config, engine, vault)
    assert len(before) == 26
    assert all(before.values())

    database.migrate(database_url)

    new = sa.MetaData()
    new.reflect(engine)
    with engine.connect() as sync:
        for name, rows in before.items():
            after = [dict(r._mapping) for r in sync.execute(sa.select(new.tables[name]))]
            shared = rows[0].keys() & after[0].keys()
            assert [{k: r[k] for k in shared} for r in after] == [{k: r[k] for k in shared} for r in rows], (
                name
            )
    assert differences(engine) == []


async def test_the_stores_read_what_the_first_revision_wrote(
    config: Config, engine: sa.Engine, vault: Vault, database_url: str
) -> None:
    filled(config, engine, vault)
    database.migrate(database_url)

    db = await Database.open(database_url, vault)
    try:
        async with db.begin(TENANT) as conn:
            (stored,) = await accounts.accounts(conn)
            (item,) = await inbox.claim(conn, "new", now=NOW, limit=9)
            (job,) = await jobs.claim(conn, now=NOW + timedelta(seconds=1), limit=9)
            (sending,) = await outbox.claim(conn, now=NOW, limit=9)
            (event,) = await events.of_account(conn, [IDENT], before=None, limit=9)
            (talk,) = [t for t, _ in await conversations.queue(conn, Scope(everything=True), "all", limit=9)]
            (member,) = await staff.all_members(conn)
            (entry,) = await ledger.entries(conn, limit=9)
            (handle,) = (await nodes.handles(conn, [IDENT])).values()
            bodies = await events.bodies(conn, [event])
            used = await playbook.recently_used(conn, [IDENT])
            page = await events.page(conn, await nodes.intervals(conn, IDENT), before=None, limit=9)
            assert await inbox.cursor_of(conn, IDENT, "cursor-stream") == "cursor-cursor"
            assert await staff.bound(conn, [("staff_handle-scope", "staff_handle-value")])
    finally:
        await db.close()

    assert stored.account.get("token") == "t"
    assert (item.payload, sending.payload, handle.value, bodies) == (b"{}", b"{}", "{}", {IDENT: {}})
    assert (job.payload, entry.fields, entry.at) == ({"stream": "s"}, ["phone"], NOW)
    assert (talk.last_text, member.login, event.text) == (
        "conversation-last_text",
        "staff-login",
        "event-text",
    )
    assert used == {IDENT: {"suggestion-script_id"}}
    assert page == [event]


# -- older code --------------------------------------------------------------------------------------------
def later_release(engine: sa.Engine, url: str, oldest: str) -> None:
    database.migrate(url)
    with engine.begin() as sync:
        sync.execute(sa.text("UPDATE alembic_version SET version_num = '2099_01_01_later'"))
        sync.execute(sa.update(schema.schema_info).values(value=oldest))


def test_a_schema_that_no_longer_bears_this_release_is_refused(database_url: str, engine: sa.Engine) -> None:
    later_release(engine, database_url, "99.1.0")

    with pytest.raises(BadConfig, match=r"99\.1\.0"):
        database.migrate(database_url)


def test_a_later_schema_that_still_bears_this_release_is_left_alone(
    database_url: str, engine: sa.Engine
) -> None:
    later_release(engine, database_url, "0.1.0")

    assert database.migrate(database_url) == "2099_01_01_later"
    assert database.revision(database_url) == "2099_01_01_later"
