"""`scrm keys`: make the master key, say how it stands, and change it while the service runs."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from scrm import seal
from scrm.backups.store import keys
from scrm.backups.store.keys import Wrapped
from scrm.cli.backups import Ticker, known_vault
from scrm.cli.line import Commands, add, say
from scrm.db import Conn, Database, utcnow
from scrm.errors import BadConfig, Conflict, Unavailable
from scrm.keyring import KeyFile, Keyring, parse
from scrm.ledger.store import audit
from scrm.seal import Vault
from scrm.settings import Settings
from scrm.spool import host as spool

if sys.platform != "win32":
    import fcntl

_BATCH = 500
#: Tries of a step that the running service or a restarting database keeps from its turn.
_TRIES, _PAUSE_S = 60, 0.5
#: How long to wait for transactions that began before the new key was known.
_OLD_S = 120
#: Passes that may still find rows under the old key; whoever goes on making such rows does not see our file.
_PASSES = 10

Step = Callable[[Conn, int], Awaitable[Wrapped]]


async def new(_args: argparse.Namespace, configured: Settings) -> int:
    """Make the master key if there is none; say where it is."""
    seal.master_key(configured.key_path, configured.master_key)
    say(str(configured.key_path))
    return 0


async def status(_args: argparse.Namespace, configured: Settings) -> int:
    """Which rows the current master key wraps; exit 1 when some open with no key at all."""
    vault = known_vault(configured)
    base = await Database.open(configured.db_url, vault)
    try:
        total = await _each(base, lambda conn, after: keys.check(conn, vault, after=after, limit=_BATCH))
    finally:
        await base.close()
    say(f"主密钥：{'环境变量 SCRM_MASTER_KEY' if configured.master_key else configured.key_path}")
    say(f"数据密钥 {total.rows} 把，其中 {total.changed} 把还用旧主密钥包着，{total.closed} 把打不开。")
    if not configured.master_key:
        ring = KeyFile(configured.key_path).read()
        if ring.previous or ring.next:
            say("轮换尚未完成：再执行一次 scrm keys rotate 继续，或 scrm keys rotate --back 退回。")
    return 1 if total.closed else 0


async def rotate(args: argparse.Namespace, configured: Settings) -> int:
    """A new master key, every data key wrapped anew; may be stopped at any point and called again."""
    if configured.master_key:
        raise BadConfig("主密钥来自环境变量，运行中的服务看不到它改变：请先把它写进 master_key_file 再轮换。")
    known_vault(configured)
    file = KeyFile(configured.key_path)
    with alone_with(file.path):
        ring = _begun(file, args)
        if ring.next:
            say(
                f"新主密钥已写进 {file.path}，还没有启用。把这个文件复制到每台主机后再执行 scrm keys rotate。"
            )
            return 0
        if ring.previous:
            return await _carried_out(file, ring, configured, keep=args.keep)
    say("已退回：没有启用过的新主密钥已经去掉。")
    return 0


def _begun(file: KeyFile, args: argparse.Namespace) -> Keyring:
    """The ring of this rotation, written before it is used: a crash from here on loses no key."""
    ring = file.read()
    if args.back:
        ring = ring.turned_back()
    elif args.prepare:
        ring = ring.prepared()
    elif args.old:
        ring = ring.remembering(parse(_text(Path(args.old)), args.old))
    elif not ring.previous:
        ring = (ring if ring.next else ring.prepared()).switched()
    else:
        say("继续上次没有完成的轮换。")
    file.write(ring)
    return ring


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BadConfig(f"{path} 读不了：{error.strerror}") from None


async def _carried_out(file: KeyFile, ring: Keyring, configured: Settings, *, keep: bool) -> int:
    vault, tick = Vault(ring, file), Ticker()
    base = await Database.open(configured.db_url, vault)
    try:
        total = await _wrapped_anew(base, tick)
        if total.closed:
            say(f"有 {total.closed} 把数据密钥用两把主密钥都打不开，旧主密钥先不退役。", error=True)
            return 1
        await _spool_wrapped_anew(Path(configured.data_dir) / spool.FILE, vault, tick)
        say(f"{total.rows} 把数据密钥已全部改用新主密钥，并逐一核对。")
        if keep:
            say(f"旧主密钥留在 {file.path} 里。复制到每台主机后，再执行一次 scrm keys rotate 让它退役。")
            return 0
        kept = _retired(file, ring)
        async with base.read_all() as conn:
            tenants = await keys.tenants(conn)
        for tenant_id in tenants:
            async with base.begin(tenant_id) as conn:
                await audit(conn, "cli", "keys.rotated", now=utcnow())
    finally:
        await base.close()
    say(f"旧主密钥已退役到 {kept}：以前的备份还要用它，请和那些备份分开保管。")
    return 0


async def _wrapped_anew(base: Database, tick: Ticker) -> Wrapped:
    """Pass over all rows until one pass, begun after every older transaction ended, finds none to change."""
    async with base.read_all() as conn:
        since, total, done = await keys.clock(conn), await keys.count(conn), 0

    async def step(conn: Conn, after: int) -> Wrapped:
        nonlocal done
        made = await keys.rewrap(conn, after=after, limit=_BATCH)
        done += made.rows
        tick("已处理数据密钥", done, total)
        return made

    await _each(base, step)
    await _older_ended(base, since, tick)
    for _ in range(_PASSES):
        if not (last := await _each(base, step)).changed:
            return last
    raise Conflict("有进程还在用旧主密钥：请把主密钥文件复制到每台主机，再执行一次 scrm keys rotate。")


async def _spool_wrapped_anew(path: Path, vault: Vault, tick: Ticker) -> None:
    """This host's spool is sealed with the same master key; other hosts' spools tend their own."""
    if await asyncio.to_thread(path.exists):
        local = await Database.open(f"sqlite:///{path}", vault)
        try:
            await _wrapped_anew(local, tick)
        finally:
            await local.close()


async def _older_ended(base: Database, since: datetime | None, tick: Ticker) -> None:
    """Those may still commit a key wrapped with the old one. The embedded engine has let them end already."""
    for waited in range(_OLD_S):
        async with base.read_all() as conn:
            if since is None or not await keys.begun_before(conn, since):
                return
        tick("等待更早的事务结束（秒）", waited, _OLD_S)
        await asyncio.sleep(1)
    raise Unavailable("有事务从轮换之前一直开着，旧主密钥先不退役：请稍后再执行一次 scrm keys rotate。")


async def _each(base: Database, step: Step) -> Wrapped:
    """Short transactions over every tenant's data keys, in order; the sum of all steps."""
    async with base.read_all() as conn:
        tenants = await keys.tenants(conn)
    rows = changed = closed = 0
    for tenant_id in tenants:
        after = 0
        while (made := await _patiently(base, tenant_id, step, after)).rows:
            rows, changed, closed = rows + made.rows, changed + made.changed, closed + made.closed
            after = made.after
    return Wrapped(rows=rows, changed=changed, closed=closed, after=0)


