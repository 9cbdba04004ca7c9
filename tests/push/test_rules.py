"""Whether a push may go out: two windows of an Official Account, one of customer service, and the session."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.contract import Window
from scrm.push import rules
from scrm.push.rules import Opening, Used, Verdict
from tests.ground import NOW, later

DAY = 86_400
#: What the platforms grant: 48 hours and 5 after a word, a minute and 3 after a click.
WORD = Window(opens=("message.",), seconds=2 * DAY, count=5)
CLICK = Window(opens=("event.subscribe", "event.menu.click"), seconds=60, count=3)
OA, KF = (WORD, CLICK), (WORD,)


def word(ago_s: float) -> Opening:
    return Opening(kind="message.text", at=later(-ago_s))


def click(ago_s: float) -> Opening:
    return Opening(kind="event.menu.click", at=later(-ago_s))


def verdict(*openings: Opening, used: int = 0, windows: tuple[Window, ...] = OA, **more: Any) -> Verdict:
    usual: dict[str, Any] = {"sends": True, "session": "api", "in_app": False, "now": NOW}
    return rules.verdict(windows, openings, Used(at=(NOW,) * used), **(usual | more))


@pytest.mark.parametrize(
    ("openings", "used", "windows", "left"),
    [
        ([word(10)], 0, OA, 5),
        ([word(2 * DAY - 1)], 0, OA, 5),  # the last second
        ([word(2 * DAY)], 0, OA, None),  # over
        ([word(10)], 4, OA, 1),
        ([word(10)], 5, OA, None),  # used up
        ([click(10)], 0, OA, 3),  # the small window
        ([click(60)], 0, OA, None),
        ([click(10)], 3, OA, None),
        ([word(DAY), click(10)], 3, OA, 2),  # the click's places are gone, the word's are not
        ([word(3 * DAY), click(10)], 0, OA, 3),  # the other way round
        ([click(10)], 0, KF, None),  # customer service counts words only
        ([word(10)], 0, KF, 5),
        ([], 0, OA, None),  # never said anything
        ([], 0, (), None),  # a channel without windows: always
    ],
)
def test_windows(openings: list[Opening], used: int, windows: tuple[Window, ...], left: int | None) -> None:
    found = verdict(*openings, used=used, windows=windows)

    assert found.left == left
    assert (found.way == "api") == (left is not None or not windows)


def test_only_pushes_since_the_opening_count() -> None:
    used = Used(at=(later(-50), later(-200), later(-300)))

    found = rules.verdict(KF, [word(100)], used, sends=True, session="api", in_app=False, now=NOW)

    assert (found.left, found.until) == (4, later(2 * DAY - 100))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sends": False}, rules.BY_HAND),
        ({"session": "human"}, rules.HUMAN),
        ({"session": "ended"}, rules.ENDED),
        ({"used": 5}, rules.USED_UP),
    ],
)
@pytest.mark.parametrize(("in_app", "way"), [(True, "jssdk"), (False, "copy")])
def test_every_no_has_a_reason_and_another_way(
    changes: dict[str, Any], why: str, in_app: bool, way: str
) -> None:
    found = verdict(word(10), in_app=in_app, **changes)

    assert (found.way, found.why) == (way, why)
    assert "{" not in found.sentence


def test_silence_is_told_from_too_many_words() -> None:
    assert verdict(word(3 * DAY)).sentence == "客户超过 48 小时没有说话，平台不允许主动发送。"
    assert verdict(word(10), used=5).sentence == "客户回复前最多发 5 条，已经用完；等客户说话后可继续。"


pieces = st.lists(
    st.sampled_from(["好", "a", "，", "。", "\n", " ", "！", "😀", "b. ", "长句子没有标点"]), max_size=80
)


@given(pieces.map("".join), st.integers(4, 60))
def test_parts_fit_the_limit_and_join_back_to_the_text(text: str, limit: int) -> None:
    parts = rules.parts(text, limit)

    assert all(0 < len(part.encode()) <= limit for part in parts)
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)  # only space at a cut is dropped


def test_a_text_that_fits_is_one_part_and_a_long_one_is_cut_after_a_sentence() -> None:
    assert rules.parts("  一句话。 ", 2048) == ["一句话。"]
    assert rules.parts("第一句。第二句。第三", 28) == ["第一句。第二句。", "第三"]
    assert rules.parts("   \n ", 2048) == []
