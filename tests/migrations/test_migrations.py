"""Migrations: they end at the schema of the code, carry every row, and bear the releases before."""

from __future__ import annotations

from collections.abc import Callable
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
from scrm.db import Database, connected
from scrm.errors import BadConfig
from scrm.identity import store as nodes
from scrm.ledger import store as ledger
from scrm.playbook import store as playbook
from scrm.schema.search import is_declared
from scrm.seal import Vault, close
from scrm.settings import shipped
from scrm.staff import store as staff
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations, events
from tests import services
from tests.conftest import NewUrl
from tests.ground import NOW

TENANT, IDENT, MICRO = 1, 77, int(NOW.timestamp() * 1_000_000)
Rows = dict[str, list[dict[str, Any]]]


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(shipped("migrations")))
    return made


#: First to last.
REVISIONS = [s.revision for s in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def move(url: str, to: str, step: Callable[[Config, str], None] = command.upgrade) -> None:
    def job(sync: sa.Connection) -> None:
        made = config()
        made.attributes["connection"] = sync
        step(made, to)

    connected(url, job)


def act(url: str, *statements: sa.Executable) -> None:
    def job(sync: sa.Connection) -> None:
        with sync.begin():
            for statement in statements:
                sync.execute(statement)

    connected(url, job)


def reflected(sync: sa.Connection) -> list[sa.Table]:
    """The tables of a release as its database knew them."""
    found = sa.MetaData()
    found.reflect(sync, only=lambda name, _: is_declared(name, "table"))
    return [t for t in found.sorted_tables if t.name != "alembic_version"]


def differences(url: str) -> list[Any]:
    def job(sync: sa.Connection) -> list[Any]:
        here = MigrationContext.configure(sync, opts={"compare_type": True, "include_name": is_declared})
        return list(compare_metadata(here, schema.metadata))

    return connected(url, job)


def shape(sync: sa.Connection) -> dict[str, Any]:
    """Keys, indexes, columns with their defaults and, on PostgreSQL, the walls between tenants."""
    look = sa.inspect(sync)
    found: dict[str, Any] = {
        t: (
            look.get_pk_constraint(t)["constrained_columns"],
            sorted((str(i["name"]), tuple(i["column_names"])) for i in look.get_indexes(t)),
            sorted(tuple(u["column_names"]) for u in look.get_unique_constraints(t)),
            sorted(
                (c["name"], str(c["type"]), c["nullable"], str(c["default"] or "").strip("'"))
                for c in look.get_columns(t)
            ),
        )
        for t in schema.metadata.tables
    }
    found["search"] = sorted(sync.execute(sa.text(SEARCH[sync.dialect.name])).scalars())
    return found | ({"walls": walls(sync)} if sync.dialect.name == "postgresql" else {})


#: The text index, which the metadata do not know, and what makes it follow its table.
SEARCH = {
    "sqlite": "SELECT replace(sql, 'IF NOT EXISTS ', '') FROM sqlite_master "
    "WHERE name = 'search_index' OR name LIKE 'search_doc_%' AND type = 'trigger'",
    "postgresql": "SELECT indexdef FROM pg_indexes WHERE tablename = 'search_index' "
    "UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal "
    "UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'search_follows'",
}


def walls(sync: sa.Connection) -> list[tuple[Any, ...]]:
    stmt = sa.text(
        "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, p.policyname, p.cmd, p.qual, "
        "p.with_check FROM pg_class c LEFT JOIN pg_policies p "
        "ON p.tablename = c.relname AND p.schemaname = 'public' "
        "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace "
        "AND c.relname <> 'alembic_version' ORDER BY 1, 4"
    )
    return [tuple(row) for row in sync.execute(stmt)]


# -- the schema --------------------------------------------------------------------------------------------
def test_from_nothing_to_head_is_the_schema_of_the_code(empty_url: str) -> None:
    assert database.revision(empty_url) is None

    reached = database.migrate(empty_url)

    assert reached == database.head() == database.revision(empty_url) == REVISIONS[-1]
    assert differences(empty_url) == []


def test_the_comparison_can_fail(empty_url: str) -> None:
    database.migrate(empty_url)
    act(empty_url, sa.text("ALTER TABLE person DROP COLUMN version"))

    assert differences(empty_url) != []


def test_a_migrated_database_has_the_shape_of_the_tests_tables(new_url: NewUrl) -> None:
    migrated, made = new_url(services.migrated), new_url(services.tables)

    assert connected(migrated, shape) == connected(made, shape)


def test_migrating_again_changes_nothing(empty_url: str) -> None:
    assert database.migrate(empty_url) == database.migrate(empty_url)


def test_the_history_is_one_line_of_dated_files() -> None:
    scripts = ScriptDirectory.from_config(config())

    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        assert Path(script.path).name[:10].replace("-", "_") == script.revision[:10]


def test_every_step_goes_down_and_up_again(empty_url: str) -> None:
    database.migrate(empty_url)
    before = connected(empty_url, shape)
    for name in REVISIONS[:-1][::-1]:
        move(empty_url, name, command.downgrade)
        assert database.revision(empty_url) == name
    database.migrate(empty_url)

    assert differences(empty_url) == []
    assert connected(empty_url, shape) == before
    assert len(before["search"]) in (4, 5)


def test_every_table_of_a_tenant_is_walled_on_postgresql(postgresql_url: str) -> None:
    found = {row[0]: row[1:4] for row in connected(postgresql_url, walls)}

    assert set(found) == {t.name for t in schema.metadata.sorted_tables} | {"search_index"}
    bare = {name for name, wall in found.items() if wall != (True, True, "tenant_wall")}
    # Behind a wall PostgreSQL would not use the text index; what it leads to is read from walled tables.
    assert bare == {"tenant", "schema_info", "search_index"}


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


def filled(url: str, vault: Vault, revision: str = REVISIONS[0]) -> Rows:
    """A database of that revision with a row in every table; what is in it, by table."""
    move(url, revision)

    def job(sync: sa.Connection) -> Rows:
        tables = reflected(sync)
        for table in tables:
            sync.execute(sa.insert(table), [sample(table, vault)])
        sync.commit()
        return {t.name: read(sync, t) for t in tables}

    return connected(url, job)


def read(sync: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in sync.execute(sa.select(table))]


@pytest.mark.parametrize("start", REVISIONS)
def test_every_row_of_every_revision_is_still_there_at_head(empty_url: str, vault: Vault, start: str) -> None:
    before = filled(empty_url, vault, start)
    assert len(before) >= 26
    assert all(before.values())

    database.migrate(empty_url)

    after = connected(empty_url, lambda sync: {t.name: read(sync, t) for t in reflected(sync)})
    for name, rows in before.items():
        assert [{k: row[k] for k in rows[0]} for row in after[name]] == rows, name
    assert differences(empty_url) == []


@pytest.mark.parametrize("release", REVISIONS)
def test_an_earlier_release_still_writes_and_reads_at_head(
    empty_url: str, vault: Vault, release: str
) -> None:
    """During a rolling upgrade it names only the columns it knows: expand first, contract a release later."""
    move(empty_url, release)
    known = connected(empty_url, reflected)
    database.migrate(empty_url)

    def job(sync: sa.Connection) -> None:
        for table in known:
            row = sample(table, vault)
            mine = sa.and_(*(c == row[c.name] for c in table.primary_key))
            sync.execute(sa.insert(table), [row])
            assert sync.execute(sa.update(table).where(mine).values(row)).rowcount == 1, table.name
            assert row in read(sync, table), table.name
            assert sync.execute(sa.delete(table).where(mine)).rowcount == 1, table.name

    connected(empty_url, job)


def test_a_column_that_an_earlier_release_cannot_know_would_be_noticed(empty_url: str, vault: Vault) -> None:
    database.migrate(empty_url)
    (person,) = [t for t in connected(empty_url, reflected) if t.name == "person"]
    act(empty_url, sa.text("ALTER TABLE person DROP COLUMN version"))

    with pytest.raises(sa.exc.DBAPIError):
        act(empty_url, sa.insert(person).values(sample(person, vault)))


async def test_the_stores_read_what_the_first_revision_wrote(empty_url: str, vault: Vault) -> None:
    filled(empty_url, vault)
    database.migrate(empty_url)

    db = await Database.open(empty_url, vault)
    try:
        async with db.begin(TENANT) as conn:
            (stored,) = await accounts.accounts(conn)
            (item,) = await inbox.claim(conn, "new", now=NOW, limit=9)
            (job,) = await jobs.claim(conn, now=NOW + timedelta(seconds=1), limit=9)
            (sending,) = await outbox.claim(conn, now=NOW, limit=9)
            (event,) = await events.of_account(conn, [IDENT], before=None, limit=9)
            (talk,) = [
                t for t, _ in await conversations.queue(conn, Scope(everything=True), "all", now=NOW, limit=9)
            ]
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
def later_release(url: str, oldest: str) -> None:
    database.migrate(url)
    act(
        url,
        sa.text("UPDATE alembic_version SET version_num = '2099_01_01_later'"),
        sa.update(schema.schema_info).values(value=oldest),
    )


def test_a_schema_that_no_longer_bears_this_release_is_refused(empty_url: str) -> None:
    later_release(empty_url, "99.1.0")

    with pytest.raises(BadConfig, match=r"99\.1\.0"):
        database.migrate(empty_url)


def test_a_later_schema_that_still_bears_this_release_is_left_alone(empty_url: str) -> None:
    later_release(empty_url, "0.1.0")

    assert database.migrate(empty_url) == "2099_01_01_later"
    assert database.revision(empty_url) == "2099_01_01_later"
