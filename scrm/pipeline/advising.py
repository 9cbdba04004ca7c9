"""React, suggestions: what to say next by where the household stands, and what became of what was offered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from scrm import situations
from scrm.db import Conn
from scrm.desk import stages
from scrm.desk.calendar.rules import ZONE
from scrm.playbook import store
from scrm.playbook.checks.store import own
from scrm.playbook.effect import rules as effects
from scrm.playbook.effect import service as effect
from scrm.playbook.effect import store as effect_store
from scrm.playbook.effect.service import Priors, Reached, Sent
from scrm.playbook.effect.store import trials
from scrm.playbook.effect.store.trials import Trial
from scrm.playbook.library import service as shelves
from scrm.playbook.library.values import Reader
from scrm.playbook.prior import Prior
from scrm.playbook.ranking import Moment, Suggestion
from scrm.playbook.scripts import USUAL_TRADES, Script
from scrm.playbook.service import Library, variants
from scrm.playbook.situation import Situation
from scrm.playbook.store import Made, Offer
from scrm.sales import service as sales
from scrm.sales.opportunities import service as opportunities
from scrm.situations import Around
from scrm.timeline.store import conversations, events
from scrm.timeline.store.events import Stored

_ROLES = {
    "registrant": "registrant",
    "buyer": "buyer",
    "payer": "buyer",
    "signatory": "buyer",
    "user": "user",
}
_PAID = ("paid", "delivered", "closed")
_MESSAGE = "message."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What ranking must know of a batch, looked up once for all of it."""

    situations: Mapping[int, Situation] = field(default_factory=dict)
    #: By conversation, scripts sent lately.
    used: Mapping[int, Collection[str]] = field(default_factory=dict)
    trades: tuple[str, ...] = USUAL_TRADES
    prior: Prior | None = None
    trials: tuple[Trial, ...] = ()
    #: By conversation, whose own scripts may be offered besides the company's.
    readers: Mapping[int, Reader] = field(default_factory=dict)
    #: Conversations in which nobody has answered yet.
    fresh: frozenset[int] = frozenset()


async def look(conn: Conn, priors: Priors, conversation_ids: Collection[int], *, now: datetime) -> Ground:
    """About a dozen statements for each forty conversations."""
    talks = await conversations.of_ids(conn, conversation_ids)
    return Ground(
        situations=await situations.around(
            conn, [talks[i] for i in sorted(talks)], Around(bare=True), now=now
        ),
        used=await store.recently_used(conn, conversation_ids, now=now),
        trades=await own.trades(conn) or USUAL_TRADES,
        prior=await priors.of(conn, now=now),
        trials=tuple(await trials.page(conn, state="running")),
        readers={i: Reader(staff_id=t.rep_id, team_id=t.team_id) for i, t in talks.items()},
        fresh=frozenset(i for i, t in talks.items() if t.state == "new"),
    )


def advise(library: Library, ground: Ground, event: Stored, said: Sequence[str], channel: str) -> Made:
    """What to say to these words of a customer."""
    conversation_id = event.conversation_id or 0
    moment = moment_of(ground, conversation_id, channel, said, at=event.at)
    return made(
        ground,
        conversation_id,
        event.event_id,
        library.suggest(moment, ground.readers.get(conversation_id)),
        channel,
    )


def moment_of(
    ground: Ground, conversation_id: int, channel: str, said: Sequence[str], *, at: datetime
) -> Moment:
    one = ground.situations.get(conversation_id)
    return Moment(
        channel=channel,
        utterances=said,
        stage=(one.stage or None) if one else None,
        role=_ROLES.get(one.role) if one else None,
        hour=at.astimezone(ZONE).hour,
        trades=ground.trades,
        promises=_promised(one) if one else (),
        recently_sent=ground.used.get(conversation_id, ()),
        prior=ground.prior,
    )


def _promised(one: Situation) -> frozenset[str]:
    """Kinds that a talk-track can quote: an end counts where something has one."""
    kinds = {kept.kind for kept in one.promises}
    return frozenset(kinds | ({"until"} if any(kept.until_at for kept in one.promises) else set()))


def made(
    ground: Ground, conversation_id: int, event_id: int, ranked: Sequence[Suggestion], channel: str
) -> Made:
    """With all that must be known of it later; a household on trial gets its own version of a script."""
    one = ground.situations.get(conversation_id)
    home = (one.household_id or one.node_id) if one else 0
    drawn = {t.code: (t, effects.arm_of(t.trial_id, home)) for t in ground.trials} if one else {}
    return Made(
        conversation_id=conversation_id,
        event_id=event_id,
        ranked=tuple(
            replace(s, version=drawn[s.script_id][0].version(drawn[s.script_id][1]))
            if s.script_id in drawn
            else s
            for s in ranked
        ),
        stage=one.stage if one else "",
        role=one.role if one else "",
        channel=channel,
        node_id=one.node_id if one else None,
        arms={code: arm for code, (_, arm) in drawn.items()},
    )


async def looked_up(
    conn: Conn,
    one: Situation,
    script: Script,
    *,
    channel: str,
    event_id: int,
    staff_id: int | None,
    now: datetime,
) -> None:
    """A rep found it by themselves and sent it as this message: it counts as any use, once."""
    ranked = [Suggestion(script_id=script.id, version=script.version, score=0.0, reason="")]
    offer = Made(
        conversation_id=one.conversation_id,
        event_id=event_id,
        ranked=ranked,
        stage=one.stage,
        role=one.role,
        channel=channel,
        node_id=one.node_id,
        staff_id=staff_id,
        first=0,
    )
    await store.save_all(conn, [offer], now=now)
    ident = await store.found(conn, event_id, script.id)
    if ident is not None:
        await store.mark_used(conn, ident, event_id=event_id, staff_id=staff_id, now=now)


