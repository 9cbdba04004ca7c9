"""What a page is made of: the exact values a request handler hands to a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from scrm.contract import Signature

Locale = Literal["zh_CN", "en"]
Theme = Literal["auto", "light", "dark"]
#: One colour, one meaning; "" is neutral.
Tone = Literal["", "ok", "warn", "bad", "brand", "house"]
#: What became of something we sent. `unconfirmed`: handed over by the chat app, no archive has seen it yet.
Delivery = Literal["queued", "sending", "sent", "unconfirmed", "unknown", "retry", "dead"]
#: How a text leaves this page: our push through the channel, the chat app's own SDK, or the clipboard.
Via = Literal["api", "jssdk", "copy"]
Icon = Literal["wx", "im", "ph", "app", "oa", "ev", "web"]
Tab = Literal["scripts", "timeline"]
QueueFilter = Literal["waiting", "mine", "unassigned", "snoozed", "closed", "all"]


class Part(Protocol):
    """A stretch of a rendered script; `scrm.playbook.templates.Part` is one."""

    @property
    def text(self) -> str: ...

    @property
    def kind(self) -> Literal["plain", "variable", "missing"]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who is looking."""

    name: str
    #: Single-key shortcuts are on (WCAG 2.1.4 lets people switch them off).
    keys: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    #: Value of `?channel=` in the timeline filter.
    key: str
    name: str
    icon: Icon = "wx"

    @property
    def tone(self) -> Tone:
        tones: dict[str, Tone] = {"wx": "ok", "oa": "ok", "im": "brand", "web": "brand", "ph": "warn"}
        return "house" if self.icon == "app" else tones.get(self.icon, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A sentence the rep must see before doing anything: session closed, clock wrong, no permission."""

    title: str
    text: str = ""
    tone: Literal["warn", "bad", "brand"] = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One row of the timeline, also one bubble of the conversation."""

    #: For what a form of ours sent this is the form's `key`, so that the optimistic bubble is replaced.
    id: str
    at: datetime
    channel: Channel
    #: Who said or did it, and to whom; `whom` may be empty.
    who: str
    whom: str = ""
    direction: Literal["in", "out", "none"] = "in"
    text: str = ""
    #: Same-origin URL of a picture.
    image: str = ""
    #: Same-origin URL of a file to save, `text` names it.
    file: str = ""
    #: Something that happened rather than something said: shown without quotes, centred in a conversation.
    event: bool = False
    #: Vendor's name of an event we do not understand; "" for everything we do.
    unknown: str = ""
    #: What the vendor sent, for `unknown`.
    raw: str = ""
    recalled: bool = False
    delivery: Delivery | None = None
    #: Why it failed or waits, in words.
    reason: str = ""
    #: The customer has it before their eyes; only where the channel says so.
    seen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    name: str
    role: str
    href: str
    icon: Icon = "wx"
    #: Spoken and shown on hover: last seen where and when.
    hint: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCard:
    #: Id of the suggestion; comes back as the field `suggestion`.
    id: str
    #: Position, 1..5; also its key.
    n: int
    title: str
    why: str
    parts: tuple[Part, ...]
    text: str
    #: Fresh idempotency key for the form without JavaScript: at most 32 of `[0-9A-Za-z_-]`.
    key: str
    missing: tuple[str, ...] = ()
    tag: Tag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineView:
    cid: str
    #: Newest first.
    items: tuple[Item, ...]
    channels: tuple[Channel, ...] = ()
    #: Selected `Channel.key`, "" for all.
    channel: str = ""
    #: Cursor of the next older page, "" at the end.
    before: str = ""
    #: True when this answers `?before=`: the page is appended instead of merged at the top.
    older: bool = False
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerView:
    """The fragment that is the sidebar, and the right column of the inbox."""

    cid: str
    name: str
    subline: str = ""
    tags: tuple[Tag, ...] = ()
    members: tuple[Member, ...] = ()
    banner: Banner | None = None
    cards: tuple[ScriptCard, ...] = ()
    #: Own pushes still on their way or finished within two minutes, newest first.
    outgoing: tuple[Item, ...] = ()
    via: Via = "copy"
    #: Why `via` is not `api`, in words; shown above the cards.
    via_note: str = ""
    tab: Tab = "scripts"
    #: None = loaded when the tab is first opened.
    timeline: TimelineView | None = None
    #: What this page has seen of colleagues' replies, given back with a send.
    seen: str = ""
    #: The card `?edit=` asks for: without JavaScript its sheet is part of the page.
    edit: ScriptCard | None = None
    #: Live topics this fragment depends on.
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    cid: str
    name: str
    channel: Channel
    last: str
    last_at: datetime
    #: The customer has been waiting for an answer since; None = nothing to answer.
    waiting_since: datetime | None = None
    unread: int = 0
    mine: bool = False
    #: The rep's name, "" = unassigned.
    owner: str = ""
    #: None, or how urgent the wait is by the reply target.
    wait_tone: Literal["", "warn", "bad"] = ""
    #: Put off until then.
    later: datetime | None = None
    #: It was put off and is due again.
    back: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What the chat app's SDK needs on this exact URL."""

    signatures: tuple[Signature, ...] = ()
    find_url: str = "/s/find"
    #: Demonstration only: pretend the chat app shows this customer.
    mock_userid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellView:
    """`/s`: the sidebar before it knows the customer."""

    conversations: tuple[QueueRow, ...] = ()
    boot: Boot | None = None
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindView:
    """`/s/find` when there is no customer to show."""

    sentence: str
    conversations: tuple[QueueRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    rows: tuple[QueueRow, ...]
    filter: QueueFilter = "waiting"
    counts: Mapping[QueueFilter, int] = field(default_factory=dict)
    #: `cid` of the open conversation.
    current: str = ""
    topics: tuple[str, ...] = ()
    #: Whether the reader takes no new conversations now.
    away: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleague:
    id: str
    name: str
    #: 在线 · 3/8
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandsView:
    """Whose the conversation is, why, and what the reader may do about it."""

    #: Whom the page shows as its rep, given back with each form: somebody may have been faster.
    rep: str = ""
    mine: bool = False
    owner: str = ""
    #: The last move in a sentence.
    why: str = ""
    why_at: datetime | None = None
    ended: bool = False
    later: datetime | None = None
    #: It was put off and is due again.
    back: bool = False
    colleagues: tuple[Colleague, ...] = ()
    teams: tuple[Colleague, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollisionView:
    """A colleague answered first: what they said, and the words that were not sent."""

    cid: str
    title: str
    #: Oldest first.
    items: tuple[Item, ...]
    #: Sent anyway, these words have seen the items above.
    seen: str
    text: str = ""
    key: str = ""
    suggestion: str = ""
    #: A picture was chosen; without scripts it must be chosen again.
    image: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationView:
    cid: str
    name: str
    channel: Channel
    #: Oldest first, newest at the bottom.
    items: tuple[Item, ...]
    before: str = ""
    older: bool = False
    #: Fresh idempotency key for the composer without JavaScript.
    key: str = ""
    #: Why nothing can be sent now; "" = the composer is open.
    closed: str = ""
    images: bool = False
    #: What this page has seen of colleagues' replies, given back with a send.
    seen: str = ""
    hands: HandsView | None = None
    #: The customer sees that we type, and we that they do.
    typing: bool = False
    owner: str = ""
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxView:
    queue: QueueView
    conversation: ConversationView | None = None
    customer: CustomerView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One vendor sign-in, `/auth/{slug}/door`."""

    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginView:
    doors: tuple[Door, ...] = ()
    next: str = "/inbox"
    name: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefsView:
    theme: Theme
    locale: Locale
    keys: bool = True
    back: str = "/inbox"
    saved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    status: int
    sentence: str
    back: str = "/inbox"
    #: Quote this when asking for help.
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """`/dev/ui`: one of everything, in all its states."""

    items: tuple[Item, ...]
    cards: tuple[tuple[Via, ScriptCard], ...]
    rows: tuple[QueueRow, ...]
    members: tuple[Member, ...]
    banners: tuple[Banner, ...]
