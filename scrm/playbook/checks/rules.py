"""The one verdict on what is about to be said: words, promises, gaps, the way out; and its token. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from scrm.playbook.checks import lines
from scrm.playbook.checks.lines import Line
from scrm.playbook.checks.rewriting import rewritten
from scrm.playbook.checks.values import Hit, Level, Rule
from scrm.playbook.checks.words import Scanner
from scrm.playbook.promises.conflicts import Conflict, Policy, conflicts
from scrm.playbook.promises.ledger import Entry, beside, read
from scrm.playbook.situation import Kept
from scrm.push.rules import Decision

#: So long a verdict may be acted upon without asking again.
FRESH = timedelta(seconds=120)
Grade = Literal["ok", "warn", "block"]

WORSE = "{when} {by}（{channel}）已答应{to} {promised}，这里写的是 {said}。"
WORSE_UNTIL = "{when} {by}（{channel}）已答应{to} {promised}，{until} 前有效，这里写的是 {said}。"
SOONER = "{when} {by}（{channel}）已答应{to} {promised} 到 {until}，这里写的期限更早。"
TOO_GOOD = "{said} 超出了你能答应的范围。"
UNOFFICIAL = "{said} 不是现行价格 {list}，也没有人答应过。"
GUARANTEE = "“{said}”是对结果或退款的保证，写出去就要兑现。"
MISSING = "还没填：{name}"
CLEARED = "主管 {name} 已放行这段话。"
SOMEBODY, THEM, ELSEWHERE, LEADER = "同事", "这家人", "其他渠道", "主管"
TITLES: Mapping[str, str] = {
    "promise.worse": "价格口径冲突",
    "promise.sooner": "有效期变短了",
    "promise.too_good": "超出优惠权限",
    "promise.unofficial": "价格与价目表不一致",
    "promise.guarantee": "作了保证",
    "variables": "有空没填",
    "consent": "客户已退订",
    "window": "平台现在不让发",
    "content": "这种内容发不了",
    "channel": "没有能发出的渠道",
}
SENTENCES = (
    *(WORSE, WORSE_UNTIL, SOONER, TOO_GOOD, UNOFFICIAL, GUARANTEE, MISSING, CLEARED),
    *(SOMEBODY, THEM, ELSEWHERE, LEADER, *TITLES.values(), *lines.PHRASES),
)
_LEVELS: Mapping[str, Level] = {
    "worse": "block",
    "too_good": "block",
    "sooner": "warn",
    "unofficial": "warn",
    "guarantee": "warn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A tenant's rules, ready to be used."""

    rules: Mapping[str, Rule]
    scanner: Scanner
    #: Changes with any rule.
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a draft for one conversation is held against, looked up once for all of them."""

    book: Book
    live: tuple[Kept, ...] = ()
    #: Of the household's promises and coupons: a verdict holds only as long as this.
    version: str = "0"
    policy: Policy = field(default_factory=Policy)
    #: Code by name, and today's official price by code.
    products: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, int] = field(default_factory=dict)
    #: Of the product the family is about to buy.
    list_fen: int | None = None
    #: Coupons that the words name, whatever became of them; what `live` has need not be here.
    coupons: tuple[Kept, ...] = ()

    def read(self, text: str, at: datetime) -> tuple[Entry, ...]:
        """What these words promise besides the coupons they bring."""
        held = (*self.coupons, *(kept for kept in self.live if kept.code))
        return beside(text, read(text, at, self.products), held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One thing a rule says; [start, end) of the text where it is about some words of it."""

    rule: str
    level: Level
    title: Line
    why: Line
    start: int = 0
    end: int = 0
    #: The promise it is about.
    promise: Kept | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """A leader let words pass: what was said against them then, and no promise made since."""

    #: Who it was.
    by: str
    at: datetime
    rules: frozenset[str]

    def covers(self, hit: Objection) -> bool:
        since = hit.promise is not None and hit.promise.made_at > self.at
        return hit.rule in self.rules and not since


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`block`: not sent by anybody; `warn`: sent once the rep has read why; `ok`."""

    level: Grade
    hits: tuple[Objection, ...] = ()
    #: What else there is to say: that it is fine so, when it will go.
    notes: tuple[Line, ...] = ()
    #: The text as it could be sent; "" = nobody knows how.
    rewrite: str = ""
    #: Proof of this verdict for these words; "" = blocked.
    token: str = ""

    @property
    def offends(self) -> tuple[Objection, ...]:
        return tuple(hit for hit in self.hits if hit.level != "note")


def judge(
    text: str,
    ground: Ground,
    *,
    decision: Decision | None = None,
    missing: Sequence[str] = (),
    cleared: Cleared | None = None,
    now: datetime,
) -> Verdict:
    """`missing`: placeholders that must not go out; `cleared`: a leader has seen these very words."""
    words = ground.book.scanner.scan(text)
    promised = ground.read(text, now)
    found = against(promised, ground)
    hits = [
        *(_of_word(ground.book, hit) for hit in words),
        *(hit for one in found if not _told(hit := of_promise(one, promised, ground), words)),
        *(_gap(name, text) for name in missing if name and name in text),
    ]
    ways, notes = _of_push(decision)
    if cleared is not None:
        hits = [replace(hit, level="note") if cleared.covers(hit) else hit for hit in hits]
        notes = (Line(why=CLEARED, values={"name": cleared.by or Line(why=LEADER)}), *notes)
    hits += ways
    level = grade(hits)
    better = "" if level == "ok" else rewritten(text, words, found, promised, list_fen_of(promised, ground))
    if better and grade(judge(better, replace(ground), missing=missing, now=now).hits) == "block":
        better = ""
    return Verdict(level=level, hits=tuple(hits), notes=notes, rewrite=better)


def _told(hit: Objection, words: Sequence[Hit]) -> bool:
    """A guarantee in words that a rule is about already."""
    return hit.rule == "promise.guarantee" and any(
        w.level == "block" and w.start < hit.end and hit.start < w.end for w in words
    )


def grade(hits: Sequence[Objection]) -> Grade:
    levels = {hit.level for hit in hits}
    return "block" if "block" in levels else "warn" if "warn" in levels else "ok"


def list_fen_of(said: Sequence[Entry], ground: Ground) -> int | None:
    """Today's official price of what is spoken of."""
    named = next((entry.product_code for entry in said if entry.product_code), "")
    return ground.prices.get(named) if named else ground.list_fen


