"""What customers' own words say about their families: every sentence of the book, and what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scrm.identity.statements import FAMILY, RELATIONS, heard, nickname

BOOK: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "sayings.yaml").read_text())
SAYS = [(text, said) for said, texts in BOOK["says"].items() for text in texts]
SILENT = [str(text) for text in BOOK["silent"]]


def told(text: str) -> list[str]:
    return [f"{s.relation} {s.target.kind} {s.target.value}".strip() for s in heard(text)]


@pytest.mark.parametrize(("text", "said"), SAYS)
def test_a_sentence_says_who_its_speaker_is_to_whom(text: str, said: str) -> None:
    assert told(text) == [said]


@pytest.mark.parametrize("text", SILENT)
def test_a_sentence_that_states_nothing_says_nothing(text: str) -> None:
    assert told(text) == []


def test_the_book_is_thick_enough_to_mean_something() -> None:
    assert len(SAYS) + len(SILENT) >= 200
    assert len(SILENT) >= 80
    assert len({text for text, _ in SAYS} | set(SILENT)) == len(SAYS) + len(SILENT)


@pytest.mark.parametrize("text", [text for text, said in SAYS if said.split()[0] != "referrer"])
@pytest.mark.parametrize(
    "frame",
    ["他说{}", "如果{}", "“{}”", "{}？", "{}吗", "我没说过{}", "听说{}", "假如{}我就报", "{}，对吗？"],
)
def test_reported_supposed_asked_or_quoted_it_says_nothing(text: str, frame: str) -> None:
    first = text.rstrip("，。")
    # What stands in a sentence of its own behind it is a statement of its own.
    if any(sign in first for sign in "，,？? "):
        return
    assert told(frame.format(first)) == []


def test_the_words_that_say_so_are_named_by_their_place() -> None:
    text = "老师您好，我是王子涵的妈妈，想问一下课程"
    (said,) = heard(text)

    assert text[said.start : said.end] == "我是王子涵的妈妈"
    assert said.speaker == "妈妈"
    assert 0 < said.confidence <= 1


def test_two_things_in_one_message_are_two_statements() -> None:
    assert told("我是子涵妈妈，加我老公微信13912345678") == [
        "parent child 子涵",
        "spouse phone 13912345678",
    ]


def test_a_pasted_article_says_nothing_beyond_its_beginning() -> None:
    assert told("课" * 300 + "。我是孩子爸爸") == []


def test_who_sent_somebody_here_is_no_family() -> None:
    assert {"referrer", "helper"} == RELATIONS - FAMILY


@given(
    st.text(
        alphabet=st.sampled_from("我是孩子爸妈的他不吗？，“”1390 王子涵加老公微信\x00\u3000😀"), max_size=40
    )
)
def test_no_text_breaks_the_grammar(text: str) -> None:
    for said in heard(text):
        assert 0 <= said.start < said.end <= len(text)


@pytest.mark.parametrize(
    ("name", "child", "relation"),
    [
        ("子涵妈妈", "子涵", "parent"),
        ("朵朵爸", "朵朵", "parent"),
        ("大宝奶奶", "大宝", "grandparent"),
        ("王子涵家长", "王子涵", "guardian"),
        ("糖糖的麻麻", "糖糖", "parent"),
        ("Coco妈", "Coco", "parent"),
        ("雨桐爸爸🌸", "雨桐", "parent"),
        ("若曦外婆", "若曦", "grandparent"),
        ("一诺爸爸13912345678", "一诺", "parent"),
    ],
)
def test_a_nickname_says_whose_mother_somebody_is(name: str, child: str, relation: str) -> None:
    said = nickname(name)

    assert said is not None
    assert (said.child, said.relation) == (child, relation)


@pytest.mark.parametrize(
    "name",
    "全职妈妈 宝妈 幸福妈妈 李妈 老爸 王大妈 快乐妈妈 辣妈 超级奶爸 张阿姨 海绵宝宝 王伟 二胎妈妈 新手爸爸"
    " 妈妈 爸 我是爸爸 好妈妈 班级家长 ❤ 三个孩子的妈妈 上海妈妈 孩子妈妈 不是妈妈".split(),
)
def test_most_nicknames_say_nothing(name: str) -> None:
    assert nickname(name) is None
