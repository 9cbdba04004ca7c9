"""From verdicts and promises to views: the sheet before sending, the state of a card, the red card."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scrm.db import Conn
from scrm.desk.calendar.rules import ZONE
from scrm.playbook.checks import lines
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.lines import Line
from scrm.playbook.checks.rules import Ground, Objection, Verdict
from scrm.playbook.checks.service import Draft
from scrm.playbook.checks.store import findings
from scrm.playbook.checks.store.findings import Finding
from scrm.playbook.promises.conflicts import MONEY, ROUNDING, best, to_pay
from scrm.playbook.situation import Kept
from scrm.playbook.templates import Part
from scrm.staff.rules import Actor
from scrm.timeline.rules import Talk
from scrm.web.cards import CheckView, ConflictCard, HitView, ScriptCard, Tag
from scrm.web.cards import Part as Stretch
from scrm.web.reading import Reading

Say = Callable[..., str]

PROMISED = "{when} {by}（{channel}）已答应{to} {promised}。"
PROMISED_UNTIL = "{when} {by}（{channel}）已答应{to} {promised}（至 {until}）。"
LISTED = "价目表是 {list}。"
ALSO = "{when} {by} 又说过 {promised}。"
WRITTEN, SAID = "下面的话术里写的是 {said}。", "{when} 对客户说的是 {said}。"
TODAY, YESTERDAY = "今天 {at}", "昨天 {at}"
AS_PROMISED, AT_PRICE = "按 {promised}报", "按 {promised} 报"
PRICED = "{promised}（{yuan}）"
CLASH, KNOWN = "价格口径冲突", "这家人已有价格承诺"
FINE, LOOK, FIX = "合规", "发前看一眼", "需修改 {n} 处"
SENTENCES = (
    *(PROMISED, PROMISED_UNTIL, LISTED, ALSO, WRITTEN, SAID, TODAY, YESTERDAY),
    *(AS_PROMISED, AT_PRICE, PRICED, CLASH, KNOWN, FINE, LOOK, FIX),
)


def hit_of(one: Objection, say: Say) -> HitView:
    return HitView(rule=one.rule, level=one.level, title=one.title.said(say), why=one.why.said(say))


def check_of(made: Verdict, text: str, *, cid: str, say: Say, **more: object) -> CheckView:
    """`more`: what the form brought and the leader said."""
    order = {"block": 0, "warn": 1, "note": 2}
    view = CheckView(
        cid=cid,
        level=made.level,
        text=text,
        hits=tuple(hit_of(h, say) for h in sorted(made.hits, key=lambda h: (order[h.level], h.start))),
        notes=tuple(_said(n, say) for n in made.notes),
        rewrite=made.rewrite,
        token=made.token,
    )
    return replace(view, **more)  # type: ignore[arg-type]


def _said(line: Line, say: Say) -> str:
    """A channel's title is translated as well."""
    values = {k: say(v) if k == "channel" and isinstance(v, str) else v for k, v in line.values.items()}
    return replace(line, values=values).said(say)


# -- cards -------------------------------------------------------------------------------------------------
def vetted(
    card: ScriptCard,
    made: Verdict,
    say: Say,
) -> ScriptCard:
    """The card with the check's word on it."""
    number = len(made.offends)
    tag = {
        "ok": Tag(text=say(FINE), tone="ok"),
        "warn": Tag(text=say(LOOK), tone="warn"),
        "block": Tag(text=say(FIX, n=number), tone="bad"),
    }[made.level]
    spans = sorted((h.start, h.end) for h in made.offends if h.end > h.start)
    parts = marked(card.parts, spans) if not card.missing else card.parts
    level = "" if card.missing else made.level
    return replace(card, tag=None if card.missing else tag, token=made.token, level=level, parts=parts)


def marked(parts: Sequence[Stretch], spans: Sequence[tuple[int, int]]) -> tuple[Part, ...]:
    """The same text, with what rules hit cut out of it."""
    found: list[Part] = []
    at = 0
    for part in parts:
        place, text = at, part.text
        at += len(text)
        cut = 0
        for start, end in spans:
            first, last = max(start - place, cut), min(end - place, len(text))
            if first >= last:
                continue
            if first > cut:
                found.append(Part(text=text[cut:first], kind=part.kind))
            found.append(Part(text=text[first:last], kind="hit"))
            cut = last
        if cut < len(text):
            found.append(Part(text=text[cut:], kind=part.kind))
    return tuple(found)


