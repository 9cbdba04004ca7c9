"""The plug: the values a connector exchanges with us and the powers it may have.

A connector is the package `connectors.<channel>`. Its powers are plain module functions, found by
`isinstance(module, Power)`. It imports this module, `scrm.errors` and `connectors.kit`, nothing else of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

Direction = Literal["in", "out", "none"]
Part = Literal["actor", "other", "about"]
#: Who may answer in this conversation now: our API, a human inside the vendor's app, or nobody (ended).
Session = Literal["api", "human", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One setting an account of this channel has."""

    name: str
    help: str
    secret: bool = False
    required: bool = True
    #: Anchored regular expression the value must match; "" accepts any non-empty text.
    pattern: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One configured login on one channel."""

    tenant_id: int
    account_id: int
    slug: str
    channel: str
    name: str
    #: How old a signed callback may be, in seconds; 0 accepts any age.
    max_age_s: int = 600
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def get(self, name: str) -> str:
        """The value of a setting, secret or not; "" when unset."""
        return self.secrets.get(name) or self.options.get(name) or ""

    @property
    def realm(self) -> str:
        """The namespace of the vendor's user ids: a corp's accounts share its members."""
        return self.options.get("corp_id") or self.slug


class Http(Protocol):
    """The guarded client (`connectors.kit.http`): timeout on everything, no redirects, SSRF guard."""

    async def json(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        timeout_s: float = 5.0,
    ) -> dict[str, Any]:
        """The decoded JSON object. Raises `NotSent` (never left us) or `Unknown` (no clear answer)."""
        ...

    async def upload(
        self, url: str, *, params: Mapping[str, str], media: Media, timeout_s: float = 15.0
    ) -> dict[str, Any]:
        """Post one file as multipart field `media`; same errors as `json`."""
        ...


class Tokens(Protocol):
    """Shared vendor tokens: one fetch at a time per key, kept until shortly before they expire."""

    async def get(self, key: str, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> str:
        """The cached value, or what `fetch` returns as (value, lifetime in seconds)."""
        ...

    async def drop(self, key: str, value: str) -> None:
        """Forget `value` if it is still the cached one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    account: Account
    http: Http
    tokens: Tokens
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request to `/hooks/{account}[/tail]`, as it arrived."""

    method: str
    tail: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One thing the channel told us, verified and decrypted but not yet understood."""

    #: Unique within the account, for ever: the same key is the same thing.
    source_key: str
    #: Names the customer's conversation; rows of one lane keep their order.
    lane: str
    payload: bytes
    #: Waits behind nothing (live chat, welcome codes).
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What to store and what to answer."""

    raws: tuple[Raw, ...] = ()
    status: int = 200
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """The address of a person (or a chat) on a channel, namespaced by `scope`."""

    kind: str
    scope: str
    value: str
    part: Part = "actor"
    #: What the channel calls this person; "" when it does not say.
    name: str = ""
    avatar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Evidence by the vendor's own API that two handles are one person."""

    a: Handle
    b: Handle
    rule: str
    #: 0..100; 100 = the vendor's own API says so.
    strength: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One row of the timeline to be: what happened, when, between whom."""

    #: `message.<type>` or `event.<name>`; anything not understood is `event.unknown`, kept raw.
    kind: str
    direction: Direction
    at: datetime
    handles: tuple[Handle, ...] = ()
    #: The vendor's order inside `at`; None = ordered by source key.
    seq: int | None = None
    #: Plain words for the timeline; "" when the kind says it all.
    text: str = ""
    #: Everything else the vendor said, JSON-ready, kept with the event.
    body: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    #: Source key of the message this one takes back.
    recalls: str = ""
    #: Vendor user id of our own staff member taking part.
    staff: str = ""
    #: That staff member follows this customer by the vendor's word (owner of the conversation).
    follows: bool | None = None
    session: Session | None = None
    #: Code that lets us greet once, and for how many seconds after `at` it works.
    welcome: str = ""
    welcome_s: int = 20
    #: Distinguishes several envelopes made from one raw.
    suffix: str = ""
    #: This is the outcome of one of our own pushes: its external id, and what became of it.
    failed_push: str = ""
    #: The vendor's name of the conversation, given back on a push.
    thread: str = ""
    #: A fact we looked up, not something that happened: evidence, but part of nobody's timeline.
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """Asks for a poll of `stream` soon; written as a due row when the raw is settled."""

    stream: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    raws: tuple[Raw, ...]
    cursor: str
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    name: str
    mime: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Anything going out to a customer. `push_id` is ours, at most 32 of `[0-9A-Za-z_-]`."""

    push_id: str
    handle: Handle
    kind: Literal["text", "image", "welcome"]
    text: str = ""
    media: Media | None = None
    #: The vendor's one-time code for `welcome`.
    code: str = ""
    #: The vendor's name of the conversation, given back on a push.
    thread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A reply window: after an event whose kind starts with one of `opens`, `count` pushes for `seconds`."""

    opens: tuple[str, ...]
    seconds: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who signed in through the vendor: one of our staff, or a customer."""

    staff: str = ""
    handle: Handle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What our own chat shows on a website before anybody has said a word."""

    name: str
    #: Pages of these origins may embed it: `https://shop.example.com`.
    origins: frozenset[str]
    greeting: str
    #: `#rrggbb`, and the colour of words on it.
    colour: str
    ink: str
    #: Largest upload in bytes; 0 = none.
    upload_max: int
    #: Somebody is there now; else when they are back, None when nobody says.
    open: bool
    back_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a visitor said on our own page. `key` is the page's: the same key is the same act."""

    visitor: str
    key: str
    at: datetime
    kind: Literal["text", "image", "file"]
    text: str = ""
    #: Of an upload: our id of it, its name, type and size.
    media: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The site's own word on who a visitor is; `subject` names the same login again without saying it."""

    subject: str
    raw: Raw


