"""Golden scenarios: whose a deal is in education, housing, cars and insurance, as managers wrote it down."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

import pytest

from scrm.ownership.rules.policy import Policy, Preset, Split
from scrm.ownership.rules.values import RULES, WHOLE
from tests.ownership.scenarios import POLICY, Scenario, all_of_them, name, outcome

SCENARIOS = all_of_them()
Change = Callable[[Preset], Preset]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: f"{s.file}: {s.title}")
def test_the_ruling_is_what_the_manager_says(scenario: Scenario) -> None:
    ruling = scenario.judged()

    refused = defaultdict(set)
    for one in ruling.rejected:
        refused[name(one.by)].add(one.why.rule)
    assert {name(s.by): s.bp for s in ruling.shares} == scenario.winners
    assert tuple(r.rule for r in ruling.reasons) == scenario.rules
    assert {who: rule for who, rule in scenario.rejected.items() if rule not in refused[who]} == {}, refused
    assert ruling.approval == scenario.approval
    assert all(why.sentence() for why in (*ruling.reasons, *(r.why for r in ruling.rejected)))
    assert sum(s.bp for s in ruling.shares) == WHOLE


def test_there_are_a_hundred_of_them_and_each_industry_has_its_own() -> None:
    by_file = Counter(s.file for s in SCENARIOS)

    assert len({(s.file, s.title) for s in SCENARIOS}) == len(SCENARIOS) >= 100
    assert min(by_file.values()) >= 20
    assert set(by_file) == {"education", "housing", "auto", "insurance"}


def test_every_rule_decides_or_refuses_somewhere() -> None:
    met = {rule for s in SCENARIOS for rule in (*s.rules, *s.rejected.values())}

    assert met == set(RULES) - {"decided"}  # that one is a human's


def test_no_claim_is_passed_over_without_a_word() -> None:
    """Winners, what served them, or a reason: nothing else can become of a claim."""
    for scenario in SCENARIOS:
        ruling = scenario.judged()
        known = {s.claim_id for s in ruling.shares} | {r.claim_id for r in ruling.rejected}
        served = {c.claim_id for c in scenario.claims} - known
        winners = {s.by for s in ruling.shares}
        assert {c.by for c in scenario.claims if c.claim_id in served} <= winners, scenario.title


def _split(**changes: int) -> Change:
    return lambda preset: replace(preset, split=replace(preset.split, **changes))


def _longer(kind: str) -> Change:
    return lambda preset: replace(
        preset, windows={k: 3650 if k == kind else v for k, v in preset.windows.items()}
    )


#: Each rule of the policy, switched off or changed.
CHANGES: dict[str, Change] = {
    "mode": lambda p: replace(p, mode="report_deal"),
    **{f"windows.{k}": _longer(k) for k in ("report", "visit", "call", "contact", "signup", "referral")},
    "refresh_days": lambda p: replace(p, refresh_days=0),
    "longest_days": lambda p: replace(p, longest_days=0),
    "lead_minutes": lambda p: replace(p, lead_minutes=0),
    "natural_hours": lambda p: replace(p, natural_hours=0),
    "requires.name": lambda p: replace(p, requires=("phone",)),
    "requires.phone": lambda p: replace(p, requires=("name",)),
    **{
        f"relatives.{r}": lambda p, r=r: replace(p, relatives=tuple(x for x in p.relatives if x != r))  # type: ignore[misc]
        for r in ("spouse", "parent", "child", "sibling", "grandparent")
    },
    "relatives.other": lambda p: replace(p, relatives=(*p.relatives, "other")),
    "look_back_days": lambda p: replace(p, look_back_days=3650),
    "queue": lambda p: replace(p, queue=not p.queue),
    "approval_days": lambda p: replace(p, approval_days=0),
    "split.tie_minutes": _split(tie_minutes=0),
    "split.tie_bp": _split(tie_bp=4000),
    "split.referral_bp": _split(referral_bp=0),
    "split.closer_bp": _split(closer_bp=0),
    "split.closer_days": _split(closer_days=365),
}


@pytest.mark.parametrize("rule", CHANGES)
def test_each_rule_of_the_policy_decides_at_least_one_scenario(rule: str) -> None:
    presets = {n: CHANGES[rule](p) for n, p in POLICY.presets.items()}
    changed = replace(POLICY, presets=presets)

    assert decided_by(changed)


def decided_by(changed: Policy) -> list[str]:
    """Scenarios that end differently."""
    return [s.title for s in SCENARIOS if outcome(s.judged(changed)) != outcome(s.judged())]


def test_the_proof_above_can_fail() -> None:
    title = {n: replace(p, title="别的名字") for n, p in POLICY.presets.items()}

    assert decided_by(replace(POLICY, presets=title)) == []


def test_every_rule_of_a_preset_is_among_those_proven() -> None:
    said = {f.partition(".")[0] for f in CHANGES}
    splits = {f.partition(".")[2] for f in CHANGES if f.startswith("split.")}

    assert said == set(Preset.__slots__) - {"title", "commission_bp"}
    assert splits == set(Split.__slots__)
