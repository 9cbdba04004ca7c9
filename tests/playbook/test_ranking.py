"""Suggestions: the right scripts, for reasons a rep understands, the same ones every time."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.bench.suggest import grown
from scrm.bench.text import hits, read_cases
from scrm.playbook.prior import Counts, Lately, Prior
from scrm.playbook.ranking import Index, Moment, Suggestion
from scrm.playbook.scripts import Script, read_library
from scrm.shapes import load

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = read_library(ROOT / "scripts_library", ("education",))
INDEX = Index(SCRIPTS)
CASES = read_cases(Path(__file__).with_name("utterances.yaml"))


def _rank(*said: str, limit: int = 5, **choices: Any) -> tuple[Suggestion, ...]:
    return INDEX.rank(Moment(**({"utterances": said, "channel": "wecom_kf"} | choices)), limit)


def _ids(suggestions: tuple[Suggestion, ...]) -> list[str]:
    return [suggestion.script_id for suggestion in suggestions]


def _script(name: str, **changes: object) -> Script:
    plain: dict[str, object] = {
        "id": f"edu.{name}",
        "version": 3,
        "title": name,
        "stage": "needs",
        "role": "any",
        "delivery": "confirm",
        "triggers": ["便宜"],
        "text": "好",
        "examples": [{"given": {}, "expect": "好"}],
        "says": ["能便宜点吗"],
    }
    return load(Script, plain | changes, where="t")


def _rank_among(scripts: list[Script], *said: str, **choices: Any) -> tuple[Suggestion, ...]:
    return Index(scripts).rank(Moment(**({"utterances": said, "channel": "wecom_kf"} | choices)))


def test_the_right_script_is_mostly_among_the_first_three() -> None:
    # Measured 0.695 and 0.874 on wording nobody tuned for; 0.978 and 1.0 on the rest. Floors leave some room
    # for edits of the library.
    first, third = hits(INDEX, CASES["held_out"])
    assert (first >= 0.62, third >= 0.82) == (True, True), (first, third)

    first, third = hits(INDEX, CASES["tuned"])
    assert (first >= 0.9, third >= 0.97) == (True, True), (first, third)


def test_the_labelled_utterances_are_many_new_and_name_real_scripts() -> None:
    said = [case.said for group in CASES.values() for case in group]
    known = {line for script in SCRIPTS for line in script.says}

    assert len(CASES["held_out"]) >= 60
    assert len(set(said)) == len(said)
    assert not known & set(said)
    assert {name for group in CASES.values() for case in group for name in case.expect} <= {
        s.id for s in SCRIPTS
    }


@pytest.mark.parametrize(
    ("said", "script_id", "reason"),
    [
        (
            "能便宜点吗",
            "edu.price-objection",
            "客户刚说“能便宜点吗”，和“太贵了，能便宜点吗”说法相近",
        ),
        ("孩子坚持不下来", "edu.keep-going", "客户刚说“孩子坚持不下来”，和“孩子坚持不下来怎么办”说法相近"),
    ],
)
def test_the_reason_quotes_the_customer_and_what_matched(said: str, script_id: str, reason: str) -> None:
    by_id = {suggestion.script_id: suggestion.reason for suggestion in _rank(said)}

    assert script_id in by_id
    assert reason in by_id.values()


def test_filler_words_inside_a_trigger_do_not_hide_it() -> None:
    (found,) = _rank_among([_script("a", triggers=["请假"], says=["真难办"])], "周五请个假")

    assert found.reason == "客户刚说“周五请个假”，命中“请假”"


def test_another_word_for_the_same_thing_is_understood() -> None:
    scripts = [
        _script("leave", triggers=[], says=["孩子发烧了，今天去不了"]),
        _script("price", triggers=[], says=["你们怎么收费"]),
        _script("wall", triggers=[], says=["墙上裂了条缝"]),
    ]

    assert _ids(_rank_among(scripts, "得了甲流，这两天先不过来了"))[0] == "edu.leave"
    assert _ids(_rank_among(scripts, "现在什么行情"))[0] == "edu.price"
    assert _ids(_rank_among(scripts, "主卧漏水"))[0] == "edu.wall"


def test_a_long_message_is_quoted_by_its_beginning_on_one_line() -> None:
    (reason,) = {
        s.reason.partition("”")[0] for s in _rank("太贵了\n" + "我们家真的不想花这么多钱在这个上面" * 3)[:1]
    }

    assert reason == "客户刚说“太贵了 我们家真的不想花这么多钱在这个上…"


def test_the_newest_message_counts_most_and_older_ones_say_so() -> None:
    ranked = _rank("孩子发烧了，要请假", "你们的课多少钱")

    assert _ids(ranked)[0] == "edu.leave"
    assert any(s.script_id == "edu.price-ask" and s.reason.startswith("客户之前说“") for s in ranked)


def test_at_most_five_of_more_than_one_stage_are_offered() -> None:
    ranked = _rank("太贵了，能便宜点吗，我再考虑考虑，跟孩子爸爸商量一下，效果怎么样，多少钱，能试听吗")
    stages = {script.id: script.stage for script in SCRIPTS}

    assert len(ranked) == 5
    assert len({stages[name] for name in _ids(ranked)}) >= 2
    assert len(_rank("太贵了，多少钱，能试听吗", limit=2)) == 2


def test_close_scores_of_one_stage_make_room_for_another_stage() -> None:
    same = [_script(name) for name in ("a", "b", "c", "d", "e")]
    other = _script("f", stage="closing", says=["能便宜点吗"])

    assert "edu.f" in _ids(_rank_among([*same, other], "能便宜点吗"))[:2]


def test_what_was_just_sent_is_not_offered_again() -> None:
    first = _ids(_rank("太贵了，能便宜点吗"))

    again = _ids(_rank("太贵了，能便宜点吗", recently_sent=(first[0], f"{first[1]}@1")))

    assert not set(first[:2]) & set(again)


@pytest.mark.parametrize(
    ("choices", "first"),
    [
        ({}, "edu.a"),  # equal: by id
        ({"stage": "closing"}, "edu.b"),  # the stage at hand wins
        ({"role": "buyer"}, "edu.b"),  # a script for another member falls behind
        ({"role": "user", "stage": "needs"}, "edu.a"),
    ],
)
def test_stage_and_role_shift_the_order(choices: dict[str, str], first: str) -> None:
    scripts = [_script("a", role="user"), _script("b", role="buyer", stage="closing")]

    assert _ids(_rank_among(scripts, "能便宜点吗", **choices))[0] == first


def test_a_stage_next_to_the_one_at_hand_comes_before_a_far_one() -> None:
    scripts = [_script("a", stage="recall"), _script("b", stage="closing"), _script("c", stage="quotation")]

    assert _ids(_rank_among(scripts, "能便宜点吗", stage="quotation")) == ["edu.c", "edu.b", "edu.a"]


def test_only_scripts_of_the_trades_at_hand_are_offered() -> None:
    houses = [_script("x"), _script("y")]
    index = Index.of({"education": [_script("a")], "housing": houses})

    def offered(*trades: str) -> list[str]:
        return _ids(index.rank(Moment(utterances=["便宜点"], channel="x", trades=frozenset(trades))))

    assert offered("education") == ["edu.a"]
    assert set(offered("housing")) == {"edu.x", "edu.y"}
    assert set(offered("housing", "education")) == set(offered()) == {"edu.a", "edu.x", "edu.y"}


_PROMISED = {
    "text": "{{ promise.discount }}",
    "examples": [{"given": {"promise": {"discount": "8.5 折"}}, "expect": "8.5 折"}],
}


def test_a_script_that_quotes_a_live_promise_is_preferred_and_says_so() -> None:
    scripts = [_script("a", stage="quotation"), _script("b", stage="quotation", **_PROMISED)]

    first, second = _rank_among(scripts, "能便宜点吗", promises={"discount"})

    assert (first.script_id, second.script_id) == ("edu.b", "edu.a")
    assert first.reason.endswith("；答应过这家的折扣还有效，这条按答应的说")
    assert _ids(_rank_among(scripts, "能便宜点吗", promises={"gift"})) == ["edu.a", "edu.b"]
    assert _ids(_rank_among(scripts, "能便宜点吗")) == ["edu.a", "edu.b"]


def test_opening_a_chat_with_an_open_promise_offers_what_quotes_it() -> None:
    scripts = [_script("a", fallback=True), _script("b", stage="quotation", **_PROMISED)]

    assert _ids(_rank_among(scripts, promises={"discount"})) == ["edu.b", "edu.a"]
    assert _ids(_rank_among(scripts)) == ["edu.a"]


def test_what_worked_in_this_team_goes_up_and_the_reason_says_how_often() -> None:
    scripts = [_script("a"), _script("b", stage="closing")]
    now = datetime(2026, 11, 22, tzinfo=UTC)
    prior = Prior(
        [
            ("edu.a", "", "", Counts(at=now, shown=100, used=5, replied=1)),
            ("edu.b", "", "", Counts(at=now, shown=100, used=50, replied=40)),
        ],
        now=now,
        lately={"edu.b": Lately(used=42, replied=31)},
    )

    ranked = _rank_among(scripts, "能便宜点吗", prior=prior)

    assert _ids(_rank_among(scripts, "能便宜点吗")) == ["edu.a", "edu.b"]
    assert _ids(ranked) == ["edu.b", "edu.a"]
    assert ranked[0].reason.endswith("；近 30 天您团队用了 42 次，31 次客户 2 小时内回复")


def test_the_past_brings_in_nothing_that_nobody_asked_for() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    prior = Prior([("edu.b", "", "", Counts(at=now, shown=100, used=100, replied=100))], now=now)
    scripts = [_script("a"), _script("b", title="别的", triggers=[], says=["什么时候开班"])]

    assert _ids(_rank_among(scripts, "能便宜点吗", prior=prior)) == ["edu.a"]


def test_copies_of_one_script_do_not_fill_the_list() -> None:
    copies = [_script(name, title="同一条") for name in ("a", "b", "c", "d", "e", "f")]
    others = [_script("x", title="另一条", says=["便宜"]), _script("y", title="再一条", says=["便宜些"])]

    assert {"edu.x", "edu.y"} < set(_ids(_rank_among([*copies, *others], "能便宜点吗"))[:3])


def test_much_the_same_is_found_among_thousands() -> None:
    many = grown(SCRIPTS, 1200)
    index = Index(many)

    for said, script in (
        ("太贵了，能便宜点吗", "edu.price-objection"),
        ("孩子坚持不下来怎么办", "edu.keep-going"),
    ):
        assert _ids(index.rank(Moment(utterances=[said], channel="x")))[0].startswith(script)


def test_a_script_for_other_channels_is_left_out() -> None:
    scripts = [_script("a", channels=["wechat_oa"]), _script("b")]

    assert _ids(_rank_among(scripts, "便宜点", channel="wecom_kf")) == ["edu.b"]
    assert _ids(_rank_among(scripts, "便宜点", channel="wechat_oa")) == ["edu.a", "edu.b"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((), "客户还没说话，可以用“初次接触”的话术打开话题"),
        (("zxcv",), "没认出“zxcv”想问什么，可以用“初次接触”的话术问清楚"),
        (("？",), "没认出“？”想问什么，可以用“初次接触”的话术问清楚"),
        (("好的",), "客户刚说“好的”，没有提问题，可以用“初次接触”的话术接着聊"),
        (("[图片]",), "客户刚说“[图片]”，没有提问题，可以用“初次接触”的话术接着聊"),
        (("👍",), "客户刚说“👍”，没有提问题，可以用“初次接触”的话术接着聊"),
    ],
)
def test_without_a_question_the_openers_come_and_say_why(said: tuple[str, ...], why: str) -> None:
    ranked = _rank(*said)
    fallback = {script.id for script in SCRIPTS if script.fallback}

    assert len(ranked) == min(5, len(fallback))
    assert set(_ids(ranked)) <= fallback
    assert (ranked[0].script_id, ranked[0].reason, ranked[0].score) == ("edu.hello", why, 0.0)


def test_the_openers_of_the_stage_at_hand_come_first() -> None:
    assert _ids(_rank(stage="trial"))[0] == "edu.trial-invite"


def test_a_polite_word_does_not_hide_the_question_before_it() -> None:
    ranked = _rank("谢谢", "你们的课多少钱")

    assert _ids(ranked)[0] == "edu.price-ask"


def test_a_guess_is_called_a_guess_and_openers_follow_it() -> None:
    ranked = _rank("你们老板姓什么")

    assert "可能和“" in ranked[0].reason
    assert ranked[-1].script_id in {script.id for script in SCRIPTS if script.fallback}
    assert len(ranked) == 5


@pytest.mark.parametrize(
    "said", ["能便宜点么", "能便宜點嗎？？？", "能　便宜　点吗", "ＫＥＴ好考吗", "学费咋收"]
)
def test_spelling_and_width_do_not_matter_much(said: str) -> None:
    assert _rank(said)[0].score > 0


@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_text_gives_at_most_five_different_suggestions_with_reasons(said: list[str]) -> None:
    ranked = _rank(*said)

    assert len(set(_ids(ranked))) == len(ranked) <= 5
    assert all(s.reason and s.version >= 1 for s in ranked)


def test_an_empty_library_suggests_nothing() -> None:
    assert _rank_among([], "多少钱") == ()


def test_a_script_without_triggers_is_found_by_its_wording() -> None:
    assert _ids(_rank_among([_script("a", triggers=[])], "能便宜点吗")) == ["edu.a"]


def test_a_pasted_article_is_cut() -> None:
    assert _rank("天地玄黄" * 200 + "多少钱") == _rank("天地玄黄" * 200)


def test_ranking_is_the_same_in_every_process() -> None:
    code = (
        "from pathlib import Path; from scrm.playbook.scripts import read_library; "
        "from scrm.playbook.ranking import Index, Moment; "
        "i = Index(read_library(Path('scripts_library'), ('education',))); "
        "print([i.rank(Moment(utterances=[s], channel='')) "
        "for s in ('太贵了，能便宜点吗', '孩子坚持不下来', '你们老板姓什么', '')])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }

    assert len(seen) == 1
