"""Intent rules: what must be heard is heard, what must not is not, a wrong file says where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scrm.errors import BadInput
from scrm.playbook.ranking import Index, Intent, Moment, read_intents
from scrm.playbook.ranking.intents import Rules
from scrm.playbook.scripts import Script, read_packs
from scrm.shapes import load, to_yaml

LIBRARY = Path(__file__).resolve().parents[2] / "scripts_library"
EVERY = read_intents(LIBRARY)


def _intent(name: str = "x.price", **changes: Any) -> Intent:
    plain: dict[str, Any] = {"id": name, "title": "问价格", "scripts": ("*.price",)}
    return Intent(**(plain | {"when": ("多少|几 钱",), "hits": ("多少钱",)} | changes))


def _script(name: str, **changes: Any) -> Script:
    plain: dict[str, Any] = {
        "id": name,
        "version": 1,
        "title": name,
        "stage": "needs",
        "role": "any",
        "delivery": "confirm",
        "triggers": [],
        "text": "好",
        "examples": [{"given": {}, "expect": "好"}],
    }
    return load(Script, plain | changes, where="t")


def _ids(index: Index, **moment: Any) -> list[str]:
    return [s.script_id for s in index.rank(Moment(**({"channel": "wecom_kf"} | moment)))]


def _hears(intent: Intent, said: str) -> bool:
    return bool(Rules([intent]).heard(said))


def test_every_shipped_rule_hears_its_examples() -> None:
    rules = Rules(EVERY)

    for number, intent in enumerate(EVERY):
        for line in intent.hits:
            assert number in dict(rules.heard(line)), (intent.id, line)
        for line in intent.misses:
            assert number not in dict(rules.heard(line)), (intent.id, line)


def test_every_shipped_rule_leads_to_a_script_of_its_trade() -> None:
    packs = read_packs(LIBRARY)
    known = {script.id for pack in packs.values() for script in pack}
    names = known | {"*." + name.partition(".")[2] for name in known}

    for trade in packs:
        for intent in read_intents(LIBRARY, (trade,)):
            exact = [name for name in intent.scripts if not name.startswith("*.")]
            assert set(exact) <= known, intent.id
            assert exact or set(intent.scripts) & names, intent.id


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("这个多少钱", True),
        ("几个钱", True),
        ("多 少 ＄", False),
        ("钱不是问题", False),
        ("给我多少课，花的钱另算", True),  # two clauses of a short message
        ("我想知道一节课有多少个孩子在里面一起上，因为人太多的话老师顾不过来的，钱倒是没什么关系", False),
    ],
)
def test_all_groups_of_a_rule_must_stand_together(said: str, heard: bool) -> None:
    assert _hears(_intent(), said) is heard


def test_a_word_that_forbids_it_counts_in_its_clause_only() -> None:
    careful = _intent(unless=("退",))

    assert not _hears(careful, "能退多少钱")
    assert _hears(careful, "之前的课我已经都退完了没关系的，现在这个班一期一共收多少钱，还有没有位子")


def test_what_stands_in_one_clause_is_surer_than_what_stands_in_two() -> None:
    rules = Rules([_intent()])

    assert dict(rules.heard("多少钱")) == {0: 2}
    assert dict(rules.heard("课多少，钱呢")) == {0: 1}


def test_an_intent_brings_its_scripts_and_says_so() -> None:
    scripts = [_script("edu.price"), _script("edu.other"), _script("house.price")]
    index = Index(scripts, intents=[_intent(scripts=("*.price", "edu.other"))])

    ranked = index.rank(Moment(utterances=["多少钱"], channel="x"))

    assert [s.script_id for s in ranked] == ["edu.price", "edu.other", "house.price"]
    assert ranked[0].reason == "客户刚说“多少钱”，意思是“问价格”"


def test_opening_a_chat_offers_the_next_step_of_the_stage() -> None:
    steps = _intent("x.step", when=(), hits=(), opening=("trial",), scripts=("edu.invite",))
    index = Index(
        [_script("edu.hello", fallback=True), _script("edu.invite", stage="trial")], intents=[steps]
    )

    assert _ids(index, stage="trial") == ["edu.invite", "edu.hello"]
    assert _ids(index, stage="renewal") == ["edu.hello"]
    assert _ids(index, stage="trial", recently_sent=["edu.invite@1"]) == ["edu.hello"]


def test_at_night_what_may_be_sent_by_itself_is_offered_besides() -> None:
    night = _intent("x.night", when=(), hits=(), hours=(21, 8), scripts=("edu.night", "edu.tired"))
    scripts = [_script("edu.price"), _script("edu.night"), _script("edu.tired", delivery="auto")]
    index = Index(scripts, intents=[_intent(), night])

    assert _ids(index, utterances=["多少钱"], hour=14) == ["edu.price"]
    assert _ids(index, utterances=["多少钱"], hour=23) == ["edu.price", "edu.tired"]
    assert _ids(index, utterances=["多少钱"], hour=3, recently_sent=["edu.tired"]) == ["edu.price"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([{"id": "a", "title": "t", "scripts": ["x.y"]}], "至少写一项"),
        ([{"id": "a", "title": "t", "scripts": [], "opening": ["needs"]}], "不能为空"),
        ([{"id": "a", "title": "t", "scripts": ["x.y"], "opening": ["noon"]}], "没有阶段 noon"),
        ([{"id": "a", "title": "t", "scripts": ["x.y"], "hours": [20, 99]}], "0 到 24"),
        ([{"id": "a", "title": "t", "scripts": ["x.y"], "when": ["| b"], "hits": ["b"]}], "空的词"),
        ([{"id": "a", "title": "t", "scripts": ["x.y"], "when": ["b"]}], "hits 至少写一句"),
        ([{"id": "a", "title": "t", "scripts": ["x.y"], "when": ["b"], "hits": ["c"]}], "听不出“c”"),
        (
            [{"id": "a", "title": "t", "scripts": ["x.y"], "when": ["b"], "hits": ["b"], "misses": ["ab"]}],
            "把“ab”也听成了“t”",
        ),
        (
            [{"id": "a", "title": title, "scripts": ["x.y"], "opening": ["needs"]} for title in "tu"],
            "已经用过",
        ),
        ([{"id": "a", "title": "t", "scripts": ["x.y"], "opening": ["needs"], "wenn": ["b"]}], "wenn"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_file(
    tmp_path: Path, content: list[dict[str, Any]], sentence: str
) -> None:
    (tmp_path / "intents.yaml").write_text(to_yaml(content), encoding="utf-8")

    with pytest.raises(BadInput, match=r"intents\.yaml") as caught:
        read_intents(tmp_path)
    assert sentence in caught.value.sentence


def test_a_folder_without_rules_has_none(tmp_path: Path) -> None:
    assert read_intents(tmp_path) == ()
