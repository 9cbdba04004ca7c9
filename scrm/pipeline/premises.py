"""What settling and reacting work with, and how each gets rows that nobody else works on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from scrm import inbox
from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context
from scrm.db import Database
from scrm.desk.manners import Manners
from scrm.inbox import Item
from scrm.live import Live
from scrm.pipeline.drafts import Drafts
from scrm.playbook.answers.rules import Kind
from scrm.playbook.effect.service import Priors
from scrm.playbook.service import Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """Whom to wake after a commit."""

    react: Callable[[], None]
    send: Callable[[], None]
    due: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """Works on one batch of one tenant per call; every call returns how many rows it moved."""

    db: Database
    directory: Directory
    live: Live
    library: Library
    context: Callable[[Plugged, datetime], Context]
    wakes: Wakes
    company: str
    settle_rows: int
    max_attempts: int
    effect_max_age_s: int
    #: What opens a sale by itself: contact, registration, order.
    opens: frozenset[str] = frozenset()
    #: What may be said and promised.
    drafts: Drafts = field(default_factory=Drafts)
    #: What goes out by itself, by account.
    answers: Mapping[str, frozenset[Kind]] = field(default_factory=dict)
    manners: Manners = field(default_factory=Manners)
    #: What became of suggestions so far, by tenant.
    priors: Priors = field(default_factory=Priors)

    @asynccontextmanager
    async def claimed(
        self, tenant_id: int, state: Literal["new", "settled"], now: datetime
    ) -> AsyncIterator[list[Item]]:
        """Rows that no other process works on while the block lasts."""
        async with AsyncExitStack() as held:
            conn = await held.enter_async_context(self.db.watch(tenant_id))
            paused = self.directory.paused(tenant_id)
            items = await inbox.own(conn, state, now=now, limit=self.settle_rows, paused=paused)
            if not conn.many:
                await held.aclose()  # a view that stays open keeps SQLite's log from being emptied
            yield items

    async def know(self, tenant_id: int, items: Sequence[Item]) -> None:
        """An account that was added in another process a moment ago must not cost its first rows anything."""
        if any(self.directory.plug_of(i.account_id) is None for i in items):
            async with self.db.read(tenant_id) as conn:
                await self.directory.load(conn)
