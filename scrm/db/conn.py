"""One transaction of one tenant: statements as coroutines, data keys, and what to do after the commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from scrm import schema
from scrm.db.bulk import Row, Visit
from scrm.db.outages import translated
from scrm.errors import Unsealable
from scrm.seal import DataKey, Vault, close, key_id_of, new_id, open_sealed

T = TypeVar("T")
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

#: Unwrapped data keys kept in memory, at most (about 300 bytes each).
_KEYS_CACHED = 20_000
_TRY_LOCKS = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name "
    "WHERE pg_try_advisory_xact_lock(hashtextextended(name, :tenant))"
)
_CLOCK = sa.text("SELECT extract(epoch FROM clock_timestamp())")
_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, :tenant))")


def utcnow() -> datetime:
    """The clock, for those who open transactions; rules and services get `now` passed in."""
    return datetime.now(UTC)


class Run(Protocol):
    """Runs a job where the connection of an open transaction lives."""

    def __call__(self, job: Callable[[sa.Connection], T]) -> Awaitable[T]: ...


async def _here(sync: sa.Connection, job: Callable[[sa.Connection], T]) -> T:
    return job(sync)


def _driven(work: Coroutine[Any, Any, T]) -> T:
    """What comes of it, when nothing in it lets go of the thread."""
    with closing(work):
        try:
            work.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
    raise RuntimeError("work done together waits for something that is not its connection")


class Keys:
    """Unwrapped data keys of committed rows, by tenant and owner or key id; threads may share them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str | int], DataKey] = {}
        self._changing = Lock()

    def get(self, tenant_id: int, name: str | int) -> DataKey | None:
        return self._kept.get((tenant_id, name))

    def keep(self, tenant_id: int, keys: Mapping[str, DataKey]) -> None:
        with self._changing:
            while len(self._kept) > _KEYS_CACHED:
                self._kept.pop(next(iter(self._kept)))
            for owner, key in keys.items():
                self._kept[tenant_id, owner] = self._kept[tenant_id, key.key_id] = key

    def forget(self, tenant_id: int, owners: Iterable[str]) -> None:
        with self._changing:
            for owner in owners:
                key = self._kept.pop((tenant_id, owner), None)
                if key is not None:
                    self._kept.pop((tenant_id, key.key_id), None)


