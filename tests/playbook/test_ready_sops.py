"""The SOPs that ship: enough of each trade, sound, lawful, and true to the scripts they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from scrm.campaigns.coupons.rules import demand_good
from scrm.playbook.scripts import TRADES, read_packs
from scrm.playbook.sops import files
from scrm.playbook.sops.values import Plan, Step
from scrm.playbook.templates import VARIABLES, admit
from tests.campaigns.test_coupons import batch

LIBRARY = Path(__file__).resolve().parents[2] / "scripts_library"
PACKS = read_packs(LIBRARY)
SCRIPTS = {script.id: script for pack in PACKS.values() for script in pack}
SOPS = {trade: files.read(LIBRARY / trade, SCRIPTS) for trade in TRADES}
PLANS = [pytest.param(plan, id=plan.code) for plans in SOPS.values() for plan in plans]
ENOUGH = {"education": 6, "housing": 6}


@pytest.mark.parametrize("trade", TRADES)
def test_a_trade_has_enough_of_them(trade: str) -> None:
    assert len(SOPS[trade]) >= ENOUGH.get(trade, 2)


def test_a_code_is_used_once_and_begins_like_the_scripts_of_its_trade() -> None:
    codes = Counter(plan.code for plans in SOPS.values() for plan in plans)

    assert max(codes.values()) == 1
    for trade, plans in SOPS.items():
        prefixes = {script.id.partition(".")[0] for script in PACKS[trade]}
        assert {plan.code.partition(".")[0] for plan in plans} <= prefixes


@pytest.mark.parametrize("plan", PLANS)
def test_it_uses_scripts_of_its_own_trade_alone(plan: Plan) -> None:
    (trade,) = (trade for trade, plans in SOPS.items() if plan in plans)
    own = {script.id for script in PACKS[trade]}

    named = {t.script for s in plan.steps for t in (s.message, s.task) if t and t.script}

    assert named <= own


@pytest.mark.parametrize("plan", PLANS)
def test_advice_is_for_the_rep_and_never_sent(plan: Plan) -> None:
    sent = [SCRIPTS[s.message.script] for s in plan.steps if s.message and s.message.script]

    assert [s.id for s in sent if s.delivery == "hint"] == []


@pytest.mark.parametrize("plan", PLANS)
def test_nothing_goes_out_by_itself_that_is_not_meant_to(plan: Plan) -> None:
    auto = [s for s in plan.steps if s.message and s.message.delivery == "auto"]

    assert all(s.message and SCRIPTS[s.message.script].delivery == "auto" for s in auto)
    assert all(s.coupon.delivery == "confirm" for s in plan.steps if s.coupon)


@pytest.mark.parametrize("plan", PLANS)
def test_a_customer_who_wants_quiet_or_has_left_ends_it(plan: Plan) -> None:
    """Every one is stopped by somebody who went away, or who must be left alone, or by what undoes it."""
    events = {m.event for m in plan.stop}

    assert plan.stop
    assert plan.goal
    assert events & {"event.contact.left", "event.refund.done", "event.contract.cancelled"}


@pytest.mark.parametrize("plan", PLANS)
def test_two_messages_never_follow_each_other_at_once(plan: Plan) -> None:
    for first, then in pairs(plan):
        assert not (first.message and then.message), f"{first.id} -> {then.id}"


def pairs(plan: Plan) -> Iterator[tuple[Step, Step]]:
    """Each step with what may follow it, looking through branches, tags and moves."""
    for step in plan.steps:
        for ident in files.follows(plan, step):
            then = plan.step(ident)
            seen: set[str] = set()
            while then and (then.tag or then.stage) and then.id not in seen:
                seen.add(then.id)
                after = plan.after(then)
                then = plan.step(after) if after else None
            if then:
                yield step, then


@pytest.mark.parametrize("plan", PLANS)
def test_it_says_what_it_is_for(plan: Plan) -> None:
    assert len(plan.about) >= 10
    assert plan.steps[-1].end
    assert all(step.task.title for step in plan.steps if step.task)


@pytest.mark.parametrize("plan", PLANS)
def test_its_own_words_can_be_filled_in(plan: Plan) -> None:
    for step in plan.steps:
        if step.message and step.message.text:
            admit(step.message.text)
            assert "保证" not in step.message.text
            assert "最后一天" not in step.message.text
    assert VARIABLES


@pytest.mark.parametrize("plan", PLANS)
def test_its_coupons_have_codes_that_a_batch_may_have(plan: Plan) -> None:
    for step in plan.steps:
        if step.coupon:
            demand_good(batch(code=step.coupon.batch))


def test_a_family_is_not_on_two_of_one_group_by_the_same_weight() -> None:
    """Where two of a group may begin together, priority says which one does."""
    for plans in SOPS.values():
        ranked = sorted((p.group, p.priority) for p in plans if p.group)
        assert all(a != b for a, b in pairwise(ranked))


def test_the_readme_lists_each_with_what_it_is_for() -> None:
    lines = (LIBRARY / "README.md").read_text("utf-8").splitlines()
    listed = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]

    told = {(cells[1], cells[2], cells[3]) for cells in listed if len(cells) == 4}

    assert {(p.code, p.title, p.about) for plans in SOPS.values() for p in plans} <= told
