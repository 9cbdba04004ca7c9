"""Our own chat's settings and words: hours, colours, what may be sent, what cannot be read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import webchat
from connectors.webchat.hours import SHAPE, open_at
from connectors.webchat.login import signed
from scrm.accounts import rules
from scrm.contract import Handle, Push, Raw, Severity
from scrm.errors import Refused, Rejected, Untranslatable
from tests.connectors.support import NOW, account, context

WEEK = "1-5 09:00-18:00, 6 10:00-16:00"
SHANGHAI = "Asia/Shanghai"


def at(text: str) -> datetime:
    """A time in Shanghai."""
    return datetime.fromisoformat(f"{text}:00+08:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "now", "is_open", "back"),
    [
        ("", "2026-03-02T03:00", True, None),
        (WEEK, "2026-03-02T09:00", True, None),  # Monday, to the minute
        (WEEK, "2026-03-02T08:59", False, "2026-03-02T09:00"),
        (WEEK, "2026-03-02T18:00", False, "2026-03-03T09:00"),
        (WEEK, "2026-03-06T20:00", False, "2026-03-07T10:00"),  # Friday evening -> Saturday
        (WEEK, "2026-03-07T16:30", False, "2026-03-09T09:00"),  # over Sunday
        ("1-7 22:00-02:00", "2026-03-03T01:59", True, None),  # begun yesterday
        ("1-7 22:00-02:00", "2026-03-03T02:00", False, "2026-03-03T22:00"),
        ("7-1 09:00-24:00", "2026-03-02T23:59", True, None),  # Sunday and Monday
        ("3 10:00-11:00", "2026-03-04T11:00", False, "2026-03-11T10:00"),  # the same day next week
    ],
)
def test_hours_say_whether_somebody_is_there_and_when_again(
    hours: str, now: str, is_open: bool, back: str | None
) -> None:
    assert open_at(hours, SHANGHAI, at(now)) == (is_open, at(back) if back else None)


def test_hours_follow_the_clocks_of_their_own_zone() -> None:
    summer = datetime(2026, 7, 1, 8, 30, tzinfo=UTC)

    assert open_at("1-7 09:00-10:00", "Europe/London", summer) == (True, None)
    assert open_at("1-7 09:00-10:00", "Europe/London", summer + timedelta(days=180))[0] is False


@given(st.from_regex(SHAPE, fullmatch=True), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001
def test_hours_that_are_accepted_always_lead_somewhere(hours: str, now: datetime) -> None:
    is_open, back_at = open_at(hours.rstrip("\n"), SHANGHAI, now.replace(tzinfo=UTC))

    assert is_open or (back_at is not None and back_at > now.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    "hours", ["9-18", "8 09:00-18:00", "1-5 9:00-18:00", "1-5 09:00-25:00", "1-5 09:00-18:00;"]
)
def test_hours_that_make_no_sense_are_no_settings(hours: str) -> None:
    assert re.fullmatch(SHAPE, hours) is None


@pytest.mark.parametrize(
    ("colour", "ink"),
    [
        ("#1557C8", "#FFFFFF"),
        ("#FFE066", "#16202E"),
        ("#07C160", "#16202E"),
        ("#000000", "#FFFFFF"),
        ("#ffffff", "#16202E"),
    ],
)
def test_words_on_the_sites_colour_can_be_read(colour: str, ink: str) -> None:
    assert webchat.site(context(account("webchat", colour=colour))).ink == ink


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", "too-short"),
        ("origins", "https://shop.example/path"),
        ("origins", "shop.example"),
        ("origins", "https://a.example,https://b.example"),
        ("colour", "red"),
        ("upload_mb", "21"),
        ("upload_mb", "-1"),
        ("zone", "../etc/passwd"),
        ("hours", "always"),
    ],
)
def test_settings_that_do_not_fit_are_named(name: str, value: str) -> None:
    good = {"secret": "s" * 32, "origins": "https://shop.example"}

    assert rules.faults("shop", webchat.NEEDS, good) == []
    assert [name in f.sentence for f in rules.faults("shop", webchat.NEEDS, good | {name: value})] == [True]


def push(**more: str) -> Push:
    fields = {"kind": "web_visitor", "scope": "webchat-main", "value": "v1"} | more
    return Push(push_id="p1", handle=Handle(**fields), kind="text", text="好的")  # type: ignore[arg-type]


async def test_a_reply_is_delivered_by_being_recorded() -> None:
    assert await webchat.send(context(account("webchat")), push()) == "p1"


@pytest.mark.parametrize("wrong", [{"scope": "another-site"}, {"kind": "wechat_openid"}])
async def test_a_reply_to_somebody_of_elsewhere_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(Rejected):
        await webchat.send(context(account("webchat")), push(**wrong))


async def test_the_self_test_warns_of_sites_without_encryption() -> None:
    async def found(origins: str) -> Severity:
        return (await webchat.probe(context(account("webchat", origins=origins))))[0].severity

    assert await found("https://shop.example") is Severity.OK
    assert await found("https://shop.example http://127.0.0.1:8000") is Severity.OK
    assert await found("http://shop.example") is Severity.WARN


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.text()).map(lambda d: repr(d).encode()))
def test_what_cannot_be_read_is_put_aside(payload: bytes) -> None:
    for key in ("m:v:k", "i:v:k"):
        with pytest.raises(Untranslatable):
            webchat.translate(context(account("webchat")), Raw(source_key=key, lane="v", payload=payload))


@given(st.text(max_size=300) | st.lists(st.text(max_size=40), min_size=3, max_size=3).map(".".join))
def test_no_text_makes_a_login_fail_but_by_refusing(token: str) -> None:
    with pytest.raises(Refused):
        webchat.identify(context(account("webchat")), "v1", token)


def test_a_login_names_the_same_user_again_without_saying_the_number() -> None:
    ctx, now = context(account("webchat")), int(NOW.timestamp())
    claims = {"sub": "10086", "iat": now, "exp": now + 60}
    one, two = (webchat.identify(ctx, visitor, signed("app-secret", claims)) for visitor in ("a", "b"))

    assert one.subject == two.subject
    assert "10086" not in one.subject
    assert one.raw.source_key != two.raw.source_key
