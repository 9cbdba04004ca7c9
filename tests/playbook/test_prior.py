"""What became of suggestions: it fades, it is bounded, and it says why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.playbook.prior import LEAST, MOST, Counts, Lately, Prior

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
AMOUNTS = st.floats(min_value=0, max_value=1e6)


def _counts(days: float = 0, **amounts: float) -> Counts:
    return Counts(at=NOW - timedelta(days=days), **amounts)


def _prior(*cells: tuple[str, str, str, Counts], **lately: Lately) -> Prior:
    return Prior(cells, now=NOW, lately=lately)


def _factor(prior: Prior, script: str, stage: str = "", role: str = "") -> float:
    return prior.effect(script, stage, role).factor


GOOD = {"shown": 100.0, "used": 60.0, "replied": 50.0, "moved": 12.0}
BAD = {"shown": 100.0, "used": 3.0, "replied": 0.0}


def test_what_happened_a_half_life_ago_counts_half() -> None:
    old = _counts(30, shown=10, used=4, edited=2, ignored=3, replied=1, moved=1)

    assert old.faded(NOW) == _counts(shown=5, used=2, edited=1, ignored=1.5, replied=0.5, moved=0.5)
    assert old.plus(_counts(shown=1)).shown == pytest.approx(6)


def test_a_clock_that_went_back_fades_nothing() -> None:
    later = _counts(-3, shown=8)

    assert later.faded(NOW) == later


def test_a_script_that_works_goes_up_and_one_that_does_not_goes_down() -> None:
    prior = _prior(("edu.a", "", "", _counts(**GOOD)), ("edu.b", "", "", _counts(**BAD)))

    assert _factor(prior, "edu.a") > 1 > _factor(prior, "edu.b")


def test_a_script_nobody_was_offered_stays_where_it_is() -> None:
    prior = _prior(("edu.a", "", "", _counts(**GOOD)))

    assert _factor(prior, "edu.new") == 1.0


def test_a_few_uses_move_less_than_many() -> None:
    few = {name: amount / 50 for name, amount in GOOD.items()}
    usual = ("edu.usual", "", "", _counts(shown=1000, used=100, replied=40, moved=5))
    prior = _prior(usual, ("edu.few", "", "", _counts(**few)), ("edu.many", "", "", _counts(**GOOD)))

    assert 1 < _factor(prior, "edu.few") < _factor(prior, "edu.many")


def test_a_stage_and_role_counts_by_itself_once_it_was_seen_often() -> None:
    cells = [
        ("edu.a", "closing", "buyer", _counts(**GOOD)),
        ("edu.a", "needs", "user", _counts(**BAD)),
        ("edu.a", "trial", "user", _counts(shown=2, used=2, replied=2)),
        ("edu.b", "needs", "user", _counts(shown=500, used=150, replied=75)),
    ]
    prior = _prior(*cells)
    overall = _factor(prior, "edu.a")

    assert _factor(prior, "edu.a", "closing", "buyer") > overall
    assert _factor(prior, "edu.a", "needs", "user") < overall
    assert _factor(prior, "edu.a", "trial", "user") == overall


def test_counts_long_ago_are_almost_forgotten() -> None:
    fresh = _prior(("edu.a", "", "", _counts(**BAD)), ("edu.b", "", "", _counts(**GOOD)))
    faded = _prior(("edu.a", "", "", _counts(300, **BAD)), ("edu.b", "", "", _counts(**GOOD)))

    assert _factor(fresh, "edu.a") < _factor(faded, "edu.a") <= 1.05


def test_the_reason_gives_plain_figures_and_only_for_what_went_up() -> None:
    prior = _prior(
        ("edu.a", "", "", _counts(**GOOD)),
        ("edu.b", "", "", _counts(**BAD)),
        **{"edu.a": Lately(used=42, replied=31), "edu.b": Lately(used=9, replied=0)},
    )

    assert prior.effect("edu.a", None, None).sentence == "近 30 天您团队用了 42 次，31 次客户 2 小时内回复"
    assert prior.effect("edu.b", None, None).sentence == ""


def test_once_or_twice_is_no_reason() -> None:
    prior = _prior(("edu.a", "", "", _counts(**GOOD)), **{"edu.a": Lately(used=2, replied=2)})

    assert prior.effect("edu.a", None, None).sentence == ""


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.floats(min_value=0, max_value=4000))
def test_whatever_was_counted_the_factor_stays_within_its_bounds(
    shown: float, used: float, edited: float, replied: float, moved: float, days: float
) -> None:
    counts = _counts(days, shown=shown, used=used, edited=edited, replied=replied, moved=moved)
    prior = _prior(("edu.a", "needs", "user", counts), ("edu.b", "", "", _counts(**GOOD)))

    assert LEAST <= _factor(prior, "edu.a", "needs", "user") <= MOST
    assert LEAST <= _factor(prior, "edu.b") <= MOST
