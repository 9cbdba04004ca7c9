"""What comes with an item besides its words: files, cards, places, records, calls and orders, as views."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from scrm.seal import Vault
from scrm.timeline import files
from scrm.timeline.store.media import File
from scrm.web.parts import Attached, Line, Shape

Say = Callable[..., str]
Fields = Mapping[str, Any]
#: Records within records are shown so deep, and so many of them.
_DEEPEST, _RECORDS = 5, 200
_LONGEST = 2_000
_CARDS = {"link": "链接", "miniprogram": "小程序", "miniprogrampage": "小程序", "weapp": "小程序"}
_CONTACTS = frozenset({"business_card", "card", "namecard"})
_RECORD = frozenset({"chatrecord", "merged_msg", "mixed"})


@dataclass(slots=True, kw_only=True)
class Teller:
    """Reads one event's body, in whichever of the vendors' ways it is written."""

    say: Say
    vault: Vault
    masked: Callable[[str], str]
    left: int = field(default=_RECORDS)

    def of(self, event_id: int, kind: str, body: Fields, kept: Sequence[File]) -> tuple[Attached, ...]:
        name = kind.partition(".")[2].partition(".")[0]
        own = body.get(name) if isinstance(body.get(name), dict) else body
        inner: Fields = own if isinstance(own, dict) else {}
        found = [*self._told(name, inner, body), *(self._file(event_id, f) for f in kept)]
        if not kept and (ours := self._ours(body)) is not None:
            found.append(ours)
        return tuple(found)

    # -- files ---------------------------------------------------------------------------------------------
    def _file(self, event_id: int, one: File) -> Attached:
        here = one.state == "kept" and one.media_id is not None
        shape = files.shape(one.mime) if here else _EXPECTED.get(one.kind, "file")
        href = f"/media/{self.vault.public('media', one.media_id)}" if here and one.media_id else ""
        return Attached(
            shape=shape,
            title=one.name or self.say(_NAMES.get(one.kind, "文件")),
            href=href,
            facts=tuple(f for f in (_length(self.say, one.seconds), size_of(one.size)) if f),
            note="" if here and shape != "file" else self._state(one),
            text=one.transcript,
            again=(self.vault.public("event", event_id), one.n) if one.state in _AGAIN else None,
            waiting=one.state == "waiting",
        )

    def _state(self, one: File) -> str:
        if one.state == "kept":
            return self.say("微信语音格式，浏览器不能播放，请下载后听。") if one.mime in _UNPLAYABLE else ""
        return self.say("正在取回……") if one.state == "waiting" else self.say(one.error or "没能取回。")

    def _ours(self, body: Fields) -> Attached | None:
        """A file that was sent from here, or left by a visitor."""
        kept = body.get("media")
        if not isinstance(kept, dict) or not isinstance(kept.get("id"), str):
            return None
        size = kept.get("size")
        return Attached(
            shape=files.shape(str(kept.get("mime", ""))),
            title=_text(kept, "name") or self.say("文件"),
            href=f"/media/{kept['id']}",
            facts=tuple(f for f in (size_of(size if isinstance(size, int) else 0),) if f),
        )

    # -- what is told --------------------------------------------------------------------------------------
    def _told(self, name: str, inner: Fields, body: Fields) -> Iterator[Attached]:
        if name in _CARDS:
            yield self._card(name, inner)
        elif name == "location":
            yield self._place(inner)
        elif name in _CONTACTS:
            who = _text(inner, "name", "userid", "corpname")
            note = _text(inner, "corpname")
            yield Attached(shape="contact", title=who or self.say("名片"), text=note if note != who else "")
        elif name in _RECORD:
            yield self._record(inner, body)
        elif isinstance(body.get("call"), dict):
            yield self._call(body["call"])
        elif isinstance(body.get("order"), dict):
            yield self._order(body["order"])

    def _card(self, name: str, inner: Fields) -> Attached:
        url = _text(inner, "url", "link_url", "Url", "Link")
        url = url if _is_outside(url) else ""
        label = _text(inner, "displayname") or self.say(_CARDS[name])
        return Attached(
            shape="card",
            title=_text(inner, "title", "Title") or self.say(_CARDS[name]),
            text=_text(inner, "desc", "description", "Description"),
            href=url,
            note=(urlsplit(url).hostname if url else "") or label,
        )

    def _place(self, inner: Fields) -> Attached:
        address = _text(inner, "address", "Label")
        title = _text(inner, "name", "title", "Poiname") or address or self.say("位置")
        pair = [_number(inner, *names) for names in (("latitude", "Location_X"), ("longitude", "Location_Y"))]
        return Attached(
            shape="place",
            title=title,
            text=address if address != title else "",
            facts=(f"{pair[0]}, {pair[1]}",) if all(pair) else (),
        )

    def _record(self, inner: Fields, body: Fields) -> Attached:
        made = body.get("records")
        items = made if isinstance(made, list) else inner.get("item")
        return Attached(
            shape="record",
            title=_text(inner, "title") or self.say("聊天记录"),
            items=tuple(self._lines(items, 0)),
        )

    def _lines(self, items: object, level: int) -> Iterator[Line]:
        if not isinstance(items, list) or level >= _DEEPEST:
            return
        for item in items:
            if not isinstance(item, dict) or self.left <= 0:
                continue
            self.left -= 1
            inner = _opened(item.get("content", item.get("msg_content")))
            nested = item.get("records") or inner.get("item")
            text = _text(item, "text") or _text(inner, "text", "content", "title", "filename")
            yield Line(
                who=_text(item, "sender_name", "from_name", "name"),
                text=text or self.say("[{kind}]", kind=_text(item, "type", "msgtype") or "?"),
                at=_moment(item.get("at") or item.get("msgtime") or item.get("send_time")),
                lines=tuple(self._lines(nested, level + 1)),
            )

    def _call(self, call: Fields) -> Attached:
        rows = (
            (self.say("主叫"), self.masked(_text(call, "from"))),
            (self.say("被叫"), self.masked(_text(call, "to"))),
            (self.say("接听"), _text(call, "agent_name")),
            (self.say("通话"), _length(self.say, call.get("talk_s"))),
            (self.say("结果"), _text(call, "result")),
        )
        return Attached(
            shape="call", title=self.say("通话详情"), rows=tuple((a, b) for a, b in rows if b and b != "****")
        )

    def _order(self, order: Fields) -> Attached:
        rows = []
        items = order.get("items")
        for line in items[:20] if isinstance(items, list) else []:
            if isinstance(line, dict):
                many = line.get("quantity", 1)
                times = f" × {many}" if many != 1 else ""
                rows.append((f"{_text(line, 'name', 'product')}{times}", yuan(line.get("amount"))))
        if isinstance(order.get("coupon"), dict):
            rows.append((self.say("优惠"), f"−{yuan(order['coupon'].get('amount'))}"))
        rows.append((self.say("应付"), yuan(order.get("total"))))
        if order.get("paid"):
            rows.append((self.say("已付"), yuan(order.get("paid"))))
        title = self.say("订单 {id}", id=_text(order, "id"))
        return Attached(shape="order", title=title, rows=tuple(rows))


_EXPECTED: Mapping[str, Shape] = {"image": "file", "voice": "file", "video": "file"}
_NAMES = {"image": "图片", "voice": "语音", "video": "视频", "file": "文件"}
_AGAIN = frozenset({"failed", "gone", "too_large"})
_UNPLAYABLE = frozenset({"audio/amr", "audio/silk"})


def yuan(fen: object) -> str:
    """`¥3,980` or `¥3,980.50`; "" for what is no amount."""
    if not isinstance(fen, int) or isinstance(fen, bool):
        return ""
    whole, rest = divmod(abs(fen), 100)
    return f"{'−' if fen < 0 else ''}¥{whole:,}" + (f".{rest:02}" if rest else "")


def _text(fields: Fields, *names: str) -> str:
    """The first of these that says something."""
    found = (fields.get(name) for name in names)
    return next((v.strip()[:_LONGEST] for v in found if isinstance(v, str) and v.strip()), "")


def _number(fields: Fields, *names: str) -> str:
    value = next((fields[n] for n in names if n in fields), "")
    return str(value)[:20] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _is_outside(url: str) -> bool:
    """Of the open internet; what customers send need not be an address at all."""
    try:
        return url.startswith(("https://", "http://")) and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _opened(content: object) -> Fields:
    """Often JSON within JSON."""
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return {"content": content}
    return content if isinstance(content, dict) else {}


def _moment(value: object) -> datetime | None:
    """Seconds, or milliseconds, since 1970."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**14:
        return None
    return datetime.fromtimestamp(value / 1000 if value > 10**11 else value, UTC)


def _length(say: Say, seconds: object) -> str:
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        return ""
    minutes, rest = divmod(seconds, 60)
    return say("{m} 分 {s} 秒", m=minutes, s=rest) if minutes else say("{s} 秒", s=rest)


def size_of(size: int) -> str:
    """As people read it; "" for nothing."""
    if size <= 0:
        return ""
    return f"{size / 1024 / 1024:.1f} MB" if size >= 1024 * 1024 else f"{max(1, round(size / 1024))} KB"
