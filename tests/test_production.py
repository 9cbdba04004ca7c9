"""What the production guide tells people to do works: the example configuration, the units, the roles."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from scrm import db, settings
from scrm.app import TENANT, opened
from scrm.cli import supervisor, tree
from scrm.db import utcnow
from scrm.ledger.store import audit
from scrm.settings import Settings, shipped
from tests.services import Cluster
from tests.test_architecture import ROOT

EXAMPLE = ROOT / "config" / "production.toml.example"
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


# -- the example configuration -------------------------------------------------------------------------------
def example() -> Settings:
    return settings.load(EXAMPLE, env={})


def test_the_example_is_a_configuration_for_several_processes_behind_tls() -> None:
    found = example()

    assert not found.embedded
    assert found.secure_cookies
    assert found.url.startswith("https://")
    assert Path(found.data_dir).is_absolute()


def test_the_example_holds_no_secret() -> None:
    found = example()

    assert (found.master_key, found.accounts) == ("", ())
    assert [sa.make_url(url).password for url in (found.database_url, found.redis_url)] == [None, None]


def test_the_example_explains_each_line_it_has() -> None:
    blocks = EXAMPLE.read_text("utf-8").strip().split("\n\n")

    assert [block for block in blocks if not block.startswith("# ")] == []


# -- the units -----------------------------------------------------------------------------------------------
def said(unit: Path, name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_a_supervised_command_that_exists(unit: Path) -> None:
    args = tree().parse_args(shlex.split(said(unit, "ExecStart"))[1:])

    assert max(vars(args).get("workers", 0), vars(args).get("processes", 0)) > 1
    assert "-HUP" in said(unit, "ExecReload")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_gives_its_processes_the_time_they_may_take_to_stop(unit: Path) -> None:
    # Only the supervisor gets SIGTERM; it ends the others.
    assert said(unit, "KillMode") == "mixed"
    assert float(said(unit, "TimeoutStopSec")) > supervisor.STOP_S


def test_the_socket_is_where_the_example_says() -> None:
    found = example()

    assert said(ROOT / "deploy/systemd/scrm.socket", "ListenStream") == f"{found.host}:{found.port}"


# -- the roles -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Guided:
    """A database made as the guide says, under names of its own."""

    owner_url: str
    app_url: str


def statements(names: dict[str, str]) -> list[str]:
    """What the guide's blocks of SQL say, one by one."""
    guide = (ROOT / "docs/how-to/production.md").read_text("utf-8")
    text = "".join(re.findall(r"^```sql\n(.*?)^```", guide, re.MULTILINE | re.DOTALL))
    for plain, own in names.items():
        text = re.sub(rf"\b{plain}\b", own, text)
    return [one.strip() for one in text.split(";") if one.strip()]


@pytest.fixture
def guided(cluster: Cluster) -> Iterator[Guided]:
    names = {name: f"{name}_{secrets.token_hex(4)}" for name in ("scrm_owner", "scrm")}
    owner, app = names.values()
    there = sa.make_url(cluster.superuser_url).set(database=app)
    urls = [
        there.set(username=role, password=word).render_as_string(hide_password=False)
        for role, word in ((owner, "choose-one"), (app, "choose-another"))
    ]
    superuser = there.render_as_string(hide_password=False)
    steps = statements(names)
    try:
        for step in steps:
            if step.startswith("REVOKE UPDATE"):
                db.migrate(urls[0])
            cluster.execute(step, url="" if step.startswith("CREATE") else superuser)
        yield Guided(owner_url=urls[0], app_url=urls[1])
    finally:
        cluster.execute(
            f"DROP DATABASE IF EXISTS {app} WITH (FORCE)", *(f"DROP ROLE {r}" for r in (owner, app))
        )


async def test_the_service_runs_as_the_role_that_changes_no_table(guided: Guided, tmp_path: Path) -> None:
    ours = settings.load(shipped("config") / "default.toml", env={}, database_url=guided.app_url,
                         data_dir=str(tmp_path))  # fmt: skip

    async with opened(ours) as (base, _), base.begin(TENANT) as conn:
        await audit(conn, "test", "staff.added", now=utcnow())


@pytest.mark.parametrize(
    "forbidden",
    [
        "DELETE FROM audit_entry",
        "UPDATE audit_entry SET actor = 'nobody'",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE staff DISABLE ROW LEVEL SECURITY",
        "DROP TABLE audit_entry",
        "UPDATE schema_info SET value = '9'",
    ],
)
async def test_what_that_role_may_not_do(guided: Guided, forbidden: str) -> None:
    conn = await asyncpg.connect(guided.app_url, timeout=10, command_timeout=10)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(forbidden)
    finally:
        await conn.close(timeout=5)


async def test_that_role_sees_no_row_of_a_tenant_it_did_not_name(guided: Guided, tmp_path: Path) -> None:
    await test_the_service_runs_as_the_role_that_changes_no_table(guided, tmp_path)
    for url in (guided.app_url, guided.owner_url):
        conn = await asyncpg.connect(url, timeout=10, command_timeout=10)
        try:
            assert await conn.fetchval("SELECT count(*) FROM audit_entry") == 0
            await conn.execute(f"SET scrm.tenant = '{TENANT}'")
            assert await conn.fetchval("SELECT count(*) FROM audit_entry") > 0
        finally:
            await conn.close(timeout=5)
