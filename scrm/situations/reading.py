"""Where customers stand: their families, sales, promises, coupons and tags; of many talks at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.campaigns.coupons import store as coupons
from scrm.db import Conn
from scrm.identity import store as nodes
from scrm.identity.store import corrected
from scrm.playbook.promises import service as ledger
from scrm.playbook.promises import store as promises
from scrm.playbook.promises.ledger import stands
from scrm.playbook.promises.store import Row
from scrm.playbook.situation import Child, Kept, Member, Rep, Sale, Situation, Voucher
from scrm.sales import rules as prices
from scrm.sales import store as catalog
from scrm.sales.opportunities import rules as opportunity_rules
from scrm.sales.opportunities import store as opportunities
from scrm.sales.opportunities.rules import Opportunity
from scrm.sales.tags import store as tags
from scrm.situations.homes import Home, homes, parts
from scrm.staff import store as staff
from scrm.timeline.rules import Talk

#: So many talks are looked up together: what their families hold stays below what one statement may give.
_AT_ONCE, _AT_ONCE_BARE, _ROWS = 40, 200, 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is the same for every talk that is asked about."""

    channel_of: Callable[[int], str] = lambda _: ""
    company: str = ""
    trade: str = ""
    #: Stage, role and promises only: enough to rank by. No names, prices, coupons or tags.
    bare: bool = False


async def of(
    conn: Conn, talk: Talk, *, channel: str, company: str = "", trade: str = "", now: datetime
) -> Situation:
    """Everything around one conversation, as it is now."""
    given = Around(channel_of=lambda _: channel, company=company, trade=trade)
    return (await around(conn, [talk], given, now=now))[talk.conversation_id]


async def around(conn: Conn, talks: Sequence[Talk], given: Around, *, now: datetime) -> dict[int, Situation]:
    """The same for many, by conversation; about a dozen statements for all of a batch."""
    found: dict[int, Situation] = {}
    step = _AT_ONCE_BARE if given.bare else _AT_ONCE
    for start in range(0, len(talks), step):
        found |= await _around(conn, talks[start : start + step], given, now)
    return found


async def _around(conn: Conn, talks: Sequence[Talk], given: Around, now: datetime) -> dict[int, Situation]:
    known = await homes(conn, sorted({t.node_id for t in talks}))
    theirs = sorted({n for home in known.values() for n in home.nodes})
    persons = sorted({p for home in known.values() for p in home.members})
    open_ = await opportunities.of_nodes(conn, theirs, state="open", limit=_ROWS)
    ground = _Ground(
        talks=talks,
        given=given,
        homes=known,
        parts=await parts(conn, list(known.values()), now),
        names={} if given.bare else {p: s.name for p, s in (await nodes.shown(conn, persons)).items()},
        told={} if given.bare else await corrected.fields(conn, persons, ("child", "grade")),
        sales=await _sales(conn, open_, now, bare=given.bare),
        hung=open_,
        kept=await _promised(conn, theirs, now, bare=given.bare),
        vouchers={} if given.bare else await _vouchers(conn, theirs, now),
        tags={} if given.bare else await tags.of_each(conn, theirs),
        reps={} if given.bare else await _reps(conn, talks),
    )
    return {t.conversation_id: ground.of(t, conn.tenant_id) for t in talks}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What was looked up, before it is dealt out."""

    talks: Sequence[Talk]
    given: Around
    homes: Mapping[int, Home]
    parts: Mapping[int, str]
    names: Mapping[int, str]
    #: By person, what colleagues wrote down of the family's child.
    told: Mapping[int, Mapping[str, str]]
    #: By opportunity, those that moved last first.
    sales: Mapping[int, Sale]
    hung: Sequence[Opportunity]
    kept: Sequence[Kept]
    #: By address.
    vouchers: Mapping[int, Sequence[Voucher]]
    tags: Mapping[int, Collection[str]]
    reps: Mapping[int, Rep]

    def of(self, talk: Talk, tenant_id: int) -> Situation:
        home = self.homes[talk.node_id]
        theirs = frozenset(home.nodes)
        members = tuple(self._members(home))
        vouchers = [v for n in theirs for v in self.vouchers.get(n, ())]
        return Situation(
            tenant_id=tenant_id,
            conversation_id=talk.conversation_id,
            account_id=talk.account_id,
            node_id=talk.node_id,
            channel=self.given.channel_of(talk.account_id),
            company=self.given.company,
            trade=self.given.trade,
            person_id=home.person_id,
            household_id=home.household_id,
            nodes=home.nodes,
            speaker=members[0] if members else None,
            members=members,
            child=self._child(home, members),
            sale=next((self.sales[o.opportunity_id] for o in self.hung if o.node_id in theirs), None),
            promises=tuple(k for k in self.kept if k.node_id in theirs),
            coupons=tuple(sorted(vouchers, key=lambda v: -v.coupon_id)),
            tags=frozenset(t for n in theirs for t in self.tags.get(n, ())),
            rep=self.reps.get(talk.rep_id or 0),
            last_in_at=talk.last_in_at,
            last_out_at=talk.last_at if talk.last_direction == "out" else None,
        )

    def _child(self, home: Home, members: Sequence[Member]) -> Child | None:
        """Whoever learns, else as a colleague says of their family; the speaker's card counts first."""
        told = [said for person in home.members if (said := self.told.get(person))]
        name = next((m.name for m in members if m.role == "user" and m.name), "")
        name = name or next((said["child"] for said in told if "child" in said), "")
        grade = next((said["grade"] for said in told if "grade" in said), "")
        return Child(name=name, grade=grade) if name or grade else None

    def _members(self, home: Home) -> Iterable[Member]:
        first: dict[int, int] = {}
        for node, person in sorted(home.owners.items()):
            first.setdefault(person, node)
        for person in home.members:
            name = self.names.get(person, "")
            yield Member(name=name, role=self.parts.get(person, ""), node_id=first.get(person))


