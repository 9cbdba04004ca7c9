"""Vendor tokens shared by all processes: a sealed row with a version and a lease; one fetches at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from scrm.contract import Tokens
from scrm.db import Conn, Database, utcnow
from scrm.errors import NotSent, Unavailable, Unsealable
from scrm.schema import vendor_token

log = structlog.get_logger()

Fetch = Callable[[], Awaitable[tuple[str, float]]]
#: Renewed at this part of the lifetime: nobody meets a token in its last minutes.
RENEW_AT = 0.8
#: Longer than a fetch may take: a lease that ran out means that its holder died.
LEASE, FETCH_S = timedelta(seconds=30), 20.0
#: After a failed fetch the next process waits so long: the platforms punish needless fetches.
COOL = timedelta(seconds=1)
#: How long one waits for another process to bring the token, and how often one looks.
_WAIT_S, _LOOK_S = 8.0, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A token as this process knows it; `version` None = the row could not be written."""

    value: str
    version: int | None
    renew_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The row now: a usable token, or whose turn it is to fetch one."""

    kept: _Kept | None
    version: int
    leased: bool


class SharedTokens:
    """Tokens of every tenant, in front of them what this process has seen already."""

    def __init__(
        self, db: Database, *, now: Callable[[], datetime] = utcnow, wait_s: float = _WAIT_S
    ) -> None:
        self.db = db
        self.now = now
        self.wait_s = wait_s
        #: Names this process as the holder of a lease.
        self.holder = secrets.randbits(62)
        self._tenants: dict[int, TenantTokens] = {}

    def of(self, tenant_id: int) -> TenantTokens:
        if tenant_id not in self._tenants:
            self._tenants[tenant_id] = TenantTokens(self, tenant_id)
        return self._tenants[tenant_id]


class TenantTokens:
    """`contract.Tokens` for the accounts of one tenant."""

    def __init__(self, shared: SharedTokens, tenant_id: int) -> None:
        self._shared = shared
        self._tenant_id = tenant_id
        self._kept: dict[str, _Kept] = {}
        self._fetching: dict[str, asyncio.Task[str]] = {}
        #: The newest version the vendor refused us: whoever reads its row before `drop` has written does not
        #: bring it back.
        self._refused: dict[str, int] = {}

    async def get(self, key: str, fetch: Fetch) -> str:
        """The kept value, or what `fetch` returns. Raises `NotSent` when no token can be had now."""
        kept = self._kept.get(key)
        if kept and self._shared.now() < kept.renew_at:
            return kept.value
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.create_task(self._renewed(key, fetch))
            task.add_done_callback(_look_at)
        # Shielded: one caller giving up must not take the token away from the others.
        return await asyncio.shield(task)

    async def drop(self, key: str, value: str) -> None:
        """Forget `value`, for all processes, unless somebody has replaced it already."""
        kept = self._kept.get(key)
        if kept is None or kept.value != value:
            return
        del self._kept[key]
        if kept.version is None:
            return
        self._refused[key] = kept.version
        try:
            async with self._shared.db.begin(self._tenant_id) as conn:
                await forget(conn, key, kept.version)
        except Unavailable:
            log.warning("token not dropped for all: database not available")

    async def _renewed(self, key: str, fetch: Fetch) -> str:
        try:
            found = await self._obtained(key, fetch)
        except (NotSent, Unavailable) as error:
            # The old one lives on for a fifth of its life: better than nothing, unless it was refused.
            if old := self._old(key):
                return old.value
            if isinstance(error, Unavailable):
                raise NotSent(error.sentence, retry_after_s=2.0, code="token") from error
            raise
        finally:
            del self._fetching[key]
        self._kept[key] = found
        return found.value

    def _old(self, key: str) -> _Kept | None:
        """What we still have and may use although it is time to renew it."""
        kept = self._kept.get(key)
        return kept if kept and self._shared.now() < kept.expires_at else None

    async def _obtained(self, key: str, fetch: Fetch) -> _Kept:
        """From the row; when it has none, the holder of the lease fetches and the others wait."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._shared.wait_s
        while True:
            async with self._shared.db.read(self._tenant_id) as conn:
                row = await self._looked(conn, key, now=self._shared.now())
            if row.kept is None and not row.leased:
                row = await self._leased(key)
                if row.leased:
                    return await self._fetched(key, row.version, fetch)
            if row.kept is not None:
                return row.kept
            # Somebody is at it: who still has an old one uses it meanwhile.
            if loop.time() >= until or self._old(key):
                raise NotSent("平台令牌正在更新，稍后自动重试。", retry_after_s=2.0, code="token")
            await asyncio.sleep(_LOOK_S)

    async def _looked(self, conn: Conn, key: str, *, now: datetime) -> _Row:
        row = await look(conn, key, now=now)
        refused = row.kept is not None and (row.kept.version or 0) <= self._refused.get(key, 0)
        return replace(row, kept=None) if refused else row

    async def _leased(self, key: str) -> _Row:
        """`leased` = it is ours; else what another process brought or began meanwhile."""
        now = self._shared.now()
        async with self._shared.db.begin(self._tenant_id) as conn:
            await conn.lock(f"token:{name_of(conn, key).hex()}")
            row = await self._looked(conn, key, now=now)
            if row.kept is not None or row.leased:
                return _Row(kept=row.kept, version=row.version, leased=False)
            await lease(conn, key, by=self._shared.holder, until=now + LEASE, now=now)
        return _Row(kept=None, version=row.version, leased=True)

    async def _fetched(self, key: str, version: int, fetch: Fetch) -> _Kept:
        """Ask the vendor, with no transaction open, and tell the others."""
        try:
            async with asyncio.timeout(FETCH_S):
                value, lifetime_s = await fetch()
        except BaseException as error:
            await self._given_up(key)
            if isinstance(error, TimeoutError):
                raise NotSent(
                    "平台没有及时给出令牌，稍后自动重试。", retry_after_s=5.0, code="token"
                ) from error
            raise
        now = self._shared.now()
        made = _Kept(
            value=value,
            version=version + 1,
            renew_at=now + timedelta(seconds=lifetime_s * RENEW_AT),
            expires_at=now + timedelta(seconds=lifetime_s),
        )
        return await self._stored(key, made)

    async def _stored(self, key: str, made: _Kept) -> _Kept:
        """As stored; a lease that was taken over meanwhile leaves the other's token in place."""
        try:
            async with self._shared.db.begin(self._tenant_id) as conn:
                if await store(conn, key, made, by=self._shared.holder, now=self._shared.now()):
                    return made
        except Unavailable:
            log.warning("token not shared: database not available")
        return _Kept(value=made.value, version=None, renew_at=made.renew_at, expires_at=made.expires_at)

    async def _given_up(self, key: str) -> None:
        try:
            async with self._shared.db.begin(self._tenant_id) as conn:
                now = self._shared.now()
                await release(conn, key, by=self._shared.holder, until=now + COOL, now=now)
        except Unavailable:
            log.warning("token lease not given back: database not available")


