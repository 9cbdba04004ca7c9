"""Properties of money: postings balance, shares add up to the fen, a merge and its split leave no trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scrm.ownership.rules import money
from scrm.ownership.rules.booking import Ruled, Standing, State, decided, step
from scrm.ownership.rules.judging import adjudicate
from scrm.ownership.rules.money import Entry, Line, commission, divide
from scrm.ownership.rules.values import KINDS, OWN, WHOLE, Claim, Claimant, Deal, Relation, Ruling, Share
from tests.ground import NOW
from tests.ownership.scenarios import POLICY

CASES = settings(max_examples=500, deadline=None)
PEOPLE = [OWN, *(Claimant(kind="rep", ident=n) for n in "ab"), Claimant(kind="channel", ident="c")]
LINES = sorted(POLICY.lines)
#: Two households that may turn out to be one: the signer's identifier, and the other's.
MINE, THEIRS = 1, 2


@st.composite
def claims(draw: Any) -> list[Claim]:
    made = []
    for number in range(draw(st.integers(0, 8))):
        at = NOW - timedelta(hours=draw(st.integers(-48, 24 * 100)))
        made.append(
            Claim(
                claim_id=number,
                node_id=draw(st.sampled_from([MINE, THEIRS])),
                by=draw(st.sampled_from(PEOPLE)),
                kind=draw(st.sampled_from(sorted(KINDS))),
                at=at,
                told_at=at + timedelta(days=draw(st.integers(0, 30))),
                line=draw(st.sampled_from(["", *LINES])),
                key=str(number),
                named=draw(st.booleans()),
                masked=draw(st.booleans()),
                fits=draw(st.integers(1, 2)),
            )
        )
    return made


def judged(told: Sequence[Claim], line: str, *, together: bool, relation: Relation = "spouse") -> Ruling:
    seen = [c for c in told if together or c.node_id == MINE]
    deal = Deal(deal_id=1, line=line, at=NOW, amount=0)
    relatives: dict[int, Relation] = {MINE: "self", THEIRS: relation}
    return adjudicate(seen, deal, POLICY.preset(line), relatives, as_of=NOW + timedelta(days=60))


@given(claims(), st.sampled_from(LINES), st.booleans(), st.randoms())
@CASES
def test_a_ruling_is_a_function_of_what_is_known_in_any_order(
    told: list[Claim], line: str, together: bool, chance: Any
) -> None:
    shuffled = list(told)
    chance.shuffle(shuffled)

    one, other = judged(told, line, together=together), judged(shuffled, line, together=together)

    assert one == other
    assert sum(s.bp for s in one.shares) == WHOLE
    assert all(s.bp > 0 for s in one.shares)
    assert len({s.by for s in one.shares}) == len(one.shares)
    assert all(why.sentence() for why in (*one.reasons, *(r.why for r in one.rejected)))


@given(
    st.integers(0, 10**12),
    st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(1, WHOLE)), min_size=1, max_size=4),
)
@CASES
def test_shares_add_up_to_the_fen(total: int, parts: list[tuple[Claimant, int]]) -> None:
    whole = sum(bp for _, bp in parts)
    shares = [Share(by=by, bp=bp * WHOLE // whole) for by, bp in parts]
    shares[0] = replace(shares[0], bp=shares[0].bp + WHOLE - sum(s.bp for s in shares))

    owed = divide(total, shares)
    everyone = divide(
        total, [replace(s, by=Claimant(kind="rep", ident=str(n))) for n, s in enumerate(shares)]
    )

    assert sum(everyone.values()) == total
    assert sum(owed.values()) <= total
    assert all(fen > 0 for fen in owed.values())
    assert all(
        abs(fen - total * s.bp / WHOLE) < 1 + total / 2**50
        for s, fen in zip(shares, _of(everyone, shares), strict=True)
    )


def _of(owed: dict[str, int], shares: Sequence[Share]) -> list[int]:
    return [owed.get(f"rep:{n}", 0) for n in range(len(shares))]


@dataclass(kw_only=True)
class Book:
    """One deal's rulings and ledger, kept as the service keeps them."""

    line: str
    amount: int
    frozen: bool = False
    rulings: list[Ruled] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def bp(self) -> int:
        return POLICY.preset(self.line).commission_bp

    @property
    def final(self) -> Ruled | None:
        return next((r for r in reversed(self.rulings) if r.state == "final"), None)

    def look(self, ruling: Ruling) -> None:
        last = self.rulings[-1] if self.rulings else None
        before = Standing(last=last, final=self.final, entries=self.entries, frozen=self.frozen)
        found = step(ruling, self.amount, self.bp, before)
        if found is None:
            return
        for ruled, state in found.rulings:
            again = before.final if before.final and before.final.inputs == ruled.inputs else None
            self.rule(ruled, state, again.trigger if again else "deal")
        self.book(found.lines)

    def rule(self, ruling: Ruling, state: State, trigger: str) -> None:
        self.rulings.append(
            Ruled(
                ruling_id=next(self.numbers),
                deal_id=1,
                at=NOW,
                trigger=trigger,
                state=state,
                shares=ruling.shares,
                reasons=ruling.reasons,
                rejected=ruling.rejected,
                inputs=ruling.inputs,
            )
        )

    def decide(self, shares: tuple[Share, ...]) -> None:
        last = self.rulings[-1]
        self.frozen = False
        self.rule(Ruling(shares=shares, reasons=last.reasons, inputs=last.inputs), "final", "decide")
        self.book(decided(shares, self.amount, self.bp, self.entries))

    def book(self, lines: Sequence[Line]) -> None:
        postings = {line.sort: next(self.numbers) for line in lines}
        for line in lines:
            self.entries.append(
                Entry(
                    entry_id=next(self.numbers),
                    account=line.account,
                    amount=line.amount,
                    sort=line.sort,
                    posting_id=postings[line.sort],
                    reverses_entry_id=line.reverses_entry_id,
                )
            )

    def check(self) -> None:
        postings: dict[int, int] = defaultdict(int)
        for e in self.entries:
            postings[e.posting_id] += e.amount
        assert not any(postings.values())
        undone = [e.reverses_entry_id for e in self.entries if e.reverses_entry_id]
        assert len(undone) == len(set(undone))
        due = divide(commission(self.amount, self.bp), self.final.shares) if self.final else {}
        assert self.frozen or money.awarded(self.entries) == due
        booked = sum(e.amount for e in self.entries if e.account == money.EXPENSE)
        assert booked == sum(money.awarded(self.entries).values())