def against(said: Sequence[Entry], ground: Ground) -> tuple[Conflict, ...]:
    """Promises these words would break, and what they promise without leave."""
    if not said:
        return ()
    list_fen = list_fen_of(said, ground)
    found = conflicts([entry.offer for entry in said], ground.live, ground.policy, list_fen=list_fen)
    worse = [one.said for one in found if one.why == "worse"]
    counts = [one for one in found if _counts(one) and not (one.why == "unofficial" and one.said in worse)]
    return _once(counts)


def _once(found: Sequence[Conflict]) -> tuple[Conflict, ...]:
    """8.5 折 and 5780 元 in one breath are one promise, and these words break it once: told in their kind."""
    kept: dict[object, Conflict] = {}
    for one in found:
        event_id = one.kept.event_id if one.kept is not None else None
        place = (one.why, one.said, event_id) if event_id is not None else (one.why, one.said, one.kept)
        before = kept.get(place)
        if before is None or (before.kept and before.kept.kind != one.said.kind and _alike(one)):
            kept[place] = one
    return tuple(kept.values())


def _alike(one: Conflict) -> bool:
    return one.kept is not None and one.kept.kind == one.said.kind


def _counts(one: Conflict) -> bool:
    """A coupon is used besides the price, so only another coupon or rebate of its kind can break it."""
    if one.why == "unofficial":
        return bool(one.said.product_code)
    return one.kept is None or one.kept.promise_id > 0 or one.said.kind == one.kept.kind


