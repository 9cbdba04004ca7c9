"""Making a backup, checking it, and putting it into an empty database; blocking, for commands."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from scrm import shapes
from scrm.backups import rules
from scrm.backups.rules import Manifest, Tally
from scrm.backups.store import file, opening, rows
from scrm.backups.store.rows import Progress, Sync
from scrm.db import Conn
from scrm.errors import BadConfig, BadInput, Unsealable
from scrm.seal import Vault

demand_known, embedded, tenants = rules.demand_known, file.embedded, opening.tenants

_DOUBT = "从备份恢复：这条消息在备份之后可能已经发出，请确认后再决定是否重发。"


def blank(into: Path) -> Path:
    """A new empty file beside the backup to be, for its owner only. Raises `BadConfig` when FILE exists."""
    if into.exists():
        raise BadConfig(f"{into} 已经存在，备份不会覆盖任何文件，请换一个名字。")
    part = into.with_name(f"{into.name}.part")
    try:
        part.unlink(missing_ok=True)
        file.private(part)
    except OSError as error:
        raise BadConfig(f"{part} 写不了：{error.strerror}") from None
    return part


def backup(
    source: Sync, part: Path, vault: Vault, *, release: str, now: datetime, progress: Progress
) -> Manifest:
    """One moment of the database as a file, added up on both sides and tried with the master key.

    On PostgreSQL the source is a snapshot, and the file has the schema already.
    """
    rows.hold(source)
    revision = rows.revision(source)
    if revision is None:
        raise BadConfig("数据库还是空的，没有什么可备份。")
    engine = source.dialect.name
    if engine == "sqlite":
        file.snapshot(source, part, progress)
    else:
        file.copy_rows(source, part, progress)
    with file.reading(part) as made:
        names = {t.name for t in rows.tables(made)}
    manifest = Manifest(
        made_at=now,
        release=release,
        revision=revision,
        engine=engine,
        tables=rows.tallies(source, rows.tables(source, only=names), progress),
    )
    told = shapes.to_json(manifest)
    file.write_info(part, told, _seal(vault, told))
    file.finish(part)
    return verify(part, vault, progress)


def published(part: Path, into: Path) -> None:
    """Under its name only now that it is whole and tried."""
    if into.exists():
        raise BadConfig(f"{into} 已经存在，备份不会覆盖任何文件，请换一个名字。")
    file.put(part, into)


def verify(path: Path, vault: Vault, progress: Progress) -> Manifest:
    """Everything that can be known about a backup without restoring it.

    Raises `BadInput` when it is damaged or none, `Unsealable` when this master key does not open it.
    """
    file.demand_unaltered(path, progress)
    with file.reading(path) as sync:
        file.demand_sound(sync, progress)
        told, seal = file.info(sync)
        if seal != _seal(vault, told):
            raise Unsealable("这份备份不是用现在的主密钥做的，或者清单被改动过：请换上当时的 master.key。")
        manifest = shapes.from_json(Manifest, told, where=str(path))
        if rows.revision(sync) != manifest.revision:
            raise BadInput(f"{path} 的结构版本与清单不符。")
        wanted = rows.tables(sync)
        rules.demand_equal(manifest.tables, rows.tallies(sync, wanted, progress))
        try:
            rows.demand_openable(sync, wanted, vault, progress)
        except Unsealable as wrong:
            raise Unsealable(
                f"{wrong.sentence}主密钥轮换过的话，请用当时的那把（master.key.retired-…）。"
            ) from None
    return manifest


def _seal(vault: Vault, told: bytes) -> str:
    return vault.sign("backup", told.decode())


# -- restore -----------------------------------------------------------------------------------------------
def unpacked(path: Path, target: Path, manifest: Manifest, progress: Progress) -> Path:
    """Beside the embedded database to be, the backup as a database, its rows added up again."""
    file.demand_free(target)
    made = target.with_name(f"{target.name}.restoring")
    for left in (made, *(made.with_name(made.name + end) for end in ("-wal", "-shm", "-journal"))):
        left.unlink(missing_ok=True)
    file.unpack(path, made, progress)
    with file.reading(made) as sync:
        rules.demand_equal(manifest.tables, _tallies(sync, manifest.tables, progress))
    return made


def restored(made: Path, target: Path) -> None:
    """Put the finished database in the place of the empty one."""
    file.demand_free(made)
    file.demand_free(target)
    file.put(made, target)


def demand_empty(target: Sync) -> None:
    rules.demand_empty(rows.filled(target))


def fill(path: Path, target: Sync, manifest: Manifest, progress: Progress) -> None:
    """Every row into an empty database of the same schema, added up again before anything is committed."""
    demand_empty(target)
    with file.reading(path) as source:
        rows.copied(source, target, rows.tables(source), progress)
    rules.demand_equal(manifest.tables, _tallies(target, manifest.tables, progress))


def _tallies(sync: Sync, names: Collection[str], progress: Progress) -> dict[str, Tally]:
    return rows.tallies(sync, rows.tables(sync, only=names), progress)


async def reopen(conn: Conn, *, now: datetime, moved: bool) -> int:
    """Make one tenant's restored rows safe to run on; how many pushes are in doubt.

    This is where what must hold before anybody sees a restored database is applied again. `moved`: the old
    service was stopped before the backup was made, so what waited still waits and who was signed in still is.
    """
    await opening.free_leases(conn, now=now)
    if moved:
        return 0
    await opening.end_sign_ins(conn, now=now)
    return await opening.doubt_pushes(conn, _DOUBT, now=now)
