"""The master key changes while others seal and open: nothing refused, nothing lost, the old key out."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from scrm import db as database
from scrm import schema
from scrm.backups.store import keys
from scrm.cli.keys import alone_with
from scrm.db import Database, utcnow
from scrm.errors import Unsealable
from scrm.keyring import KeyFile, Keyring
from scrm.seal import Vault, key_id_of, new_id, open_sealed
from scrm.spool import host as spool
from tests.backups.premises import Premises, Ran, run, stored
from tests.ground import until

ROOT = Path(__file__).resolve().parents[2]
SEALER = Path(__file__).with_name("sealer.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """How many data keys a master key opens, and how many it does not."""

    yes: int
    no: int


def alone(ring: Keyring) -> Vault:
    """A vault that has the ring's current key and no other."""
    return Vault(Keyring(current=ring.current, stable=ring.stable))


def tried(premises: Premises, vault: Vault) -> Opened:
    yes = no = 0
    for row in stored(premises, schema.data_key):
        try:
            vault.unwrap(row.key_id, row.owner, row.wrapped)
            yes += 1
        except Unsealable:
            no += 1
    return Opened(yes=yes, no=no)


def demand_all_open(premises: Premises) -> None:
    """Each sealed picture and customer, with the key file as it stands."""
    vault = Vault(KeyFile(premises.key).read())
    data_keys = {r.key_id: r for r in stored(premises, schema.data_key)}
    sealed = [(r.content, ("media", r.media_id, "content")) for r in stored(premises, schema.media)]
    sealed += [(r.value, ("node", r.node_id, "value")) for r in stored(premises, schema.node)]
    for value, where in sealed:
        row = data_keys[key_id_of(value)]
        assert open_sealed(vault.unwrap(row.key_id, row.owner, row.wrapped), value, *where)
    assert len(sealed) >= 4


# -- the usual case ----------------------------------------------------------------------------------------
def test_after_a_rotation_the_new_key_opens_everything_and_the_old_one_nothing(premises: Premises) -> None:
    before, texts = KeyFile(premises.key).read(), premises.texts()

    ran = premises.run("keys", "rotate")

    assert ran.code == 0, ran.err
    ring = KeyFile(premises.key).read()
    total = len(stored(premises, schema.data_key))
    assert tried(premises, alone(ring)) == Opened(yes=total, no=0)
    assert tried(premises, alone(before)) == Opened(yes=0, no=total)
    assert (ring.previous, ring.next) == (b"", b"")
    demand_all_open(premises)
    assert premises.texts() == texts
    assert premises.run("keys", "status").code == 0


def test_the_old_key_is_kept_for_old_backups_which_it_still_opens(premises: Premises, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    premises.run("backup", str(path))

    premises.run("keys", "rotate")
    with_new = premises.run("backup", "--verify", str(path))
    (kept,) = premises.folder.glob("master.key.retired-*")
    premises.patch.setenv("SCRM_MASTER_KEY_FILE", str(kept))
    with_old = premises.run("backup", "--verify", str(path))

    assert (with_new.code, with_old.code) == (1, 0), with_old.err
    assert "master.key.retired-" in with_new.err
    assert kept.stat().st_mode & 0o777 == 0o600


def test_customers_links_and_lanes_are_the_same_after_a_rotation(premises: Premises) -> None:
    before = premises.vault

    premises.run("keys", "rotate")
    premises.run("keys", "rotate")

    after = premises.vault
    assert after.blind("1", "phone", "138") == before.blind("1", "phone", "138")
    assert after.lane(1, "anna") == before.lane(1, "anna")
    assert after.public("event", 7) == before.public("event", 7)
    assert after.sign("form", "x") == before.sign("form", "x")
    assert len(list(premises.folder.glob("master.key.retired-*"))) == 2


# -- under load --------------------------------------------------------------------------------------------
@contextmanager
def sealers(premises: Premises, number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that seal and open, each of which has begun."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCRM_")}
    argv = [sys.executable, str(SEALER), premises.url, str(premises.key)]
    made = [
        subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean | {"PYTHONPATH": str(ROOT)},
        )
        for _ in range(number)
    ]
    try:
        for one in made:
            more(one, 20)
        yield made
    finally:
        for one in made:
            one.kill()
            one.communicate()


