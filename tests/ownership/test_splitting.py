"""Two customers taken for one, who buy meanwhile, and parted again: the ledger is as if never merged.

Through SQL on both engines; each case is five pairs of customers in one tenant, 40 cases of each property.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, Literal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scrm.db import Conn, Database
from scrm.identity import decisions
from scrm.identity import service as identity
from scrm.identity import store as owners
from scrm.identity.decisions import Actor, Outcome
from scrm.ownership import deciding, service, versions
from scrm.ownership.deciding import By
from scrm.ownership.rules import money
from scrm.ownership.rules.values import OWN, WHOLE, Share, claimant
from scrm.ownership.store import claims, deals, rulings
from scrm.ownership.store.claims import Draft
from scrm.seal import new_id
from tests.ground import NOW, handle

tenants = count(40_000)
PAIRS, ACCOUNT = 5, 11
CASES = settings(
    max_examples=200 // PAIRS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes longer than a test may
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LEAD, REP = By(label="staff:9", staff_id=9), Actor(origin="rep", staff_id=1)
LINES = ("新签", "新房", "新车", "保险")
WHO = ("rep:1", "rep:2", "broker:链家", "channel:老带新", "own")
KINDS = ("report", "visit", "call", "contact", "signup", "follow_up", "referral")
Said = Literal["same_person", "same_household"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A claim on one side of a pair, so many days before the deal."""

    side: int
    who: str
    kind: str
    days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    line: str
    amount: int
    cls: Said
    #: Before anybody takes the two for one, and while they do.
    before: tuple[Told, ...]
    during: tuple[Told, ...]
    #: What was done with the money before: nothing, paid out, decided by a human, both.
    paid: bool
    decided: bool
    #: They buy again while they are one.
    again: bool


def told(most: int) -> st.SearchStrategy[tuple[Told, ...]]:
    one = st.builds(
        Told,
        side=st.integers(0, 1),
        who=st.sampled_from(WHO),
        kind=st.sampled_from(KINDS),
        days=st.sampled_from((0.1, 1, 2, 6, 14, 29, 45, 90)),
    )
    return st.lists(one, max_size=most).map(tuple)


pairs = st.lists(
    st.builds(
        Pair,
        line=st.sampled_from(LINES),
        amount=st.integers(1, 10**8),
        cls=st.sampled_from(("same_person", "same_household")),
        before=told(5),
        during=told(2),
        paid=st.booleans(),
        decided=st.booleans(),
        again=st.booleans(),
    ),
    min_size=PAIRS,
    max_size=PAIRS,
)


# -- acts --------------------------------------------------------------------------------------------------
async def met(conn: Conn) -> list[tuple[int, int]]:
    """The identifiers of every pair."""
    people = [(handle(f"buyer{n}"), handle(f"other{n}", scope="app2")) for n in range(PAIRS)]
    seen = [
        identity.Sighting(event_id=new_id(), at=NOW - timedelta(days=100), key=h.value, handles=(h,))
        for two in people
        for h in two
    ]
    nodes = (await identity.resolve(conn, seen, NOW)).nodes
    return [(nodes[identity.address(a)], nodes[identity.address(b)]) for a, b in people]


async def claimed(conn: Conn, nodes: Sequence[int], said: Sequence[Told], line: str, key: str) -> None:
    drafts = [
        Draft(
            node_id=nodes[one.side],
            claimant=one.who,
            kind=one.kind,
            at=NOW - timedelta(days=one.days),
            told_at=NOW,
            key=f"{key}-{n}",
            line=line if n % 2 else "",
        )
        for n, one in enumerate(said)
    ]
    await claims.put(conn, drafts)


async def sold(conn: Conn, node_id: int, pair: Pair, number: str) -> None:
    policy = await versions.current(conn)
    one = deals.Kept(
        deal_id=new_id(),
        source="order",
        account_id=ACCOUNT,
        number=number,
        line=pair.line,
        node_id=node_id,
        payer_id=None,
        learner_id=None,
        event_id=1,
        at=NOW,
        amount=pair.amount,
        policy_version=policy.version,
    )
    await deals.put(conn, one)
    await service.judge(conn, one, "deal", now=NOW)


async def opened(conn: Conn, all_of_them: Sequence[Pair]) -> list[tuple[int, int]]:
    """Everybody is met, claimed and has bought; money is paid out or decided where the story says so."""
    nodes = await met(conn)
    for n, pair in enumerate(all_of_them):
        await claimed(conn, nodes[n], pair.before, pair.line, f"b{n}")
        await sold(conn, nodes[n][0], pair, f"D{n}")
        await sold(conn, nodes[n][1], pair, f"E{n}")
        await _money(conn, pair, f"D{n}")
    return nodes


