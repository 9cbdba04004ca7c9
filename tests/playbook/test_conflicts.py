"""What is about to be said against what was promised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.playbook.promises.conflicts import WHOLE, Offer, Policy, best, conflicts, price
from scrm.playbook.situation import Kept

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIST = 680_000
FREE = Policy()


def kept(kind: str = "discount", share: int | None = 8500, fen: int | None = None, **more: object) -> Kept:
    return Kept(promise_id=1, kind=kind, share=share, fen=fen, made_at=AT, **more)  # type: ignore[arg-type]


def offer(kind: str = "discount", **more: object) -> Offer:
    return Offer(kind=kind, **more)  # type: ignore[arg-type]


def whys(
    said: Offer, promise: Kept | None = None, policy: Policy = FREE, fen: int | None = None
) -> list[str]:
    return [c.why for c in conflicts([said], [promise] if promise else [], policy, list_fen=fen)]


def test_nine_tenths_after_eighty_five_hundredths_is_worse() -> None:
    assert whys(offer(share=9000), kept()) == ["worse"]


def test_the_promised_discount_and_a_better_one_are_fine() -> None:
    assert whys(offer(share=8500), kept()) == []
    assert whys(offer(share=8000), kept()) == []


def test_a_price_breaks_a_promised_discount_once_the_official_price_is_known() -> None:
    assert whys(offer("price", fen=612_000), kept()) == []
    assert whys(offer("price", fen=612_000), kept(), fen=LIST) == ["worse", "unofficial"]


def test_the_discount_told_as_a_rounded_price_is_the_promise_itself() -> None:
    assert whys(offer("price", fen=577_900), kept(), fen=679_900) == []


def test_two_offers_in_one_message_are_judged_by_the_better_one() -> None:
    said = [offer(share=9000), offer(share=8500)]

    assert conflicts(said, [kept()], FREE) == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "conflict"),
    [
        ({"product": "年课"}, {"product": "年课"}, True),
        ({"product": "英语年课"}, {"product": "年课"}, True),
        ({}, {"product": "年课"}, True),
        ({"product": "暑期营"}, {"product": "年课"}, False),
        ({"product_code": "A", "product": "年课"}, {"product_code": "B", "product": "年课"}, False),
    ],
)
def test_only_promises_about_the_same_thing_count(
    ours: dict[str, str], theirs: dict[str, str], conflict: bool
) -> None:
    assert bool(whys(offer(share=9000, **ours), kept(**theirs))) is conflict


def test_less_off_is_worse_and_a_higher_threshold_too() -> None:
    promise = kept("off", None, 50_000, min_fen=500_000)

    assert whys(offer("off", fen=30_000, min_fen=500_000), promise) == ["worse"]
    assert whys(offer("off", fen=50_000, min_fen=600_000), promise) == ["worse"]
    assert whys(offer("off", fen=50_000, min_fen=400_000), promise) == []


def test_an_earlier_end_is_told_apart() -> None:
    promise = kept(until_at=AT + timedelta(days=7))

    assert whys(offer(share=8500, until_at=AT + timedelta(days=2)), promise) == ["sooner"]
    assert whys(offer(share=8500, until_at=AT + timedelta(days=7)), promise) == []
    assert whys(offer(share=8500), promise) == []


def test_policy_stops_what_nobody_promised_yet() -> None:
    policy = Policy(floor_share=8000, max_off_fen=50_000, gifts=("体验课",))

    assert whys(offer(share=7500), policy=policy) == ["too_good"]
    assert whys(offer("off", fen=60_000), policy=policy) == ["too_good"]
    assert whys(offer("gift", text="一台平板"), policy=policy) == ["too_good"]
    assert whys(offer("gift", text="两节体验课"), policy=policy) == []
    assert whys(offer("guarantee", text="保证提分"), policy=policy) == ["guarantee"]


def test_what_was_promised_may_be_repeated_even_beyond_policy() -> None:
    assert whys(offer(share=7500), kept(share=7500), Policy(floor_share=8000)) == []


def test_a_price_that_is_neither_official_nor_promised_is_said_so() -> None:
    assert whys(offer("price", fen=650_000), fen=LIST) == ["unofficial"]
    assert whys(offer("price", fen=LIST), fen=LIST) == []


def test_the_best_promise_is_quoted() -> None:
    promises = [kept(), kept("price", None, 560_000), kept("off", None, 30_000)]

    found = best(promises, LIST)

    assert found is not None
    assert found.kind == "price"


offers = st.one_of(
    st.builds(Offer, kind=st.just("discount"), share=st.integers(1000, WHOLE)),
    st.builds(Offer, kind=st.just("price"), fen=st.integers(1, LIST)),
    st.builds(Offer, kind=st.just("off"), fen=st.integers(1, LIST)),
)


@given(offers, offers)
def test_worse_means_that_the_customer_pays_more(said: Offer, promised: Offer) -> None:
    promise = kept(promised.kind, promised.share, promised.fen)
    more = price(said, LIST) - price(promised, LIST)

    found = "worse" in whys(said, promise, fen=LIST)

    assert found == (more > 0) or abs(more) <= 100


@given(st.lists(offers, min_size=1, max_size=4), st.lists(offers, max_size=4), st.randoms())
def test_the_order_of_what_is_said_and_of_promises_does_not_matter(
    said: list[Offer], promised: list[Offer], rng: object
) -> None:
    live = [kept(o.kind, o.share, o.fen) for o in promised]
    before = {(c.why, c.kept) for c in conflicts(said, live, FREE, list_fen=LIST)}

    rng.shuffle(said)  # type: ignore[attr-defined]
    rng.shuffle(live)  # type: ignore[attr-defined]

    assert {(c.why, c.kept) for c in conflicts(said, live, FREE, list_fen=LIST)} == before
