"""`scrm bench suggest`: the labels are sound, the figures are what they say, and wrong files are refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from scrm.bench import suggest
from scrm.bench.suggest import Case
from scrm.cli import main
from scrm.errors import BadInput
from scrm.playbook.scripts import TRADES, read_library, read_packs
from scrm.settings import shipped

LIBRARY = shipped("scripts_library")
SCRIPTS = {script.id: script for script in read_library(LIBRARY)}
CASES = suggest.read_cases(Path(suggest.__file__).parent / "data" / "suggest.jsonl")


def test_the_labels_are_many_of_every_trade_and_stage_and_half_of_them_held_out() -> None:
    halves = Counter(case.half for case in CASES)

    assert len(CASES) >= 400
    assert min(halves.values()) >= 0.4 * len(CASES)
    assert {case.trade for case in CASES} == set(TRADES)
    for half in halves:
        assert len({case.stage for case in CASES if case.half == half}) >= 9
        assert {case.trade for case in CASES if case.half == half} == set(TRADES)


def test_each_label_is_new_wording_and_names_scripts_we_have() -> None:
    said = [case.text for case in CASES]
    known = {(trade, line) for trade, pack in read_packs(LIBRARY).items() for s in pack for line in s.says}

    assert [text for text, times in Counter(said).items() if times > 1] == []
    assert known & {(case.trade, case.text) for case in CASES} == set()
    assert {name for case in CASES for name in case.accept} - SCRIPTS.keys() == set()


def test_the_right_script_is_among_the_first_three() -> None:
    # Measured 0.96 on what was held out; floors leave some room for edits of the library.
    scores, missed = suggest.judge(CASES)

    assert scores["held_out"]["hit_at_3"] >= 0.93
    assert scores["held_out"]["hit_at_1"] >= 0.8
    assert scores["dev"]["hit_at_3"] >= 0.95
    for trade in TRADES:
        assert scores[f"held_out.{trade}"]["hit_at_3"] >= 0.88, trade
    assert len(missed) == sum(
        round(scores[half]["cases"] * (1 - scores[half]["hit_at_3"])) for half in ("dev", "held_out")
    )


def test_a_label_that_nothing_answers_is_a_miss() -> None:
    case = Case(text="孩子发烧了要请假", accept=("edu.nothing",), trade="education")

    scores, missed = suggest.judge([case])

    assert scores["dev"] == {"cases": 1, "hit_at_1": 0.0, "hit_at_3": 0.0}
    assert [miss.case for miss in missed] == [case]


def test_a_label_without_a_trade_is_judged_in_that_of_its_answer() -> None:
    scores, _ = suggest.judge(
        [
            Case(text="孩子发烧了要请假", accept=("edu.leave",)),
            Case(text="多少钱一平", accept=("house.price-ask",)),
            Case(text="你好", accept=("x.unknown",)),
        ]
    )

    assert {name for name in scores if not name.startswith("dev.stage")} == {
        "dev",
        "dev.education",
        "dev.housing",
        "dev.all",
    }
    assert scores["dev.education"]["hit_at_3"] == scores["dev.housing"]["hit_at_3"] == 1


def test_the_cost_is_measured_on_as_many_scripts_as_asked_for() -> None:
    figures = suggest.cost([case.text for case in CASES[:20]], scripts=400, messages=10)

    assert figures["scripts"] == 400
    assert all(float(value) > 0 for value in figures.values())


def test_grown_scripts_are_different_and_the_same_every_time() -> None:
    scripts = list(SCRIPTS.values())
    many = suggest.grown(scripts, len(scripts) + 50)

    assert many == suggest.grown(scripts, len(scripts) + 50)
    assert len({script.id for script in many}) == len(many)
    assert many[len(scripts)].says != scripts[0].says


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "没有一条标注"),
        ('{"text": "好", "accept": ["a.b"], "stage": "later"}', "第 1 行"),
        ('\n{"text": "好"}\n', "第 2 行"),
        ("not json", "第 1 行"),
        ('{"text": "好", "accept": ["a.b"], "label": 1}', "label"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(BadInput) as caught:
        suggest.read_cases(path)
    assert sentence in caught.value.sentence


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="读不了"):
        suggest.read_cases(tmp_path / "none.jsonl")


def test_the_command_judges_a_file_from_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "labels.jsonl", tmp_path / "out.json"
    file.write_text(
        '{"text": "你们的课多少钱", "stage": "quotation", "role": "buyer", "accept": ["edu.price-ask"]}\n'
        '{"text": "你好", "stage": null, "role": null, "accept": ["edu.refund"], "trade": "education"}\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(suggest, "SCRIPTS", 300)
    monkeypatch.setattr(suggest, "MESSAGES", 20)

    with pytest.raises(SystemExit, match=r"^0$"):
        main(["bench", "suggest", "--file", str(file), "--json", str(out), "--show"])

    told = capsys.readouterr().out
    found = json.loads(out.read_bytes())["suggest"]
    assert found["scores"]["dev"] == {"cases": 2, "hit_at_1": 0.5, "hit_at_3": 0.5}
    assert found["cost"]["scripts"] == 300
    assert "- 你好 | edu.refund | " in told
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["bench", "text", "--file", str(file)])
