"""Rich content on channels that carry less, and long words in parts that nobody would cut there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrm.contract import Card
from scrm.push import content
from scrm.push.content import Content, Piece, shape

LINK = Card(title="课程表", description="春季班", url="https://a.cn/k?x=1;y=2")
PROGRAM = Card(title="预约试听", app_id="wx1", page="pages/book")
TEMPLATE = Card(title="开课提醒", template_id="t1", values={"a": "b"})
WORDS = frozenset({"text", "image"})
ALL = frozenset({"text", "image", "file", "voice", "video", "link", "miniprogram", "template"})


def texts(made: content.Shape) -> list[str]:
    return [p.text for p in made.pieces]


@pytest.mark.parametrize(
    ("given_", "kinds", "pieces", "note"),
    [
        (Content(text="好"), WORDS, [Piece(kind="text", text="好")], ""),
        # a picture with words: both arrive, the picture first
        (Content(kind="image", text="看"), WORDS, [Piece(kind="image"), Piece(kind="text", text="看")], ""),
        (Content(kind="link", card=LINK), ALL, [Piece(kind="link", card=LINK)], ""),
        (
            Content(kind="link", card=LINK),
            WORDS,
            [Piece(kind="text", text="课程表\n春季班\nhttps://a.cn/k?x=1;y=2")],
            content.AS_WORDS,
        ),
        (
            Content(kind="miniprogram", card=PROGRAM),
            WORDS,
            [Piece(kind="text", text="预约试听\n请在小程序里打开“预约试听”。")],
            content.AS_WORDS,
        ),
        (Content(kind="template", card=TEMPLATE), ALL, [Piece(kind="template", card=TEMPLATE)], ""),
        (Content(kind="template", card=TEMPLATE), WORDS, [], content.NO_TEMPLATE),
        # no words are like a file, and nothing of ours is on the open internet to link to
        (Content(kind="file"), WORDS, [], content.BY_HAND),
        (Content(kind="voice"), WORDS, [], content.BY_HAND),
        (Content(kind="video"), WORDS, [], content.BY_HAND),
        (Content(kind="image"), frozenset({"text"}), [], content.BY_HAND),
        (Content(kind="file"), ALL, [Piece(kind="file")], ""),
        (Content(kind="welcome", text=" 欢迎 "), frozenset(), [Piece(kind="welcome", text="欢迎")], ""),
    ],
)
def test_what_a_channel_cannot_carry_is_said_in_words_or_not_at_all(
    given_: Content, kinds: frozenset[str], pieces: list[Piece], note: str
) -> None:
    made = shape(given_, kinds, 2048)

    assert (list(made.pieces), made.note) == (pieces, note)


def test_a_welcome_is_one_message_however_long() -> None:
    assert len(shape(Content(kind="welcome", text="长" * 3000), frozenset(), 2048).pieces) == 1


def test_a_long_card_is_split_like_any_text_and_keeps_its_order() -> None:
    long = Card(title="标题", description="一二三四五。" * 10, url="https://a.cn/" + "x" * 40)

    parts = texts(shape(Content(kind="link", card=long), WORDS, 80))

    assert parts[0].startswith("标题")
    assert parts[-1] == "https://a.cn/" + "x" * 40
    assert all(len(part.encode()) <= 80 for part in parts)


def test_an_address_is_not_cut_though_it_is_full_of_marks() -> None:
    url = "https://a.cn/list?a=1;b=2?c=3"

    assert content.parts(f"请看 {url} 谢谢", 32) == ["请看", url, "谢谢"]


def test_an_address_longer_than_a_message_must_be_cut() -> None:
    parts = content.parts("https://a.cn/" + "x" * 100, 40)

    assert "".join(parts) == "https://a.cn/" + "x" * 100
    assert all(len(p) <= 40 for p in parts)


@pytest.mark.parametrize(
    "letter",
    [
        "👨‍👩‍👧‍👦",  # a family of seven code points
        "👍🏽",  # a skin tone
        "🇨🇳",  # two letters of a flag
        "é",  # an accent of its own
        "☎️",  # drawn as a picture
    ],
)
def test_what_is_read_as_one_character_is_not_cut(letter: str) -> None:
    parts = content.parts(letter * 12, 40)

    assert "".join(parts) == letter * 12
    assert all(part.count(letter) * len(letter) == len(part) for part in parts)


pieces = st.lists(
    st.sampled_from(["好", "a", "。", "\n", " ", "😀", "👨‍👩‍👧", "🇨🇳", "é", "https://a.cn/b?c;d ", "无标点"]),
    max_size=60,
)


@given(pieces.map("".join), st.integers(4, 60))
def test_parts_fit_and_nothing_is_lost(text: str, limit: int) -> None:
    parts = content.parts(text, limit)

    assert all(0 < len(part.encode()) <= limit for part in parts)
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)


@given(pieces.map("".join), st.integers(40, 80))
def test_no_address_is_cut_where_it_need_not_be(text: str, limit: int) -> None:
    spaced = re.sub("https", " https", text)

    assert sum(part.count("https://a.cn/b?c;d") for part in content.parts(spaced, limit)) == text.count(
        "https"
    )
