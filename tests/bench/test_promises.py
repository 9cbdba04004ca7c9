"""The bench of promises: scored as the definition says, our own labels are many, and files from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from scrm.bench import promises
from scrm.bench.promises import Case, Label, Scores, read_cases, same, scored
from scrm.errors import BadInput
from scrm.playbook.promises.values import Kind

AT = datetime(2026, 11, 21, tzinfo=UTC)


def case(*labels: Label, text: str = "给您8折") -> Case:
    return Case(text=text, by="staff", at=AT, promises=labels)


def test_values_must_be_equal_and_words_overlap_by_half() -> None:
    assert same(Label(kind=Kind.DISCOUNT, value=0.85), Label(kind=Kind.DISCOUNT, value=0.85))
    assert not same(Label(kind=Kind.OFF, fen=1), Label(kind=Kind.PRICE, fen=1))
    assert not same(Label(kind=Kind.OFF, fen=1, min_fen=2), Label(kind=Kind.OFF, fen=1))
    assert same(Label(kind=Kind.GIFT, text="体验课"), Label(kind=Kind.GIFT, text="两节体验课"))
    assert same(Label(kind=Kind.GIFT, text="两节体验课"), Label(kind=Kind.GIFT, text="体验课两次"))
    assert not same(Label(kind=Kind.GIFT, text="书包一个"), Label(kind=Kind.GIFT, text="全车贴膜"))


def test_what_is_missed_and_what_is_too_much_both_count() -> None:
    scores = Scores()
    scores.add(
        case(Label(kind=Kind.DISCOUNT, value=0.8), Label(kind=Kind.GIFT, text="书包")),
        [Label(kind=Kind.DISCOUNT, value=0.8), Label(kind=Kind.UNTIL, date=date(2026, 11, 21))],
    )
    told = scores.told()
    assert (told["precision"], told["recall"]) == (0.5, 0.5)
    assert told["by_kind"]["gift"] == {"precision": 1.0, "recall": 0.0, "right": 0, "extra": 0, "missed": 1}
    assert len(scores.mistakes) == 1


def test_one_label_is_found_once() -> None:
    scores = Scores()
    scores.add(
        case(Label(kind=Kind.GIFT, text="书包")),
        [Label(kind=Kind.GIFT, text="书包"), Label(kind=Kind.GIFT, text="一个书包")],
    )
    assert (scores.told()["precision"], scores.told()["recall"]) == (0.5, 1.0)


def test_our_labels_are_many_and_half_of_them_are_empty_or_hard() -> None:
    cases = read_cases(promises._CASES)  # noqa: SLF001 - the file that ships
    assert len(cases) >= 600
    assert len({one.text for one in cases}) >= len(cases) - 5
    assert sum(not one.promises for one in cases) >= 0.3 * len(cases)
    assert {one.half for one in cases} == {"dev", "seen", "held_out"}


def test_what_the_grammar_was_made_on_stays_read() -> None:
    told = scored(one for one in read_cases(promises._CASES) if one.half == "dev").told()  # noqa: SLF001
    assert told["precision"] >= 0.97
    assert told["recall"] >= 0.94


def test_what_was_judged_blind_and_then_learned_from_stays_read() -> None:
    told = scored(one for one in read_cases(promises._CASES) if one.half == "seen").told()  # noqa: SLF001
    assert told["precision"] >= 0.96
    assert told["recall"] >= 0.93


def test_what_was_held_out_is_read_nearly_as_well() -> None:
    told = scored(one for one in read_cases(promises._CASES) if one.half == "held_out").told()  # noqa: SLF001
    assert told["precision"] >= 0.9
    assert told["recall"] >= 0.9


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {"text": "给您8.5折，周日截止", "by": "staff", "at": "2026-11-21T10:00:00+08:00", "id": "x1"},
        {"text": "给我八折", "by": "customer", "at": "2026-11-21T10:00:00+08:00", "promises": []},
    ]
    rows[0]["promises"] = [
        {"kind": "discount", "value": 0.85, "note": "by hand"},
        {"kind": "until", "date": "2026-11-22"},
        {"kind": "off", "fen": 30000, "min_fen": None},
    ]
    path = tmp_path / "labelled.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n", "utf-8")
    return path


def test_a_file_from_outside_is_judged_and_written_as_json(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "scrm", "bench", "promises", "--file", str(labelled)]
    ran = subprocess.run(
        [*command, "--json", str(out), "--show"], capture_output=True, text=True, check=True, timeout=60
    )
    told = json.loads(out.read_bytes())
    assert (told["precision"], told["recall"]) == (1.0, 0.6667)
    assert told["by_kind"]["off"]["missed"] == 1
    assert "-off 300" in ran.stdout


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"text": "x", "by": "staff", "at": "2026-11-21T10:00:00+08:00", "promises": []}\n{"text"'
    )
    with pytest.raises(BadInput, match=r"bad\.jsonl:2"):
        read_cases(path)
    with pytest.raises(BadInput):
        read_cases(tmp_path / "missing.jsonl")


async def test_as_one_bench_among_others_it_has_figures() -> None:
    figures = await promises.run(database="")
    assert {"cases", "message_ms", "ratio", "dev_precision", "held_out_recall"} <= set(figures)
