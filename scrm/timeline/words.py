"""What a vendor said, as every database keeps it: no NUL, no half characters, keys that fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scrm.contract import Envelope, Fact, Handle, Link, Piece, Pull
from scrm.errors import Untranslatable
from scrm.shapes import bounded, storable

#: The vendor wants it back as it is: it cannot be shortened.
_THREAD_BYTES = 1024
#: What a number column takes.
_MOST = (1 << 63) - 1
_LONGEST_S = 31 * 24 * 3600
#: Times that can be told in every time zone.
_FIRST_YEAR, _LAST_YEAR = 2, 9000


def kept(said: Envelope) -> Envelope:
    """Raises `Untranslatable` for a conversation's name no index takes, and a time no calendar does."""
    if not _FIRST_YEAR <= said.at.year <= _LAST_YEAR:
        raise Untranslatable("时间超出范围，无法放到时间线上。")
    thread = storable(said.thread)
    if len(thread.encode()) > _THREAD_BYTES:
        raise Untranslatable("会话标识太长，无法保存。")
    return replace(
        said,
        kind=storable(said.kind),
        text=storable(said.text),
        suffix=storable(said.suffix),
        recalls=bounded(said.recalls),
        edits=bounded(said.edits),
        whole=tuple(bounded(name) for name in said.whole[:8]),
        pieces=tuple(_piece(p) for p in said.pieces),
        facts=tuple(_fact(f) for f in said.facts),
        counts=storable(said.counts)[:64],
        staff=storable(said.staff),
        welcome=storable(said.welcome),
        failed_push=storable(said.failed_push),
        failed_effect=storable(said.failed_effect),
        thread=thread,
        handles=tuple(_handle(h) for h in said.handles),
        links=tuple(_link(link) for link in said.links),
        body=_plain(said.body),
    )


def asked(pull: Pull) -> Pull:
    return replace(pull, stream=bounded(pull.stream), hint=storable(pull.hint))


def _handle(one: Handle) -> Handle:
    return replace(
        one,
        kind=storable(one.kind),
        scope=storable(one.scope),
        value=storable(one.value),
        name=storable(one.name),
        avatar=storable(one.avatar),
    )


def _piece(one: Piece) -> Piece:
    return replace(
        one,
        ref=storable(one.ref),
        name=storable(one.name)[:200],
        mime=storable(one.mime)[:100],
        md5=storable(one.md5)[:64],
        size=min(max(one.size, 0), _MOST),
        seconds=min(max(one.seconds, 0), _LONGEST_S),
    )


def _fact(one: Fact) -> Fact:
    handle = _handle(one.handle) if one.handle else None
    rank = None if one.rank is None else min(max(one.rank, 0), _MOST)
    return replace(
        one,
        kind=storable(one.kind),
        key=bounded(one.key),
        body=_plain(one.body),
        handle=handle,
        rank=rank,
    )


def _link(one: Link) -> Link:
    return replace(one, a=_handle(one.a), b=_handle(one.b), rule=storable(one.rule))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
