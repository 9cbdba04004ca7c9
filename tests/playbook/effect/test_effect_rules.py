"""How sure a share is, and which of two versions does better."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.playbook.effect.rules import DECIDES, Arm, Seen, distance, flag, share, trial

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def stream(rng: random.Random, a: float, b: float, uses: int) -> list[Seen]:
    arms: list[Arm] = [rng.choice(["a", "b"]) for _ in range(uses)]
    return [Seen(arm=arm, hit=rng.random() < (a if arm == "a" else b)) for arm in arms]


def test_the_interval_holds_the_share_and_shrinks() -> None:
    few, many = share(3, 10), share(300, 1000)

    assert few.low < 0.3 < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
    # Wilson's interval for 3 of 10, as in the tables.
    assert (round(few.low, 3), round(few.high, 3)) == (0.108, 0.603)


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.5])
def test_looking_after_every_use_finds_a_difference_that_is_not_there_in_five_of_a_hundred(
    chance: float,
) -> None:
    rng = random.Random(7)

    found = sum(trial(stream(rng, chance, chance, 600)).verdict != "" for _ in range(200))

    # 200 trials, each looked at 300 times; 5 % would be 10, and 19 are beyond chance.
    assert found <= 18


def test_a_naive_test_looked_at_as_often_is_wrong_far_more_often() -> None:
    rng = random.Random(7)

    found = 0
    for _ in range(200):
        seen = stream(rng, 0.3, 0.3, 600)
        counts = {"a": [0, 0], "b": [0, 0]}
        for one in seen:
            counts[one.arm][0] += one.hit
            counts[one.arm][1] += 1
            a, b = share(*counts["a"]), share(*counts["b"])
            pooled = (a.hits + b.hits) / max(1, a.of + b.of)
            spread = (pooled * (1 - pooled) * (1 / max(1, a.of) + 1 / max(1, b.of))) ** 0.5
            if min(a.of, b.of) > 20 and spread and abs(a.value - b.value) > 1.96 * spread:
                found += 1
                break

    assert found > 40


def test_a_real_difference_is_found_and_the_right_arm_named() -> None:
    rng = random.Random(3)

    verdicts = [trial(stream(rng, 0.25, 0.45, 800)).verdict for _ in range(50)]

    assert verdicts.count("b") >= 45
    assert "a" not in verdicts


def test_what_was_decided_stays_decided() -> None:
    good = [Seen(arm=arm, hit=arm == "b") for _ in range(30) for arm in ("a", "b")]  # type: ignore[arg-type]

    standing = trial(good + [Seen(arm="b", hit=False)] * 20)

    assert standing.evidence > DECIDES
    assert standing.verdict == "b"


def test_flags_wait_until_there_is_something_to_see() -> None:
    base = share(500, 1000)

    assert flag(share(2, 40), base, NOW, 100, now=NOW) == "harmful"
    assert flag(share(0, 5), base, NOW, 100, now=NOW) == ""
    assert flag(share(0, 0), base, None, 50, now=NOW) == "dead"
    assert flag(share(0, 0), base, None, 3, now=NOW) == ""
    assert flag(share(9, 20), base, NOW - timedelta(days=90), 50, now=NOW) == "dead"


def test_distance_counts_edits_over_the_longer_text() -> None:
    assert distance("周六下午三点见", "周六下午三点见") == 0
    assert distance("周六下午三点见", "周日下午三点见") == round(1000 / 7)
    assert distance("abc", "") == 1000


@given(st.text(max_size=30), st.text(max_size=30))
def test_distance_is_the_same_both_ways(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert 0 <= distance(one, other) <= 1000
    assert (distance(one, other) == 0) == (one == other)
