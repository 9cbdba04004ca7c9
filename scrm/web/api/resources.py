"""What the API shows and takes. Ids are opaque strings, times RFC 3339 with zone, money integer fen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    items: list[T]
    #: Give it back as `cursor` for the next page; null at the end.
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    id: str
    account: str
    channel: str
    source_key: str
    kind: str
    direction: Literal["in", "out", "none"]
    at: datetime
    text: str
    body: Mapping[str, Any]
    node_id: str | None
    person_id: str | None
    #: Null until households are resolved.
    household_id: str | None = None
    recalled_at: datetime | None = None
    #: What became of something we sent.
    delivery: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    id: str
    kind: str
    scope: str
    #: Masked unless the token belongs to a machine of role admin.
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    node_a: str
    node_b: str
    rule: str
    strength: int
    first_at: datetime
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    id: str
    name: str
    avatar: str
    nodes: list[Node] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    id: str
    account: str
    channel: str
    person_id: str | None
    name: str
    owner: str | None
    session: str
    waiting_since: datetime | None
    last_at: datetime
    last_text: str
    #: new | open | closed
    state: str
    #: Put off until then.
    snooze_until: datetime | None
    #: Give it back with a push: 409 when a colleague has answered since.
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    id: str
    account: str
    source_key: str
    state: str
    stage: str
    attempts: int
    error: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPage:
    items: list[InboxRow]
    #: Rows per state that still need somebody.
    counts: dict[str, int]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayIn:
    #: Ids of rows; empty with `all` = every quarantined row.
    ids: list[str] = field(default_factory=list)
    all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    slug: str
    channel: str
    title: str
    name: str
    callback_url: str
    max_age_s: int
    options: dict[str, str]
    #: Names of the secrets that are set; their values leave nowhere.
    secrets: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    id: str
    conversation_id: str
    event_id: str
    rank: int
    script: str
    title: str
    reason: str
    #: Rendered with what is known of the customer and, for a member's token, of the rep.
    text: str
    missing: list[str]
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PushIn:
    conversation_id: str
    text: str
    #: The suggestion these words come from, so that it is not offered again.
    suggestion_id: str | None = None
    #: `seen` of the conversation as it was read: refused when a colleague has answered since.
    seen: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    id: str
    conversation_id: str
    event_id: str
    kind: str
    state: str
    code: str
    error: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