def _of_word(book: Book, hit: Hit) -> Objection:
    rule = book.rules[hit.rule_id]
    title = Line(why="{title}“{matched}”", values={"title": rule.title, "matched": hit.matched})
    return Objection(
        rule=rule.id,
        level=hit.level,
        title=title,
        why=Line(why="{why}", values={"why": rule.why}),
        start=hit.start,
        end=hit.end,
    )


def of_promise(one: Conflict, said: Sequence[Entry], ground: Ground) -> Objection:
    start, end = next((e.span for e in said if e.offer == one.said), (0, 0))
    rule = f"promise.{one.why}"
    return Objection(
        rule=rule,
        level=_LEVELS[one.why],
        title=Line(why=TITLES[rule]),
        why=_why(one, list_fen_of(said, ground)),
        start=start,
        end=end,
        promise=one.kept,
    )


def _why(one: Conflict, list_fen: int | None) -> Line:
    said = lines.money(one.said)
    if one.kept is None:
        if one.why == "unofficial":
            return Line(why=UNOFFICIAL, values={"said": said, "list": lines.yuan(list_fen or 0)})
        return Line(why=GUARANTEE if one.why == "guarantee" else TOO_GOOD, values={"said": said})
    kept = one.kept
    values: dict[str, str | int | Line] = {
        "when": lines.moment(kept.made_at),
        "by": kept.by or Line(why=SOMEBODY),
        "channel": Line(why=kept.channel or ELSEWHERE),
        "to": kept.to or Line(why=THEM),
        "promised": lines.money(kept),
        "said": said,
    }
    if kept.until_at is None:
        return Line(why=WORSE, values=values)
    values["until"] = lines.last_day(kept.until_at)
    return Line(why=SOONER if one.why == "sooner" else WORSE_UNTIL, values=values)


def _gap(name: str, text: str) -> Objection:
    start = text.index(name)
    return Objection(
        rule="variables",
        level="block",
        title=Line(why=TITLES["variables"]),
        why=Line(why=MISSING, values={"name": name}),
        start=start,
        end=start + len(name),
    )


def _of_push(decision: Decision | None) -> tuple[list[Objection], tuple[Line, ...]]:
    """What the one rule on pushes says; what goes out by hand needs no window."""
    if decision is None:
        return [], ()
    by_hand = decision.way != "api"
    hits, notes = [], []
    for said in decision.spoken:
        line = Line(why=said.why, values={**said.values})
        if said.weight != "refuse":
            notes.append(line)
        elif not (by_hand and said.rule in ("window", "content", "channel")):
            title = Line(why=TITLES.get(said.rule, TITLES["channel"]))
            hits.append(Objection(rule=said.rule, level="block", title=title, why=line))
    return hits, tuple(notes)


# -- tokens ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a verdict was about: the same words to the same customer by the same rep, on the same ground."""

    digest: str
    conversation_id: int
    staff_id: int | None
    rules: str
    promises: str

    def text(self, grade_: str, until: int) -> str:
        parts = (self.digest, self.conversation_id, self.staff_id, self.rules, self.promises, grade_, until)
        return "|".join(map(str, parts))


Sign = Callable[[str], str]


def token(sign: Sign, claim: Claim, level: Grade, *, now: datetime) -> str:
    """ "" for what is blocked."""
    if level == "block":
        return ""
    until = int((now + FRESH).timestamp())
    return f"{level}.{until:x}.{sign(claim.text(level, until))}"


def token_valid(sign: Sign, claim: Claim, text: str, *, now: datetime) -> Grade | Literal[""]:
    """The verdict a token proves for this claim; "" = none, or no longer."""
    level, _, rest = text.partition(".")
    stamp, _, mac = rest.partition(".")
    if level not in ("ok", "warn") or not stamp.isalnum() or len(stamp) > 12:
        return ""
    try:
        until = int(stamp, 16)
    except ValueError:
        return ""
    if until < now.timestamp() or until > (now + FRESH).timestamp() + 1:
        return ""
    right = hmac.compare_digest(sign(claim.text(level, until)).encode(), mac.encode())
    return ("ok" if level == "ok" else "warn") if right else ""
