"""The rules of adjudication as values: one preset an industry, one preset chosen for each business line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scrm.ownership.rules.values import ClaimantKind, Kind, Relation

#: 报备→成交, 报备→到访→成交, 到访→成交
Mode = Literal["report_deal", "report_visit_deal", "visit_deal"]
MODES: Mapping[Mode, str] = {
    "report_deal": "报备→成交",
    "report_visit_deal": "报备→到访→成交",
    "visit_deal": "到访→成交",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """When more than one earns. Shares in basis points; 0 = no such share."""

    #: Claims of one kind this close together are as good as each other, and share by `tie_bp`.
    tie_minutes: int = 0
    tie_bp: int = 5000
    #: To whoever recommended the customer.
    referral_bp: int = 0
    #: To the rep who followed up last within `closer_days` before the deal, if it is not the winner.
    closer_bp: int = 0
    closer_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one kind of business decides."""

    title: str
    mode: Mode
    #: Days of protection by kind of claim; a kind that is not here gives none.
    windows: Mapping[Kind, float] = field(default_factory=dict)
    #: A follow-up within the protection prolongs it to so many days after; 0 = it does not.
    refresh_days: float = 0
    #: However often it is renewed, it ends so many days after the claim; 0 = no limit.
    longest_days: float = 0
    #: A report counts only if the customer comes no sooner than this after it.
    lead_minutes: int = 0
    #: After a visit of their own accord the customer is nobody's for so long.
    natural_hours: int = 0
    #: A report without these is void.
    requires: tuple[Literal["name", "phone"], ...] = ("name", "phone")
    #: Who counts as the same customer, besides themselves.
    relatives: tuple[Relation, ...] = ("spouse", "parent", "child", "sibling", "family")
    #: A claim may be told so many days after the deal.
    look_back_days: float = 0
    #: Who comes second waits for the first protection to end; else they have nothing.
    queue: bool = False
    #: So many days past protection a lead may still approve; 0 = never.
    approval_days: float = 0
    split: Split = field(default_factory=Split)
    #: Commission, basis points of what was paid.
    commission_bp: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which events are claims: all that is said here must be so."""

    #: The event's kind, or its beginning up to a `*`.
    event: str
    claim: Kind
    by: ClaimantKind = "rep"
    direction: Literal["in", "out", "none", ""] = ""
    #: Dotted paths into the event's body and the value that must stand there (one of several, by `|`).
    where: Mapping[str, str] = field(default_factory=dict)
    #: Dotted paths to what the claim says; "" = the event does not say.
    claimant: str = ""
    phone: str = ""
    name: str = ""
    line: str = ""
    token: str = ""
    device: str = ""
    #: One a day by the same claimant is enough.
    daily: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fraud:
    """From when on something looks wrong."""

    #: Reported so many minutes before our own first contact.
    before_contact_minutes: int = 30
    #: Masked numbers reported by one broker within a day.
    masks_a_day: int = 20
    #: Reports from one device within a day.
    reports_a_device: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Appealing:
    """The clock of appeals, in hours: raised within, decided within."""

    within_hours: int = 72
    decide_hours: int = 72


#: What somebody has done so far, the most first.
LevelKind = Literal["bought", "visited", "talked", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How long customers of one level may be left alone. Days; 0 = for ever."""

    level: LevelKind
    title: str
    idle_days: float
    #: Taken from the pool and not followed up since: then so long, if that is shorter.
    picked_days: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """The public pool (公海): when customers fall in, and who may take whom."""

    enabled: bool = True
    #: The rep is warned so long before; nobody falls in unwarned, except from reps who are gone.
    warn_days: float = 3
    #: Who lost a customer may not take them back for so long.
    cool_days: float = 7
    #: Who said no is left in peace for so long before anybody may take them.
    rest_days: float = 30
    #: With so many customers of their own a rep takes no more.
    capacity: int = 300
    takes_a_day: int = 20
    views_a_day: int = 50
    levels: tuple[Level, ...] = (
        Level(level="bought", title="已成交", idle_days=90, picked_days=7),
        Level(level="visited", title="到访过", idle_days=15, picked_days=3),
        Level(level="talked", title="聊过", idle_days=30, picked_days=3),
        Level(level="new", title="新", idle_days=7, picked_days=2),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """Hand-over: how long it can be undone, and how long the platform lets a customer rest in between."""

    undo_minutes: int = 10
    #: A customer who was handed over on the platform is not handed over again within so many days.
    rest_days: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All of it. Equal versions decide equally."""

    version: int
    #: Preset of business lines that are not named.
    default: str
    presets: Mapping[str, Preset]
    lines: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Source, ...] = ()
    fraud: Fraud = field(default_factory=Fraud)
    appeal: Appealing = field(default_factory=Appealing)
    pool: Pooling = field(default_factory=Pooling)
    handover: Handing = field(default_factory=Handing)

    def preset(self, line: str) -> Preset:
        return self.presets[self.lines.get(line, self.default)]