@given(claims(), st.sampled_from(LINES), st.integers(1, 10**9), st.booleans(), st.booleans())
@CASES
def test_a_merge_and_its_split_leave_the_ledger_where_it_was(
    told: list[Claim], line: str, amount: int, paid: bool, human: bool
) -> None:
    book = Book(line=line, amount=amount)
    book.look(judged(told, line, together=False))
    if human:
        book.decide((Share(by=PEOPLE[1], bp=WHOLE),))
    if paid:
        book.book(money.pay(book.entries))
    before = money.awarded(book.entries), money.payable(book.entries)
    force = book.final.shares if book.final else None

    book.look(judged(told, line, together=True))
    book.check()
    book.look(judged(told, line, together=False))
    book.check()

    assert (money.awarded(book.entries), money.payable(book.entries)) == before
    assert (book.final.shares if book.final else None) == force


ACTS = st.lists(
    st.tuples(st.sampled_from(["merge", "split", "refund", "pay", "freeze", "decide"]), st.integers(0, 99)),
    max_size=12,
)


@given(claims(), st.sampled_from(LINES), st.integers(1, 10**9), ACTS)
@CASES
def test_whatever_happens_the_books_balance_and_award_what_is_in_force(
    told: list[Claim], line: str, amount: int, acts: list[tuple[str, int]]
) -> None:
    book, together = Book(line=line, amount=amount), False
    book.look(judged(told, line, together=together))
    for act, number in acts:
        if act in ("merge", "split"):
            together = act == "merge"
        elif act == "refund":
            book.amount = book.amount * (100 - number) // 100
        elif act == "freeze":
            book.frozen = True
        elif act == "decide":
            book.decide((Share(by=PEOPLE[number % len(PEOPLE)], bp=WHOLE),))
        elif book.final and not book.frozen and book.rulings[-1].state == "final":
            book.book(money.pay(book.entries))
        book.look(judged(told, line, together=together))
        book.check()


def test_the_check_above_can_fail() -> None:
    book = Book(line="新签", amount=100_000)
    book.look(judged([], "新签", together=False))
    book.book([Line(account="rep:a", amount=-1, sort="award")])

    try:
        book.check()
    except AssertionError:
        return
    raise AssertionError("a line without its other side went unnoticed")
