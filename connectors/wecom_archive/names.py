"""What the archive's ids and message types are called with us, and their words for the timeline."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from connectors.kit.profiles import word

_Fields = dict[str, Any]
#: External contacts; a userid of our own may well begin with `wo`, but it is not that long.
_OUTSIDE = re.compile(r"w[mo][A-Za-z0-9_-]{20,62}")
_ROBOT = re.compile(r"wb[A-Za-z0-9_-]{14,62}")


def is_outside(ident: str) -> bool:
    """Whether this is a customer's external_userid."""
    return _OUTSIDE.fullmatch(ident) is not None


def is_robot(ident: str) -> bool:
    return _ROBOT.fullmatch(ident) is not None


def part_of(message: _Fields) -> _Fields:
    """The object with the message's own fields; its name is not always the type's."""
    kind = word(message, "msgtype")
    for name in (kind, _KEYS.get(kind, "info"), "info"):
        found = message.get(name)
        if isinstance(found, dict):
            return found
    return {}


_KEYS: Mapping[str, str] = MappingProxyType({"docmsg": "doc", "external_redpacket": "redpacket"})


def _tagged(tag: str, *names: str) -> Callable[[_Fields], str]:
    def words(part: _Fields) -> str:
        detail = next((said for said in (word(part, name) for name in names) if said), "")
        return f"[{tag}] {detail}".rstrip()

    return words


def _voice(part: _Fields) -> str:
    return f"[语音] {word(part, 'play_length')} 秒" if word(part, "play_length") else "[语音]"


def _redpacket(part: _Fields) -> str:
    fen = part.get("totalamount")
    amount = f"（{fen // 100}.{fen % 100:02d} 元）" if isinstance(fen, int) and fen >= 0 else ""
    return f"[红包] {word(part, 'wish')}{amount}".rstrip()


def _news(part: _Fields) -> str:
    items = part.get("item")
    titles = [word(one, "title") for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    return f"[图文] {'；'.join(t for t in titles if t)}".rstrip()


def _call(part: _Fields) -> str:
    seconds = word(part, "callduration")
    return f"[通话] {seconds} 秒" if seconds else "[通话]"


#: msgtype -> its words, from the object with its own fields. `chatrecord` and `mixed` are read item by item.
MESSAGES: Mapping[str, Callable[[_Fields], str]] = MappingProxyType(
    {
        "text": lambda part: word(part, "content"),
        "markdown": lambda part: word(part, "content"),
        "image": _tagged("图片"),
        "voice": _voice,
        "video": _tagged("视频"),
        "emotion": _tagged("表情"),
        "file": _tagged("文件", "filename"),
        "location": _tagged("位置", "title", "address"),
        "link": _tagged("链接", "title", "link_url"),
        "weapp": _tagged("小程序", "title", "displayname"),
        "card": _tagged("名片", "corpname", "userid"),
        "chatrecord": _tagged("聊天记录", "title"),
        "mixed": _tagged("混合消息"),
        "todo": _tagged("待办", "title", "content"),
        "vote": _tagged("投票", "votetitle"),
        "collect": _tagged("填表", "title"),
        "redpacket": _redpacket,
        "external_redpacket": _redpacket,
        "meeting": _tagged("会议", "topic"),
        "docmsg": _tagged("在线文档", "title"),
        "news": _news,
        "calendar": _tagged("日程", "title"),
        "meeting_voice_call": _tagged("语音会议"),
        "voip_doc_share": _tagged("会议文档", "filename"),
        "sphfeed": _tagged("视频号", "sph_name", "feed_desc"),
        "voiptext": _call,
        "qydiskfile": _tagged("微盘文件", "filename"),
    }
)
#: Items of merged records name their types differently: ChatRecordText -> text.
RECORD = "ChatRecord"
