"""For any circumstances: what a preview says is what sending does, and asking again is never laxer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from scrm.contract import Window
from scrm.desk.calendar.rules import Calendar, quiet, week
from scrm.desk.calendar.service import public_days
from scrm.desk.frequency import Limits, Reached
from scrm.desk.manners import Manners
from scrm.ledger.consent.rules import Entry
from scrm.push import rules
from scrm.push.content import Content
from scrm.push.rules import Ask, Circumstances, Decision, Door, Opening, Purpose, Used
from scrm.push.windows import verdict
from tests.desk.test_calendar import at

ME, WIFE = 1, 2
START = at("2026-03-09 00:00")
WINDOWS = (
    Window(opens=("message.",), seconds=48 * 3600, count=5),
    Window(opens=("event.subscribe",), seconds=60, count=3),
)
PURPOSES: tuple[Purpose, ...] = ("reply", "service", "marketing", "sop")

moments = st.integers(0, 7 * 24 * 60).map(lambda m: START + timedelta(minutes=m))
small = st.integers(0, 3)
limits = st.builds(Limits, per_day=small, per_month=small, household_per_day=small, household_per_month=small)
entries = st.builds(
    Entry,
    entry_id=st.integers(1, 9),
    node_id=st.just(ME),
    purpose=st.sampled_from(["marketing", "sop", "service", "all"]),
    channel=st.sampled_from(["", "wecom_kf", "other"]),
    state=st.sampled_from(["granted", "withdrawn"]),
    source=st.just("customer"),
    reason=st.just("退订"),
    at=moments,
)
calendars = st.builds(
    lambda night, hours: Calendar(week=week(hours), quiet=quiet(night), days=public_days()),
    st.sampled_from(["", "21:00-08:30", "12:00-13:00"]),
    st.sampled_from([Manners().business_hours, "1-7 00:00-24:00", "1 09:00-10:00"]),
)


@st.composite
def circumstances(draw: st.DrawFn) -> Circumstances:
    reached = draw(st.lists(st.builds(Reached, node_id=st.sampled_from([ME, WIFE]), at=moments), max_size=5))
    return Circumstances(
        calendar=draw(calendars),
        limits={p: draw(limits) for p in draw(st.sets(st.sampled_from(PURPOSES)))},
        consents=draw(st.lists(entries, max_size=3)),
        reached=reached,
        own={ME},
    )


@st.composite
def rooms(draw: st.DrawFn) -> dict[str, object]:
    """What a platform's window is made of."""
    kinds = st.sampled_from(["message.text", "event.subscribe"])
    opened = draw(st.lists(st.builds(Opening, kind=kinds, at=moments), max_size=4))
    sent = draw(st.lists(moments, max_size=7))
    return {
        "windows": draw(st.sampled_from([(), WINDOWS])),
        "openings": sorted(opened, key=lambda o: o.at, reverse=True),
        "used": Used(at=tuple(sorted(sent, reverse=True)), shut_at=draw(st.none() | moments)),
        "sends": draw(st.booleans()),
        "session": draw(st.sampled_from(["api", "human", "ended"])),
    }


def door(room: dict[str, object], now: datetime, ident: int = 1) -> Door:
    return Door(
        conversation_id=ident,
        channel="wecom_kf",
        title="微信客服",
        verdict=verdict(**room, in_app=False, now=now),  # type: ignore[arg-type]
        kinds={"text"},
        text_limit=2048,
        last_at=START,
        last_in_at=START,
    )


def decide(room: dict[str, object], ask: Ask, about: Circumstances, now: datetime) -> Decision:
    return rules.decide([door(room, now)], ask, about, now=now)


def outcome(found: Decision) -> tuple[object, ...]:
    return found.sends, found.way, found.why, found.code, found.wait_until


asks = st.builds(Ask, content=st.just(Content(text="好")), purpose=st.sampled_from(PURPOSES))


@settings(max_examples=100, deadline=None)
@given(room=rooms(), about=circumstances(), ask=asks, now=moments)
def test_an_empty_box_and_what_is_then_written_in_it_are_decided_alike(
    room: dict[str, object], about: Circumstances, ask: Ask, now: datetime
) -> None:
    preview = decide(room, Ask(purpose=ask.purpose), about, now)
    sent = decide(room, ask, about, now)

    assert outcome(preview) == outcome(sent)
    assert bool(sent.why) == sent.refused


@settings(max_examples=100, deadline=None)
@given(room=rooms(), about=circumstances(), ask=asks, now=moments)
def test_at_the_time_it_waited_for_every_rule_that_spoke_then_agrees(
    room: dict[str, object], about: Circumstances, ask: Ask, now: datetime
) -> None:
    first = decide(room, ask, about, now)
    when = first.wait_until or now
    then = decide(room, ask, about, when)

    if first.sends:
        assert then.sends
        assert then.wait_until is None


@settings(max_examples=100, deadline=None)
@given(
    room=rooms(),
    about=circumstances(),
    ask=asks,
    now=moments,
    later=st.integers(0, 3 * 24 * 60),
    more=st.lists(st.builds(Reached, node_id=st.sampled_from([ME, WIFE]), at=moments), max_size=2),
    stopped=st.booleans(),
)
def test_asked_again_it_is_only_stricter_or_waits(
    room: dict[str, object],
    about: Circumstances,
    ask: Ask,
    now: datetime,
    later: int,
    more: list[Reached],
    stopped: bool,
) -> None:
    """Time has passed, others may have been told more, the customer may have opted out; nobody spoke."""
    used = room["used"]
    assert isinstance(used, Used)
    room["openings"] = [o for o in room["openings"] if o.at <= now]  # type: ignore[attr-defined]
    first = decide(room, ask, about, now)
    then = now + timedelta(minutes=later)
    stop = Entry(
        entry_id=99,
        node_id=ME,
        purpose="all",
        channel="",
        state="withdrawn",
        source="customer",
        reason="退订",
        at=START + timedelta(days=30),
    )
    fuller = replace(
        about,
        reached=[*about.reached, *more],
        consents=[*about.consents, *([stop] if stopped else [])],
    )
    shut = {**room, "used": replace(used, at=(then, *used.at))}
    again = decide(shut, ask, fuller, then)

    refused_for_time = first.code == "window" and first.wait_until is not None
    if again.sends and not refused_for_time:
        assert first.sends
        assert (again.way, again.channel) == (first.way, first.channel)
    if again.sends and first.wait_until is not None:
        assert then >= first.wait_until or again.wait_until is not None
