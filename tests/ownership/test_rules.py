"""Masks, signals, reading of events and the shape of the policy: small rules, one table each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scrm.errors import BadInput
from scrm.ownership import policies
from scrm.ownership.policies import plain
from scrm.ownership.rules import masks, reading
from scrm.ownership.rules.appeals import due, is_overdue
from scrm.ownership.rules.fraud import Around, signals
from scrm.ownership.rules.policy import Appealing, Fraud
from scrm.ownership.rules.values import OWN, Claim, Claimant, Kind
from tests.ground import NOW
from tests.ownership.scenarios import POLICY

BROKER, REP = Claimant(kind="broker", ident="b"), Claimant(kind="rep", ident="7")


def claim(by: Claimant = BROKER, kind: Kind = "report", minutes: float = 0, **more: Any) -> Claim:
    at = NOW + timedelta(minutes=minutes)
    usual: dict[str, Any] = {"claim_id": 1, "node_id": 1, "by": by, "kind": kind, "at": at, "told_at": at}
    return Claim(**usual | more)


# -- masks -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "full", "mask"),
    [
        ("13812345678", "+8613812345678", ""),
        ("+86 138-1234-5678", "+8613812345678", ""),
        ("138****5678", "", "138****5678"),
        ("138xxxx5678", "", "138****5678"),  # as people type it
        ("1381***678", "", "1381***678"),  # first four, last three
        ("138****567", "", ""),  # three and three are nobody
        ("010-12345678", "", ""),
        ("", "", ""),
    ],
)
def test_a_number_is_full_or_masked_or_none(text: str, full: str, mask: str) -> None:
    assert (masks.full(text), masks.masked(text)) == (full, mask)


def test_a_full_number_has_both_its_masks() -> None:
    assert masks.masks_of("+8613812345678") == ("138****5678", "1381***678")


# -- fraud -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("minutes", "found"),
    [
        (29, ["before_contact"]),
        (31, []),  # long enough before
        (-5, []),  # we were first
    ],
)
def test_a_report_just_before_our_first_contact_looks_like_a_tip(minutes: float, found: list[str]) -> None:
    report, contact = claim(), claim(REP, "call", minutes, claim_id=2)

    around = Around(household=(report, contact))

    assert [s.code for s in signals(report, around, Fraud())] == found


def test_our_own_reps_reports_are_no_tip() -> None:
    report = claim(REP)

    assert signals(report, Around(household=(report, claim(OWN, "signup", 5, claim_id=2))), Fraud()) == []


@pytest.mark.parametrize(
    ("more", "around", "found"),
    [
        ({"masked": True}, {"masks": 21}, ["many_masks"]),
        ({"masked": True}, {"masks": 20}, []),
        ({}, {"masks": 21}, []),  # this one was given in full
        ({}, {"from_device": 6}, ["one_device"]),
        ({}, {"from_device": 5}, []),
        ({}, {"own_phone": True}, ["own_phone"]),
        (
            {"masked": True},
            {"own_phone": True, "masks": 99, "from_device": 9},
            ["own_phone", "many_masks", "one_device"],
        ),
    ],
)
def test_signals_are_told_from_their_limit_on(
    more: dict[str, Any], around: dict[str, Any], found: list[str]
) -> None:
    told = signals(claim(**more), Around(**around), Fraud())

    assert [s.code for s in told] == found
    assert all("{" not in s.sentence for s in told)


# -- events ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "direction", "body", "claims"),
    [
        ("event.contact.added", "none", {}, "contact"),
        ("message.call", "in", {}, "call"),
        ("message.call", "out", {}, "follow_up"),
        ("message.text", "out", {}, "follow_up"),
        ("message.text", "in", {}, ""),  # what customers say claims nothing
        ("event.call.ringing", "in", {}, ""),
        ("event.app.signup", "none", {}, "signup"),
        ("event.app.track", "none", {"event": "报备", "properties": {"broker": "b"}}, "report"),
        ("event.app.track", "none", {"event": "store_visit", "properties": {"natural": True}}, "visit"),
        ("event.app.track", "none", {"event": "浏览"}, ""),
        ("event.app.track", "none", {"event": ["报备"], "properties": "?"}, ""),  # nonsense is no claim
    ],
)
def test_events_are_claims_as_the_policy_says(
    kind: str, direction: str, body: dict[str, Any], claims: str
) -> None:
    said = reading.read(reading.candidates(POLICY, kind, direction), body)

    assert (said.source.claim if said else "") == claims


def test_a_visit_of_their_own_accord_is_nobodys() -> None:
    body = {"event": "到访", "properties": {"natural": True, "broker": "b", "phone": "138"}}

    said = reading.read(reading.candidates(POLICY, "event.app.track", "none"), body)

    assert said is not None
    assert (said.source.by, said.claimant, said.phone) == ("own", "", "138")


# -- the policy --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("default",), "没有", "default"),
        (("lines",), {"新签": "没有"}, "lines.新签"),
        (("presets", "education", "mode"), "别的", "mode"),
        (("presets", "education", "windows"), {"call": -1}, "windows"),
        (("presets", "housing", "windows"), {"report": 7}, "到访"),
        (("presets", "education", "split", "referral_bp"), 10_001, "split"),
        (("presets", "education", "commission_bp"), -1, "比例"),
        (("presets", "education", "relativs"), [], "relativs"),
    ],
)
def test_a_policy_that_cannot_decide_is_refused_with_where(
    path: tuple[str, ...], value: object, says: str
) -> None:
    data: Any = plain(POLICY)
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    with pytest.raises(BadInput, match=says):
        policies.parse(data, where="ownership.yaml")


def test_a_policy_survives_being_saved() -> None:
    assert policies.from_json(policies.as_json(POLICY)) == POLICY


# -- appeals -----------------------------------------------------------------------------------------------
def test_the_clock_of_an_appeal_is_data() -> None:
    clock, text = Appealing(within_hours=24, decide_hours=48), "客户是我先接待的，有录音。"

    until = due(clock, NOW, text, now=NOW + timedelta(hours=24))

    assert until == NOW + timedelta(hours=72)
    assert not is_overdue(until, "open", now=until)
    assert is_overdue(until, "open", now=until + timedelta(seconds=1))
    assert not is_overdue(until, "upheld", now=until + timedelta(days=1))
    with pytest.raises(BadInput, match="24"):
        due(clock, NOW, text, now=NOW + timedelta(hours=25))