class Conn:
    """One transaction of one tenant. Every statement of a store names `conn.tenant_id`."""

    def __init__(self, tenant_id: int, run: Run, *, vault: Vault, keys: Keys, many: bool) -> None:
        self.tenant_id = tenant_id
        self.vault = vault
        #: Other processes may write at the same time (PostgreSQL).
        self.many = many
        self._run = run
        self._kept = keys
        self._fresh: dict[str, DataKey] = {}
        self._after: list[Callable[[], None]] = []

    async def rows(self, stmt: sa.Executable, params: Params = None) -> Sequence[Row]:
        return await self._do(lambda sync: sync.execute(stmt, params or {}).all())

    async def row(self, stmt: sa.Executable, params: Params = None) -> Row | None:
        return await self._do(lambda sync: sync.execute(stmt, params or {}).first())

    async def scalar(self, stmt: sa.Executable, params: Params = None) -> Any:
        return await self._do(lambda sync: sync.execute(stmt, params or {}).scalar())

    async def run(self, stmt: sa.Executable, params: Params = None) -> int:
        """Execute for effect; the number of rows touched. An empty list of rows does nothing.

        With a list of rows PostgreSQL does not tell the number: it is -1 there.
        """
        if params is not None and not params:
            return 0
        return await self._do(lambda sync: sync.execute(stmt, params or {}).rowcount)

    async def insert_new(
        self,
        table: sa.Table,
        values: Sequence[Mapping[str, Any]],
        *returning: sa.Column[Any],
        any_key: bool = False,
    ) -> Sequence[Row]:
        """Insert what is not there yet: a row whose natural key is there leaves that one as it is.

        With `any_key` also one that meets another unique key, else the transaction fails.
        """
        if not values:
            return []
        return await self._do(lambda sync: Visit(sync).insert_new(table, values, *returning, any_key=any_key))

    async def insert(self, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of equal columns; a row that meets a unique key fails the transaction."""
        if values:
            await self._do(lambda sync: Visit(sync).insert(table, values))

    async def upsert(
        self,
        table: sa.Table,
        values: Sequence[Mapping[str, Any]],
        *returning: sa.ColumnElement[Any],
        key: Sequence[str],
        change: Any,
    ) -> Sequence[Row]:
        """Insert, or apply `change(excluded)` (column -> value) to the row that holds `key`.

        A `change` that is a function of a module, not a fresh lambda, is compiled only once.
        """
        if not values:
            return []
        return await self._do(
            lambda sync: Visit(sync).upsert(table, values, *returning, key=key, change=change)
        )

    async def together(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """All of `work` in one visit to where the connection lives; it may wait for this connection only.

        Else each statement waits for a turn of the event loop, which takes longer than most of them.
        """

        def visit(sync: sa.Connection) -> T:
            outer, self._run = self._run, partial(_here, sync)
            try:
                return _driven(work())
            finally:
                self._run = outer

        return await self._do(visit)

    async def now(self) -> datetime:
        """The time leases are measured by: the database's clock where several hosts share one."""
        if not self.many:
            return utcnow()
        return datetime.fromtimestamp(float(await self.scalar(_CLOCK)), UTC)

    async def lock(self, name: str) -> None:
        """Until the transaction ends no other process holds this name of this tenant.

        Raises `Unavailable` after the lock time-out. The embedded engine has one writer: nothing to do.
        """
        if self.many:
            await self.rows(_LOCK, {"name": name, "tenant": self.tenant_id})

    async def try_locks(self, names: Sequence[str]) -> list[str]:
        """Those of the names that nobody else holds; they are ours until the transaction ends."""
        if not self.many:
            return list(names)
        found = await self.rows(_TRY_LOCKS, {"names": list(names), "tenant": self.tenant_id})
        return [r.name for r in found]

    def after_commit(self, act: Callable[[], None]) -> None:
        """Run once the transaction has committed; a rollback discards it."""
        self._after.append(act)

    async def seal(self, owner: str, plain: bytes, *where: object) -> bytes:
        return close((await self.keys_for([owner]))[owner], plain, *where)

    async def unseal(self, sealed: bytes, *where: object) -> bytes:
        """Raises `Unsealable` when altered, moved, or its key was destroyed."""
        key_id = key_id_of(sealed)
        return open_sealed((await self.keys([key_id]))[key_id], sealed, *where)

    async def keys_for(self, owners: Iterable[str]) -> dict[str, DataKey]:
        """Each owner's data key, made when missing. Owners: `node:<id>`, `day:<account>:<date>`, `tenant`."""
        wanted = list(dict.fromkeys(owners))
        found = {o: key for o in wanted if (key := self._fresh.get(o) or self._kept.get(self.tenant_id, o))}
        if missing := [o for o in wanted if o not in found]:
            found |= await self._stored_keys(schema.data_key.c.owner.in_(missing))
            found |= await self._make_keys([o for o in missing if o not in found])
        return found

    async def new_keys(self, owners: Sequence[str]) -> dict[str, DataKey]:
        """Of owners that are made by this transaction: nobody can have given them a key."""
        return await self._make_keys(owners) if owners else {}

    async def keys(self, key_ids: Iterable[int]) -> dict[int, DataKey]:
        """Unwrapped keys by id. Raises `Unsealable` when one was destroyed."""
        wanted = set(key_ids)
        found = await self.keys_there(wanted)
        if wanted - found.keys():
            raise Unsealable("这项内容的密钥已销毁，无法再打开。")
        return found

    async def keys_there(self, wanted: set[int]) -> dict[int, DataKey]:
        """The same, without those that were destroyed."""
        fresh = {key.key_id: key for key in self._fresh.values()}
        found = {k: key for k in wanted if (key := fresh.get(k) or self._kept.get(self.tenant_id, k))}
        if missing := wanted - found.keys():
            stored = await self._stored_keys(schema.data_key.c.key_id.in_(missing))
            found |= {key.key_id: key for key in stored.values()}
        return found

    async def destroy_keys(self, owners: Sequence[str]) -> None:
        """What these owners' keys sealed is gone for good. Other processes forget them when they restart."""
        t = schema.data_key
        for start in range(0, len(owners), 500):
            some = owners[start : start + 500]
            await self.run(sa.delete(t).where(t.c.tenant_id == self.tenant_id, t.c.owner.in_(some)))
        for owner in owners:
            self._fresh.pop(owner, None)
        self._kept.forget(self.tenant_id, owners)
        self.after_commit(lambda: self._kept.forget(self.tenant_id, owners))

    async def _stored_keys(self, which: sa.ColumnElement[bool]) -> dict[str, DataKey]:
        t = schema.data_key
        stmt = sa.select(t.c.key_id, t.c.owner, t.c.wrapped).where(t.c.tenant_id == self.tenant_id, which)
        found = {r.owner: self.vault.unwrap(r.key_id, r.owner, r.wrapped) for r in await self.rows(stmt)}
        self._kept.keep(self.tenant_id, {o: key for o, key in found.items() if o not in self._fresh})
        return found

    async def _make_keys(self, owners: Sequence[str]) -> dict[str, DataKey]:
        new, now = self.vault.new_keys({new_id(): owner for owner in owners}), utcnow()
        made = {owner: key for owner, (key, _) in new.items()}
        rows = [
            {
                "tenant_id": self.tenant_id,
                "key_id": key.key_id,
                "owner": owner,
                "wrapped": wrapped,
                "created_at": now,
            }
            for owner, (key, wrapped) in new.items()
        ]
        won = {r.owner for r in await self.insert_new(schema.data_key, rows, schema.data_key.c.owner)}
        lost = [o for o in owners if o not in won]
        # Cached only after the commit: a key that rolled back must never have sealed anything that stays.
        self._fresh |= {o: made[o] for o in won}
        return {o: made[o] for o in won} | (
            await self._stored_keys(schema.data_key.c.owner.in_(lost)) if lost else {}
        )

    async def _do(self, job: Callable[[sa.Connection], T]) -> T:
        with translated():
            return await self._run(job)

    def committed(self) -> None:
        """Called once, by the database."""
        self._kept.keep(self.tenant_id, self._fresh)
        for act in self._after:
            act()
