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
    household_id: str | None = None
    #: Taken back; its text is empty for those who may not see what it said.
    recalled_at: datetime | None = None
    #: When its words were last changed by who said them.
    edited_at: datetime | None = None
    #: What became of something we sent.
    delivery: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    id: str
    kind: str
    scope: str
    #: Masked unless the token belongs to a machine of role admin.
    value: str
    #: Its value was erased; what hung together still does.
    erased: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    node_a: str
    node_b: str
    rule: str
    strength: int
    first_at: datetime
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidValue:
    """One value of a field, and who said so."""

    value: str
    #: human | contract | api | order | note | nickname: whose word counts most comes first
    source: str
    title: str
    at: datetime
    #: The identifier it hangs on: it goes where that goes.
    node_id: str
    event_id: str | None = None
    #: Of a colleague's correction.
    correction_id: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    name: str
    title: str
    shown: SaidValue
    #: What else was said of it, the next best first.
    others: list[SaidValue] = field(default_factory=list)
    conflicting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    id: str
    name: str
    avatar: str
    nodes: list[Node] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    #: Only where one person or household is asked for.
    fields: list[Field] = field(default_factory=list)


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
    #: running | draining | paused
    state: str
    health: AccountHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHealth:
    """As the admin's card shows it."""

    #: ok | warn | bad
    level: str
    last_at: datetime | None
    #: Rows that wait, and for how long the oldest has.
    waiting: int
    lag_s: float
    received_1h: int
    errors_24h: int
    quarantined: int
    unsent: int
    unclear: int
    token_until: datetime | None
    #: What is wrong, in sentences.
    alarms: list[str]
    #: Of the last full count: the platform has, it gave, we had never seen; null = never counted.
    asked: int | None
    got: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOrder:
    #: pause | drain | resume
    order: Literal["pause", "drain", "resume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    slug: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    id: str
    kind: str
    account: str | None
    #: running | paused | done | failed | cancelled
    state: str
    done: int
    total: int | None
    fresh: int
    failed: int
    error: str
    created_at: datetime
    updated_at: datetime


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
class CardIn:
    """A link, a mini-program page or a template message."""

    title: str = ""
    description: str = ""
    url: str = ""
    app_id: str = ""
    page: str = ""
    template_id: str = ""
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushIn:
    #: The conversation; or `person_id`, and the rules choose the channel and the time.
    conversation_id: str = ""
    person_id: str = ""
    text: str = ""
    card: CardIn | None = None
    #: What the card is.
    form: Literal["link", "miniprogram", "template"] = "link"
    purpose: Literal["reply", "service", "marketing", "sop"] = "reply"
    #: Not before then.
    at: datetime | None = None
    #: The suggestion these words come from, so that it is not offered again.
    suggestion_id: str | None = None
    #: `seen` of the conversation as it was read: refused when a colleague has answered since.
    seen: str | None = None
    #: `token` of a verdict of `POST /checks` on these words, or the word that its warnings were read.
    verdict: str = ""
    confirm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    id: str
    conversation_id: str
    event_id: str
    kind: str
    #: queued | sending | retry | sent | unconfirmed | unknown | dead
    state: str
    code: str
    error: str
    created_at: datetime
    updated_at: datetime
    #: It waits until then.
    planned_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
