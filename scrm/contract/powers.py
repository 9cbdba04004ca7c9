"""The powers a connector may have: one-method protocols, found by `isinstance(module, Power)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from scrm.contract.values import (
    Act,
    Call,
    Context,
    Deed,
    Done,
    Envelope,
    Finding,
    Handle,
    Login,
    Media,
    Need,
    Polled,
    Pull,
    Push,
    Raw,
    Receipt,
    Signature,
    Site,
    Stock,
    Visitor,
    Window,
)


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
class Bulky(Protocol):
    """Its callers send more at once than a callback, also gzipped."""

    #: Bytes of a body once it is inflated, at most.
    BODY_MAX: int


@runtime_checkable
class Imports(Protocol):
    def line(self, ctx: Context, row: Mapping[str, str]) -> Raw:
        """One line of a list somebody hands us, by its headings. Pure. Raises `BadInput`: what is wrong."""
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
class Follows(Protocol):
    """Also `Polls`: streams asked from the first day on, whether anything announces them or not."""

    STREAMS: tuple[str, ...]


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
    #: What it carries as it is (`PushKind`); the rest is put into words.
    KINDS: frozenset[str]

    async def send(self, ctx: Context, push: Push) -> str:
        """The vendor's id of the message. Raises `NotSent`, `Rejected` or `Unknown`."""
        ...


@runtime_checkable
class Enriches(Protocol):
    async def enrich(self, ctx: Context, handle: Handle) -> tuple[Raw, ...]:
        """What the vendor knows about a handle, as raws for the inbox."""
        ...


@runtime_checkable
class Lists(Protocol):
    """Also `Polls`: what can be asked for in full, in the order to ask."""

    STOCKS: tuple[Stock, ...]


@runtime_checkable
class Fetches(Protocol):
    async def media(self, ctx: Context, ref: str) -> Media:
        """The file a `Piece` names. Raises `Rejected` (gone, refused), `NotSent` (later) or `TooLarge`."""
        ...


@runtime_checkable
class Administers(Protocol):
    """What we may ask the vendor to do on our behalf."""

    DEEDS: tuple[Deed, ...]

    async def do(self, ctx: Context, deed: str, fields: Mapping[str, Any]) -> Done:
        """Ask once. Raises `NotSent`, `Rejected` or `Unknown`."""
        ...

    async def outcome(self, ctx: Context, deed: str, item: str, fields: Mapping[str, Any]) -> Done:
        """What became of it by now; asked for after `Done.again_s`."""
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