def more(one: subprocess.Popen[str], values: int) -> None:
    """Wait until it has committed so many more."""
    assert one.stdout is not None
    for _ in range(values):
        line = one.stdout.readline()
        assert line == ".\n", one.stderr and one.stderr.read()


def test_processes_that_seal_all_the_while_are_refused_nothing(premises: Premises, engine_name: str) -> None:
    before = KeyFile(premises.key).read()

    with sealers(premises, 1 if engine_name == "sqlite" else 2) as busy:
        ran = premises.run("keys", "rotate")
        ends = []
        for one in busy:
            more(one, 40)
            _, err = one.communicate()
            ends.append((one.returncode, err))

    assert ran.code == 0, ran.err
    assert [code for code, _ in ends] == [0] * len(ends), ends
    total = len(stored(premises, schema.data_key))
    assert total > 60
    assert tried(premises, alone(KeyFile(premises.key).read())) == Opened(yes=total, no=0)
    assert tried(premises, alone(before)) == Opened(yes=0, no=total)
    demand_all_open(premises)


def test_a_transaction_older_than_the_rotation_still_ends_up_under_the_new_key(premises: Premises) -> None:
    ident = new_id()

    async def work() -> Ran:
        async with premises.opened() as db:
            async with db.begin(1) as conn:
                await conn.keys_for([f"node:{ident}"])
                rotating = asyncio.create_task(asyncio.to_thread(premises.run, "keys", "rotate"))
                await until(partial(switched, premises))
                if conn.many:  # the embedded engine's only writer is this transaction
                    await until(partial(none_left, db))
                # It never ends before this transaction; a rotation that did not wait would be done by then.
                done, _ = await asyncio.wait([rotating], timeout=2)
                assert not done
            return await rotating

    ran = run(work())

    assert ran.code == 0, ran.err
    owners = {r.owner for r in stored(premises, schema.data_key)}
    assert f"node:{ident}" in owners
    assert tried(premises, alone(KeyFile(premises.key).read())).no == 0


async def switched(premises: Premises) -> bool:
    return bool(KeyFile(premises.key).read().previous)


async def none_left(db: Database) -> bool:
    """The rotation has come to every row that is committed."""
    async with db.read(1) as conn:
        return not (await keys.check(conn, conn.vault, after=0, limit=1000)).changed


def test_what_a_host_with_an_older_key_file_wrapped_is_found_and_brought_over(premises: Premises) -> None:
    blind = Vault(KeyFile(premises.key).read())
    premises.run("keys", "rotate")
    ident = new_id()

    async def wrap() -> None:
        async with premises.opened() as db, db.begin(1) as conn:
            _, wrapped = blind.new_key(ident, f"node:{ident}")
            row = {"tenant_id": 1, "key_id": ident, "owner": f"node:{ident}", "wrapped": wrapped}
            await conn.insert(schema.data_key, [row | {"created_at": utcnow()}])

    run(wrap())
    (retired,) = premises.folder.glob("*.retired-*")
    lost = premises.run("keys", "status")
    ran = premises.run("keys", "rotate", "--old", str(retired))

    assert (lost.code, ran.code, premises.run("keys", "status").code) == (1, 0, 0), ran.err
    assert tried(premises, alone(KeyFile(premises.key).read())).no == 0


def test_the_key_of_another_house_is_not_taken_in(premises: Premises, tmp_path: Path) -> None:
    stranger = KeyFile(tmp_path / "stranger.key")
    stranger.read()
    before = premises.key.read_bytes()

    ran = premises.run("keys", "rotate", "--old", str(stranger.path))

    assert (ran.code, premises.key.read_bytes()) == (2, before)


def test_the_spool_of_this_host_follows(premises: Premises) -> None:
    url = f"sqlite:///{premises.folder / spool.FILE}"
    host = replace(premises, database_url=url)
    database.migrate(url)

    async def lie() -> None:
        async with host.opened() as local, local.begin(1) as conn:
            await conn.keys_for(["day:1:2026-03-02"])

    run(lie())

    assert premises.run("keys", "rotate").code == 0
    assert tried(host, alone(KeyFile(premises.key).read())) == Opened(yes=1, no=0)


