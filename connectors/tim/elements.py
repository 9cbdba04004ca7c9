"""What a message is made of (`MsgBody`): kind, words and files.

Source: cloud.tencent.com/document/product/269/2720 (message formats).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from connectors.kit.profiles import word
from scrm.contract import Piece

_Fields = dict[str, Any]
_Words = Callable[[_Fields], str]


def _tagged(tag: str, *names: str) -> _Words:
    def words(content: _Fields) -> str:
        detail = next((said for said in (word(content, name) for name in names) if said), "")
        return f"[{tag}] {detail}".rstrip()

    return words


#: Element -> our kind and words.
ELEMENTS: Mapping[str, tuple[str, _Words]] = MappingProxyType(
    {
        "TIMTextElem": ("message.text", lambda content: word(content, "Text")),
        "TIMFaceElem": ("message.face", _tagged("表情", "Data")),
        "TIMImageElem": ("message.image", _tagged("图片")),
        "TIMSoundElem": ("message.voice", _tagged("语音")),
        "TIMVideoFileElem": ("message.video", _tagged("视频")),
        "TIMFileElem": ("message.file", _tagged("文件", "FileName")),
        "TIMLocationElem": ("message.location", _tagged("位置", "Desc")),
        "TIMCustomElem": ("message.custom", _tagged("自定义消息", "Desc")),
        "TIMRelayElem": ("message.merged_msg", _tagged("聊天记录", "Title", "CompatibleText")),
    }
)
#: Element -> kind of file, and the fields with its address, size, length and name.
_FILES: Mapping[str, tuple[Literal["voice", "video", "file"], str, str, str, str]] = MappingProxyType(
    {
        "TIMSoundElem": ("voice", "Url", "Size", "Second", ""),
        "TIMVideoFileElem": ("video", "VideoUrl", "VideoSize", "VideoSecond", ""),
        "TIMFileElem": ("file", "Url", "FileSize", "", "FileName"),
    }
)
_ORIGINAL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    #: "" when nothing of it is known.
    kind: str
    text: str
    pieces: tuple[Piece, ...]


def read(body: object) -> Content:
    """A message may have several elements; it is what its first one that we know is."""
    elements = [one for one in body if isinstance(one, dict)] if isinstance(body, list) else []
    known = [(word(one, "MsgType"), _content(one)) for one in elements]
    known = [(name, content) for name, content in known if name in ELEMENTS]
    texts = [ELEMENTS[name][1](content) for name, content in known]
    return Content(
        kind=ELEMENTS[known[0][0]][0] if known else "",
        text="\n".join(text for text in texts if text),
        pieces=tuple(piece for name, content in known for piece in _pieces(name, content)),
    )


def _content(element: _Fields) -> _Fields:
    found = element.get("MsgContent")
    return found if isinstance(found, dict) else {}


def _pieces(name: str, content: _Fields) -> list[Piece]:
    if name == "TIMImageElem":
        return _image(content)
    if name not in _FILES:
        return []
    kind, url, size, seconds, title = _FILES[name]
    if not _fetchable(content.get(url)):
        return []
    piece = Piece(
        ref=_address(content, url),
        kind=kind,
        name=word(content, title) if title else "",
        size=_number(content, size),
        seconds=_number(content, seconds),
    )
    return [piece]


def _image(content: _Fields) -> list[Piece]:
    """The original of a picture, else the first size that has an address."""
    found = content.get("ImageInfoArray")
    sizes = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    sizes = sorted(
        (one for one in sizes if _fetchable(one.get("URL"))), key=lambda one: one.get("Type") != _ORIGINAL
    )
    return [Piece(ref=_address(one, "URL"), kind="image", size=_number(one, "Size")) for one in sizes[:1]]


def _fetchable(url: object) -> bool:
    return isinstance(url, str) and url.startswith(("https://", "http://"))


def _address(content: _Fields, name: str) -> str:
    """Old clients write http; the same servers answer by https."""
    url = word(content, name)
    return f"https://{url.removeprefix('http://')}" if url.startswith("http://") else url


def _number(content: _Fields, name: str) -> int:
    value = content.get(name) if name else 0
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value < 2**40 else 0