# -- the red card ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The reader of a page and the conversation on it."""

    conn: Conn
    actor: Actor
    talk: Talk
    say: Say
    cid: str
    #: Of whom the promises were made to.
    names: Mapping[int, str]
    now: datetime

    async def card(
        self, ground: Ground, theirs: Collection[int], drafts: Sequence[Verdict]
    ) -> ConflictCard | None:
        """None when the family was promised nothing about money that this reader could contradict."""
        live = [k for k in ground.live if k.kind in MONEY and k.promise_id > 0]
        kept = best(live, ground.list_fen)
        if kept is None:
            return None
        kept = _named(kept, live, official(kept, ground))
        found = [f for f in await findings.of_nodes(self.conn, theirs) if f.kind == "promise"]
        against = self._against(kept, live, found, drafts)
        if not against and kept.node_id == self.talk.node_id:
            return None  # said to this customer: whoever reads this knows
        list_fen = official(kept, ground)
        if list_fen is not None and to_pay(kept, list_fen) < list_fen and not against:
            against = (self.say(LISTED, list=lines.yuan(list_fen)),)
        first = PROMISED_UNTIL if kept.until_at else PROMISED
        said = self._promised(kept, list_fen)
        return ConflictCard(
            tone="bad" if against else "warn",
            title=self.say(CLASH if against else KNOWN),
            lines=(Line(why=first, values=self._facts(kept, said)).said(self.say), *against),
            label=Line(
                why=AS_PROMISED if kept.kind == "discount" else AT_PRICE,
                values={"promised": lines.money(kept)},
            ).said(self.say),
            quote=lines.quote(kept, list_fen),
            quote_url=f"/s/c/{self.cid}?quote={self._public(kept)}",
            words_url=f"/s/c/{self.cid}/promises/{self._public(kept)}" if kept.event_id else "",
            ask_url=f"/s/c/{self.cid}/clearance?promise={self._public(kept)}",
        )

    def _public(self, kept: Kept) -> str:
        return self.conn.vault.public("promise", kept.promise_id)

    def _promised(self, kept: Kept, list_fen: int | None) -> Line:
        said = lines.money(kept)
        if kept.kind == "price" or not list_fen:
            return said
        return Line(why=PRICED, values={"promised": said, "yuan": lines.yuan(to_pay(kept, list_fen))})

    def _facts(self, kept: Kept, said: Line) -> dict[str, str | int | Line]:
        return {
            "when": self._when(kept.made_at),
            "by": kept.by or self.say("同事"),
            "channel": self.say(kept.channel or "其他渠道"),
            "to": self.names.get(kept.node_id) or self.say("这家人"),
            "promised": said,
            "until": lines.last_day(kept.until_at) if kept.until_at else "",
        }

    def _against(
        self,
        kept: Kept,
        live: Sequence[Kept],
        found: Sequence[Finding],
        drafts: Sequence[Verdict],
    ) -> tuple[str, ...]:
        """What does not fit the promise: another one, what was said since, what is suggested here."""
        told = [
            Line(why=ALSO, values=self._facts(k, lines.money(k))).said(self.say)
            for k in live
            if k.kind == kept.kind and _worse(k, kept)
        ]
        here = {k.promise_id for k in live if k.promise_id == kept.promise_id or _one_breath(k, kept)}
        told += [self._found(f, f.promise_id in here) for f in found if f.promise_id]
        worse = [h for d in drafts for h in d.hits if h.rule == "promise.worse" and h.promise]
        told += [self._written(h, h.promise is not None and h.promise.promise_id in here) for h in worse]
        return tuple(dict.fromkeys(told))[:3]

    def _found(self, one: Finding, here: bool) -> str:
        """`here`: it is about the promise the card tells already."""
        why = checks.line_of(one.facts.get("why"))
        said = why.values.get("said")
        if not here or said is None:
            return why.said(self.say)
        return Line(why=SAID, values={"when": self._when(one.at), "said": said}).said(self.say)

    def _written(self, hit: Objection, here: bool) -> str:
        if not here:
            return hit.why.said(self.say)
        return Line(why=WRITTEN, values={"said": hit.why.values["said"]}).said(self.say)

    def _when(self, at: datetime) -> str:
        """今天 19:42, 昨天 19:42, 11-20 19:42."""
        local = at.astimezone(ZONE)
        ago = (self.now.astimezone(ZONE).date() - local.date()).days
        if ago not in (0, 1):
            return lines.moment(at)
        return self.say(YESTERDAY if ago else TODAY, at=f"{local:%H:%M}")


