"""Conversation rules: who waits since when, who owns it, who may answer; late events change no later word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.contract import Envelope, Handle
from scrm.timeline import rules
from scrm.timeline.rules import Step, Talk
from tests.ground import NOW, handle, later, said

REP, OTHER = 7, 8


def step(direction: str, at_s: float, **more: Any) -> Step:
    usual: dict[str, Any] = {"kind": "message.text", "text": f"{direction}{at_s:g}"}
    return Step(direction=direction, at=later(at_s), **(usual | more))  # type: ignore[arg-type]


def ins(at_s: float, **more: Any) -> Step:
    return step("in", at_s, **more)


def out(at_s: float, *, by: int | None = REP, **more: Any) -> Step:
    return step("out", at_s, staff_id=by, **more)


def fold(*steps: Step) -> Talk:
    talk = rules.begin(steps[0], 1, account_id=11, node_id=5, thread="", team_id=None)
    for one in steps:
        talk = rules.advance(talk, one)
    return talk


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ([ins(0)], 0),  # asked
        ([ins(0), ins(9)], 0),  # waits since the first question
        ([ins(0), out(5)], None),  # answered
        ([ins(0), out(5), ins(6)], 6),  # asked again
        ([ins(0), out(-5)], 0),  # the answer is older than the question: it answers another one
        ([out(0)], None),  # we spoke first
        ([out(10), ins(5)], None),  # the question arrived after its answer
        ([ins(9), ins(3)], 3),  # an older question arrived late
        ([ins(0, kind="event.subscribe")], None),  # following asks nothing
        ([ins(0), out(5, kind="event.enter")], 0),  # nor does an event of ours answer
    ],
)
def test_waiting_since(steps: list[Step], since: float | None) -> None:
    assert fold(*steps).waiting_since == (None if since is None else later(since))


@pytest.mark.parametrize(
    ("steps", "owner"),
    [
        ([ins(0)], None),  # nobody yet
        ([ins(0), out(5)], REP),  # the first reply claims
        ([ins(0), out(5), out(6, by=OTHER)], REP),  # the second does not
        ([ins(0), out(5, by=None)], None),  # an automatic answer claims nothing
        ([step("none", 0, kind="event.follow", staff_id=REP, follows=True)], REP),  # the vendor's word claims
        ([step("none", 0, kind="event.seen", staff_id=REP)], None),  # taking part does not
        ([out(0), step("none", 5, kind="event.unfollow", staff_id=REP, follows=False)], None),  # it releases
        (
            [out(0), step("none", 5, kind="event.unfollow", staff_id=OTHER, follows=False)],
            REP,
        ),  # not for others
    ],
)
def test_who_owns_it(steps: list[Step], owner: int | None) -> None:
    assert fold(*steps).rep_id == owner


@pytest.mark.parametrize(
    ("steps", "session"),
    [
        ([ins(0)], "api"),
        ([ins(0), step("none", 1, kind="event.session", session="human")], "human"),
        ([ins(0), step("none", 1, kind="event.session", session="ended")], "ended"),
        ([step("none", 1, kind="event.session", session="ended"), ins(2)], "api"),  # begins anew
        ([step("none", 1, kind="event.session", session="ended"), out(2)], "ended"),  # not by our word
        ([step("none", 1, kind="event.session", session="ended"), ins(2, kind="event.enter")], "ended"),
        ([step("none", 1, kind="event.session", session="human"), ins(2)], "human"),
        (
            [ins(9), step("none", 1, kind="event.session", session="human")],
            "api",
        ),  # late: not the newest word
    ],
)
def test_who_may_answer(steps: list[Step], session: str) -> None:
    assert fold(*steps).session == session


def test_the_preview_is_the_newest_word_however_late_the_others_come() -> None:
    talk = fold(ins(10, text="新" * 100), ins(5, text="旧"), step("none", 20, text="谁也没说"))

    assert (talk.last_text, talk.last_at, talk.last_in_at, talk.version) == (
        "新" * 80,
        later(10),
        later(10),
        3,
    )


@given(st.permutations([ins(0), ins(7), out(3), out(9), ins(12)]))
def test_preview_owner_and_last_words_do_not_depend_on_arrival(steps: list[Step]) -> None:
    talk = fold(*steps)

    assert (talk.last_at, talk.last_text, talk.last_in_at, talk.rep_id) == (later(12), "in12", later(12), REP)


def test_the_vendors_order_inside_a_second_wins_and_is_made_up_stably_otherwise() -> None:
    assert rules.seq(said(seq=5), "a") == 5
    assert rules.seq(said(), "a") == rules.seq(said(), "a") != rules.seq(said(), "b")
    assert 0 <= rules.seq(said(seq=-1), "a") < 2**63


def _envelope(direction: str, *handles: Handle, **more: Any) -> Envelope:
    return Envelope(kind="message.text", direction=direction, at=NOW, handles=handles, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("envelope", "whose"),
    [
        (_envelope("in", handle("a"), handle("b", part="other")), "a"),  # the one who speaks
        (_envelope("out", handle("a"), handle("b", part="other")), "b"),  # the one spoken to
        (_envelope("out", handle("a")), "a"),  # the only one there
        (_envelope("in", handle("c", part="about")), None),  # nobody takes part
        (_envelope("in"), None),
    ],
)
def test_whose_conversation_it_is(envelope: Envelope, whose: str | None) -> None:
    found = rules.partner(envelope, envelope.handles)

    assert (found.value if found else None) == whose


def test_profiles_open_no_conversation() -> None:
    profile = Envelope(kind="event.profile", direction="none", at=NOW)

    assert not rules.opens_conversation(profile)
    assert rules.opens_conversation(Envelope(kind="event.follow", direction="none", at=NOW, follows=True))


def test_what_is_said_in_a_group_makes_nobody_wait_for_us() -> None:
    alone = said()
    in_a_group = said(handles=(handle("anna"), handle("wr1", kind="wecom_chat", part="about")))

    assert rules.opens_conversation(alone)
    assert not rules.opens_conversation(in_a_group)
