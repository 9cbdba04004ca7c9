"""What an account wants of its app's events, and reading what devices with wrong clocks and worse say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit import appevents
from connectors.kit.appevents import by_iso, by_ms, choice, happened, ident
from scrm.errors import Unreadable, Untranslatable
from tests.connectors.support import NOW, account


def wanted(**settings: str) -> appevents.Choice:
    return choice(account("segment", **settings))


@pytest.mark.parametrize(
    "name",
    [
        "Order Completed",
        "order_paid",
        "Signed Up",
        "SignUp",
        "$SignUp",
        "TrialBooked",
        "提交预约试听",
        "PaymentDone",
    ],
)
def test_what_matters_to_a_rep_is_shown_unless_told_otherwise(name: str) -> None:
    assert wanted().shows(name)
    assert not wanted(count_events=name).shows(name)


@pytest.mark.parametrize("name", ["Video Played", "$AppStart", "page:Order history", "screen:预约", "", "pa"])
def test_what_does_not_is_only_counted(name: str) -> None:
    assert not wanted().shows(name)
    assert not wanted().ignores(name)


def test_a_view_is_shown_by_a_pattern_that_says_page() -> None:
    account_wants = wanted(timeline_events="page:价格*, screen:*")

    assert account_wants.shows("page:价格方案")
    assert account_wants.shows("screen:任何")
    assert not account_wants.shows("page:首页")
    assert not account_wants.shows("Order Completed")


def test_a_star_alone_shows_every_event_but_no_view() -> None:
    assert wanted(timeline_events="*").shows("Anything")
    assert not wanted(timeline_events="*").shows("page:首页")


def test_noise_is_ignored_unless_it_is_asked_for() -> None:
    assert wanted().ignores("$AppEnd")
    assert not wanted(timeline_events="$AppEnd").ignores("$AppEnd")


def test_brackets_and_dots_in_a_pattern_mean_themselves() -> None:
    assert wanted(timeline_events="a.b").shows("a.b")
    assert not wanted(timeline_events="a.b").shows("axb")


def test_words_come_from_the_account_then_from_the_specification() -> None:
    names = wanted(event_names="Order Completed=成交, lesson = 课")

    assert names.said("order completed") == "成交"
    assert wanted().said("Order Completed") == "完成订单"
    assert names.said("Unheard Of") == "Unheard Of"
    assert names.line("x", {"Lesson": "乘法", "secret": "no", "deep": {"a": 1}}) == "x（课：乘法）"


def test_a_line_tells_a_few_properties_and_not_at_length() -> None:
    many = {"order_id": "1", "total": 2, "course": "课" * 99, "grade": "三", "plan": "季", "coupon": True}

    line = wanted().line("Order Completed", many)

    assert line == f"完成订单（订单号：1，金额：2，课程：{'课' * 40}，年级：三）"


# -- clocks ------------------------------------------------------------------------------------------------
def test_a_clock_that_is_wrong_when_it_happens_is_as_wrong_when_it_sends() -> None:
    fast = timedelta(hours=5)

    assert happened(NOW + fast - timedelta(seconds=9), NOW + fast, NOW) == NOW - timedelta(seconds=9)


@pytest.mark.parametrize("at", [None, NOW + timedelta(days=2), datetime(1970, 1, 2, tzinfo=UTC)])
def test_a_time_that_cannot_be_is_when_it_came_in(at: datetime | None) -> None:
    assert happened(at, None, NOW) == NOW


@pytest.mark.parametrize(
    "said", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "yesterday", "", 5, None, "2" * 99]
)
def test_no_time_of_day_is_too_strange_to_be_read_or_left(said: object) -> None:
    read = by_iso(said)

    assert read is None or read.tzinfo is UTC
    assert happened(read, by_iso("0001-01-01T00:00:00Z"), NOW) <= NOW


@pytest.mark.parametrize("said", [10**30, -(10**30), True, "1772414995120", None, 1772414995120.5])
def test_no_number_is_too_strange_a_time(said: object) -> None:
    assert (by_ms(said) is None) == (said != 1772414995120.5)


def test_a_time_without_a_zone_is_utc() -> None:
    assert by_iso("2026-03-02T01:30:00") == NOW


# -- reading -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"a":NaN}', b"[" * 5000, b'{"a":' * 30 + b"1" + b"}" * 30, b"1" * 5000],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        appevents.read(body)


def test_what_no_database_takes_is_taken_out() -> None:
    assert appevents.read(b'{"a\\u0000":"\\ud800x\\u0000","n":1e999}') == {"a": "?x", "n": "1e999"}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("u1", "u1"),
        (10086, "10086"),
        (" u1 ", "u1"),
        (True, ""),
        (None, ""),
        ({}, ""),
        ("a\nb", ""),
        ("x" * 257, ""),
    ],
)
def test_only_short_printable_things_are_names(value: object, name: str) -> None:
    assert ident(value) == name


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=10,
    )
)
def test_whatever_is_read_can_be_stored_and_read_again(value: Any) -> None:
    try:
        read = appevents.read(json.dumps({"v": value}).encode())
    except Unreadable:
        return  # NaN and the like

    event, at, sent = appevents.stored(appevents.payload(read, NOW, "s"))

    assert (event, at, sent) == (read, NOW, "s")


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"event":1,"received":"x"}', b'{"event":{}}'])
def test_a_stored_thing_that_is_no_event_is_put_aside(payload: bytes) -> None:
    with pytest.raises(Untranslatable):
        appevents.stored(payload)