def official(kept: Kept, ground: Ground) -> int | None:
    """Today's price of what was promised."""
    return ground.prices.get(kept.product_code) if kept.product_code else ground.list_fen


def _one_breath(one: Kept, other: Kept) -> bool:
    """8.5 折，5780 元: said in one message about one thing."""
    return one.event_id is not None and one.event_id == other.event_id


def _named(kept: Kept, live: Sequence[Kept], list_fen: int | None) -> Kept:
    """A share says more than the price that was told with it, if both come to the same."""
    if kept.kind != "price" or list_fen is None:
        return kept
    shares = [k for k in live if k.kind == "discount" and _one_breath(k, kept)]
    return next((k for k in shares if abs(to_pay(k, list_fen) - to_pay(kept, list_fen)) <= ROUNDING), kept)


def _worse(one: Kept, kept: Kept) -> bool:
    if one.kind == "discount":
        return (one.share or 0) > (kept.share or 0)
    return (one.fen or 0) > (kept.fen or 0) if one.kind == "price" else (one.fen or 0) < (kept.fen or 0)


async def verdicts(
    conn: Conn, who: Actor, talk: Talk, ground: Ground, texts: Sequence[str], *, now: datetime
) -> list[Verdict]:
    """Of drafts for one conversation, each looked at on the same ground."""
    passed = await checks.cleared(conn, talk.conversation_id, now=now) if texts else {}
    return [
        checks.check(
            conn.vault,
            Draft(text=text, conversation_id=talk.conversation_id, staff_id=who.staff_id),
            ground,
            passed=passed,
            now=now,
        )
        for text in texts
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetted:
    """What checks add to a customer's page."""

    cards: tuple[ScriptCard, ...]
    conflict: ConflictCard | None = None
    #: The promised price in words, to be sent as it is or changed.
    quoting: ScriptCard | None = None


async def around(
    desk: Reading, talk: Talk, theirs: Collection[int], cards: Sequence[ScriptCard], quoted: str
) -> Vetted:
    """Every card checked, and the promises that must be known here. `quoted`: public id of one to quote."""
    conn, who, cid = desk.conn, desk.actor, desk.cid(talk)
    ground = await desk.house.drafts.of_home(conn, theirs, role=who.role, now=desk.now)
    made = await verdicts(conn, who, talk, ground, [c.text for c in cards], now=desk.now)
    names = await desk.names(sorted({k.node_id for k in ground.live}))
    seen = Seen(conn=conn, actor=who, talk=talk, say=desk.say, cid=cid, names=names, now=desk.now)
    asked = conn.vault.private("promise", quoted) if quoted else 0
    kept = next((k for k in ground.live if k.promise_id == asked), None)
    shown = [vetted(card, one, desk.say) for card, one in zip(cards, made, strict=True)]
    # What may not go out as it is stands below what may: one key sends the first.
    shown.sort(key=lambda card: card.level == "block")
    return Vetted(
        cards=tuple(replace(card, n=n) for n, card in enumerate(shown, 1)),
        conflict=await seen.card(ground, theirs, made),
        quoting=_quoting(kept, official(kept, ground), talk) if kept else None,
    )


def _quoting(kept: Kept, list_fen: int | None, talk: Talk) -> ScriptCard | None:
    """None once it has just been said: the page that is shown again must not offer it twice."""
    text = lines.quote(kept, list_fen)
    if talk.last_direction == "out" and talk.last_text and text.startswith(talk.last_text):
        return None
    return ScriptCard(id="", n=0, title="", why="", parts=(), text=text, key=secrets.token_hex(12))