# -- on opening a chat -------------------------------------------------------------------------------------
def mark(one: Situation, now: datetime) -> int:
    """In place of a message: the same all day, until the stage or a promise changes."""
    day = now.astimezone(ZONE).date()
    kept = ",".join(str(k.promise_id) for k in one.promises)
    text = f"{one.conversation_id}|{day}|{one.stage}|{kept}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def waits(one: Situation) -> bool:
    """The customer said something that nobody has answered."""
    return one.last_in_at is not None and (one.last_out_at is None or one.last_out_at < one.last_in_at)


def opening(
    library: Library, ground: Ground, one: Situation, said: Sequence[str], channel: str, *, now: datetime
) -> Made:
    """The next step from here, or the answer to what was said in the light of what changed since."""
    ident = one.conversation_id
    moment = moment_of(ground, ident, channel, said, at=now)
    return made(ground, ident, mark(one, now), library.suggest(moment, ground.readers.get(ident)), channel)


def is_fresh(offers: Sequence[Offer], one: Situation, now: datetime) -> bool:
    """Whether these offers, the last ones, still answer where the household stands."""
    if not offers:
        return False
    newest = offers[0]
    if newest.event_id == mark(one, now):
        return True
    # While the customer waits, react answers their words; it only had not heard of what changed since.
    changed = newest.stage != one.stage or any(k.made_at > newest.created_at for k in one.promises)
    return waits(one) and not changed


# -- what became of it -------------------------------------------------------------------------------------
async def heed(
    conn: Conn,
    library: Library,
    heard: Sequence[Stored],
    records: Sequence[sales.Told],
    *,
    company: str,
    now: datetime,
) -> None:
    """Adoption and outcomes, each once, however often an event is read."""
    sent = [e for e in heard if _is_ours(e)]
    if sent:
        await effect.heed(conn, [_sent(e) for e in sent], await _texts(conn, library, sent, company, now))
    came = [*_replies(heard), *await _moves(conn, heard), *_deals(heard, records)]
    if came:
        homes = await situations.homes(conn, sorted({node for _, node, _, _ in came}))
        told = [
            Reached(goal=goal, nodes=homes[node].nodes, at=at, event_id=ident)
            for goal, node, at, ident in came
        ]
        await effect.reached(conn, told)


_Came = tuple[effects.Goal, int, datetime, int]


def _is_ours(e: Stored) -> bool:
    said = e.kind.startswith(_MESSAGE) and e.direction == "out" and e.conversation_id is not None
    by_itself = e.staff_id is None and e.source_key.startswith("ours:")
    return said and not by_itself and e.recalled_at is None and bool(e.text)


def _sent(e: Stored) -> Sent:
    return Sent(
        event_id=e.event_id,
        conversation_id=e.conversation_id or 0,
        at=e.at,
        text=e.text,
        staff_id=e.staff_id,
    )


async def _texts(
    conn: Conn, library: Library, sent: Sequence[Stored], company: str, now: datetime
) -> Callable[[Offer], str]:
    """What each suggestion said to its customer; looked up for those conversations alone that had any."""
    library = await shelves.load(conn, library, now=now)
    ids = {e.conversation_id or 0 for e in sent}
    since = min(e.at for e in sent) - effects.OPEN
    offers = await effect_store.at_stake(conn, ids, since=since)
    talks = await conversations.of_ids(conn, {o.conversation_id for o in offers})
    found = await situations.around(conn, [talks[i] for i in sorted(talks)], Around(company=company), now=now)
    known = {ident: situations.facts(one, now) for ident, one in found.items()}
    tried = await variants(conn, library, offers)

    def text_of(offer: Offer) -> str:
        if library.get(offer.script_id) is None:
            return ""
        one = tried.get(offer.suggestion_id)
        given = known.get(offer.conversation_id, {})
        return library.rendered(offer.script_id, given, one.text if one else "").text

    return text_of


def _replies(heard: Sequence[Stored]) -> list[_Came]:
    said = [e for e in heard if e.kind.startswith(_MESSAGE) and e.direction == "in" and e.node_id is not None]
    return [("reply", e.node_id or 0, e.at, e.event_id) for e in said]


async def _moves(conn: Conn, heard: Sequence[Stored]) -> list[_Came]:
    """A sale that went forward, or was won."""
    moves = [e for e in heard if e.kind == opportunities.KIND and e.node_id is not None]
    bodies = await events.bodies(conn, moves) if moves else {}
    found: list[_Came] = []
    for e in moves:
        body = bodies[e.event_id]
        before, after, won = str(body.get("from", "")), str(body.get("stage", "")), body.get("state") == "won"
        forward = bool(before) and body.get("state") == "open" and stages.part(after) > stages.part(before)
        if won or forward:
            found.append(("stage", e.node_id or 0, e.at, e.event_id))
        if won:
            found.append(("deal", e.node_id or 0, e.at, e.event_id))
    return found


def _deals(heard: Sequence[Stored], records: Sequence[sales.Told]) -> list[_Came]:
    """An order that was paid."""
    times = {e.event_id: e.at for e in heard}
    found: list[_Came] = []
    for told in records:
        order = told.body.get("order")
        paid = isinstance(order, Mapping) and order.get("status") in _PAID
        if paid and told.node_id is not None and told.event_id in times:
            found.append(("deal", told.node_id, times[told.event_id], told.event_id))
    return found
