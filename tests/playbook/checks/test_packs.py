"""The rule packs on disk: true to their examples, kept by our own scripts, refused in words when wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scrm.bench import drafts
from scrm.errors import BadInput
from scrm.playbook.checks.packs import COMMON, FOLDER, prove, read_rules
from scrm.playbook.checks.values import LEVELS, Rule
from scrm.playbook.checks.words import Scanner
from scrm.playbook.scripts import TRADES, Script, read_packs
from scrm.shapes import load, yaml_of

LIBRARY = Path(__file__).resolve().parents[3] / "scripts_library"
RULES = read_rules(LIBRARY)
SCRIPTS = [
    pytest.param(trade, script, id=script.id)
    for trade, scripts in read_packs(LIBRARY).items()
    for script in scripts
    if script.delivery != "hint"
]
SCANNERS = {trade: Scanner(read_rules(LIBRARY, (trade,))) for trade in TRADES}

ONE = {
    "id": "t.one",
    "level": "block",
    "title": "一",
    "why": "因为。",
    "words": ["保本"],
    "examples": {"hits": ["这个保本"], "misses": ["您好"]},
}


def _rule(**changes: object) -> Rule:
    return load(Rule, ONE | changes, where="t")


def _write(library: Path, text: str, name: str = "common.yaml") -> None:
    folder = library / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_finds_its_hits_and_leaves_its_misses(rule: Rule) -> None:
    scanner = Scanner((rule,))

    assert [text for text in rule.examples.hits if not scanner.scan(text)] == []
    assert [text for text in rule.examples.misses if scanner.scan(text)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_explains_itself_and_its_rewrites_are_clean(rule: Rule) -> None:
    scanner = Scanner(RULES)

    assert rule.why.endswith("。")
    assert [better for better in rule.rewrite.values() if scanner.scan(better)] == []


def test_there_are_a_thousand_words_and_a_pack_for_every_trade() -> None:
    words = {word for rule in RULES for word in rule.words}
    packs = {path.stem for path in (LIBRARY / FOLDER).glob("*.yaml")}

    assert len(words) >= 1000
    assert packs == {COMMON, *TRADES}
    assert {rule.level for rule in RULES} == {"block", "warn", "note"}


def test_a_trade_has_the_common_rules_and_its_own() -> None:
    rules = {rule.id for rule in read_rules(LIBRARY, ("insurance",))}

    assert {"ad.absolute", "ins.principal"} <= rules
    assert "edu.guarantee" not in rules


@pytest.mark.parametrize(("trade", "script"), SCRIPTS)
def test_what_we_ship_to_send_breaks_no_rule(trade: str, script: Script) -> None:
    said = [example.expect for example in script.examples]

    assert [hit for text in said for hit in SCANNERS[trade].scan(text) if hit.level != "note"] == []


def test_a_rule_that_blocks_looks_through_disguises_unless_it_says_not() -> None:
    assert _rule().disguised
    assert not _rule(level="warn").disguised
    assert _rule(level="warn", fuzzy=True).disguised
    assert not _rule(fuzzy=False).disguised


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"wrods": ["x"]}, "没有这一项"),
        ({"id": "One"}, "要写成 ad.absolute 的样子"),
        ({"level": "never"}, "不认识的取值"),
        ({"why": " "}, "title 和 why 不能为空"),
        ({"words": []}, "words 和 patterns 至少写一个"),
        ({"words": ["保本", " "]}, "不能有空行"),
        ({"rewrite": {"保息": "x"}}, "rewrite 里的“保息”不在 words 里"),
        ({"examples": {"hits": [], "misses": ["x"]}}, "各写至少一句"),
        ({"examples": {"hits": ["x"]}}, "缺少必填项 misses"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_field_that_makes_no_sense_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        _rule(**changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"words": ["保本", "保 本"]}, "“保 本”和“保本”是同一个词"),
        ({"words": ["\u200b"], "patterns": ["保本"]}, "没有可以找的字"),
        ({"unless": ["第一次"]}, "unless 里的“第一次”不含任何一个词"),
        ({"patterns": ["(转我"]}, "表达式“\\(转我”写法有误"),
        ({"patterns": ["a*"]}, "什么都不写也算命中"),
        ({"patterns": ["(x{1000}){1000}"]}, "写法有误"),
        ({"patterns": ["(?=x)x"]}, "写法有误"),
        ({"patterns": ["字" * 501]}, "最多 500 个"),
        ({"examples": {"hits": ["您好"], "misses": ["嗯"]}}, "例句“您好”应当命中，实际没有"),
        ({"examples": {"hits": ["保本"], "misses": ["这保本"]}}, "例句“这保本”不应当命中，实际命中“保本”"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_rule_that_is_not_as_it_says_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^compliance/a.yaml: t.one: .*{sentence}"):
        prove(_rule(**changes), where="compliance/a.yaml")


def test_errors_name_the_file_and_the_place(tmp_path: Path) -> None:
    _write(tmp_path, "- {id: t.one, level: block, title: 一, why: 二}")

    with pytest.raises(BadInput, match=r"^compliance/common.yaml: \[0\]: 缺少必填项 examples"):
        read_rules(tmp_path)


def test_one_id_is_used_once(tmp_path: Path) -> None:
    one = "- {id: t.one, level: block, title: 一, why: 二, words: [一], examples: {hits: [一], misses: [好]}}"
    _write(tmp_path, one)
    _write(tmp_path, one, "housing.yaml")

    assert len(read_rules(tmp_path, ("auto",))) == 1
    with pytest.raises(BadInput, match=r"^compliance/housing.yaml: t.one: 这个 id 已经用过"):
        read_rules(tmp_path)


def test_the_readme_says_what_the_code_does() -> None:
    text = (LIBRARY / FOLDER / "README.md").read_text("utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block

    for rule in load(tuple[Rule, ...], yaml_of(block[1], where="README"), where="README"):
        prove(rule, where="README")
    assert all(f"| {level} | {meaning} |" in text for level, meaning in LEVELS.items())


def test_the_bench_measures_as_many_words_as_it_says() -> None:
    figures = drafts.measure(LIBRARY)

    assert figures["draft_words"] == drafts.WORDS
    assert figures["draft_scan_ms"] > 0