class NotedTokens:
    """One account's way to its tenant's tokens; says when a token that it fetched runs out."""

    def __init__(self, kept: Tokens, noted: Callable[[str, datetime], None]) -> None:
        self._kept = kept
        self._noted = noted

    async def get(self, key: str, fetch: Fetch) -> str:
        async def noting() -> tuple[str, float]:
            value, lifetime_s = await fetch()
            self._noted(key, utcnow() + timedelta(seconds=lifetime_s))
            return value, lifetime_s

        return await self._kept.get(key, noting)

    async def drop(self, key: str, value: str) -> None:
        await self._kept.drop(key, value)


# -- SQL ---------------------------------------------------------------------------------------------------
def name_of(conn: Conn, key: str) -> bytes:
    """A key names the vendor's login: kept as a keyed hash only."""
    return conn.vault.blind("vendor_token", key)


async def look(conn: Conn, key: str, *, now: datetime) -> _Row:
    """What the row says now; a token that must be renewed counts as none."""
    c, name = vendor_token.c, name_of(conn, key)
    stmt = sa.select(vendor_token).where(c.tenant_id == conn.tenant_id, c.key_hash == name)
    row = await conn.row(stmt)
    if row is None:
        return _Row(kept=None, version=0, leased=False)
    leased = row.lease_until is not None and row.lease_until > now
    return _Row(kept=await _opened(conn, row, name, now=now), version=row.version, leased=leased)


async def _opened(conn: Conn, row: Any, name: bytes, *, now: datetime) -> _Kept | None:
    if row.token is None or row.renew_at is None or row.expires_at is None or now >= row.renew_at:
        return None
    try:
        value = await conn.unseal(row.token, "vendor_token", name.hex(), row.version, "token")
    except Unsealable:  # a restored or damaged row: a new token mends it
        return None
    return _Kept(value=value.decode(), version=row.version, renew_at=row.renew_at, expires_at=row.expires_at)


async def lease(conn: Conn, key: str, *, by: int, until: datetime, now: datetime) -> None:
    row = {
        "tenant_id": conn.tenant_id,
        "key_hash": name_of(conn, key),
        "lease_until": until,
        "lease_by": by,
        "updated_at": now,
    }
    await conn.upsert(vendor_token, [row], key=["tenant_id", "key_hash"], change=_lease)


def _lease(new: Any) -> dict[str, Any]:
    return {"lease_until": new.lease_until, "lease_by": new.lease_by, "updated_at": new.updated_at}


async def store(conn: Conn, key: str, made: _Kept, *, by: int, now: datetime) -> bool:
    """False when the lease was taken over: then this token is not everybody's."""
    name, version = name_of(conn, key), made.version
    sealed = await conn.seal("tenant", made.value.encode(), "vendor_token", name.hex(), made.version, "token")
    stmt = _held(conn, name, by).values(
        token=sealed,
        version=version,
        renew_at=made.renew_at,
        expires_at=made.expires_at,
        lease_until=None,
        lease_by=None,
        updated_at=now,
    )
    return await conn.run(stmt) == 1


async def release(conn: Conn, key: str, *, by: int, until: datetime, now: datetime) -> None:
    """The fetch failed: the next one may try after `until`."""
    await conn.run(_held(conn, name_of(conn, key), by).values(lease_until=until, updated_at=now))


async def forget(conn: Conn, key: str, version: int) -> None:
    """The vendor refused the token of this version; a newer one stays."""
    c = vendor_token.c
    which = (c.tenant_id == conn.tenant_id, c.key_hash == name_of(conn, key), c.version == version)
    await conn.run(sa.update(vendor_token).where(*which).values(token=None))


def _held(conn: Conn, name: bytes, by: int) -> sa.Update:
    c = vendor_token.c
    return sa.update(vendor_token).where(c.tenant_id == conn.tenant_id, c.key_hash == name, c.lease_by == by)


def _look_at(task: asyncio.Task[str]) -> None:
    # Every waiter may have gone; a failure nobody saw must not be reported as never retrieved.
    if not task.cancelled():
        task.exception()