class Severity(StrEnum):
    OK = "ok"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a set-up self-test."""

    severity: Severity
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What `wx.config` / `agentConfig` need for one URL; `scope` is `corp` or `agent`."""

    scope: Literal["corp", "agent"]
    app_id: str
    agent_id: str
    timestamp: int
    nonce: str
    signature: str


@runtime_checkable
class Connector(Protocol):
    """Every connector says what its accounts need and what its handles look like."""

    NEEDS: tuple[Need, ...]
    #: What an admin and a rep see: 公众号, 微信客服 ...
    TITLE: str
    #: How screens mark it: wx | oa | im | ph | app | web.
    ICON: str


@runtime_checkable
class Receives(Protocol):
    def receive(self, ctx: Context, call: Call) -> Receipt:
        """Verify and decrypt. Pure. Raises `Refused` for everything it will not store."""
        ...


@runtime_checkable
class Translates(Protocol):
    def translate(self, ctx: Context, raw: Raw) -> Sequence[Envelope | Pull]:
        """Understand a stored raw. Pure. Raises `Untranslatable` when the row must be quarantined."""
        ...


@runtime_checkable
class Polls(Protocol):
    async def poll(self, ctx: Context, stream: str, cursor: str, hint: str) -> Polled:
        """The next page of `stream` after `cursor`; called until `more` is false."""
        ...


@runtime_checkable
class Sends(Protocol):
    #: A repeated `push_id` is dropped by the vendor, so an unclear send may be retried.
    IDEMPOTENT: bool
    #: Any one of these open lets a push through; () = no window.
    WINDOWS: tuple[Window, ...]
    #: Longest text in bytes of UTF-8.
    TEXT_LIMIT: int
    #: Talk may go out by API; False = only the one-time welcome.
    TALKS: bool

    async def send(self, ctx: Context, push: Push) -> str:
        """The vendor's id of the message. Raises `NotSent`, `Rejected` or `Unknown`."""
        ...


@runtime_checkable
class Enriches(Protocol):
    async def enrich(self, ctx: Context, handle: Handle) -> tuple[Raw, ...]:
        """What the vendor knows about a handle, as raws for the inbox."""
        ...


@runtime_checkable
class Uploads(Protocol):
    async def upload(self, ctx: Context, media: Media) -> tuple[str, datetime]:
        """The vendor's media id and until when it works."""
        ...


@runtime_checkable
class Probes(Protocol):
    async def probe(self, ctx: Context) -> Sequence[Finding]:
        """Try the account's set-up without side effects."""
        ...


@runtime_checkable
class Signs(Protocol):
    async def page(self, ctx: Context, url: str) -> Sequence[Signature]:
        """JS-SDK signatures for exactly this page URL."""
        ...


@runtime_checkable
class Shows(Protocol):
    def shown(self, ctx: Context, ident: str) -> Handle:
        """The customer the vendor's app says our page is shown for. Never trusted, only looked up."""
        ...


@runtime_checkable
class Admits(Protocol):
    def door(self, ctx: Context, back: str, state: str) -> str:
        """The vendor's sign-in URL that returns to `back` with `code` and `state`."""
        ...


@runtime_checkable
class Knows(Protocol):
    async def who(self, ctx: Context, code: str) -> Visitor:
        """Exchange a sign-in code. Raises `Refused` for a bad or used code."""
        ...


@runtime_checkable
class Visits(Protocol):
    """Our own chat: visitors of a website, served by us; what they do becomes raws like any callback."""

    def site(self, ctx: Context) -> Site:
        """What the page needs to know. Pure."""
        ...

    def guest(self, ctx: Context, visitor: str) -> Handle:
        """A visitor's address."""
        ...

    def said(self, ctx: Context, act: Act) -> Raw:
        """The act as it goes into the inbox; the same act gives the same source key."""
        ...

    def identify(self, ctx: Context, visitor: str, token: str) -> Login:
        """What the site's server signed about this visitor. Raises `Refused` with a sentence."""
        ...