# -- stopped half-way --------------------------------------------------------------------------------------
def half_way(premises: Premises) -> Keyring:
    """As a kill in the middle leaves it: both keys in the file, some rows under each."""
    file = KeyFile(premises.key)
    ring = file.read().prepared().switched()
    file.write(ring)

    async def some() -> None:
        async with premises.opened() as db, db.begin(1) as conn:
            assert (await keys.rewrap(conn, after=0, limit=1)).changed == 1

    run(some())
    return ring


def test_a_rotation_that_was_killed_goes_on_with_the_same_new_key(premises: Premises) -> None:
    ring = half_way(premises)
    assert 0 < tried(premises, alone(ring)).no
    assert "尚未完成" in premises.run("keys", "status").out
    demand_all_open(premises)

    ran = premises.run("keys", "rotate")

    assert (ran.code, "继续" in ran.out) == (0, True)
    assert KeyFile(premises.key).read().current == ring.current
    assert tried(premises, alone(ring)).no == 0


def test_a_rotation_can_be_taken_back(premises: Premises) -> None:
    before = KeyFile(premises.key).read()
    half_way(premises)

    ran = premises.run("keys", "rotate", "--back")

    assert ran.code == 0, ran.err
    assert KeyFile(premises.key).read().current == before.current
    assert tried(premises, alone(before)).no == 0
    demand_all_open(premises)


def test_several_hosts_learn_the_key_before_it_wraps_anything(premises: Premises) -> None:
    before = KeyFile(premises.key).read()

    prepared = premises.run("keys", "rotate", "--prepare")
    ring = KeyFile(premises.key).read()
    other_host = Vault(ring)  # a copy of the file
    assert (prepared.code, ring.current, bool(ring.next)) == (0, before.current, True)
    assert tried(premises, alone(before)).no == 0

    kept = premises.run("keys", "rotate", "--keep")
    assert kept.code == 0
    assert KeyFile(premises.key).read().previous == before.current
    assert tried(premises, other_host).no == 0

    ended = premises.run("keys", "rotate")
    assert ended.code == 0
    assert not KeyFile(premises.key).read().previous
    assert tried(premises, other_host).no == 0


def test_a_prepared_key_can_be_dropped(premises: Premises) -> None:
    before = KeyFile(premises.key).read()
    premises.run("keys", "rotate", "--prepare")

    ran = premises.run("keys", "rotate", "--back")

    ring = KeyFile(premises.key).read()
    assert (ran.code, ring.current, ring.next, ring.previous) == (0, before.current, b"", b"")


# -- what is refused ---------------------------------------------------------------------------------------
def test_the_old_key_is_not_retired_while_a_row_opens_with_neither(premises: Premises) -> None:
    _, wrapped = Vault(secrets.token_bytes(32)).new_key(5, "node:5")

    async def stranger() -> None:
        async with premises.opened() as db, db.begin(1) as conn:
            row = {"tenant_id": 1, "key_id": 5, "owner": "node:5", "wrapped": wrapped}
            stmt = sa.select(schema.data_key.c.created_at).where(schema.data_key.c.tenant_id == 1).limit(1)
            await conn.insert(schema.data_key, [row | {"created_at": await conn.scalar(stmt)}])

    run(stranger())

    ran = premises.run("keys", "rotate")

    assert ran.code == 1
    assert KeyFile(premises.key).read().previous
    assert premises.run("keys", "status").code == 1
    assert not list(premises.folder.glob("*.retired-*"))


def test_only_one_rotation_runs_at_a_time(premises: Premises) -> None:
    before = premises.key.read_bytes()

    with alone_with(premises.key):
        ran = premises.run("keys", "rotate")

    assert (ran.code, premises.key.read_bytes()) == (1, before)


def test_a_key_from_the_environment_is_not_rotated(premises: Premises) -> None:
    premises.patch.setenv("SCRM_MASTER_KEY", base64.b64encode(bytes(range(32))).decode())

    ran = premises.run("keys", "rotate")

    assert (ran.code, "master_key_file" in ran.err) == (2, True)


def test_nothing_on_the_screen_is_a_key(premises: Premises) -> None:
    before = premises.key.read_text()

    ran = premises.run("keys", "rotate"), premises.run("keys", "status")

    secret = {word for word in (before + premises.key.read_text()).split() if len(word) > 40}
    assert len(secret) == 3
    assert not [word for word in secret for one in ran if word in one.out + one.err]
