"""What a draft is held against, put together from every room that knows something of the household."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from scrm.accounts.service import Directory
from scrm.campaigns.coupons import rules
from scrm.campaigns.coupons import store as coupons
from scrm.campaigns.coupons.store import Coupon
from scrm.db import Conn
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import Ground
from scrm.playbook.promises import policies
from scrm.playbook.promises import service as promises
from scrm.playbook.promises.policies import Policies
from scrm.playbook.situation import Kept
from scrm.sales import rules as prices
from scrm.sales import store as catalog
from scrm.sales.opportunities import store as opportunities
from scrm.settings import Settings, shipped

#: A catalog with more things on sale is known by its newest ones.
_PRODUCTS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """What is configured: where rules lie, what may be promised, what channels are called."""

    library: Path = field(default_factory=lambda: shipped("scripts_library"))
    policies: Policies = field(default_factory=Policies)
    title_of: Callable[[int | None], str] = lambda _: ""

    async def of_node(self, conn: Conn, node_id: int, *, role: str, now: datetime) -> Ground:
        """For a word to this customer, by somebody of this role."""
        return await self.of_home(conn, await household(conn, node_id), role=role, now=now)

    async def of_home(self, conn: Conn, theirs: Collection[int], *, role: str, now: datetime) -> Ground:
        """The same where the household's addresses are known."""
        held = await _coupons(conn, theirs, now=now)
        live = await promises.live(conn, theirs, now=now, channel_of=self.title_of)
        stamp = await promises.version(conn, theirs)
        base = await self.shop(conn, now=now)
        sale = next(iter(await opportunities.of_nodes(conn, theirs, state="open")), None)
        list_fen = base.prices.get(sale.product_code, sale.amount) if sale else None
        return replace(
            base,
            live=(*live, *held),
            # Also by which there are: somebody with older promises may have turned out to be of the family.
            version=f"{stamp:x}.{sum(k.promise_id for k in (*live, *held)):x}",
            policy=self.policies.of(role, sale.business_line if sale else ""),
            list_fen=list_fen,
        )

    async def shop(self, conn: Conn, *, now: datetime) -> Ground:
        """What is the same for every customer: rules, products, official prices."""
        book = await checks.book(conn, self.library)
        sold = await catalog.products(conn, limit=_PRODUCTS, on_sale=True)
        listed = await catalog.prices(conn, [p.code for p in sold])
        today = {code: prices.current(of, now) for code, of in listed.items()}
        return Ground(
            book=book,
            products={p.name: p.code for p in sold},
            prices={code: found[0].amount for code, found in today.items() if found},
        )


def drafts(settings: Settings, directory: Directory) -> Drafts:
    """As configured. Raises `BadConfig`."""
    allowed = policies.read(
        settings.promise_floor,
        settings.promise_max_off,
        settings.promise_gifts,
        guarantees=settings.promise_guarantees,
    )

    def title_of(account_id: int | None) -> str:
        plugged = directory.plug_of(account_id) if account_id else None
        return directory.by_id(account_id).title if plugged and account_id else ""

    return Drafts(library=settings.library, policies=allowed, title_of=title_of)


async def household(conn: Conn, node_id: int) -> list[int]:
    """The addresses of everybody in this customer's household."""
    person = (await nodes.persons_of(conn, [node_id])).get(node_id)
    if person is None:
        return [node_id]
    return sorted({node_id, *(await identity.household(conn, person)).owners})


async def _coupons(conn: Conn, theirs: Collection[int], *, now: datetime) -> Sequence[Kept]:
    """Coupons in the family's hands are promises too; their ids are told from those by the sign."""
    held = await coupons.of_nodes(conn, theirs, state="issued")
    return [kept for kept in await _kept(conn, held) if kept.until_at is not None and kept.until_at > now]


async def named(conn: Conn, text: str, theirs: Collection[int]) -> tuple[Kept, ...]:
    """The family's coupons that some words name, whatever became of them since."""
    found = await coupons.of_codes(conn, rules.codes_in(text))
    return tuple(await _kept(conn, [c for c in found if c.node_id in theirs]))


async def _kept(conn: Conn, found: Sequence[Coupon]) -> list[Kept]:
    known = await coupons.batches_of(conn, {c.batch_id for c in found})
    return [
        Kept(
            promise_id=-c.coupon_id,
            kind="discount" if b.share is not None else "off",
            share=b.share,
            fen=b.fen,
            min_fen=b.min_fen,
            text=b.name,
            product_code=b.product_code,
            made_at=c.issued_at,
            until_at=b.ends_at,
            node_id=c.node_id,
            event_id=c.event_id,
            code=c.code,
        )
        for c in found
        if (b := known.get(c.batch_id)) is not None
    ]
