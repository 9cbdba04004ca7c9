"""The values a connector and the core exchange, and what a connector is given to work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

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
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> dict[str, Any]:
        """The decoded JSON object. Raises `NotSent` (never left us) or `Unknown` (no clear answer)."""
        ...

    async def upload(
        self, url: str, *, params: Mapping[str, str], media: Media, timeout_s: float = 15.0
    ) -> dict[str, Any]:
        """Post one file as multipart field `media`; same errors as `json`."""
        ...

    async def download(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int,
        timeout_s: float = 30.0,
    ) -> Media:
        """One file, by what the server says it is. Raises `TooLarge` above `limit` bytes, `Rejected` when it
        is not there (4xx), `NotSent` otherwise. A JSON answer comes back as a file too: vendors refuse so.
        """
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
    #: Address of the caller, as far as it can be believed; "" = not known.
    peer: str = ""


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
    mime: str = "text/plain"
    #: Further headers, for callers in a browser.
    headers: Mapping[str, str] = field(default_factory=dict)


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
    """Evidence that two handles are one person, or two persons of one family."""

    a: Handle
    b: Handle
    rule: str
    #: 0..100; 100 = the vendor's own API says so.
    strength: int = 100
    kind: Literal["same_person", "same_household"] = "same_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file of a message that the vendor keeps for us; `Fetches.media` gets it once the row is settled."""

    #: What `Fetches.media` needs to find it; opaque to everybody else.
    ref: str
    kind: Literal["image", "voice", "video", "file"]
    name: str = ""
    mime: str = ""
    #: Bytes; 0 = the vendor does not say.
    size: int = 0
    #: Length of sound or film.
    seconds: int = 0
    #: Hex, checked after fetching; "" = the vendor does not say.
    md5: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What the vendor says is so now; replaces what it said before of the same (kind, key) of the account."""

    #: `follow` (a member follows a customer), `chat`, `chat_member`, `tag`, `contact_way` ...
    kind: str
    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    #: The vendor's own version; None = by the envelope's time. A lower one that comes later is dropped.
    rank: int | None = None
    gone: bool = False
    #: The customer or chat it is about: one of the envelope's handles.
    handle: Handle | None = None


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
    #: Source key of the message whose words this one replaces.
    edits: str = ""
    #: Names of the one thing this is a report of, surest first: all its reports make one event, in any order.
    whole: tuple[str, ...] = ()
    #: Of those reports the highest speaks for the thing; the others fill in what it leaves open.
    rank: int = 0
    #: Files that come with it.
    pieces: tuple[Piece, ...] = ()
    facts: tuple[Fact, ...] = ()
    #: Counted per customer and day under this name; "" = not counted. With `quiet` it is only counted.
    counts: str = ""
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
    #: What that means for us, as a refusal's `effect`; "" = nothing beyond that push.
    failed_effect: str = ""
    #: The vendor's name of the conversation, given back on a push.
    thread: str = ""
    #: A fact we looked up, not something that happened: evidence, but part of nobody's timeline.
    quiet: bool = False
    #: The vendor's own record of what one of us said in its app: confirms what we noted when it went out.
    witness: bool = False
    #: It changed something it does not tell: `Enriches` is asked about its handles a moment later.
    asks: bool = False


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
    #: How many there are in all, where the vendor says so.
    total: int | None = None
    #: With `more`: everything up to then has been fetched. Says how far behind we are.
    upto: datetime | None = None
    #: This stream ends here and is not asked again.
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Something the vendor can list in full: taken over once, and asked again to find what was missed.

    It is walked by `Polls.poll` under `stream`, from cursor "" until `more` is false.
    """

    stream: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value a deed takes."""

    name: str
    title: str
    required: bool = True
    #: text | number | flag | list (of texts)
    kind: Literal["text", "number", "flag", "list"] = "text"
    #: Bytes of UTF-8, or entries of a list; 0 = no limit.
    limit: int = 0
    #: It names members of ours: who is named when the vendor says that one of them may not.
    member: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaches:
    """Whom a deed tells something: they are asked for as before every push, and some are left out."""

    #: The field that lists them, each the value of a handle of this kind in the account's realm.
    field: str
    kind: str
    purpose: Literal["marketing", "service"] = "marketing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something the vendor does for us when asked: make a contact way, tag or hand over a customer."""

    kind: str
    title: str
    fields: tuple[Field, ...] = ()
    #: A repeat does no harm, so an unclear answer may be asked again; else it ends `unknown`.
    idempotent: bool = False
    #: None = no customer hears of it.
    reaches: Reaches | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a deed. No vendor calls back about our own doing: `raws` say what is so now."""

    #: The vendor's name of what was made; "" = nothing has a name.
    item: str = ""
    #: What to show, JSON-ready.
    body: Mapping[str, Any] = field(default_factory=dict)
    raws: tuple[Raw, ...] = ()
    #: Ask for the outcome again after so many seconds; None = this is the outcome.
    again_s: float | None = None
    #: Of those the deed reaches: who certainly got nothing.
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    name: str
    mime: str
    content: bytes = field(repr=False)


#: What a push can be. `link` and `miniprogram` carry a card; `template` the channel's own form in `card`.
PushKind = Literal["text", "image", "voice", "video", "file", "link", "miniprogram", "template", "welcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A link, a mini-program page or a template message; a picture comes as the push's `media`."""

    title: str
    description: str = ""
    url: str = ""
    #: Mini-program: its appid and page.
    app_id: str = ""
    page: str = ""
    #: Template: the vendor's id and its values.
    template_id: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Anything going out to a customer. `push_id` is ours, at most 32 of `[0-9A-Za-z_-]`."""

    push_id: str
    handle: Handle
    kind: PushKind
    text: str = ""
    media: Media | None = None
    #: The vendor's id of `media`, which `Uploads.upload` gave and which works for a while yet; "" = none.
    uploaded: str = ""
    card: Card | None = None
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
