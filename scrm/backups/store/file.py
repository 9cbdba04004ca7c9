"""The backup file: a SQLite database with a manifest inside and a SHA-256 of all its bytes at the end."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from scrm.backups.store import rows
from scrm.backups.store.rows import Progress, Sync
from scrm.db.url import url_of
from scrm.errors import BadConfig, BadInput
from scrm.keyring import sync_folder

#: After the last page, where SQLite does not look: a mark and the digest of everything before it.
_MARK = b"scrm/bk1"
_TRAILER = len(_MARK) + 32
_PAGES = 2000
_CHUNK = 1 << 20


def embedded(url: str) -> Path | None:
    """The file of an embedded database; None for a server's."""
    made = url_of(url)
    return Path(made.database or "") if made.get_backend_name() == "sqlite" else None


def snapshot(source: Sync, into: Path, progress: Progress) -> None:
    """The pages of an embedded database as of one moment, while others go on writing.

    Our read transaction holds the moment: SQLite would begin again each time somebody writes.
    """
    raw = source.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        raise BadConfig("只有内嵌数据库能整页复制。")
    raw.execute("BEGIN")
    raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    _pages(raw, into, progress)


def unpack(backup: Path, into: Path, progress: Progress) -> None:
    """A database of its own with the same tables, without what makes it a backup."""
    into.unlink(missing_ok=True)
    private(into)
    with _translated(backup), closing(sqlite3.connect(_uri(backup), uri=True)) as source:
        _pages(source, into, progress)
    with closing(sqlite3.connect(into)) as made:
        made.execute("DROP TABLE backup_info")


def _pages(source: sqlite3.Connection, into: Path, progress: Progress) -> None:
    with closing(sqlite3.connect(into)) as target:
        target.execute("PRAGMA synchronous=OFF")  # the whole file is synced once it is finished

        def tell(_status: int, remaining: int, total: int) -> None:
            progress("复制", total - remaining, total)

        source.backup(target, pages=_PAGES, progress=tell)
        target.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def filling(path: Path) -> Iterator[Sync]:
    """A file of the right schema to be filled; nobody else has it, so it is written without a journal."""
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as sync:
            sync.exec_driver_sql("PRAGMA journal_mode=OFF")
            sync.exec_driver_sql("PRAGMA synchronous=OFF")
            sync.exec_driver_sql("BEGIN")
            yield sync
            sync.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()


@contextmanager
def reading(path: Path) -> Iterator[Sync]:
    """A backup as a database that cannot be written. Raises `BadInput` when it is none."""
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(_uri(path), uri=True, check_same_thread=False),
        poolclass=sa.NullPool,
    )
    try:
        with _translated(path), engine.connect() as sync:
            yield sync
    finally:
        engine.dispose()


def write_info(path: Path, manifest: bytes, seal: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("CREATE TABLE backup_info (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        told = [("manifest", manifest.decode()), ("seal", seal)]
        raw.executemany("INSERT INTO backup_info (name, value) VALUES (?, ?)", told)


def info(sync: Sync) -> tuple[bytes, str]:
    """The manifest and its seal."""
    found = sync.execute(sa.text("SELECT name, value FROM backup_info ORDER BY name"))
    told = {r.name: str(r.value) for r in found}
    return told.get("manifest", "").encode(), told.get("seal", "")


def demand_sound(sync: Sync, progress: Progress) -> None:
    progress("检查结构", 0, 1)
    said = sync.execute(sa.text("PRAGMA integrity_check(1)")).scalar()
    if said != "ok":
        raise BadInput(f"备份文件已损坏：{said}")
    progress("检查结构", 1, 1)


def private(path: Path) -> None:
    """A new empty file for its owner's eyes only. Raises `FileExistsError`."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def finish(path: Path) -> None:
    """Write the digest of all bytes behind them, and all to the disk."""
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as out:
        out.write(_MARK + digest)
        out.flush()
        os.fsync(out.fileno())


def demand_unaltered(path: Path, progress: Progress) -> None:
    """Raises `BadInput` when any bit is not as it was written."""
    try:
        size = path.stat().st_size - _TRAILER
        with path.open("rb") as file:
            file.seek(max(size, 0))
            trailer = file.read()
        progress("校验文件", 0, 1)
        if size < 0 or trailer != _MARK + _digest(path, size):
            raise BadInput(f"{path} 不是 scrm 的备份，或者已损坏、被改动、没有传完整：校验和不对。")
    except OSError as error:
        raise BadInput(f"{path} 读不了：{error.strerror}") from None
    progress("校验文件", 1, 1)


def _digest(path: Path, size: int) -> bytes:
    made, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (part := file.read(min(_CHUNK, left))):
            made.update(part)
            left -= len(part)
    return made.digest()


def demand_free(target: Path) -> None:
    """Raises `BadConfig` when another process has this embedded database open."""
    if not target.exists():
        return
    with closing(sqlite3.connect(target, timeout=1.0)) as raw:
        with suppress(sqlite3.OperationalError):
            if raw.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete":
                return
    raise BadConfig(f"{target} 正被另一个 scrm 使用，请先停掉它再恢复。")


def put(made: Path, target: Path) -> None:
    """Into place at once: before, the empty database was there; after, the whole restored one."""
    handle = os.open(made, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    made.replace(target)
    sync_folder(target.parent)


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, sa.exc.DatabaseError) as error:
        raise BadInput(f"{path} 不是 scrm 的备份，或者已损坏：{getattr(error, 'orig', error)}") from None


def copy_rows(source: Sync, into: Path, progress: Progress) -> None:
    """The same file from a database whose pages are not SQLite's; the file has the schema already."""
    with filling(into) as target:
        mine = rows.tables(target)
        rows.copied(source, target, rows.tables(source, only=[t.name for t in mine]), progress)
