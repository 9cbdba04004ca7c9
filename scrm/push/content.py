"""What a push says, as a channel can carry it: rich content into words, long words into parts. Pure."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

from scrm.contract import Card, PushKind

_TEXT_MAX = 16_000
_MARKS = "\n。！？!?；; "
_URL = re.compile(r"https?://[!-~]+")
_JOINER, _TONES = "\u200d", ("\U0001f3fb", "\U0001f3ff")
_FLAGS = ("\U0001f1e6", "\U0001f1ff")

#: What the rep is told about it; message ids of the catalogues.
AS_WORDS = "这个渠道不能发卡片，将改成文字和链接发出。"
BY_HAND = "这个渠道不能由接口发出这类内容，请复制后手工发送。"
NO_TEMPLATE = "这个渠道没有模板消息，不能这样发。"
IN_PARTS = "内容较长，将分 {parts} 条按顺序发出。"
_IN_MINI_PROGRAM = "请在小程序里打开“{title}”。"
#: How the timeline writes what has no words.
WORDLESS = {
    "image": "[图片]",
    "voice": "[语音]",
    "video": "[视频]",
    "file": "[文件]",
    "link": "[链接]",
    "miniprogram": "[小程序]",
    "template": "[模板消息]",
}
LEFT_OUT = "有附件是这个渠道发不了的，只发其余内容。"
NOTES = (AS_WORDS, BY_HAND, NO_TEMPLATE, IN_PARTS, LEFT_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is to be said. A file or picture travels beside it; `text` then goes out after it."""

    kind: PushKind = "text"
    text: str = ""
    card: Card | None = None
    #: What goes out after all that, in this order.
    files: tuple[PushKind, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One push of several that say it together."""

    kind: PushKind
    text: str = ""
    card: Card | None = None
    #: Which of the word's files this is.
    file: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How it can go out; no pieces = not by the API of this channel."""

    pieces: tuple[Piece, ...] = ()
    #: What became of it on the way, "" = nothing.
    note: str = ""


def shape(content: Content, kinds: Collection[str], limit: int) -> Shape:
    """The pieces in their order. `kinds` is what the channel carries, `limit` its longest text in bytes."""
    if content.kind == "welcome":  # one code, one message
        return Shape(pieces=(Piece(kind="welcome", text=content.text.strip()),))
    main = _main(content, kinds, limit)
    files = [Piece(kind=kind, file=n) for n, kind in enumerate(content.files) if kind in kinds]
    whole = len(files) == len(content.files)
    if not main.pieces and (main.note or not files):
        return main if whole or main.note else Shape(note=BY_HAND)
    return Shape(pieces=(*main.pieces, *files), note=main.note or ("" if whole else LEFT_OUT))


def _main(content: Content, kinds: Collection[str], limit: int) -> Shape:
    """Everything but the files."""
    if content.kind == "text":
        return Shape(pieces=_texts(content.text, limit))
    if content.kind in kinds:
        main = Piece(kind=content.kind, card=content.card)
        return Shape(pieces=(main, *_texts(content.text, limit)))
    if content.kind == "template":
        return Shape(note=NO_TEMPLATE)
    words = _in_words(content)
    return Shape(pieces=_texts(words, limit), note=AS_WORDS) if words else Shape(note=BY_HAND)


def _texts(text: str, limit: int) -> tuple[Piece, ...]:
    return tuple(Piece(kind="text", text=part) for part in parts(text, limit or _TEXT_MAX))


def _in_words(content: Content) -> str:
    """A card as lines of text; "" for a file, of which words are no likeness."""
    card = content.card
    if card is None:
        return ""
    where = card.url or (_IN_MINI_PROGRAM.format(title=card.title) if content.kind == "miniprogram" else "")
    lines = (card.title, card.description, where, content.text.strip())
    return "\n".join(line for line in lines if line) if where else ""


# -- splitting ---------------------------------------------------------------------------------------------
def parts(text: str, limit: int) -> list[str]:
    """Split at line or sentence ends so that each part fits `limit` bytes of UTF-8.

    Never inside an address, nor inside what is read as one character, unless that alone is too long.
    """
    rest, made = text.strip(), []
    while len(rest.encode()) > limit:
        cut = _cut(rest, len(rest.encode()[:limit].decode(errors="ignore")))
        made.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return [part for part in [*made, rest] if part]


def _cut(text: str, room: int) -> int:
    """Where the first part ends: at most `room` characters, at least one."""
    urls = [found.span() for found in _URL.finditer(text) if found.start() <= room]
    starts = [begin for begin, _ in urls]

    def inside(at: int) -> tuple[int, int] | None:
        n = bisect_right(starts, at - 1) - 1
        return urls[n] if n >= 0 and urls[n][0] < at < urls[n][1] else None

    ends = (i + 1 for i in range(room - 1, -1, -1) if text[i] in _MARKS)
    at_mark = next((end for end in ends if not inside(end) and _whole(text, end) == end), 0)
    if at_mark:
        return at_mark
    url = inside(room)
    if url is not None and url[0] > 0:
        return url[0]
    return _whole(text, room) or room


def _whole(text: str, at: int) -> int:
    """The last place up to `at` between two characters as people count them; 0 = there is none."""
    while 0 < at < len(text) and _sticks(text, at):
        at -= 1
    return at


def _sticks(text: str, at: int) -> bool:
    """What follows `at` belongs to what stands before it."""
    before, after = text[at - 1], text[at]
    if before == _JOINER or after == _JOINER or unicodedata.category(after)[0] == "M":
        return True
    if before == "\r" and after == "\n":
        return True
    if _TONES[0] <= after <= _TONES[1]:
        return True
    return _is_flag(before) and _is_flag(after) and _flags_before(text, at) % 2 == 1


def _is_flag(letter: str) -> bool:
    return _FLAGS[0] <= letter <= _FLAGS[1]


def _flags_before(text: str, at: int) -> int:
    n = 0
    while n < at and _is_flag(text[at - 1 - n]):
        n += 1
    return n
