"""Texts made to break or to delay: every one ends, within bounds that do not depend on time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrm.playbook.promises import extract as module
from scrm.playbook.promises.extract import extract
from scrm.playbook.promises.reading import MOST_DAYS, read

AT = datetime(2026, 11, 21, tzinfo=UTC)
_PIECES = (
    "八五折 送 满 减 元 折 周五 前 不是 不行 您 吗 ？ ， 。 保证 退 免费 券 0 9 . 万 一 到 月 号 % 🎁"
).split()


@pytest.mark.parametrize(
    "text",
    [
        "八五折" * 3400,
        "送一二三" * 2500,
        "送书包和" * 2500,
        "周五前" * 3400,
        "不是8折是9折" * 1400,
        "满5减5" * 2500,
        "0" * 10_000,
        "一" * 10_000,
        "万亿" * 5000,
        "9." * 5000,
        "1,000" * 2000,
        " 8" * 5000,
        "送" * 10_000,
        "保证提分不过全额退款" * 1000,
        "5000到" * 2000,
        "，" * 10_000,
        "？" * 10_000,
        "\n" * 10_000,
        "价值1的" * 2500,
    ],
)
def test_a_long_hostile_text_costs_a_bounded_number_of_readings(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def counted(*args: object) -> object:
        reading = read(*args)  # type: ignore[arg-type]
        looked.append(len(reading.figures) + len(reading.days))
        return reading

    monkeypatch.setattr(module, "read", counted)
    extract(text, by="staff", at=AT)

    # Linear: no stretch twice, and it stops once the numbers are more than any talk has.
    assert len(looked) <= len(text) / (module.STRETCH / 3) + 1
    assert sum(looked[:-1]) <= module.MOST
    assert looked == [] or looked[-1] <= module.STRETCH + MOST_DAYS


@given(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_jumble_is_read_without_an_error_and_spans_lie_in_the_text(text: str) -> None:
    for one in extract(text, by="staff", at=AT):
        low, high = one.span
        assert 0 <= low < high <= len(text)
        if one.text:
            assert text[low:high] == one.text


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_is_read_without_an_error(text: str) -> None:
    extract(text, by="staff", at=AT)


def test_a_long_call_is_read_to_its_end() -> None:
    talk = "嗯好的我们再看看孩子的情况。" * 700
    found = extract(f"{talk}今天先说到这。那给您打八五折。", by="staff", at=AT)
    assert [one.value for one in found] == [0.85]
