"""`scrm backup` and `scrm restore`: one file for either engine, tried before it is called a backup."""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeVar

from scrm import __version__, db
from scrm.backups import service
from scrm.backups.rules import Manifest
from scrm.backups.store.rows import Sync
from scrm.cli.line import Commands, add, say
from scrm.db import Database, utcnow
from scrm.errors import BadConfig
from scrm.ledger.store import audit
from scrm.seal import Vault, open_vault
from scrm.settings import Settings

T = TypeVar("T")


class Stopped(Exception):
    """Somebody pressed Ctrl-C: the thread that works ends at its next step."""


class Ticker:
    """A line on long work, at most one each second."""

    def __init__(self) -> None:
        self._said_at = monotonic()
        self._stop = threading.Event()

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped
        if monotonic() - self._said_at >= 1:
            self._said_at = monotonic()
            say(f"{what} {done}/{total}", error=True)

    async def aside(self, job: Callable[[], T]) -> T:
        """Run blocking work in a thread; it stops when we are stopped."""
        try:
            return await asyncio.to_thread(job)
        except asyncio.CancelledError:
            self._stop.set()
            raise


async def backup(args: argparse.Namespace, configured: Settings) -> int:
    path, vault, tick = Path(args.file), known_vault(configured), Ticker()
    if args.verify:
        manifest = await tick.aside(lambda: service.verify(path, vault, tick))
        _told(manifest, f"备份完好：{path}")
        return 0
    url = configured.db_url
    kept = service.embedded(url)
    if kept is not None and not kept.exists():
        raise BadConfig(f"{kept} 还不存在，没有什么可备份。")
    part = service.blank(path)
    try:
        if kept is None:
            await asyncio.to_thread(_draw, url, part)

        def job() -> Manifest:
            return db.connected(
                url,
                lambda sync: service.backup(
                    sync, part, vault, release=__version__, now=utcnow(), progress=tick
                ),
            )

        manifest = await tick.aside(job)
        service.published(part, path)
    finally:
        part.unlink(missing_ok=True)
    _told(manifest, f"备份完成并已验证：{path}")
    where = "环境变量 SCRM_MASTER_KEY" if configured.master_key else str(configured.key_path.resolve())
    say(f"注意：主密钥不在备份里。它在 {where}，请另存到别处；没有它，谁也打不开这份备份。")
    return 0


def _draw(url: str, part: Path) -> None:
    """A backup of a server's database is a file of the same schema."""
    found = db.revision(url)
    if found is None:
        raise BadConfig("数据库还是空的，没有什么可备份。")
    if found not in db.revisions():
        raise BadConfig(f"数据库的结构（{found}）比这个版本新，请用写它的那个版本来备份。")
    db.move(f"sqlite:///{part}", found)


def known_vault(configured: Settings) -> Vault:
    """Never a fresh key: what is stored, or to be restored, was sealed with one that exists."""
    if not configured.master_key and not configured.key_path.exists():
        raise BadConfig(f"没有主密钥：请先把当时的 master.key 放到 {configured.key_path}（权限 600）。")
    return open_vault(configured.key_path, configured.master_key)


def _told(manifest: Manifest, what: str) -> None:
    made = manifest.made_at.astimezone()
    say(what)
    say(f"时间 {made:%Y-%m-%d %H:%M:%S %z}；版本 scrm {manifest.release}，结构 {manifest.revision}；")
    say(f"来源 {manifest.engine}；{len(manifest.tables)} 张表，{manifest.rows} 行，逐行核对一致。")


# -- restore -----------------------------------------------------------------------------------------------
async def restore(args: argparse.Namespace, configured: Settings) -> int:
    path, vault, tick = Path(args.file), known_vault(configured), Ticker()
    manifest = await tick.aside(lambda: service.verify(path, vault, tick))
    service.demand_known(manifest, db.revisions())
    target = service.embedded(configured.db_url)
    if target is None:
        url = configured.db_url
        await tick.aside(lambda: _fill(url, path, manifest, tick))
        doubted = await _open_again(url, vault, moved=args.moved)
    else:
        made = await tick.aside(lambda: _unpack(target, path, manifest, tick))
        doubted = await _open_again(f"sqlite:///{made}", vault, moved=args.moved)
        await asyncio.to_thread(service.restored, made, target)
    _told(manifest, f"已恢复：{path}")
    if not args.moved:
        say("所有人需要重新登录；备份之后才停用的成员和令牌请再停用一次（scrm staff list）。")
    if doubted:
        say(f"有 {doubted} 条待发消息可能在备份之后已经发出，标为结果不明，请在会话里确认。")
    return 0


def _fill(url: str, path: Path, manifest: Manifest, tick: Ticker) -> None:
    """All rows in one transaction: it is either restored or still empty."""
    db.connected(url, service.demand_empty)
    db.move(url, manifest.revision)

    def job(sync: Sync) -> None:
        with sync.begin():
            service.fill(path, sync, manifest, tick)

    db.connected(url, job)
    db.migrate(url)


def _unpack(target: Path, path: Path, manifest: Manifest, tick: Ticker) -> Path:
    """Beside the target: a restore that is interrupted leaves the empty database as it was."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if target.exists():
        db.connected(f"sqlite:///{target}", service.demand_empty)
    made = service.unpacked(path, target, manifest, tick)
    db.migrate(f"sqlite:///{made}")
    return made


async def _open_again(url: str, vault: Vault, *, moved: bool) -> int:
    base = await Database.open(url, vault)
    doubted = 0
    try:
        async with base.read_all() as conn:
            tenants = await service.tenants(conn)
        for tenant_id in tenants:
            async with base.begin(tenant_id) as conn:
                doubted += await service.reopen(conn, now=utcnow(), moved=moved)
                await audit(conn, "cli", "backup.restored", now=utcnow())
    finally:
        await base.close()
    return doubted


def commands(to: Commands) -> None:
    one = add(to, "backup", backup, "Back up the database into one new file, while the service runs")
    one.add_argument("file", metavar="FILE", help="a name that does not exist yet")
    one.add_argument("--verify", action="store_true", help="only check FILE, an earlier backup")
    one = add(to, "restore", restore, "Restore a backup into an empty database of either engine")
    one.add_argument("file", metavar="FILE", help="a file made by `scrm backup`")
    one.add_argument(
        "--moved",
        action="store_true",
        help="the old service was stopped before the backup: what waits is sent, sign-ins stay",
    )