async def _money(conn: Conn, pair: Pair, number: str) -> None:
    one = await deals.of_number(conn, ACCOUNT, "order", number)
    assert one is not None
    (last, *_) = await rulings.page(conn, before=None, limit=1, deal_ids=[one.deal_id])
    if last.state == "pending":
        if not pair.decided:
            return
        words = "看过聊天记录和到访登记，情况属实。"
        await deciding.decide(conn, last.ruling_id, agree=True, why=words, by=LEAD, now=NOW)
    elif pair.decided:
        ask = By(label="staff:7", staff_id=7)
        words = "我在到访当天就带看了，有登记照片为证。"
        await deciding.appeal(conn, last.ruling_id, words, by=ask, now=last.at)
        shares = (Share(by=claimant("rep:2"), bp=WHOLE // 2), Share(by=OWN, bp=WHOLE // 2))
        await deciding.decide(
            conn, last.ruling_id, agree=True, why=words, by=LEAD, now=last.at, shares=shares
        )
    if pair.paid:
        await deciding.pay(conn, one.deal_id, by=LEAD, now=NOW)


async def joined(conn: Conn, nodes: Sequence[tuple[int, int]], all_of_them: Sequence[Pair]) -> list[Outcome]:
    done = []
    for (a, b), pair in zip(nodes, all_of_them, strict=True):
        done.append(await decisions.link(conn, a, b, by=REP, why="一家人", now=NOW, cls=pair.cls))
    await looked(conn, done)
    return done


async def parted(conn: Conn, done: Sequence[Outcome]) -> None:
    ids = [i for one in done for i in one.evidence_ids]
    undone = await decisions.withdraw(conn, ids, by=REP, why="认错了", now=NOW)
    await looked(conn, [undone])


async def looked(conn: Conn, done: Sequence[Outcome]) -> None:
    """As the due row does: exactly the persons and households that identity says have changed."""
    changed = {i for one in done for i in (*one.persons, *one.households)}
    await service.rejudge(conn, changed, now=NOW)


async def lived(conn: Conn, nodes: Sequence[tuple[int, int]], all_of_them: Sequence[Pair]) -> None:
    """Claims arrive and deals are made on both sides."""
    everybody = set((await owners.persons_of(conn, [n for two in nodes for n in two])).values())
    for n, pair in enumerate(all_of_them):
        await claimed(conn, nodes[n], pair.during, pair.line, f"d{n}")
        if pair.again:
            await sold(conn, nodes[n][1], pair, f"F{n}")
    await service.rejudge(conn, everybody, trigger="claim", now=NOW)


# -- what came of it ---------------------------------------------------------------------------------------
async def books(conn: Conn) -> dict[str, Any]:
    """By deal: whose it is in force, what each is awarded and has still to get, and whether it waits."""
    found: dict[str, Any] = {}
    for one in await deals.made_since(conn, NOW - timedelta(days=1)):
        entries = await rulings.entries(conn, one.deal_id)
        final = await rulings.last(conn, one.deal_id, final=True)
        shares = {s.by.label: s.bp for s in final.shares} if final else {}
        last = await rulings.last(conn, one.deal_id)
        waits = last is not None and last.state == "pending"
        found[one.number] = (shares, money.awarded(entries), money.payable(entries), waits)
    return found


async def balanced(conn: Conn) -> None:
    """Every posting adds up to nothing, nothing is taken back twice, and what is in force is awarded (I8)."""
    for one in await deals.made_since(conn, NOW - timedelta(days=1)):
        entries = await rulings.entries(conn, one.deal_id)
        postings: dict[int, int] = defaultdict(int)
        for e in entries:
            postings[e.posting_id] += e.amount
        assert not any(postings.values())
        undone = [e.reverses_entry_id for e in entries if e.reverses_entry_id]
        assert len(undone) == len(set(undone))
        final = await rulings.last(conn, one.deal_id, final=True)
        assert final is not None
        bp = (await versions.of(conn, one.policy_version)).preset(one.line).commission_bp
        assert money.awarded(entries) == money.divide(money.commission(one.amount, bp), final.shares)


def changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> int:
    return sum(one[number] != other[number] for number in one)


# -- properties --------------------------------------------------------------------------------------------
@CASES
@given(all_of_them=pairs)
async def test_a_merge_and_its_split_leave_the_ledger_where_it_was(
    database: Database, all_of_them: list[Pair]
) -> None:
    async with database.begin(next(tenants)) as conn:
        nodes = await opened(conn, all_of_them)
        await balanced(conn)
        before = await books(conn)
        done = await joined(conn, nodes, all_of_them)
        await balanced(conn)
        await parted(conn, done)

        await balanced(conn)
        assert await books(conn) == before


@CASES
@given(all_of_them=pairs)
async def test_what_happened_while_they_were_one_is_judged_as_if_they_never_had_been(
    database: Database, all_of_them: list[Pair]
) -> None:
    async with database.begin(next(tenants)) as conn:
        await lived(conn, await opened(conn, all_of_them), all_of_them)
        never = await books(conn)
    async with database.begin(next(tenants)) as conn:
        nodes = await opened(conn, all_of_them)
        done = await joined(conn, nodes, all_of_them)
        await lived(conn, nodes, all_of_them)
        await balanced(conn)
        await parted(conn, done)

        await balanced(conn)
        assert await books(conn) == never


async def test_the_merges_above_do_move_money(database: Database) -> None:
    """Else a ledger that stays where it was would say nothing."""
    first = Told(side=0, who="rep:1", kind="contact", days=2)
    other = Told(side=1, who="rep:2", kind="contact", days=6)
    all_of_them = [
        Pair(
            line="新签",
            amount=100_000,
            cls=cls,
            before=(first, other),
            during=(),
            paid=False,
            decided=False,
            again=False,
        )
        for cls in ("same_person", "same_household")
    ] * 2
    async with database.begin(next(tenants)) as conn:
        nodes = await opened(conn, all_of_them)
        before = await books(conn)
        done = await joined(conn, nodes[: len(all_of_them)], all_of_them)
        merged = await books(conn)
        await parted(conn, done)

        assert changed(before, merged) == len(all_of_them)
        assert await books(conn) == before
