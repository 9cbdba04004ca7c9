"""The scanner: disguises seen through, innocent sentences left alone, whatever somebody types answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.playbook.checks.layers import canonical
from scrm.playbook.checks.packs import read_rules
from scrm.playbook.checks.sounds import spelled
from scrm.playbook.checks.values import Hit, Rule
from scrm.playbook.checks.words import Scanner
from scrm.playbook.scripts import TRADES
from scrm.shapes import load, read_yaml

HERE = Path(__file__).parent
LIBRARY = HERE.parents[2] / "scripts_library"
RULES = {rule.id: rule for rule in read_rules(LIBRARY)}
EVERYTHING = Scanner(RULES.values())
EVASIONS = [
    (rule, text)
    for rule, texts in load(
        dict[str, tuple[str, ...]], read_yaml(HERE / "evasions.yaml"), where="evasions"
    ).items()
    for text in texts
]
INNOCENTS = load(dict[str, tuple[str, ...]], read_yaml(HERE / "innocents.yaml"), where="innocents")
FUZZY = [(rule.id, word) for rule in RULES.values() if rule.disguised for word in rule.words]
UNSEEN = st.text(
    st.sampled_from(" \u3000\u00a0\u200b\u200d\u2060\ufeff\t\ufe0f\u0336\u00ad\u2800"), max_size=3
)


def _scanner(**changes: object) -> Scanner:
    plain = {
        "id": "t.one",
        "level": "block",
        "title": "一",
        "why": "二",
        "words": ["保本"],
        "examples": {"hits": ["保本"], "misses": ["好"]},
    }
    return Scanner([load(Rule, plain | changes, where="t")])


def _matched(scanner: Scanner, text: str) -> list[str]:
    return [hit.matched for hit in scanner.scan(text)]


def test_there_are_enough_of_both_kinds() -> None:
    assert len(set(EVASIONS)) >= 150
    assert len({text for texts in INNOCENTS.values() for text in texts}) >= 200


@pytest.mark.parametrize(("rule", "text"), EVASIONS)
def test_a_disguised_word_is_found(rule: str, text: str) -> None:
    assert {hit.rule_id for hit in Scanner([RULES[rule]]).scan(text)} == {rule}
    assert rule in {hit.rule_id for hit in EVERYTHING.scan(text)}


@pytest.mark.parametrize(("rule", "text"), EVASIONS)
def test_it_was_a_disguise(rule: str, text: str) -> None:
    assert [word for word in RULES[rule].words if word in text] == []


@pytest.mark.parametrize("text", [text for texts in INNOCENTS.values() for text in texts])
def test_an_innocent_sentence_is_left_alone_by_the_rules_of_every_trade(text: str) -> None:
    assert [hit for hit in EVERYTHING.scan(text) if hit.level != "note"] == []


def test_innocents_are_of_every_trade() -> None:
    assert set(INNOCENTS) == {"all", *TRADES}


@given(st.sampled_from(FUZZY), st.data())
def test_white_space_and_what_cannot_be_seen_hide_nothing(case: tuple[str, str], data: st.DataObject) -> None:
    rule, word = case
    text = "".join(character + data.draw(UNSEEN) for character in f"我说{word}哦")

    assert rule in {hit.rule_id for hit in EVERYTHING.scan(text)}


@given(st.text(st.sampled_from("保证提分，不 包过.女子v信转我bao本\u200b\n😊1A"), max_size=60))
def test_inserting_spaces_never_loses_a_hit(text: str) -> None:
    spaced = " ".join(text)

    assert {hit.rule_id for hit in EVERYTHING.scan(text)} <= {hit.rule_id for hit in EVERYTHING.scan(spaced)}


@given(st.text(max_size=80) | st.text(st.sampled_from("保本 证.，女子vx信1%\u0336ﷺ㊙ß"), max_size=80))
def test_whatever_is_typed_hits_point_into_it(text: str) -> None:
    hits = EVERYTHING.scan(text)

    assert [hit.matched for hit in hits] == [text[hit.start : hit.end] for hit in hits]
    assert all(hit.start < hit.end for hit in hits)
    assert list(hits) == sorted(hits, key=lambda hit: (hit.start, -hit.end, hit.rule_id))


def test_a_hit_says_where_what_and_what_instead() -> None:
    scanner = _scanner(rewrite={"保本": "利益以合同为准"})

    assert scanner.scan("亲，\u200b保 本的哦") == (
        Hit(rule_id="t.one", level="block", start=3, end=6, matched="保 本", rewrite="利益以合同为准"),
    )


def test_of_overlapping_hits_of_a_rule_the_longest_is_told() -> None:
    assert _matched(_scanner(words=["保本", "保本保息", "保息"]), "这款保本保息，也保息") == [
        "保本保息",
        "保息",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "不保本",
        "我们不承诺保本",
        "没有保本这回事",
        "保险不能说是保本的",
        "请勿相信保本",
        "会不会保本",
        "保本的一律不做",
    ],
)
def test_a_denied_word_is_no_promise(text: str) -> None:
    assert _matched(_scanner(), text) == []
    assert _matched(_scanner(deniable=False), text) == ["保本"]


@pytest.mark.parametrize(
    "text",
    [
        "不仅保本",
        "您不用担心，保本",
        "没问题保本",
        "不要犹豫保本",
        "不买亏了，保本",
        "不用担心保本",
        "不得不说保本",
    ],
)
def test_a_no_about_something_else_denies_nothing(text: str) -> None:
    assert _matched(_scanner(), text) == ["保本"]


def test_whether_or_not_is_a_question() -> None:
    scanner = _scanner(words=["不会亏"], examples={"hits": ["不会亏"], "misses": ["好"]})

    assert _matched(scanner, "会不会亏") == []
    assert _matched(scanner, "放心不会亏") == ["不会亏"]


def test_a_harmless_phrase_covers_its_word_however_it_is_spaced_and_no_other() -> None:
    scanner = _scanner(unless=["医保本月"])

    assert _matched(scanner, "医保本月到账") == []
    assert _matched(scanner, "医 保 本月到账") == []
    assert _matched(scanner, "医保本月到账，产品保本") == ["保本"]


def test_a_rule_that_is_not_fuzzy_reads_what_is_there_in_one_form_of_letters() -> None:
    scanner = _scanner(words=["稳赚ABC"], fuzzy=False)

    assert _matched(scanner, "穩賺ａｂｃ") == ["穩賺ａｂｃ"]
    assert _matched(scanner, "稳\u200b赚abc") == ["稳\u200b赚abc"]
    assert _matched(scanner, "稳 赚abc") == []
    assert _matched(scanner, "稳.赚abc") == []


def test_two_clauses_are_not_joined_but_spelling_out_is_seen() -> None:
    scanner = _scanner(words=["保证提分", "保本"])

    assert _matched(scanner, "给您保证，提分要靠孩子") == []
    assert _matched(scanner, "五保，本来就有") == []
    assert _matched(scanner, "保，证，提，分") == ["保，证，提，分"]


def test_a_word_of_two_is_not_guessed_by_sound_from_another_character() -> None:
    scanner = _scanner()

    assert _matched(scanner, "报本") == []
    assert _matched(scanner, "bao本") == ["bao本"]
    assert _matched(scanner, "保ben") == ["保ben"]


def test_by_sound_a_long_word_of_the_sentence_is_not_torn_apart() -> None:
    scanner = _scanner(words=["保证进步"])

    assert _matched(scanner, "保证金不退") == []
    assert _matched(scanner, "保正进步") == ["保正进步"]
    assert _matched(_scanner(words=["0首付"]), "0手付的房") == ["0手付"]


def test_latin_words_and_numbers_stand_alone() -> None:
    scanner = _scanner(words=["vx", "第1"])

    assert _matched(scanner, "加 VX 聊") == ["VX"]
    assert _matched(scanner, "avx 第10") == []
    assert _matched(scanner, "第1名") == ["第1"]


def test_patterns_are_searched_with_and_without_white_space() -> None:
    scanner = _scanner(patterns=["转(到|给)我的卡", "满 \\d+ 返"])

    assert _matched(scanner, "请转 到 我的\u200b卡上") == ["转 到 我的\u200b卡"]
    assert _matched(scanner, "满  500 返现") == ["满  500 返"]
    assert _matched(scanner, "不要转到我的卡") == []


def test_patterns_that_would_hang_others_end(subtests: pytest.Subtests) -> None:
    for pattern in ("(a+)+$", "(a|aa)+$", "(.*a){20}", "([a-z]+)*!", "(a*)*b"):
        with subtests.test(pattern=pattern):
            _scanner(patterns=[pattern, "别的"]).scan("a" * 20_000 + "。")


def test_many_patterns_are_each_found_together() -> None:
    scanner = _scanner(patterns=[f"第{number}条[一二三]{{2}}" for number in range(300)])

    assert _matched(scanner, "见第7条一二和第299条三三") == ["第7条一二", "第299条三三"]


@pytest.mark.parametrize("piece", ["保本", "保 ", "女子", "（保", "bao", "不", "a", "保.本", "\u200b", "1"])
def test_a_flood_ends(piece: str) -> None:
    assert len(EVERYTHING.scan(piece * (10_000 // len(piece)))) <= 10_000


def test_letters_are_read_as_syllables_when_all_of_them_are() -> None:
    assert [syllable for syllable, _ in spelled("baoben")] == ["bao", "ben"]
    assert spelled("hello") == ()
    assert spelled("a" * 1000) == ()


def test_one_form_of_letters() -> None:
    assert canonical("Ｖ Ｘ 穩賺①\u200b㊙") == "vx稳赚1秘"