async def _sales(conn: Conn, open_: Sequence[Opportunity], now: datetime, *, bare: bool) -> dict[int, Sale]:
    codes = sorted({o.product_code for o in open_ if o.product_code})
    listed = await catalog.prices(conn, codes) if codes and not bare else {}
    return {o.opportunity_id: _sale(o, listed, now) for o in open_}


def _sale(one: Opportunity, listed: Mapping[str, Sequence[prices.Price]], now: datetime) -> Sale:
    """Its price: today's standard one, else what was agreed on when it was opened."""
    current = prices.current(listed.get(one.product_code, ()), now)
    return Sale(
        opportunity_id=one.opportunity_id,
        kind=opportunity_rules.KINDS[one.kind],
        stage=one.stage,
        product_code=one.product_code,
        product=one.product,
        list_fen=current[0].amount if current else one.amount,
    )


async def promised(conn: Conn, theirs: Collection[int], now: datetime) -> tuple[Kept, ...]:
    """What stands towards any member of a household, the newest first."""
    return await ledger.live(conn, theirs, now=now)


async def _promised(conn: Conn, theirs: Collection[int], now: datetime, *, bare: bool) -> tuple[Kept, ...]:
    if not bare:
        return await promised(conn, theirs, now)
    rows = await promises.live(conn, theirs, now=now, limit=_ROWS)
    return tuple(_kept(row) for row in rows if stands(row.made_at, row.until_at, now=now))


def _kept(row: Row) -> Kept:
    return Kept(
        promise_id=row.promise_id,
        kind=row.kind,
        share=row.share,
        fen=row.fen,
        min_fen=row.min_fen,
        text=row.text,
        product_code=row.product_code,
        product=row.product,
        made_at=row.made_at,
        until_at=row.until_at,
        node_id=row.node_id,
        event_id=row.event_id,
    )


async def _vouchers(conn: Conn, theirs: Collection[int], now: datetime) -> dict[int, list[Voucher]]:
    """Coupons in the household's hands that may still be used."""
    held = await coupons.of_nodes(conn, theirs, state="issued")
    known = await coupons.batches_of(conn, {c.batch_id for c in held})
    found: dict[int, list[Voucher]] = defaultdict(list)
    for c in held:
        b = known.get(c.batch_id)
        if b is not None and b.ends_at > now:
            made = Voucher(coupon_id=c.coupon_id, name=b.name, fen=b.fen, share=b.share, until_at=b.ends_at)
            found[c.node_id].append(made)
    return found


async def _reps(conn: Conn, talks: Sequence[Talk]) -> dict[int, Rep]:
    known = await staff.members(conn, sorted({t.rep_id for t in talks if t.rep_id is not None}))
    return {i: Rep(staff_id=i, name=m.name) for i, m in known.items()}
