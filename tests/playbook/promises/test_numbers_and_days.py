"""Numbers and days as people say and write them."""

from __future__ import annotations

from datetime import date

import pytest

from scrm.playbook.promises.dates import days
from scrm.playbook.promises.numerals import numbers

SATURDAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("5,780", 5780),
        ("1.2w", 12_000),
        ("5k8", 5800),
        ("一万二", 12_000),
        ("三千八", 3800),
        ("两万三", 23_000),
        ("一万零二百", 10_200),
        ("一万零八", 10_008),
        ("十五", 15),
        ("二百五", 250),
        ("12万8", 128_000),
        ("12.88万", 128_800),
        ("8万9千8", 89_800),
        ("叁仟捌佰", 3800),
        ("贰万伍仟", 25_000),
        ("三百一十八万八", 3_188_000),
        ("一点二万", 12_000),
        ("三九八零", 3980),
        ("八点五", 8.5),
    ],
)
def test_a_number_is_read_as_it_is_said(said: str, value: float) -> None:
    (one,) = numbers(said)
    assert (round(one.value, 4), one.vague) == (value, False)


@pytest.mark.parametrize("said", ["两三千", "几百", "十几万", "七八", "一万二三"])
def test_a_guess_is_marked(said: str) -> None:
    assert [one.vague for one in numbers(said)] == [True]


@pytest.mark.parametrize("said", ["A380", "5G手机", "138001380001380", "没有数字"])
def test_names_and_telephone_numbers_are_no_numbers(said: str) -> None:
    assert numbers(said) == []


def test_the_two_ways_of_writing_do_not_mix() -> None:
    assert [one.value for one in numbers("2万3一平")] == [23_000, 1]


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("周六", date(2026, 11, 21)),
        ("周日", date(2026, 11, 22)),
        ("星期五", date(2026, 11, 27)),
        ("下周三", date(2026, 11, 25)),
        ("下周日", date(2026, 11, 29)),
        ("本周五", date(2026, 11, 20)),
        ("这周", date(2026, 11, 22)),
        ("周末", date(2026, 11, 22)),
        ("this week", date(2026, 11, 22)),
        ("月底", date(2026, 11, 30)),
        ("本月", date(2026, 11, 30)),
        ("下个月1号", date(2026, 12, 1)),
        ("12月底", date(2026, 12, 31)),
        ("年底", date(2026, 12, 31)),
        ("本季度", date(2026, 12, 31)),
        ("5号", date(2026, 12, 5)),
        ("30号", date(2026, 11, 30)),
        ("1月18号", date(2027, 1, 18)),
        ("2026年12月1日", date(2026, 12, 1)),
        ("大后天", date(2026, 11, 24)),
        ("明晚", date(2026, 11, 22)),
        ("双十二", date(2026, 12, 12)),
        ("元旦", date(2027, 1, 1)),
        ("春节", date(2027, 2, 6)),
        ("三天内", date(2026, 11, 24)),
        ("24小时内", date(2026, 11, 22)),
        ("两周内", date(2026, 12, 5)),
        ("一个月内", date(2026, 12, 21)),
        ("最后一天", date(2026, 11, 21)),
    ],
)
def test_a_day_is_counted_from_when_it_was_said(said: str, day: date) -> None:
    assert [one.date for one in days(said, SATURDAY)] == [day]


@pytest.mark.parametrize("said", ["3号楼", "13月5号", "2月30号", "地铁4号线", "第5节课", "上周五"])
def test_what_names_no_day_is_left_out(said: str) -> None:
    assert days(said, SATURDAY) == []
