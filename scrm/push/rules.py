"""The one decision about a push: which way, when, in how many parts - or why not. Pure.

Everybody asks it: the preview, the composer, the queue, and the sender once more before it calls out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from scrm.desk import frequency
from scrm.desk.calendar import rules as calendar_rules
from scrm.desk.calendar.rules import ZONE, Calendar
from scrm.desk.frequency import Limits, Reached
from scrm.ledger.consent import rules as consent_rules
from scrm.ledger.consent.rules import Entry
from scrm.push import content as contents
from scrm.push import windows
from scrm.push.content import Content, Piece, parts
from scrm.push.windows import BY_HAND, ENDED, HUMAN, SILENT, USED_UP, Opening, Used, Verdict, Way, verdict

__all__ = [
    "BY_HAND",
    "ENDED",
    "HUMAN",
    "PURPOSES",
    "SENTENCES",
    "SILENT",
    "USED_UP",
    "Ask",
    "Circumstances",
    "Decision",
    "Door",
    "Opening",
    "Purpose",
    "Spoken",
    "Used",
    "Verdict",
    "Way",
    "Weight",
    "decide",
    "parts",
    "verdict",
]

#: Why it is said: an answer, a notice the customer needs, advertising, a planned follow-up, a greeting.
Purpose = Literal["reply", "service", "marketing", "sop", "welcome"]
PURPOSES: tuple[Purpose, ...] = ("reply", "service", "marketing", "sop", "welcome")
#: Nobody waits for these: they keep to quiet hours, consent and frequency.
_UNASKED = frozenset({"service", "marketing", "sop"})
#: What a rule has to say: it is fine so; think about it; later; not at all.
Weight = Literal["fine", "advice", "wait", "refuse"]
#: Put off this often while looking for a moment at which every rule agrees.
_ROUNDS = 8

VIA = "将通过 {channel} 发出。"
LEFT = "平台还允许 {left} 条。"
LAST_USED = "客户最近在 {channel} 说过话，所以从这里发。"
NOWHERE = "没有可以由接口发出的渠道，请手工联系。"
OPTED_OUT = "客户已退订（{day}），不能再发这类消息。"
FAMILY_OUT = "客户的家人已退订（{day}），一家人都不再发这类消息。"
QUIET = "现在是免打扰时段，最早 {at} 发出。"
QUIET_ADVICE = "现在是免打扰时段，客户没有在等回复，建议改到 {at} 发。"
OFF_WORK = "现在不是上班时间，没有人接客户的回复，{at} 上班后发出。"
ROOM = "今天还可发这类消息 {left} 次。"
FULL: Mapping[str, str] = {
    "person_day": "这位客户今天已收到 {limit} 次这类消息，到了上限，{at} 后可发。",
    "person_month": "这位客户本月已收到 {limit} 次这类消息，到了上限，{at} 后可发。",
    "household_day": "这一家今天已收到 {limit} 次这类消息，到了上限，{at} 后可发。",
    "household_month": "这一家本月已收到 {limit} 次这类消息，到了上限，{at} 后可发。",
}
PLANNED = "按选定的时间 {at} 发出。"
TOO_MANY = "内容要分 {parts} 条发出，平台现在只允许再发 {left} 条，请缩短。"
NOT_BY_THEN = "到 {at} 时平台的回复时限已过，届时发不出去。"
SENTENCES = (
    *windows.SENTENCES,
    *contents.NOTES,
    *(VIA, LEFT, LAST_USED, NOWHERE, OPTED_OUT, QUIET, QUIET_ADVICE, OFF_WORK, ROOM, PLANNED, TOO_MANY),
    *(FAMILY_OUT, NOT_BY_THEN, *FULL.values()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What somebody wants to say, and what for."""

    content: Content = field(default_factory=Content)
    purpose: Purpose = "reply"
    #: The time somebody chose; None = as soon as it may.
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One conversation it could go out through, with what its platform lets us do there now."""

    conversation_id: int
    #: Of the connector, as in a folder's name; and as people call it.
    channel: str
    title: str
    verdict: Verdict
    kinds: Collection[str]
    #: Bytes of UTF-8; 0 = any length.
    text_limit: int
    last_at: datetime
    last_in_at: datetime | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is true of the customer now, whatever the channel."""

    calendar: Calendar = field(default_factory=Calendar)
    #: By purpose; a purpose that is not named has none.
    limits: Mapping[str, Limits] = field(default_factory=dict)
    consents: Sequence[Entry] = ()
    #: What each of the others of the household said.
    relatives: Sequence[Sequence[Entry]] = ()
    #: What the household was sent for this purpose, and which nodes are the person's own.
    reached: Sequence[Reached] = ()
    own: Collection[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A rule that had something to say; `why` is a message id, `values` fill its braces."""

    rule: str
    weight: Weight
    why: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        return self.why.format(**self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`way` is `api` when we may hand it over ourselves, at `wait_until` if that is set and not `refused`."""

    conversation_id: int | None = None
    channel: str = ""
    title: str = ""
    way: Way = "copy"
    pieces: tuple[Piece, ...] = ()
    left: int | None = None
    until: datetime | None = None
    #: Every rule agrees from then on.
    wait_until: datetime | None = None
    #: It may go now, but then would be better.
    better_at: datetime | None = None
    spoken: tuple[Spoken, ...] = ()

    @property
    def refused(self) -> bool:
        return any(s.weight == "refuse" for s in self.spoken)

    @property
    def sends(self) -> bool:
        """We will hand it to the channel, now or then."""
        return self.way == "api" and not self.refused

    @property
    def code(self) -> str:
        """The rule that refused, "" when none did."""
        return next((s.rule for s in self.spoken if s.weight == "refuse"), "")

    @property
    def why(self) -> str:
        """Why not, in a sentence; "" when it goes."""
        return next((s.sentence for s in self.spoken if s.weight == "refuse"), "")

    @property
    def sentence(self) -> str:
        return "".join(s.sentence for s in self.spoken)


def decide(doors: Sequence[Door], ask: Ask, about: Circumstances, *, now: datetime) -> Decision:
    """The best door and what every rule says about it; `doors` of one entry = the channel is given."""
    made = [_through(door, ask, about, now=now) for door in _in_order(doors)]
    best = next((d for d in made if d.sends), None)
    if best is None:
        return made[0] if made else Decision(spoken=(Spoken(rule="channel", weight="refuse", why=NOWHERE),))
    if len(doors) > 1:
        why = Spoken(rule="channel", weight="fine", why=LAST_USED, values={"channel": best.title})
        return replace(best, spoken=(best.spoken[0], why, *best.spoken[1:]))
    return best


def _in_order(doors: Sequence[Door]) -> list[Door]:
    """Where the customer spoke last, then where anything was said last."""
    spoke = [d for d in doors if d.last_in_at is not None]
    rest = [d for d in doors if d.last_in_at is None]
    spoke.sort(key=lambda d: (d.last_in_at or d.last_at, -d.conversation_id), reverse=True)
    return spoke + sorted(rest, key=lambda d: (d.last_at, -d.conversation_id), reverse=True)


def _through(door: Door, ask: Ask, about: Circumstances, *, now: datetime) -> Decision:
    at, timing = _when(door, ask, about, now=now)
    shaped = contents.shape(ask.content, door.kinds, door.text_limit)
    spoken = [*_window(door, ask, at, now=now), *_shape(shaped, door, ask)]
    spoken += [*_consent(door, ask, about), *timing]
    later = at if at > now else None
    advised = next((s for s in timing if s.weight == "advice"), None)
    return Decision(
        conversation_id=door.conversation_id,
        channel=door.channel,
        title=door.title,
        way=_way(door, ask, shaped),
        pieces=shaped.pieces,
        left=door.verdict.left,
        until=door.verdict.until,
        wait_until=later,
        better_at=calendar_rules.quiet_until(about.calendar, now) if advised else None,
        spoken=tuple(spoken),
    )


def _way(door: Door, ask: Ask, shaped: contents.Shape) -> Way:
    if ask.purpose == "welcome":
        return "api"
    if door.verdict.way == "api" and shaped.note and not shaped.pieces:
        return "copy"
    return door.verdict.way


# -- the platform ------------------------------------------------------------------------------------------
def _window(door: Door, ask: Ask, at: datetime, *, now: datetime) -> list[Spoken]:
    """A greeting has its own one-time code and needs no window."""
    via = Spoken(rule="channel", weight="fine", why=VIA, values={"channel": door.title})
    if ask.purpose == "welcome":
        return [via]
    found = door.verdict
    if found.way != "api":
        return [Spoken(rule="window", weight="refuse", why=found.why, values=found.values)]
    said = [via]
    if found.left is not None:
        said.append(Spoken(rule="window", weight="fine", why=LEFT, values={"left": found.left}))
    if found.until is not None and at > now and at >= found.until:
        said.append(Spoken(rule="window", weight="refuse", why=NOT_BY_THEN, values={"at": _clock(at)}))
    return said


def _shape(shaped: contents.Shape, door: Door, ask: Ask) -> list[Spoken]:
    number, left = len(shaped.pieces), door.verdict.left
    if not number:
        words = not shaped.note  # nothing to say yet: a preview of an empty box
        return [] if words else [Spoken(rule="content", weight="refuse", why=shaped.note)]
    said = [Spoken(rule="content", weight="fine", why=shaped.note)] if shaped.note else []
    if left is not None and number > left and ask.purpose != "welcome":
        values = {"parts": number, "left": left}
        return [*said, Spoken(rule="window", weight="refuse", why=TOO_MANY, values=values)]
    if number > 1:
        said.append(Spoken(rule="content", weight="fine", why=contents.IN_PARTS, values={"parts": number}))
    return said


# -- the customer ------------------------------------------------------------------------------------------
def _consent(door: Door, ask: Ask, about: Circumstances) -> list[Spoken]:
    if ask.purpose not in _UNASKED:
        return []
    found, why = consent_rules.standing(about.consents, ask.purpose, door.channel), OPTED_OUT
    if found is None or found.state == "granted":
        # A platform's word on a relative's account is about that account; their own wish is the family's.
        wishes = [[e for e in entries if e.source != "vendor"] for entries in about.relatives]
        found, why = consent_rules.strictest(wishes, ask.purpose, door.channel), FAMILY_OUT
    if found is None or found.state == "granted":
        return []
    day = f"{found.at.astimezone(ZONE):%m-%d}"
    return [Spoken(rule="consent", weight="refuse", why=why, values={"day": day})]


def _when(door: Door, ask: Ask, about: Circumstances, *, now: datetime) -> tuple[datetime, list[Spoken]]:
    """The first moment at which quiet hours, office hours and frequency all agree, and who had a say."""
    at = max(ask.at or now, now)
    said: list[Spoken] = []
    if at > now:
        said.append(Spoken(rule="planned", weight="wait", why=PLANNED, values={"at": _clock(at)}))
    if ask.purpose not in _UNASKED:
        return at, said + _advice(door, ask, about, at, now=now)
    for _ in range(_ROUNDS):
        spoken, later = _objection(ask.purpose, about, at)
        if spoken is not None and (spoken.weight != "fine" or at == now):
            said = [s for s in said if s.rule != spoken.rule] + [spoken]
        if later is None or later <= at:
            break
        at = later
    return at, said


def _objection(purpose: Purpose, about: Circumstances, at: datetime) -> tuple[Spoken | None, datetime | None]:
    """What speaks against this moment, and from when on it does not."""
    over = calendar_rules.quiet_until(about.calendar, at)
    if over is not None:
        return Spoken(rule="quiet", weight="wait", why=QUIET, values={"at": _clock(over)}), over
    limits = about.limits.get(purpose)
    if limits is not None:
        room = frequency.room(limits, about.reached, own=about.own, at=at)
        if room.why and room.again_at is not None:
            values: dict[str, str | int] = {"limit": room.limit, "at": _clock(room.again_at)}
            return (
                Spoken(rule="frequency", weight="wait", why=FULL[room.why], values=values),
                room.again_at,
            )
    if purpose == "sop" and not calendar_rules.is_open(about.calendar, at):
        opens = calendar_rules.opens_at(about.calendar, at)
        if opens is not None:
            return Spoken(rule="office", weight="wait", why=OFF_WORK, values={"at": _clock(opens)}), opens
    if limits is not None and room.left is not None:
        return Spoken(rule="frequency", weight="fine", why=ROOM, values={"left": room.left}), None
    return None, None


def _advice(door: Door, ask: Ask, about: Circumstances, at: datetime, *, now: datetime) -> list[Spoken]:
    """Somebody of ours decides about an answer; at night, when nobody waits for it, we say so."""
    over = calendar_rules.quiet_until(about.calendar, at)
    if ask.purpose != "reply" or door.waiting or at > now or over is None or door.verdict.way != "api":
        return []
    until = door.verdict.until
    if until is not None and over >= until:
        return []  # by then the platform would not let it through
    return [Spoken(rule="quiet", weight="advice", why=QUIET_ADVICE, values={"at": _clock(over)})]


def _clock(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%m-%d %H:%M}"
