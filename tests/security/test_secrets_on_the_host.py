"""What lies on a host and what commands say there: files for their owner alone, no password in a sentence."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrm import db
from scrm.backups.store import file
from scrm.bus.over_redis import RedisWire
from scrm.cli import main
from scrm.cli.keys import alone_with
from scrm.db import Database
from scrm.errors import BadConfig
from scrm.keyring import KeyFile, Keyring
from scrm.seal import Vault
from scrm.settings import load
from scrm.spool.host import spooling
from tests.web.office import configured, office

SECRET = "hunter2"
#: A password with letters that an address may not hold as they are: its pieces end up in other places.
BROKEN = (
    f"postgresql://scrm:{SECRET}@10.0.0.1:{SECRET}/scrm",
    f"postgresql://scrm:a@{SECRET}:{SECRET}x/scrm",
    f"postgresql//scrm:{SECRET}@10.0.0.1/scrm",
    f"{SECRET}",
)


@pytest.mark.parametrize("url", BROKEN)
async def test_a_database_address_that_is_none_is_not_quoted(url: str, vault: Vault) -> None:
    for attempt in (lambda: db.migrate(url), lambda: file.embedded(url)):
        with pytest.raises(BadConfig) as wrong:
            attempt()
        assert SECRET not in "".join(traceback.format_exception(wrong.value))
    with pytest.raises(BadConfig) as wrong:
        await Database.open(url, vault)
    assert SECRET not in wrong.value.sentence


@pytest.mark.parametrize("url", BROKEN)
def test_commands_do_not_say_the_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCRM_DATABASE_URL", url)
    monkeypatch.setenv("SCRM_DATA_DIR", str(tmp_path))
    for command in ("migrate", "check", "serve"):
        with pytest.raises(SystemExit) as ended:
            main([command])
        said = capfd.readouterr()
        assert ended.value.code != 0, command
        assert SECRET not in said.out + said.err, command


def test_a_redis_address_that_is_none_is_not_quoted() -> None:
    with pytest.raises(BadConfig) as wrong:
        RedisWire(f"redis://:{SECRET}/x@10.0.0.1:6379/0")

    assert SECRET not in wrong.value.sentence


def test_settings_may_be_printed() -> None:
    env = {
        "SCRM_DATABASE_URL": f"postgresql://scrm:{SECRET}@10.0.0.1/scrm",
        "SCRM_REDIS_URL": f"redis://:{SECRET}@10.0.0.1",
        "SCRM_MASTER_KEY": SECRET,
    }

    assert SECRET not in repr(load(env=env))


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """Made by an administrator who thought of nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0o022)
    yield folder
    os.umask(before)


def modes(folder: Path) -> dict[str, bool]:
    """Each file's name, and whether others may open it."""
    return {path.name: bool(path.stat().st_mode & 0o077) for path in folder.rglob("*") if path.is_file()}


async def test_files_with_data_are_closed_also_in_a_folder_that_is_open(open_folder: Path) -> None:
    async with office(open_folder, people=False):
        found = modes(open_folder)

    assert {"scrm.db", "scrm.db-wal", "master.key"} <= found.keys()
    assert [name for name, is_open in found.items() if is_open] == []


async def test_the_spool_is_closed_too(open_folder: Path, database: Database) -> None:
    async with spooling(open_folder, database, pending=10, max_rows=10):
        found = modes(open_folder)

    assert {"spool.db", "spool.lock"} <= found.keys()
    assert [name for name, is_open in found.items() if is_open] == []


# -- root works in a folder of the service's user ----------------------------------------------------------
def test_rotating_follows_no_link_that_the_services_user_laid(tmp_path: Path) -> None:
    victim, folder = tmp_path / "shadow", tmp_path / "etc"
    folder.mkdir()
    victim.write_text("precious")
    (folder / "master.key.lock").symlink_to(victim)

    with pytest.raises(BadConfig), alone_with(folder / "master.key"):
        pass

    assert victim.read_text() == "precious"
    (folder / "master.key.lock").unlink()
    with alone_with(folder / "master.key"):
        assert (folder / "master.key.lock").stat().st_mode & 0o077 == 0


def test_a_new_key_replaces_a_link_and_writes_nothing_through_it(tmp_path: Path) -> None:
    victim, key = tmp_path / "shadow", tmp_path / "master.key"
    victim.write_text("precious")
    ring = KeyFile(key).read()
    (tmp_path / "master.key.new").symlink_to(victim)

    KeyFile(key).write(ring.prepared())

    assert victim.read_text() == "precious"
    assert KeyFile(key).read().next
    assert not key.is_symlink()


def test_a_ring_says_nothing_of_its_keys() -> None:
    ring = Keyring(current=bytes(range(32))).prepared()

    assert repr(ring) == "Keyring()"


def test_an_address_without_a_password_starts_as_before(tmp_path: Path) -> None:
    settings = configured(tmp_path)

    assert asyncio.run(_opens(settings.db_url)) is True


async def _opens(url: str) -> bool:
    db.migrate(url)
    opened = await Database.open(url, Vault(bytes(range(32))))
    try:
        async with opened.begin(1) as conn:
            return conn.tenant_id == 1
    finally:
        await opened.close()
