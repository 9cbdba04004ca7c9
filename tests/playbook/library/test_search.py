"""Finding a script while typing: by words, code, full pinyin and initials, the best first."""

from __future__ import annotations

import pytest

from scrm.playbook.library.search import MAX_CHARS, Finder
from scrm.playbook.scripts import Script, read_library
from scrm.settings import shipped
from tests.ground import script

FIRST_ONE = "{{ child.name|default('孩子') }}可以先听一节"
SHELF = (
    script("price", title="觉得贵", triggers=["太贵"], says=["超出我们预算了"], text="花钱的事谨慎是应该的"),
    script("guide", title="贵宾接待", triggers=["贵宾"], says=["怎么接待"], text="请坐"),
    script("trial", title="约试听", triggers=["试听"], says=["能试试吗"], text=FIRST_ONE),
    script("ai", title="AI 课介绍", triggers=["AI"], says=["人工智能课教什么"], text="先玩再学"),
)  # fmt: skip


def found(words: str, shelf: tuple[Script, ...] = SHELF) -> list[str]:
    return [s.id.partition(".")[2] for s in Finder(shelf).find(words)]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("觉得", "price"),  # words of the title
        ("juede", "price"),  # full pinyin from the first syllable
        ("degui", "price"),  # ... from a later one
        ("jued", "price"),  # ... not yet finished
        ("jdg", "price"),  # initials
        ("yst", "trial"),
        ("YST", "trial"),  # capitals
        ("ｙｓｔ", "trial"),  # full-width letters
        ("预算", "price"),  # what customers say
        ("谨慎", "price"),  # the text itself
        ("贵", "guide"),  # a title that begins with it comes before one that contains it
        ("ai", "ai"),  # letters in a title
        ("aik", "ai"),
        ("trial", "trial"),  # the code
        ("约 孩子", "trial"),  # several words, each somewhere
    ],
)
def test_the_script_is_found_by(words: str, first: str) -> None:
    assert found(words)[0] == first


@pytest.mark.parametrize(
    "words", ["", "   ", "没有这种话", "觉得 没有这种话", "default", "uede", "\n", "{{"], ids=repr
)
def test_nothing_is_found_by(words: str) -> None:
    assert found(words) == []


def test_a_search_as_long_as_a_book_is_cut() -> None:
    assert found("觉" * MAX_CHARS * 1000) == []
    assert found("觉得" + " " * MAX_CHARS + "没有这种话") == ["price"]


def test_every_shipped_script_is_found_by_its_title_its_initials_and_its_code() -> None:
    shelf = read_library(shipped("scripts_library"))
    finder = Finder(shelf)

    for one in shelf:
        assert one in finder.find(one.title), one.id
        assert finder.find(one.id)[0] == one
