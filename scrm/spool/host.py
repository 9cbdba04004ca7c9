"""Keeps what the database does not take, answers for it, and forwards it once the database is back."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from time import monotonic

import structlog

from scrm import inbox
from scrm.contract import Account, Raw
from scrm.db import Database, migrate, utcnow
from scrm.errors import Busy
from scrm.inbox import Inbox, Item
from scrm.seal import Vault
from scrm.spool import store
from scrm.spool.attempts import Attempts
from scrm.spool.rules import Breaker, Depth, total

log = structlog.get_logger()

PATIENCE_S = 1.0
FILE = "spool.db"
_ROWS = 500
#: A batch of forwarded rows may take longer than a callback: nobody waits for it.
_FORWARD_S = 10.0
_IDLE_S, _DOWN_S, _COUNT_S, _KEYS_S, _STUCK_S = 1.0, 0.5, 2.0, 10.0, 600.0
_ATTEMPTS = 5


class Spool:
    """One file per host, shared by its processes; one of them forwards at a time."""

    def __init__(self, local: Database, main: Database, *, lock: Path, pending: int, max_rows: int) -> None:
        self._local, self._main, self._lock = local, main, lock
        self._max_rows = max_rows
        self._wake = asyncio.Event()
        self._box = Inbox(local, pending=pending, stored=self._wake.set)
        self._known = Depth()
        self._added = 0
        self._counted_at = self._looked_at = self._retried_at = -_STUCK_S
        self.breaker = Breaker(patience_s=PATIENCE_S)
        self.attempts = Attempts(lambda: self.stored())
        #: For those who only look how it is: they must not use up the tries of the others.
        self.asked = Attempts(lambda: None)
        #: Called after each commit that brought something new into the database.
        self.stored: Callable[[], None] = lambda: None
        #: Told how many rows left the spool, and whether callbacks go past the database now.
        self.left: Callable[[int], None] = lambda _rows: None
        self.turned: Callable[[bool], None] = lambda _open: None
        self.forwarded = 0

    # -- in ------------------------------------------------------------------------------------------------
    async def take(
        self, account: Account, raws: Sequence[Raw], *, received_at: datetime, bulk: bool = False
    ) -> int:
        """Durable on this host when it returns; how many raws were new here.

        Raises `Busy` when the spool is full or its disk does not take it.
        """
        if self.full:
            raise Busy("本机暂存区已满，请稍后重试。")
        new = await self._box.accept(account, raws, received_at=received_at, bulk=bulk)
        self._added += new
        return new

    @property
    def full(self) -> bool:
        return self._known.rows + self._added >= self._max_rows

    def failed(self) -> None:
        """The database did not take something in time."""
        if self.breaker.trip():
            self.turned(True)
            log.error("database slow or down: callbacks go to the local spool")

    async def depth(self, tenants: Sequence[int]) -> Depth:
        """What lies here, over all processes of this host."""
        return await _depth(self._local, tenants)

    # -- out -----------------------------------------------------------------------------------------------
    async def run(self, tenants: Callable[[], Sequence[int]]) -> None:
        """Forward for ever; ends when cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._tend(tenants())
                moved = await self.forward(tenants())
            except Busy:
                moved = 0
            except Exception:
                log.exception("forwarding failed")
                moved = 0
            if not moved:
                await self._rest()

    async def _rest(self) -> None:
        if self.breaker.is_open:
            await asyncio.sleep(_DOWN_S)  # every callback would wake us otherwise
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), _IDLE_S)

    async def forward(self, tenants: Sequence[int]) -> int:
        """One batch of each tenant, oldest first; how many rows left the spool."""
        left = 0
        with _alone(self._lock) as mine:
            for tenant_id in tenants if mine else ():
                left += await self._forward(tenant_id)
        if self.breaker.is_open and not left and tenants:
            await self._probe(tenants[0])
        await self._count(tenants)
        return left

    async def _count(self, tenants: Sequence[int]) -> None:
        """Now and then: counting a long spool takes as long as forwarding a batch of it."""
        if monotonic() - self._counted_at >= _COUNT_S:
            added, self._counted_at = self._added, monotonic()
            self._known = await self.depth(tenants)
            self._added -= added  # what was added meanwhile is counted next time

    async def _forward(self, tenant_id: int) -> int:
        now = utcnow()
        async with self._local.read(tenant_id) as conn:
            items = await store.oldest(conn, now=now, limit=_ROWS)
        return await self._deliver(tenant_id, items) if items else 0

    async def _deliver(self, tenant_id: int, items: list[Item]) -> int:
        """All in one transaction; if it fails, halves, until the row at fault stands alone."""
        began = monotonic()
        broken = [i for i in items if i.payload is None]
        whole = [i for i in items if i.payload is not None]
        for item in broken:
            await self._put_back(tenant_id, item, "密钥已销毁或内容被改动，无法转存。")
        if not whole:
            return 0
        try:
            new = await self.attempts.within(self._store(tenant_id, whole), _FORWARD_S)
        except Busy:
            self.failed()
            return 0
        except Exception as error:
            if len(whole) > 1:
                middle = len(whole) // 2
                return await self._deliver(tenant_id, whole[:middle]) + await self._deliver(
                    tenant_id, whole[middle:]
                )
            log.exception("a spooled row cannot be stored", inbox_id=whole[0].inbox_id)
            await self._put_back(tenant_id, whole[0], f"转存时出错：{type(error).__name__}")
            return 0
        # Only now: a crash before this forwards them again, and the database knows them already.
        async with self._local.begin(tenant_id) as conn:
            await store.drop(conn, whole)
        self.forwarded += len(whole)
        self.left(len(whole))
        if new:
            self.stored()
        self._answered(monotonic() - began)
        return len(whole)

    async def _store(self, tenant_id: int, items: Sequence[Item]) -> int:
        sealing = []
        for item in items:
            owner = f"day:{item.account_id}:{item.received_at:%Y-%m-%d}"
            sealing.append((item, await self._main.key(tenant_id, owner)))
        async with self._main.begin(tenant_id) as conn:
            return await store.deliver(conn, sealing)

    async def _put_back(self, tenant_id: int, item: Item, why: str) -> None:
        """Later again, and at last aside: it must not hold up the others."""
        async with self._local.begin(tenant_id) as conn:
            await inbox.put_back(conn, item, "translate", why, now=utcnow(), max_attempts=_ATTEMPTS)

    async def _tend(self, tenants: Sequence[int]) -> None:
        """Keys of days gone by are forgotten, the others follow the master key when it is changed.

        Rows that were put aside get another chance now and then: somebody may have mended it.
        """
        now = monotonic()
        if keys := now - self._looked_at >= _KEYS_S:
            self._looked_at = now
        if stuck := now - self._retried_at >= _STUCK_S:
            self._retried_at = now
        for tenant_id in tenants if keys or stuck else ():
            async with self._local.read(tenant_id) as conn:
                stale = await store.stale_keys(conn, now=utcnow())
            if stale or stuck:
                async with self._local.begin(tenant_id) as conn:
                    await store.renew_keys(conn, stale)
                    if stuck:
                        await inbox.replay(conn)

    # -- is it back? ---------------------------------------------------------------------------------------
    async def _probe(self, tenant_id: int) -> None:
        """A write transaction with nothing in it."""
        began = monotonic()
        try:
            await self.attempts.within(self._touch(tenant_id), self.breaker.patience_s)
        except Busy:
            return
        self._answered(monotonic() - began)

    async def _touch(self, tenant_id: int) -> None:
        async with self._main.begin(tenant_id):
            pass

    def _answered(self, took_s: float) -> None:
        if self.breaker.mend(took_s):
            self.turned(False)
            log.warning("database answers again: callbacks go to it directly")

    async def close(self) -> None:
        await self._box.flush()
        await self.attempts.close()
        await self.asked.close()


