"""Views of what may be said next and of what was checked about it: script cards, verdicts, the red card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

#: One colour, one meaning; "" is neutral.
Tone = Literal["", "ok", "warn", "bad", "brand", "house"]


class Part(Protocol):
    """A stretch of a rendered script; `scrm.playbook.templates.Part` is one."""

    @property
    def text(self) -> str: ...

    @property
    def kind(self) -> Literal["plain", "variable", "missing", "hit"]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A fact the words need and nobody knows: filled in on the card, for this time."""

    field: str
    label: str
    #: A number: yuan, lessons.
    number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A picture or file that goes out after the words."""

    #: Public id of the file.
    id: str
    name: str
    href: str
    form: str
    #: As people read it; "" = not known.
    size: str = ""
    #: Why it does not go out here; "" = it does.
    why: str = ""
    #: Whether the platform holds it already, in words; for the editor.
    state: str = ""
    digest: str = ""


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
    asks: tuple[Ask, ...] = ()
    tag: Tag | None = None
    #: What the best say here, for who is new.
    note: str = ""
    #: To be read by the rep, never sent.
    advice: bool = False
    #: The check's word on these words: it may go out at one tap for as long as this is fresh.
    token: str = ""
    #: ok | warn | block; "" = nobody has looked.
    level: str = ""
    files: tuple[Brought, ...] = ()
    #: What the page hands to the vendor's app itself, as JSON; "" = nothing.
    by_hand: str = ""

    @property
    def carries(self) -> str:
        """Ids of what goes along, as the field `files`."""
        return ",".join(one.id for one in self.files if not one.why)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitView:
    """One thing a rule says about a draft; `level` is block, warn or note."""

    rule: str
    level: str
    title: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """The sheet before sending."""

    cid: str
    level: str
    text: str
    hits: tuple[HitView, ...] = ()
    notes: tuple[str, ...] = ()
    rewrite: str = ""
    rewrite_token: str = ""
    token: str = ""
    #: What the form that was sent must bring again.
    key: str = ""
    suggestion: str = ""
    seen: str = ""
    image: bool = False
    #: asked | refused, "" = nobody was asked; and what the leader said.
    asked: str = ""
    answer: str = ""
    may_ask: bool = False
    #: Ids of what goes along.
    files: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictCard:
    """What the family has been promised, where it does not fit what else is said or asked."""

    tone: Tone
    title: str
    #: Who said what to whom and where, until when; then what does not fit it.
    lines: tuple[str, ...]
    #: On the button, and the words it puts into the box.
    label: str = ""
    quote: str = ""
    quote_url: str = ""
    words_url: str = ""
    ask_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A message around a promise."""

    at: datetime
    who: str
    text: str
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsView:
    """What was said when it was promised; without leave to read it, the facts only."""

    cid: str
    line: str
    said: tuple[Utterance, ...] = ()
    hidden: bool = False
    #: To be taken back or put right by this reader, and what kind it is; "" = by others.
    promise: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskView:
    """Asking the leader to let something be said."""

    cid: str
    text: str
    check: CheckView
    #: The promise it is about, if it came from the red card.
    line: str = ""
