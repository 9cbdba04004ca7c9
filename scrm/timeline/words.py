"""What a vendor said, as every database keeps it: no NUL, no half characters, keys that fit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scrm.contract import Envelope, Handle, Link, Pull
from scrm.errors import Untranslatable
from scrm.shapes import bounded, storable

#: The vendor wants it back as it is: it cannot be shortened.
_THREAD_BYTES = 1024


def kept(said: Envelope) -> Envelope:
    """Raises `Untranslatable` for a conversation's name no index takes."""
    thread = storable(said.thread)
    if len(thread.encode()) > _THREAD_BYTES:
        raise Untranslatable("会话标识太长，无法保存。")
    return replace(
        said,
        kind=storable(said.kind),
        text=storable(said.text),
        suffix=storable(said.suffix),
        recalls=bounded(said.recalls),
        staff=storable(said.staff),
        welcome=storable(said.welcome),
        failed_push=storable(said.failed_push),
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