@asynccontextmanager
async def spooling(folder: Path, main: Database, *, pending: int, max_rows: int) -> AsyncIterator[Spool]:
    """The spool of this host, opened; whoever wants it drained also calls `run`."""
    lock = folder / "spool.lock"
    url = f"sqlite:///{folder / FILE}"
    await asyncio.to_thread(_migrated, lock, url)
    local = await Database.open(url, main.vault)
    spool = Spool(local, main, lock=lock, pending=pending, max_rows=max_rows)
    try:
        yield spool
    finally:
        await spool.close()
        await local.close()


async def lying(folder: Path, vault: Vault, tenants: Sequence[int]) -> Depth | None:
    """What lies in the spool of this host, whatever the database does; None = it never had one."""
    path = folder / FILE
    if not await asyncio.to_thread(path.exists):
        return None
    local = await Database.open(f"sqlite:///{path}", vault)
    try:
        return await _depth(local, tenants)
    finally:
        await local.close()


async def _depth(local: Database, tenants: Sequence[int]) -> Depth:
    found = []
    for tenant_id in tenants:
        async with local.read(tenant_id) as conn:
            found.append(await store.depth(conn))
    return total(found)


def _migrated(lock: Path, url: str) -> None:
    """Processes that start together do it one after the other."""
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(lock, fcntl.LOCK_EX):
        migrate(url)


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether this process holds the host's lock now; the kernel lets go of it when the holder dies."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_held(lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            mine = False
        else:
            mine = True
        yield mine


@contextmanager
def _held(lock: Path, how: int) -> Iterator[None]:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
