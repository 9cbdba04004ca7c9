"""The housing pack heard by the ranking: what people who look for a home say finds its script."""

from __future__ import annotations

from pathlib import Path

from scrm.bench.text import hits, read_cases
from scrm.playbook.ranking import Index
from scrm.playbook.scripts import read_library

LIBRARY = Path(__file__).resolve().parents[2] / "scripts_library"
SCRIPTS = read_library(LIBRARY, ("housing",))
CASES = read_cases(Path(__file__).with_name("utterances_housing.yaml"))


def test_the_right_script_is_mostly_among_the_first_three() -> None:
    # Floors leave some room for edits of the library. 0.612 and 0.866 on wording nobody tuned for.
    index = Index([script for script in SCRIPTS if script.delivery != "hint"])

    first, third = hits(index, CASES["held_out"])
    assert (first >= 0.55, third >= 0.8) == (True, True), (first, third)

    first, third = hits(index, CASES["tuned"])
    assert (first >= 0.85, third >= 0.95) == (True, True), (first, third)


def test_the_labelled_utterances_are_new_and_name_real_scripts() -> None:
    cases = [case for group in CASES.values() for case in group]
    said = [case.said for case in cases]

    assert len(CASES["held_out"]) >= 60
    assert len(set(said)) == len(said)
    assert not {line for script in SCRIPTS for line in script.says} & set(said)
    assert {name for case in cases for name in case.expect} <= {script.id for script in SCRIPTS}
