"""Backup and restore on both engines: nothing missing, changed, sent twice or overwritten."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from scrm import __version__, outbox, schema
from scrm import db as database
from scrm.backups import rules, service
from scrm.backups.rules import Manifest
from scrm.backups.store import file, rows
from scrm.db import utcnow
from scrm.errors import BadConfig, BadInput, Unsealable
from scrm.seal import Vault, open_vault
from tests.backups.conftest import moved_in
from tests.backups.premises import Premises, react, run, talk
from tests.services import Cluster

#: Differs on purpose between an installation and its restored copy: the restore is in the audit trail.
TRAIL = {f"{tenant}.audit_entry" for tenant in (1, 2)}
#: So do leases: whoever held them is gone.
LEASES = {f"{tenant}.{table}" for tenant in (1, 2) for table in ("outbox", "due")}
#: Bytes that are no secret to a backup: not sealed.
PLAIN = {
    ("data_key", "wrapped"),
    ("inbox", "lane"),
    ("outbox", "lane"),
    ("node", "value_key"),
    ("node_name", "name_key"),
    ("hint", "hint_key"),
    ("claim", "mask_head"),
    ("claim", "mask_tail"),
    ("claim", "device_key"),
    ("relation", "name_key"),
    ("relation", "full_key"),
    ("role_assignment", "name_key"),
    ("role_assignment", "full_key"),
    ("session", "token_hash"),
    ("oauth_state", "state_hash"),
    ("api_token", "token_hash"),
    ("idempotency_key", "request_hash"),
    ("idempotency_key", "body"),
    ("vendor_token", "key_hash"),
    ("clearance", "digest"),
}


def quiet(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def made(premises: Premises, tmp_path: Path) -> Path:
    """A backup of the premises."""
    path = tmp_path / "first.db"
    ran = premises.run("backup", str(path))
    assert ran.code == 0, ran.err
    return path


def differing(one: Premises, other: Premises) -> set[str]:
    """Tables whose rows are not the same."""
    before, after = one.everything(), other.everything()
    return {name for name, kept in before.items() if kept != after[name]}


def column(premises: Premises, table: str, name: str) -> list[Any]:
    place = [c.name for c in schema.metadata.tables[table].c].index(name)
    return sorted(row[place] for row in premises.everything()[f"1.{table}"])


# -- there and back ----------------------------------------------------------------------------------------
def test_what_is_restored_is_what_was_backed_up(premises: Premises, elsewhere: Premises, made: Path) -> None:
    ran = elsewhere.run("restore", "--moved", str(made))

    assert ran.code == 0, ran.err
    assert TRAIL <= differing(premises, elsewhere) <= TRAIL | LEASES
    assert elsewhere.texts() == premises.texts() != []
    assert database.revision(elsewhere.url) == database.head()


def test_a_backup_moves_an_installation_to_the_other_engine_and_back(
    premises: Premises, made: Path, tmp_path: Path, cluster: Cluster, engine_name: str
) -> None:
    other_url = cluster.new_database(None) if engine_name == "sqlite" else ""
    other = moved_in(premises, tmp_path / "other", other_url)
    back_url = "" if engine_name == "sqlite" else cluster.new_database(None)
    back = moved_in(premises, tmp_path / "back", back_url)

    steps = [
        other.run("restore", "--moved", str(made)),
        other.run("backup", str(tmp_path / "second.db")),
        back.run("restore", "--moved", str(tmp_path / "second.db")),
    ]

    assert [ran.code for ran in steps] == [0, 0, 0], [ran.err for ran in steps]
    assert differing(premises, other) | differing(premises, back) <= TRAIL | LEASES
    first, second = (service.verify(p, premises.vault, quiet) for p in (made, tmp_path / "second.db"))
    changed = {name for name in first.tables if first.tables[name] != second.tables[name]}
    assert changed <= {"audit_entry", "outbox", "due"}
    assert premises.texts() == other.texts() == back.texts()


def test_the_restored_installation_goes_on_working(
    premises: Premises, elsewhere: Premises, made: Path
) -> None:
    elsewhere.run("restore", str(made))

    async def go_on() -> None:
        async with elsewhere.opened() as db:
            home = await elsewhere.home(db)
            await talk(home, ["你们回来了吗"])
            await talk(home, ["第0句 1"])  # the platform delivers once more what is known already
            await react(home)

    run(go_on())
    assert elsewhere.texts() == [*premises.texts(), "你们回来了吗"]


def test_rows_written_while_the_backup_runs_are_in_it_whole_or_not_at_all(
    premises: Premises, elsewhere: Premises, tmp_path: Path
) -> None:
    path = tmp_path / "busy.db"
    before = len(premises.texts())

    async def under_load() -> Manifest:
        said = 0
        async with premises.opened() as db:
            home = await premises.home(db)
            saving = asyncio.create_task(asyncio.to_thread(backed_up, premises, path))
            while not saving.done():
                await talk(home, [f"忙 {said + n}" for n in range(20)], by=f"guest-{said}")
                said += 20
            await talk(home, ["备份之后"], by="late")
            return await saving

    manifest = run(under_load())
    ran = elsewhere.run("restore", "--moved", str(path))

    assert ran.code == 0, ran.err
    here, there = premises.texts(), elsewhere.texts()
    assert before <= len(there) < len(here)
    assert there == here[: len(there)]
    assert manifest.tables["seen"].rows == manifest.tables["inbox"].rows
    assert manifest.tables["event"].rows == len(there) + before  # the second tenant's


def backed_up(premises: Premises, path: Path) -> Manifest:
    """What `scrm backup` does, where a loop is running already."""
    part = service.blank(path)
    if service.embedded(premises.url) is None:
        database.move(f"sqlite:///{part}", database.head())
    manifest: Manifest = database.connected(
        premises.url,
        lambda sync: service.backup(
            sync, part, premises.vault, release=__version__, now=utcnow(), progress=quiet
        ),
    )
    service.published(part, path)
    return manifest


# -- what was running --------------------------------------------------------------------------------------
def test_after_a_disaster_nothing_is_sent_twice_and_nobody_is_signed_in(
    elsewhere: Premises, made: Path
) -> None:
    ran = elsewhere.run("restore", str(made))

    assert "4 条待发消息" in ran.out  # two of each tenant
    assert column(elsewhere, "outbox", "state") == ["unknown", "unknown"]
    assert None not in column(elsewhere, "session", "ended_at")


def test_after_a_move_what_waited_still_waits_and_sign_ins_stay(elsewhere: Premises, made: Path) -> None:
    elsewhere.run("restore", "--moved", str(made))

    assert column(elsewhere, "outbox", "state") == ["queued", "sending"]
    assert column(elsewhere, "session", "ended_at") == [None]


def test_a_push_that_was_being_sent_is_settled_by_the_senders_own_rule(
    elsewhere: Premises, made: Path
) -> None:
    elsewhere.run("restore", "--moved", str(made))

    async def lost() -> list[int]:
        async with elsewhere.opened() as db, db.begin(1) as conn:
            return [row.outbox_id for row in await outbox.abandoned(conn, now=utcnow(), limit=9)]

    assert len(run(lost())) == 1


# -- what is refused ---------------------------------------------------------------------------------------
def test_a_database_with_anything_in_it_is_never_restored_into(premises: Premises, made: Path) -> None:
    before = premises.everything()

    ran = premises.run("restore", str(made))

    assert ran.code == 2
    assert "SCRM_DATABASE_URL" in ran.err
    assert premises.everything() == before


def test_a_migrated_database_without_rows_counts_as_empty(
    premises: Premises, elsewhere: Premises, made: Path
) -> None:
    elsewhere.run("migrate")

    assert elsewhere.run("restore", "--moved", str(made)).code == 0
    assert elsewhere.texts() == premises.texts()


def test_an_existing_file_is_never_overwritten(premises: Premises, made: Path) -> None:
    before = made.read_bytes()

    ran = premises.run("backup", str(made))

    assert (ran.code, made.read_bytes()) == (2, before)
    assert not list(made.parent.glob("*.part"))


def test_a_backup_is_for_its_owners_eyes_and_says_where_the_key_is(
    premises: Premises, tmp_path: Path
) -> None:
    path = tmp_path / "b.db"

    ran = premises.run("backup", str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(premises.key) in ran.out
    assert premises.key.read_bytes().strip() not in path.read_bytes()


def test_a_machine_without_the_master_key_makes_none_up(elsewhere: Premises, made: Path) -> None:
    elsewhere.key.unlink()

    ran = elsewhere.run("restore", str(made))

    assert (ran.code, elsewhere.key.exists()) == (2, False)


def test_another_master_key_is_noticed_at_backup_and_at_restore(
    premises: Premises, elsewhere: Premises, made: Path, tmp_path: Path
) -> None:
    for place in (premises, elsewhere):
        place.key.unlink()
        place.run("keys", "new")

    ran = [
        premises.run("backup", str(tmp_path / "useless.db")),
        elsewhere.run("backup", "--verify", str(made)),
        elsewhere.run("restore", str(made)),
    ]

    assert [r.code for r in ran] == [1, 1, 1]
    assert all("master.key" in r.err for r in ran)
    assert not (tmp_path / "useless.db").exists()


def test_a_backup_of_a_newer_release_is_refused() -> None:
    manifest = Manifest(
        made_at=utcnow(), release="9.0.0", revision="2099_01_01_later", engine="sqlite", tables={}
    )

    with pytest.raises(BadConfig, match=r"9\.0\.0"):
        service.demand_known(manifest, database.revisions())


def test_a_backup_of_an_older_release_is_brought_to_this_one(
    premises: Premises, elsewhere: Premises, tmp_path: Path
) -> None:
    old = moved_in(premises, tmp_path / "old", "")
    first = database.revisions()[0]
    database.move(old.url, first)
    with closing(sqlite3.connect(old.folder / "scrm.db")) as raw, raw:
        raw.execute("INSERT INTO tenant (tenant_id, slug, name, created_at) VALUES (1, 'old', 'Old', 0)")
    path = tmp_path / "old.backup"

    ran = [old.run("backup", str(path)), elsewhere.run("restore", str(path))]

    assert [r.code for r in ran] == [0, 0], [r.err for r in ran]
    assert service.verify(path, premises.vault, quiet).revision == first
    assert database.revision(elsewhere.url) == database.head()

    async def names() -> list[str]:
        async with elsewhere.opened() as db, db.read_all() as conn:
            return [r.name for r in await conn.rows(sa.select(schema.tenant.c.name))]

    assert run(names()) == ["Old"]


def test_a_restore_that_is_stopped_leaves_the_database_empty(elsewhere: Premises, made: Path) -> None:
    class PowerCut(Exception):
        pass

    manifest = service.verify(made, elsewhere.vault, quiet)

    def stopping(what: str, _done: int, _total: int) -> None:
        if what.startswith("核对 event"):
            raise PowerCut

    target = service.embedded(elsewhere.url)
    if target is None:
        database.move(elsewhere.url, manifest.revision)
        with pytest.raises(PowerCut):
            database.connected(elsewhere.url, lambda sync: filled(sync, made, manifest, stopping))
    else:
        with pytest.raises(PowerCut):
            service.unpacked(made, target, manifest, stopping)

    assert target is None or not target.exists()
    assert elsewhere.run("restore", "--moved", str(made)).code == 0


def filled(sync: rows.Sync, made: Path, manifest: Manifest, progress: rows.Progress) -> None:
    with sync.begin():
        service.fill(made, sync, manifest, progress)


# -- damage ------------------------------------------------------------------------------------------------
def test_every_flipped_bit_is_found(premises: Premises, made: Path) -> None:
    whole = made.read_bytes()
    assert service.verify(made, premises.vault, quiet).rows > 0
    dice = random.Random(3)

    for _ in range(60):
        at = dice.randrange(len(whole))
        made.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << dice.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(BadInput):
            service.verify(made, premises.vault, quiet)


@pytest.mark.parametrize("left", [0, 39, 40, 5000, -1])
def test_a_file_that_was_cut_off_is_found(premises: Premises, made: Path, left: int) -> None:
    made.write_bytes(made.read_bytes()[:left])

    with pytest.raises(BadInput):
        service.verify(made, premises.vault, quiet)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE event SET text = 'something else' WHERE event_id = (SELECT min(event_id) FROM event)",
            "event",
        ),
        ("DELETE FROM seen WHERE source_key = (SELECT min(source_key) FROM seen)", "seen"),
        ("DELETE FROM person", "person"),
        ("CREATE TABLE stranger (x INTEGER PRIMARY KEY)", "stranger"),
        ("UPDATE backup_info SET value = replace(value, '0.1.0', '0.2.0')", "清单"),
    ],
)
def test_a_changed_row_is_found_even_under_a_fresh_digest(
    premises: Premises, made: Path, change: str, said: str
) -> None:
    with closing(sqlite3.connect(made, isolation_level=None)) as raw:
        raw.execute(change)
    made.write_bytes(made.read_bytes())
    with closing(sqlite3.connect(made, isolation_level=None)) as raw:
        raw.execute("VACUUM")
    file.finish(made)

    with pytest.raises((BadInput, Unsealable), match=said):
        service.verify(made, premises.vault, quiet)


def test_a_backup_is_a_database_that_anybody_can_look_into(made: Path) -> None:
    with closing(sqlite3.connect(f"file:{made}?mode=ro", uri=True)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("SELECT count(*) FROM event").fetchone()[0] > 0


# -- what the rules know -----------------------------------------------------------------------------------
def test_every_column_of_bytes_is_known_as_sealed_or_plain() -> None:
    held = {
        (t.name, c.name)
        for t in schema.metadata.sorted_tables
        for c in t.c
        if isinstance(c.type, sa.LargeBinary)
    }
    sealed = {(table, column) for table, (_, columns) in rules.SEALED.items() for column in columns}

    assert held == sealed | PLAIN


def test_sums_do_not_depend_on_the_order_of_rows_but_on_each_row() -> None:
    lines = [b"a", b"b", b"c"]

    def tally(given: list[bytes]) -> rules.Tally:
        adding = rules.Adding()
        adding.add(given)
        return adding.tally()

    assert tally(lines) == tally(lines[::-1])
    assert len({tally(some).sum for some in (lines, lines[:2], [*lines, b"c"], [b"a", b"b", b"d"], [])}) == 5


def test_values_of_an_erased_customer_stay_closed_and_are_no_fault(
    premises: Premises, tmp_path: Path
) -> None:
    async def erase() -> None:
        async with premises.opened() as db, db.begin(1) as conn:
            c = schema.data_key.c
            gone = sa.and_(c.tenant_id == 1, c.owner.like("node:%"))
            await conn.run(sa.delete(schema.data_key).where(gone))

    run(erase())

    assert premises.run("backup", str(tmp_path / "b.db")).code == 0


def test_a_vault_of_another_installation_does_not_verify(made: Path, tmp_path: Path) -> None:
    stranger: Vault = open_vault(tmp_path / "stranger.key")

    with pytest.raises(Unsealable):
        service.verify(made, stranger, quiet)
