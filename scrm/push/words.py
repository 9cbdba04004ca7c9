"""What somebody wants said, before it is decided how: its form, whether it can be read at all. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from scrm.contract import Card, Media, PushKind
from scrm.errors import BadInput
from scrm.push.content import WORDLESS, Content, Piece
from scrm.push.rules import Purpose

TEXT_MAX = 4000
_IMAGES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
_MB = 1024 * 1024
#: What the platforms take, in bytes.
MEDIA_MAX: Mapping[str, int] = {"image": 2 * _MB, "voice": 2 * _MB, "video": 10 * _MB, "file": 20 * _MB}
#: Less than so much left of a file at a vendor: it might be over before the vendor looks at it.
SPARE = timedelta(minutes=10)
_CARDS = ("link", "miniprogram", "template")
_FARTHEST = timedelta(days=60)

Form = Literal["", "image", "voice", "video", "file", "link", "miniprogram", "template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """A file of ours that goes out after the words; what is behind its id never changes."""

    media_id: int
    name: str
    mime: str
    size: int
    form: Form = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What somebody wants said. `key` makes it happen once, however often it is asked for."""

    key: str
    text: str = ""
    media: Media | None = None
    card: Card | None = None
    #: What the media or the card is; "" = a picture, a link.
    form: Form = ""
    #: The vendor's one-time code that lets us greet.
    code: str = ""
    staff_id: int | None = None
    deadline_at: datetime | None = None
    #: What the page had seen of colleagues' replies (`collision.marks`); "" asks nothing.
    seen: str = ""
    purpose: Purpose = "reply"
    #: Not before then; None = at once.
    at: datetime | None = None
    #: Nobody of us wrote it: who waits for an answer still does.
    auto: bool = False
    #: After everything else, in this order.
    files: tuple[Enclosure, ...] = ()

    @property
    def kind(self) -> PushKind:
        if self.code:
            return "welcome"
        if self.card is not None:
            return self.form or "link"
        return (self.form or "image") if self.media else "text"


def content_of(word: Word) -> Content:
    files = tuple(cast(PushKind, one.form or "file") for one in word.files)
    return Content(kind=word.kind, text=word.text, card=word.card, files=files)


def shown(piece: Piece, word: Word) -> str:
    """One push as the timeline says it."""
    if piece.file is not None:
        one = word.files[piece.file]
        return f"{WORDLESS['file']} {one.name}" if piece.kind == "file" else WORDLESS[piece.kind]
    if piece.card is not None:
        lines = (f"{WORDLESS[piece.kind]} {piece.card.title}".strip(), piece.text)
        return "\n".join(line for line in lines if line)
    if piece.kind == "file" and word.media is not None:
        return f"{WORDLESS['file']} {word.media.name}"
    return piece.text or WORDLESS.get(piece.kind, "")


def demand_readable(word: Word, now: datetime) -> None:
    """Raises `BadInput` for what cannot be said anywhere."""
    if "\x00" in word.text:
        raise BadInput("内容里有不能显示的字符，请重新输入。")
    if not word.text.strip() and word.media is None and word.card is None and not word.files:
        raise BadInput("请先输入要发送的内容。")
    if len(word.text) > TEXT_MAX:
        raise BadInput(f"内容太长：最多 {TEXT_MAX} 个字，现在 {len(word.text)} 个。")
    if word.media is not None:
        _demand_file(word, word.media)
    if word.card is not None:
        _demand_card(word, word.card)
    if word.at is not None and not now < word.at <= now + _FARTHEST:
        raise BadInput("发送时间要在现在之后、60 天以内。")


def _demand_file(word: Word, one: Media) -> None:
    form = word.kind if word.card is None else "image"
    if form == "image" and (len(one.content) > MEDIA_MAX["image"] or one.mime not in _IMAGES.values()):
        raise BadInput("图片只支持 2 MB 以内的 JPG 或 PNG。")
    most = MEDIA_MAX.get(form, 0)
    if not one.content or len(one.content) > most:
        raise BadInput(f"文件最大 {most // _MB} MB，且不能是空的。")


def _demand_card(word: Word, card: Card) -> None:
    if word.kind not in _CARDS:
        raise BadInput("卡片只能是链接、小程序或模板消息。")
    if len(card.title) > 128 or len(card.description) > 512 or len(card.url) > 2048:
        raise BadInput("卡片的标题最多 128 个字，描述最多 512 个字，网址最多 2048 个字符。")
    if card.url and not card.url.startswith(("https://", "http://")):
        raise BadInput("网址要以 https:// 或 http:// 开头。")
    needs = {
        "link": card.title and card.url,
        "miniprogram": card.title and card.app_id and card.page,
        "template": card.template_id,
    }
    if not needs[word.kind]:
        raise BadInput("卡片缺少必填项：链接要标题和网址，小程序要标题、AppID 和页面，模板要模板 ID。")


def sniffed(name: str, content: bytes) -> Media:
    """An upload by what it is, not by what it says. Raises `BadInput` for anything but JPEG and PNG."""
    for magic, mime in _IMAGES.items():
        if content.startswith(magic):
            return Media(name=name[-80:] or "image", mime=mime, content=content)
    raise BadInput("图片只支持 2 MB 以内的 JPG 或 PNG。")
