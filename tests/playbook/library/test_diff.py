"""Differences by words: whatever the texts, they are what both are made of, and nothing more."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from scrm.playbook.library.diff import Piece, diff, words

TEXT = st.text(alphabet="您好价格太贵了abc ，{}%\n", max_size=60)


def sides(pieces: tuple[Piece, ...]) -> tuple[str, str]:
    before = "".join(p.text for p in pieces if p.op != "add")
    return before, "".join(p.text for p in pieces if p.op != "del")


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_what_stayed_and_went_is_the_old_text_what_stayed_and_came_the_new_one(a: str, b: str) -> None:
    assert sides(diff(a, b)) == (a, b)


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT)
def test_two_pieces_of_one_kind_never_stand_side_by_side(a: str, b: str) -> None:
    kinds = [p.op for p in diff(a, b)]

    assert all(one != other for one, other in pairwise(kinds))
    assert ("add", "del") not in set(pairwise(kinds))


def test_whole_words_differ_not_single_characters() -> None:
    found = diff("这个课程很划算", "这个价格很划算")

    assert [(p.text, p.op) for p in found] == [
        ("这个", "same"), ("课程", "del"), ("价格", "add"), ("很划算", "same"),
    ]  # fmt: skip


def test_a_variable_is_one_word() -> None:
    assert "{{ member.name|default('您好') }}" in words("哦{{ member.name|default('您好') }}，好")

    changed = diff("{{ member.name }}好", "{{ child.name }}好")
    assert [(p.text, p.op) for p in changed] == [
        ("{{ member.name }}", "del"), ("{{ child.name }}", "add"), ("好", "same"),
    ]  # fmt: skip


def test_the_same_text_has_no_difference() -> None:
    assert [p.op for p in diff("您好，请坐", "您好，请坐")] == ["same"]
    assert diff("", "") == ()


def test_texts_of_the_greatest_length_with_nothing_in_common_are_compared_too() -> None:
    a, b = "价格优惠" * 1000, "abc " * 1000

    assert sides(diff(a, b)) == (a, b)
