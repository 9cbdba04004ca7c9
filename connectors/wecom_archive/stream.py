"""Pulling the archive (path 91774): sealed messages by `seq`, opened here, stored opened.

What cannot be opened is stored sealed, refused by `translate` with the reason, and opened on replay.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.kit.callback import digest, lane
from connectors.kit.errcodes import raise_for
from connectors.kit.profiles import word
from connectors.kit.xml import clean
from connectors.wecom_archive import keys
from connectors.wecom_archive.hub import library
from connectors.wecom_archive.names import is_outside
from connectors.wecom_archive.native import Code
from connectors.wecom_archive.plug import Library, Unusable, error_of
from scrm.contract import Context, Polled, Raw
from scrm.errors import NotSent

#: The archive itself, and a sealed message of it tried again: `archive:again:<msgid>`.
ARCHIVE, AGAIN = "archive", "archive:again:"
#: Source keys of opened and of sealed messages.
OPEN, SEALED = "msg:", "sealed:"
#: The SDK's limit is 1,000; opening half as many stays well within one lease.
_PAGE = 500
#: An older message is history being caught up, not a customer waiting.
_LIVE = timedelta(minutes=10)
#: The library leaves control characters in the JSON it gives out.
_CONTROL = re.compile(rb"[\x00-\x1f]")
_MOST_MS = 1 << 43


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shut:
    """This message stays sealed for now."""

    why: str


Opened = dict[str, Any] | _Shut


async def poll(ctx: Context, stream: str, cursor: str, hint: str) -> Polled:
    """The next page after the seq `cursor`; or, once, the sealed message that `hint` carries."""
    try:
        if stream.startswith(AGAIN):
            return await _again(ctx, cursor, hint)
        return await _page(ctx, cursor)
    except (Code, Unusable) as failed:
        raise error_of(failed) from failed


async def versions(ctx: Context) -> set[int]:
    """Key versions of what the vendor still keeps first, none when it keeps nothing. Nothing is opened."""
    try:
        return {_number(item.get("publickey_ver")) for item in _items(await library(ctx).pull(0, 1))}
    except (Code, Unusable) as failed:
        raise error_of(failed) from failed


async def _page(ctx: Context, cursor: str) -> Polled:
    after, known = int(cursor) if cursor.isdigit() else 0, keys.parsed(ctx.account.get("private_keys"))
    source = library(ctx)
    items = _items(await source.pull(after, _PAGE))
    opened = await _opened(source, known, items)
    seq = max([after, *(_number(item.get("seq")) for item in items)])
    raws, last_ms = [], 0
    for item, found in zip(items, opened, strict=True):
        last_ms = _at_ms(found) or last_ms
        raws.append(_raw(ctx, item, found, last_ms))
    # A full page means more; so does any other: the SDK also cuts pages by size.
    return Polled(
        raws=tuple(raws), cursor=str(seq), more=seq > after, upto=_moment(last_ms) if last_ms else None
    )


async def _again(ctx: Context, cursor: str, hint: str) -> Polled:
    """What a replayed row asked for: its own sealed message, no call of the vendor."""
    item = _object(hint.encode())
    known = keys.parsed(ctx.account.get("private_keys"))
    (found,) = await _opened(library(ctx), known, [item])
    raw = _raw(ctx, item, found, _at_ms(found) or _number(item.get("got")))
    if isinstance(found, _Shut):
        # Under a new key: the old row is done, this one waits for the next repair.
        again = f"{raw.source_key}:{int(ctx.now.timestamp() * 1000)}"
        raw = Raw(source_key=again, lane=raw.lane, payload=raw.payload)
    return Polled(raws=(raw,), cursor=cursor, more=False, over=True)


def _items(answer: bytes) -> list[dict[str, Any]]:
    """Raises `NotSent` or `Rejected`."""
    page = _object(answer)
    raise_for(page, sent=False)
    found = page.get("chatdata")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(_CONTROL.sub(b"", text).decode("utf-8", "replace"))
    except (ValueError, RecursionError) as broken:
        raise NotSent(
            "会话存档返回的数据无法解析，稍后自动重试。", retry_after_s=5.0, code="unclear"
        ) from broken
    if not isinstance(found, dict):
        raise NotSent("会话存档返回的数据无法解析，稍后自动重试。", retry_after_s=5.0, code="unclear")
    return found


async def _opened(source: Library, known: keys.Keys, items: Sequence[dict[str, Any]]) -> list[Opened]:
    """RSA is a millisecond each: not on the loop that acknowledges callbacks."""
    unlocked = await asyncio.to_thread(lambda: [_unlocked(known, item) for item in items])
    return [await _message(source, item, key) for item, key in zip(items, unlocked, strict=True)]


def _unlocked(known: keys.Keys, item: dict[str, Any]) -> bytes | _Shut:
    version = _number(item.get("publickey_ver"))
    if version not in known:
        return _Shut(why=_missing(version))
    try:
        sealed = base64.b64decode(word(item, "encrypt_random_key"), validate=True)
        return keys.unlock(known[version], sealed)
    except (ValueError, binascii.Error):
        return _Shut(why=f"版本 {version} 的私钥解不开这条消息，请核对私钥与版本号是否对应。")


def _missing(version: int) -> str:
    return f"缺少版本 {version} 的私钥：请把它加到账号设置的 private_keys 里，然后重放。"


async def _message(source: Library, item: dict[str, Any], key: bytes | _Shut) -> Opened:
    if isinstance(key, _Shut):
        return key
    try:
        return _object(await source.decrypt(key, word(item, "encrypt_chat_msg").encode()))
    except Code as failed:
        error = error_of(failed)
        if isinstance(error, NotSent):
            raise error from failed
        return _Shut(why=error.sentence)
    except NotSent as failed:
        if failed.code != "unclear":
            raise
        return _Shut(why="解密出来的内容无法解析。")


def _raw(ctx: Context, item: dict[str, Any], found: Opened, at_ms: int) -> Raw:
    msgid = word(item, "msgid") or digest(_json(item))
    got = int(ctx.now.timestamp() * 1000)
    if isinstance(found, _Shut):
        kept = {name: item.get(name) for name in _SEALED_FIELDS} | {
            "why": found.why,
            "got": got,
            "means": keys.means(ctx.account, item.get("publickey_ver")),
        }
        return Raw(source_key=f"{SEALED}{msgid}", lane=lane("sealed"), payload=_json(kept))
    payload = {"seq": _number(item.get("seq")), "at": at_ms or got, "msg": found}
    return Raw(
        source_key=f"{OPEN}{word(found, 'msgid') or msgid}",
        lane=lane(_talk(found)),
        payload=_json(payload),
        urgent=_is_live(found, ctx.now),
    )


_SEALED_FIELDS = ("seq", "msgid", "publickey_ver", "encrypt_random_key", "encrypt_chat_msg")


def _talk(message: dict[str, Any]) -> str:
    """The group, else the customer; words among staff share a lane by who says them."""
    to = message.get("tolist")
    people = [word(message, "from"), *(one for one in (to if isinstance(to, list) else []))]
    outside = next((one for one in people if isinstance(one, str) and is_outside(one)), "")
    return word(message, "roomid") or outside or f"staff:{people[0] or word(message, 'user')}"


def _is_live(message: dict[str, Any], now: datetime) -> bool:
    at_ms = _at_ms(message)
    return bool(at_ms) and is_outside(word(message, "from")) and now - _moment(at_ms) < _LIVE


def _at_ms(found: Opened) -> int:
    """0 = not said, which Tencent does."""
    if isinstance(found, _Shut):
        return 0
    return min(_number(found.get("msgtime")) or _number(found.get("time")), _MOST_MS)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _number(value: object) -> int:
    """A whole number that is not negative, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else 0


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
