"""What the pages of the script library are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scrm.playbook.library.diff import Piece
from scrm.playbook.scripts import Enclosed
from scrm.playbook.templates import Part
from scrm.web.cards import Brought
from scrm.web.views import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One script in the tree."""

    title: str
    href: str
    marks: tuple[Mark, ...] = ()
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A stage with its scripts."""

    name: str
    leaves: tuple[Leaf, ...]
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    key: str
    name: str
    on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    base: str
    q: str
    trade: str
    trades: tuple[Choice, ...]
    branches: tuple[Branch, ...]
    count: int
    #: There are more than are listed; a search finds them.
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that waits for somebody to look at it."""

    title: str
    href: str
    who: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A file that is newer than what people here work on."""

    code: str
    title: str
    version: int
    pieces: tuple[Piece, ...]
    fields: tuple[str, ...]
    #: This reader may decide.
    mine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    tree: Tree
    waiting: tuple[Waiting, ...] = ()
    news: tuple[News, ...] = ()
    packs: tuple[Choice, ...] = ()
    may_write: bool = False
    #: Import, export, packs.
    may_run: bool = False
    personal: bool = False
    fault: str = ""
    saved: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields of the editor as they stand, right or wrong."""

    code: str = ""
    title: str = ""
    trade: str = ""
    stage: str = ""
    role: str = "any"
    delivery: str = "confirm"
    channels: str = ""
    fallback: bool = False
    triggers: str = ""
    says: str = ""
    text: str = ""
    examples: str = ""
    note: str = ""
    #: As a browser's date field writes them, in Shanghai.
    starts_at: str = ""
    expires_at: str = ""
    #: What goes out after the words.
    files: tuple[Enclosed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHit:
    level: Literal["block", "warn", "note"]
    title: str
    matched: str
    why: str
    rewrite: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The card a rep would see, and what is wrong with it."""

    samples: tuple[Choice, ...]
    title: str = ""
    stage: str = ""
    parts: tuple[Part, ...] = ()
    missing: tuple[str, ...] = ()
    #: Why nothing can be shown, or why it cannot be saved.
    fault: str = ""
    hits: tuple[RuleHit, ...] = ()
    #: Examples that came out as expected.
    examples: int = 0
    chars: int = 0
    files: tuple[Brought, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    version: int
    state: str
    tone: Tone
    at: datetime | None
    who: str = ""
    by: str = ""
    note: str = ""
    source: str = ""
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    current: bool = False
    #: What it is compared with.
    before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """The version that waits, for whoever may let it pass."""

    version: int
    who: str
    note: str
    at: datetime
    pieces: tuple[Piece, ...]
    fields: tuple[str, ...]
    hits: tuple[RuleHit, ...]
    #: Why this reader may not decide; "" = they may.
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditorView:
    tree: Tree
    form: Form
    preview: Preview
    action: str
    new: bool = False
    #: Read only for this person.
    mine: bool = True
    folder: str = ""
    state: Mark | None = None
    #: Nobody has to let it pass.
    at_once: bool = False
    out: bool = False
    has_file: bool = False
    versions: tuple[VersionRow, ...] = ()
    deciding: Deciding | None = None
    stages: tuple[Choice, ...] = ()
    roles: tuple[Choice, ...] = ()
    deliveries: tuple[Choice, ...] = ()
    trades: tuple[Choice, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    fault: str = ""
    saved: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffView:
    base: str
    code: str
    title: str
    a: int
    b: int
    pieces: tuple[Piece, ...]
    #: Name of the field, how it was, how it is.
    fields: tuple[tuple[str, str, str], ...]
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRow:
    code: str
    title: str
    change: str
    tone: Tone
    pieces: tuple[Piece, ...] = ()
    fields: tuple[str, ...] = ()
    older: bool = False
    takes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportView:
    trades: tuple[Choice, ...]
    rows: tuple[ImportRow, ...] = ()
    #: The file's text, carried to the confirmation.
    text: str = ""
    takes: int = 0
    fault: str = ""
    at_once: bool = False


# -- what goes out by itself -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoCase:
    """A case of an account: first | night | faq."""

    key: str
    name: str
    on: bool
    #: Who decided it, and when.
    who: str
    #: As the setting has it.
    usual: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAccount:
    slug: str
    name: str
    channel: str
    title: str
    cases: tuple[AutoCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoScript:
    title: str
    href: str
    stage: str
    #: Each account that would say it, with the cases.
    where: tuple[str, ...]
    greets: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoGone:
    at: datetime
    title: str
    href: str
    account: str
    case: str
    why: str
    text: str
    state: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoView:
    accounts: tuple[AutoAccount, ...] = ()
    scripts: tuple[AutoScript, ...] = ()
    gone: tuple[AutoGone, ...] = ()
    #: Name and reason of each case.
    cases: tuple[tuple[str, str], ...] = ()
    may_run: bool = False
    saved: str = ""