async def _patiently(base: Database, tenant_id: int, step: Step, after: int) -> Wrapped:
    for left in range(_TRIES, -1, -1):
        try:
            async with base.begin(tenant_id) as conn:
                return await step(conn, after)
        except Unavailable:
            if not left:
                raise
            await asyncio.sleep(_PAUSE_S)
    raise Unavailable


def _retired(file: KeyFile, ring: Keyring) -> Path:
    """The old key out of the file, beside it for the backups of its time."""
    old = Keyring(current=ring.previous, stable=ring.stable)
    kept = file.keep(old, f"{utcnow():%Y-%m-%d}")
    file.write(ring.retired())
    return kept


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """One rotation at a time: a second one's new key would take the place of the first one's."""
    if sys.platform == "win32":
        yield
        return
    # Root may rotate in a folder of the service's user: no link is followed and nothing emptied.
    how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path.with_name(f"{path.name}.lock"), how, 0o600)
    except OSError as error:
        raise BadConfig(f"{path}.lock 打不开：{error.strerror}。") from None
    with os.fdopen(handle, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict("另一个 scrm keys rotate 正在进行。") from None
        yield


def commands(to: Commands) -> None:
    group = to.add_parser("keys", help="the master key").add_subparsers(required=True, metavar="ACTION")
    add(group, "new", new, "Make the master key if there is none, and say where it is")
    add(
        group, "status", status, "Say which data keys the current master key wraps; exit 1 when some are lost"
    )
    one = add(group, "rotate", rotate, "Change the master key while the service runs; call again to go on")
    one.add_argument(
        "--prepare", action="store_true", help="only write the new key into the file, to copy it to each host"
    )
    one.add_argument("--keep", action="store_true", help="leave the old key in the file, for other hosts")
    one.add_argument("--old", metavar="FILE", help="wrap anew what only this retired key still opens")
    one.add_argument("--back", action="store_true", help="go back to the old key")
