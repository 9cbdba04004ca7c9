"""A market for tests: customers who are added, reported and pay, told to one house as its channels would."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from scrm.contract import Envelope
from scrm.db import Conn, Database
from scrm.identity import decisions
from scrm.identity.decisions import Actor, Outcome
from scrm.ownership import claiming, service, versions
from scrm.ownership.rules import money
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.money import Entry
from scrm.ownership.rules.values import Claimant
from scrm.ownership.store import deals, rulings
from scrm.ownership.store.claims import Kept
from scrm.staff import store as staff
from tests.ground import NOW, Channel, House, handle, house, installed, node_of

#: Everything tests tell happened before NOW.
MONTH = NOW - timedelta(days=30)


def day(number: float) -> datetime:
    return MONTH + timedelta(days=number)


@dataclass(kw_only=True)
class Market:
    home: House
    staff: dict[str, int] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def db(self) -> Database:
        return self.home.db

    async def hear(self, *told: Envelope) -> None:
        """Through inbox, settle and react, as it came from a channel."""
        await self.home.take({f"k{next(self.numbers)}": [one] for one in told})
        await self.home.pipeline.settle(1)
        await self.home.pipeline.react(1)
        assert set((await self.home.states()).values()) == {"done"}

    async def added(self, customer: str, rep: str, at: datetime) -> None:
        await self.rep(rep)
        await self.hear(
            Envelope(
                kind="event.contact.added",
                direction="none",
                at=at,
                handles=(handle(customer),),
                staff=rep,
                text="加了好友",
            )
        )

    async def rep(self, name: str) -> int:
        if name not in self.staff:
            async with self.db.begin(1) as conn:
                ident = await staff.add(
                    conn, login=name, name=name, role="rep", team_id=None, password="", now=NOW
                )
                await staff.bind(conn, "corp", name, ident)
            self.staff[name] = ident
        return self.staff[name]

    async def paid(
        self, customer: str, number: str, at: datetime, *, total: int = 100_000, status: str = "paid"
    ) -> deals.Kept:
        said = {
            "id": number,
            "version": 1,
            "at": at.isoformat(),
            "status": status,
            "business_line": "新签",
            "items": [],
            "coupon": None,
            "total": total,
            "paid": total,
        }
        await self._book(f"event.order.{status}", customer, at, {"order": said, "others": {}})
        return await self.deal(number)

    async def gave_back(self, customer: str, number: str, amount: int, at: datetime) -> None:
        said = {
            "id": f"R{number}",
            "order": number,
            "version": 1,
            "at": at.isoformat(),
            "status": "done",
            "amount": amount,
        }
        await self._book("event.refund.done", customer, at, {"refund": said})

    async def _book(self, kind: str, customer: str, at: datetime, body: dict[str, Any]) -> None:
        await self.hear(
            Envelope(kind=kind, direction="none", at=at, handles=(handle(customer),), text="订单", body=body)
        )

    async def tracked(self, what: str, at: datetime, *, by: str = "anna", **properties: Any) -> None:
        """What a system of the company says over the events channel."""
        body = {"type": "track", "event": what, "properties": properties}
        await self.hear(
            Envelope(
                kind="event.app.track", direction="none", at=at, handles=(handle(by),), body=body, quiet=True
            )
        )

    async def entered(
        self, who: Claimant, kind: str, phone: str, at: datetime, *, now: datetime = NOW, **more: Any
    ) -> Kept:
        async with self.db.begin(1) as conn:
            wanted = claiming.Wanted(claimant=who, kind=kind, phone=phone, at=at, **({"name": "王"} | more))
            key = f"t{next(self.numbers)}"
            policy = await versions.current(conn)
            kept = await claiming.enter(conn, wanted, policy, key=key, by="staff:1", by_id=1, now=now)
            await service.claimed(conn, kept, now=now)
        return kept

    # -- who is who ------------------------------------------------------------------------------------------
    async def linked(self, a: str, b: str, *, family: bool = False, now: datetime = NOW) -> Outcome:
        """Somebody says so; deals of both are looked at, as the worker does."""
        async with self.db.begin(1) as conn:
            one, other = await node_of(conn, a), await node_of(conn, b)
            told = await decisions.link(
                conn,
                one,
                other,
                by=Actor(origin="rep", staff_id=1),
                why="一家人",
                cls="same_household" if family else "same_person",
                now=now,
            )
            await self._moved(conn, told, now)
        return told

    async def withdrawn(self, told: Outcome, *, now: datetime = NOW) -> None:
        async with self.db.begin(1) as conn:
            by = Actor(origin="rep", staff_id=1)
            undone = await decisions.withdraw(conn, told.evidence_ids, by=by, why="认错了", now=now)
            await self._moved(conn, undone, now)

    async def _moved(self, conn: Conn, told: Outcome, now: datetime) -> None:
        assert await service.touched(conn, told.persons, told.households, now=now)
        await service.rejudge(conn, {*told.persons, *told.households}, now=now)

    # -- what came of it -------------------------------------------------------------------------------------
    async def deal(self, number: str) -> deals.Kept:
        async with self.db.read(1) as conn:
            found = await deals.of_number(conn, self.home.account.account_id, "order", number)
        assert found is not None
        return found

    async def rulings(self, number: str) -> list[Ruled]:
        """Newest first."""
        one = await self.deal(number)
        async with self.db.read(1) as conn:
            return await rulings.page(conn, before=None, limit=50, deal_ids=[one.deal_id])

    async def winners(self, number: str) -> dict[str, int]:
        """Of the ruling in force, by name."""
        final = next(r for r in await self.rulings(number) if r.state == "final")
        return {self.name(s.by.label): s.bp for s in final.shares}

    async def entries(self, number: str) -> list[Entry]:
        one = await self.deal(number)
        async with self.db.read(1) as conn:
            return await rulings.entries(conn, one.deal_id)

    async def awarded(self, number: str) -> dict[str, int]:
        return {self.name(who): fen for who, fen in money.awarded(await self.entries(number)).items()}

    def name(self, label: str) -> str:
        names = {f"rep:{ident}": name for name, ident in self.staff.items()}
        return names.get(label, label)


async def market(database: Database, patch: pytest.MonkeyPatch) -> Market:
    channel = Channel()
    installed(patch, channel)
    return Market(home=await house(database, channel))
