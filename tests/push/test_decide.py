"""The one decision: which channel, when, in how many parts, and every rule's word on it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from scrm.contract import Card
from scrm.desk.calendar.rules import Calendar, quiet, week
from scrm.desk.calendar.service import public_days
from scrm.desk.frequency import Reached
from scrm.desk.manners import Manners
from scrm.ledger.consent.rules import Entry
from scrm.push import rules
from scrm.push.content import Content
from scrm.push.rules import Ask, Circumstances, Decision, Door, Purpose
from scrm.push.windows import SILENT, Verdict
from tests.desk.test_calendar import at

MANNERS = Manners()
CALENDAR = Calendar(week=week(MANNERS.business_hours), quiet=quiet(MANNERS.quiet_hours), days=public_days())
ME, WIFE = 1, 2
#: A Tuesday.
MORNING, LUNCH, NIGHT = at("2026-03-10 10:00"), at("2026-03-10 12:30"), at("2026-03-10 22:00")
UNASKED: tuple[Purpose, ...] = ("service", "marketing", "sop")
OPEN = Verdict(way="api", left=3, until=at("2026-03-12 10:00"))
SHUT = Verdict(way="copy", why=SILENT, values={"hours": 48})


def door(ident: int = 1, **more: Any) -> Door:
    usual: dict[str, Any] = {
        "channel": "wecom_kf",
        "title": "微信客服",
        "verdict": OPEN,
        "kinds": {"text", "image"},
        "text_limit": 2048,
        "last_at": at("2026-03-10 09:00"),
        "last_in_at": at("2026-03-10 09:00"),
    }
    return Door(conversation_id=ident, **(usual | more))


def about(**more: Any) -> Circumstances:
    usual: dict[str, Any] = {"calendar": CALENDAR, "limits": MANNERS.limits, "own": {ME}}
    return Circumstances(**(usual | more))


def decide(
    purpose: Purpose = "reply",
    now: datetime = MORNING,
    *doors: Door,
    content: Content | None = None,
    chosen: datetime | None = None,
    **more: Any,
) -> Decision:
    ask = Ask(content=content or Content(text="好"), purpose=purpose, at=chosen)
    return rules.decide(doors or (door(),), ask, about(**more), now=now)


def said(found: Decision) -> dict[str, str]:
    return {s.rule: s.weight for s in found.spoken}


def withdrawn(**more: Any) -> Entry:
    usual: dict[str, Any] = {
        "entry_id": 1,
        "node_id": ME,
        "purpose": "marketing",
        "channel": "",
        "state": "withdrawn",
        "source": "customer",
        "reason": "退订",
        "at": at("2026-03-09 10:00"),
    }
    return Entry(**(usual | more))


# -- answers -----------------------------------------------------------------------------------------------
def test_an_answer_goes_out_at_once_and_says_how_many_more_may() -> None:
    found = decide()

    assert (found.sends, found.way, found.wait_until, found.left) == (True, "api", None, 3)
    assert found.sentence == "将通过 微信客服 发出。平台还允许 3 条。"


@pytest.mark.parametrize("waiting", [True, False])
def test_at_night_an_answer_is_allowed_and_advised_against_only_when_nobody_waits(waiting: bool) -> None:
    found = decide("reply", NIGHT, door(waiting=waiting))

    assert found.sends
    assert found.wait_until is None
    assert found.better_at == (None if waiting else at("2026-03-11 08:30"))
    assert ("quiet" in said(found)) == (not waiting)


def test_no_morning_is_advised_in_which_the_window_is_shut() -> None:
    closing = Verdict(way="api", left=1, until=at("2026-03-11 02:00"))

    assert decide("reply", NIGHT, door(verdict=closing)).better_at is None


def test_nobody_asks_answers_for_consent_or_frequency() -> None:
    often = [Reached(node_id=ME, at=at("2026-03-10 09:00"))] * 9

    assert decide("reply", MORNING, consents=[withdrawn(purpose="all")], reached=often).sends


def test_a_shut_window_refuses_by_its_own_sentence_and_leaves_the_way_by_hand() -> None:
    found = decide("reply", MORNING, door(verdict=SHUT))

    assert (found.sends, found.way, found.code) == (False, "copy", "window")
    assert found.why == "客户超过 48 小时没有说话，平台不允许主动发送。"


def test_more_parts_than_places_are_refused_whole() -> None:
    found = decide("reply", MORNING, door(text_limit=20), content=Content(text="一二三四五。" * 6))

    assert (found.sends, found.code) == (False, "window")
    assert "6 条" in found.why
    assert "3 条" in found.why


# -- what nobody asked for ---------------------------------------------------------------------------------
@pytest.mark.parametrize("purpose", UNASKED)
def test_what_nobody_asked_for_waits_for_the_morning(purpose: Purpose) -> None:
    found = decide(purpose, NIGHT)

    assert found.sends
    assert found.wait_until == at("2026-03-11 09:00" if purpose == "sop" else "2026-03-11 08:30")
    assert said(found)["quiet"] == "wait"


@pytest.mark.parametrize(
    ("purpose", "wait"), [("service", None), ("marketing", None), ("sop", at("2026-03-10 13:30"))]
)
def test_only_planned_follow_ups_keep_office_hours(purpose: Purpose, wait: datetime | None) -> None:
    assert decide(purpose, LUNCH).wait_until == wait


def test_a_follow_up_before_a_long_holiday_comes_after_it() -> None:
    far = door(verdict=Verdict(way="api"))

    assert decide("sop", at("2026-09-30 18:30"), far).wait_until == at("2026-10-08 09:00")


def test_a_wait_that_ends_behind_the_window_is_a_refusal() -> None:
    found = decide("sop", at("2026-09-30 18:30"), door(verdict=OPEN))

    assert (found.sends, found.code) == (False, "window")


@pytest.mark.parametrize(
    ("purpose", "entry", "sends"),
    [
        ("marketing", withdrawn(), False),
        ("sop", withdrawn(), False),
        ("service", withdrawn(), True),
        ("service", withdrawn(purpose="all"), False),
        ("marketing", withdrawn(channel="wechat_oa"), True),
        ("marketing", withdrawn(state="granted"), True),
        ("reply", withdrawn(purpose="all"), True),
        ("welcome", withdrawn(purpose="all"), True),
    ],
)
def test_consent(purpose: Purpose, entry: Entry, sends: bool) -> None:
    found = decide(purpose, MORNING, consents=[entry])

    assert found.sends == sends
    assert sends or found.why == "客户已退订（03-09），不能再发这类消息。"


def test_frequency_puts_off_to_the_first_moment_at_which_everything_agrees() -> None:
    today = [Reached(node_id=ME, at=at("2026-03-10 09:00"))]
    found = decide("marketing", MORNING, door(verdict=Verdict(way="api")), reached=today)

    assert found.sends
    assert found.wait_until == at("2026-03-11 08:30")  # tomorrow, and not at midnight
    assert {"frequency", "quiet"} <= said(found).keys()


def test_a_household_has_its_own_limit() -> None:
    both = [
        Reached(node_id=WIFE, at=at("2026-03-10 08:40")),
        Reached(node_id=WIFE, at=at("2026-03-10 09:00")),
    ]
    found = decide("marketing", MORNING, door(verdict=Verdict(way="api")), reached=both)

    assert found.wait_until == at("2026-03-11 08:30")
    assert "这一家今天已收到 2 次" in found.sentence
    assert "今天还可发这类消息 1 次" in decide("marketing", MORNING).sentence


def test_a_month_that_is_full_is_waited_out_as_long_as_the_window_lasts() -> None:
    full = [Reached(node_id=ME, at=at(f"2026-03-0{n} 10:00")) for n in range(1, 9)]

    assert decide("marketing", MORNING, reached=full).code == "window"
    free = decide("marketing", MORNING, door(verdict=Verdict(way="api")), reached=full)
    assert free.wait_until == at("2026-04-01 08:30")


def test_a_chosen_time_is_kept_and_moved_on_when_it_falls_into_the_night() -> None:
    assert decide("reply", NIGHT, chosen=at("2026-03-11 08:30")).wait_until == at("2026-03-11 08:30")
    moved = decide("marketing", MORNING, chosen=at("2026-03-10 23:00"))
    assert moved.wait_until == at("2026-03-11 08:30")
    assert decide("reply", MORNING, chosen=at("2026-03-10 09:00")).wait_until is None  # gone by


# -- which channel -----------------------------------------------------------------------------------------
def test_the_channel_the_customer_used_last_is_the_first_choice() -> None:
    older = door(1, last_in_at=at("2026-03-08 09:00"), title="公众号")
    newer = door(2, last_in_at=at("2026-03-09 09:00"))
    silent = door(3, last_in_at=None, last_at=at("2026-03-10 09:59"))

    for order in ([older, newer, silent], [silent, newer, older]):
        found = decide("service", MORNING, *order)
        assert found.conversation_id == 2
        assert "客户最近在 微信客服 说过话" in found.sentence


@pytest.mark.parametrize(
    "worse",
    [
        {"verdict": SHUT},
        {"verdict": Verdict(way="api", left=0, until=OPEN.until)},
        {"channel": "sms"},  # opted out there
    ],
)
def test_the_next_channel_is_taken_when_the_first_may_not(worse: dict[str, Any]) -> None:
    first = door(1, **worse)
    second = door(2, last_in_at=at("2026-03-01 09:00"))

    found = decide("marketing", MORNING, first, second, consents=[withdrawn(channel="sms")])

    assert (found.sends, found.conversation_id) == (True, 2)


def test_when_no_channel_may_the_best_one_says_why() -> None:
    found = decide("marketing", MORNING, door(1, verdict=SHUT), door(2, verdict=SHUT))

    assert (found.sends, found.conversation_id, found.code) == (False, 1, "window")


def test_a_person_without_any_conversation_is_reached_by_hand() -> None:
    found = rules.decide([], Ask(content=Content(text="好")), about(), now=MORNING)

    assert (found.sends, found.why) == (False, rules.NOWHERE)


def test_a_card_on_a_channel_of_words_is_said_to_become_words() -> None:
    card = Card(title="课程表", url="https://a.cn")
    found = decide(content=Content(kind="link", card=card))

    assert found.sends
    assert "改成文字和链接" in found.sentence
    refused = decide(content=Content(kind="template", card=Card(title="", template_id="t")))
    assert (refused.sends, refused.code, refused.way) == (False, "content", "copy")


def test_an_empty_box_is_no_reason_to_refuse() -> None:
    assert decide(content=Content()).sends


def test_every_sentence_can_be_filled() -> None:
    nights = decide("marketing", NIGHT, reached=[Reached(node_id=ME, at=NIGHT)], consents=[withdrawn()])

    assert "{" not in nights.sentence
