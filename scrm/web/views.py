"""What a page is made of: the exact values a request handler hands to a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from scrm.contract import Signature
from scrm.web.abouts import AboutView
from scrm.web.boards import BoardView
from scrm.web.cards import ConflictCard
from scrm.web.cards import Part as Part
from scrm.web.cards import ScriptCard as ScriptCard
from scrm.web.cards import Tag as Tag
from scrm.web.cards import Tone as Tone
from scrm.web.kinship import Strip
from scrm.web.parts import Attached, Filter, Version
from scrm.web.selling import CouponsView, LabelsView, SaleView

Locale = Literal["zh_CN", "en"]
Theme = Literal["auto", "light", "dark"]
#: What became of something we sent. `unconfirmed`: handed over by the chat app, no archive has seen it yet.
Delivery = Literal["queued", "sending", "sent", "unconfirmed", "unknown", "retry", "dead"]
#: How a text leaves this page: our push through the channel, the chat app's own SDK, or the clipboard.
Via = Literal["api", "jssdk", "copy"]
Icon = Literal["wx", "im", "ph", "app", "oa", "ev", "web"]
Tab = Literal["scripts", "timeline", "todo", "coupons"]
QueueFilter = Literal["waiting", "mine", "unassigned", "snoozed", "closed", "all", "tasks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who is looking."""

    name: str
    #: Single-key shortcuts are on (WCAG 2.1.4 lets people switch them off).
    keys: bool = True
    role: str = ""


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


#: What the timeline is narrowed down to; "" = everything.
Kind = Literal["", "talk", "call", "order", "event", "file"]


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
    attached: tuple[Attached, ...] = ()
    #: The words say no more than what is attached.
    told: bool = False
    #: What it said before it was edited, oldest first; () = never edited.
    before: tuple[Version, ...] = ()
    #: Something that happened rather than something said: shown without quotes, centred in a conversation.
    event: bool = False
    #: Vendor's name of an event we do not understand; "" for everything we do.
    unknown: str = ""
    #: What the vendor sent, for `unknown`.
    raw: str = ""
    #: Taken back; `text` is empty for those who may not see what was.
    recalled: bool = False
    delivery: Delivery | None = None
    #: Why it failed or waits, in words.
    reason: str = ""
    #: The customer has it before their eyes; only where the channel says so.
    seen: bool = False
    #: It waits for its time and can be taken back: where, and what names it there.
    unsend: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    name: str
    role: str
    href: str
    icon: Icon = "wx"
    #: Spoken and shown on hover: last seen where and when.
    hint: str = ""
    current: bool = False
    #: It narrows the timeline down to this person.
    filters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something found: where, whose, and the words with what was asked for marked."""

    id: str
    at: datetime
    channel: Channel
    who: str
    #: The customer whose timeline it is on, and their conversation; "" = not to be opened.
    customer: str
    href: str
    #: Stretches of text, and whether each is what was asked for.
    parts: tuple[tuple[str, bool], ...]
    recalled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineView:
    cid: str
    #: Newest first.
    items: tuple[Item, ...]
    channels: tuple[Channel, ...] = ()
    #: Selected `Channel.key`, "" for all.
    channel: str = ""
    #: Members of the family, when there are several, and the one selected.
    members: tuple[Filter, ...] = ()
    member: str = ""
    kind: Kind = ""
    #: What is searched for; then items are hits.
    q: str = ""
    hits: tuple[Hit, ...] = ()
    #: Cursor of the next older page, "" at the end.
    before: str = ""
    #: True when this answers `?before=`: the page is appended instead of merged at the top.
    older: bool = False
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A better time to send: what the form gives back, and how it is called."""

    at: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How the next answer would go out: a sentence, or why not by us."""

    via: Via = "copy"
    line: str = ""
    closed: str = ""
    later: Later | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether the customer wants to hear from us: that they do not, or how often they still may."""

    stopped: str = ""
    more: str = ""
    #: The reader may write down that they want to again.
    undo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Something the customer did that is no line of the timeline, and how often."""

    name: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerView:
    """The fragment that is the sidebar, and the right column of the inbox."""

    cid: str
    name: str
    subline: str = ""
    tags: tuple[Tag, ...] = ()
    members: tuple[Member, ...] = ()
    #: The household beside them: candidates that wait, parts, the page.
    strip: Strip | None = None
    banner: Banner | None = None
    cards: tuple[ScriptCard, ...] = ()
    #: Own pushes still on their way or finished within two minutes, newest first.
    outgoing: tuple[Item, ...] = ()
    #: What the vendor knows of them: remark, tags, source, groups.
    about: AboutView | None = None
    #: What they did in the app and on the site in the last seven days, most often first.
    counted: tuple[Counted, ...] = ()
    via: Via = "copy"
    #: Why `via` is not `api`, in words; shown above the cards.
    via_note: str = ""
    #: How a card would go out, in words, and a better time if there is one.
    line: str = ""
    later: Later | None = None
    standing: Standing | None = None
    #: The opportunity at stake, the tags of the family.
    sale: SaleView | None = None
    labels: LabelsView | None = None
    #: None = loaded when the tab is first opened.
    coupons: CouponsView | None = None
    tab: Tab = "scripts"
    #: A promise to this family that must be known before anything is said about money.
    conflict: ConflictCard | None = None
    #: None = loaded when the tab is first opened.
    timeline: TimelineView | None = None
    #: What is to be done for this family, and the task whose words `edit` has ready.
    todo: BoardView | None = None
    task: str = ""
    #: The promise `?quote=` has put in words, until they are sent.
    quote: str = ""
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
    #: In place of conversations: what is to be done.
    board: BoardView | None = None


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
    #: Ids of what goes along.
    files: str = ""


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
    #: How the next answer would go out, in words, and a better time if there is one.
    line: str = ""
    later: Later | None = None
    images: bool = False
    #: What this page has seen of colleagues' replies, given back with a send.
    seen: str = ""
    hands: HandsView | None = None
    #: The customer sees that we type, and we that they do.
    typing: bool = False
    owner: str = ""
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A telephone that rings now."""

    id: str
    #: "" when nobody told us.
    name: str = ""
    #: As this person may see it.
    number: str = ""
    #: The conversation; "" when it is not theirs to open.
    href: str = ""
    #: Whose customer it is, when it is somebody else's.
    owner: str = ""
    #: Never heard of before.
    new: bool = False
    #: They are the one who is called.
    mine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxView:
    queue: QueueView
    conversation: ConversationView | None = None
    customer: CustomerView | None = None
    rings: tuple[Ring, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    price_list: str
    #: Fen.
    amount: int
    starts_at: datetime
    ends_at: datetime | None
    #: What its price list asks at this moment.
    now: bool
    soon: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRow:
    code: str
    name: str
    business_line: str
    unit: str
    on_sale: bool
    #: The latest to begin first.
    prices: tuple[PriceRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogView:
    """`/catalog`: what is sold and for how much."""

    rows: tuple[ProductRow, ...]
    #: Cursor of the next older page, "" at the end.
    before: str = ""
    #: The reader may change it.
    edits: bool = False
    #: Why the last change was not taken.
    problem: str = ""
    #: The price list one means when one names none.
    standard: str = ""
    #: For the form: now, as a wall time in Shanghai.
    today: str = ""
