"""What the shipped scripts promise: with facts exactly these, without facts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scrm.playbook.promises.extract import extract
from scrm.playbook.promises.values import Kind
from scrm.playbook.scripts import Example, read_library

LIBRARY = Path(__file__).resolve().parents[2] / "scripts_library"
AT = datetime(2026, 11, 21, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
#: What the law says of a deposit sounds like a promise, and binds like one.
BY_LAW = {"house.deposit": {Kind.GUARANTEE}}
EXAMPLES = [
    pytest.param(script.id, example, id=f"{script.id}-{number}")
    for script in read_library(LIBRARY, ("education", "housing"))
    for number, example in enumerate(script.examples, start=1)
]


def _told(given: Mapping[str, Any]) -> set[Kind]:
    """The kinds of promises that these facts may become."""
    promise, coupon = given.get("promise", {}), given.get("coupon", {})
    prices = ("course" in given, "opportunity" in given, "price_fen" in promise)
    return (
        {Kind(kind) for kind in ("discount", "gift", "until") if kind in promise}
        | ({Kind.OFF, Kind.UNTIL} if coupon else set())
        | ({Kind.PRICE} if any(prices) else set())
    )


@pytest.mark.parametrize(("script_id", "example"), EXAMPLES)
def test_a_script_promises_nothing_but_its_facts(script_id: str, example: Example) -> None:
    found = {promise.kind for promise in extract(example.expect, by="staff", at=AT)}

    assert found <= _told(example.given) | BY_LAW.get(script_id, set())


@pytest.mark.parametrize("script_id", ["edu.promised-price", "house.promised-price"])
def test_quoting_a_promise_says_it_so_that_it_is_read_again(script_id: str) -> None:
    (script,) = (each for each in read_library(LIBRARY) if each.id == script_id)

    read = [
        {p.kind for p in extract(example.expect, by="staff", at=AT)} >= _told(example.given) - {Kind.PRICE}
        for example in script.examples
    ]

    assert read == [True, True]
