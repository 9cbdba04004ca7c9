"""Which shelf of the timeline an event stands on: what the kind filter asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from scrm.contract import Envelope

Genre = Literal["talk", "file", "call", "order", "event"]
#: What a reader asks for, in the order shown, and the shelves that answer it.
Shelf = Literal["talk", "call", "order", "event", "file"]
SHELVES: Mapping[Shelf, tuple[Genre, ...]] = {
    "talk": ("talk", "file"),
    "call": ("call",),
    "order": ("order",),
    "event": ("event",),
    "file": ("file",),
}
#: How kinds of these shelves begin; the rest is talk when it is a message, else an event.
STARTS: Mapping[Genre, tuple[str, ...]] = {
    "call": ("message.call", "event.call", "message.meeting_voice_call", "message.voiptext"),
    "order": ("event.order", "event.refund", "event.pay", "event.shop", "event.aftersale"),
    "file": (
        "message.image",
        "message.voice",
        "message.video",
        "message.file",
        "message.shortvideo",
        "message.emotion",
        "message.qydiskfile",
        "message.docmsg",
    ),
}


def genre(envelope: Envelope) -> Genre:
    """By its kind; a message that brings a file is one."""
    found = genre_of(envelope.kind)
    return "file" if found == "talk" and envelope.pieces else found


def genre_of(kind: str) -> Genre:
    """The same for a kind alone."""
    for found, starts in STARTS.items():
        if kind.startswith(starts):
            return found
    return "talk" if kind.startswith("message.") else "event"
