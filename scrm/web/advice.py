"""From suggestions to cards: filled with all that is known of the household, asking for what is not."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from scrm import situations
from scrm.playbook.effect import store as effect
from scrm.playbook.library import service as shelves
from scrm.playbook.service import Card, cards
from scrm.playbook.situation import Situation
from scrm.playbook.templates import VARIABLES
from scrm.staff import store as staff
from scrm.timeline.rules import Talk
from scrm.web import bringing
from scrm.web.cards import Ask, ScriptCard
from scrm.web.reading import Reading
from scrm.web.views import Via

#: Somebody who came less than so long ago is shown what the best say.
NEW = timedelta(days=90)
_BEST, _OFTEN = 3, 2
PEERS = "同组成交最好的同事这一步常说"
YUAN = "{label}（元）"
SENTENCES = (PEERS, YUAN)
#: Labels of money end in a unit that nobody types in.
_FEN = -3


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a rep filled in on a card, by variable."""

    suggestion: str = ""
    values: Mapping[str, str | int] = field(default_factory=dict)


async def shown(desk: Reading, talk: Talk, given: Given, *, via: Via) -> tuple[ScriptCard, ...]:
    """The cards of this conversation, best first. `via`: how words leave from this page."""
    channel = desk.plugged(talk).account.channel
    one = await situations.of(
        desk.conn, talk, channel=channel, company=desk.house.settings.company, now=desk.now
    )
    known = known_to(desk, one)
    library = await shelves.load(desk.conn, desk.house.library, now=desk.now)
    found = await cards(desk.conn, library, talk.conversation_id, known)
    if given.values:
        wanted = desk.conn.vault.private("suggestion", given.suggestion)
        more = await cards(desk.conn, library, talk.conversation_id, merged(known, given.values))
        filled = {c.suggestion_id: c for c in more if c.suggestion_id == wanted}
        found = [filled.get(c.suggestion_id, c) for c in found]
    best = await _best(desk, one.stage) if found else frozenset()
    made = tuple(_card(desk, n, card, note=card.script.id in best) for n, card in enumerate(found, 1))
    files = {c.id: one.files for c, one in zip(made, found, strict=True) if one.script.delivery != "hint"}
    return await bringing.onto(desk, talk, made, files, via=via)


def known_to(desk: Reading, one: Situation) -> dict[str, object]:
    """The household's facts, said by whoever reads the page."""
    known: dict[str, object] = dict(situations.facts(one, desk.now))
    if desk.actor.staff_id is not None:
        known["rep"] = {"name": desk.actor.name}
    return known


def merged(known: Mapping[str, object], values: Mapping[str, str | int]) -> dict[str, object]:
    made = dict(known)
    for name, value in values.items():
        root, _, leaf = name.partition(".")
        inside = made.get(root)
        before = inside if isinstance(inside, Mapping) else {}
        made[root] = {**before, leaf: value} if leaf else value
    return made


def _card(desk: Reading, n: int, card: Card, *, note: bool) -> ScriptCard:
    missing = card.rendered.missing
    return ScriptCard(
        id=desk.conn.vault.public("suggestion", card.suggestion_id),
        n=n,
        title=f"{desk.say(card.stage)} · {card.script.title}",
        why=card.reason,
        parts=card.rendered.parts,
        text=card.rendered.text,
        key=secrets.token_hex(12),
        missing=tuple(_label(desk, name) for name in missing),
        asks=tuple(_ask(desk, name) for name in missing),
        note=desk.say(PEERS) if note else "",
        advice=card.script.delivery == "hint",
    )


def _ask(desk: Reading, name: str) -> Ask:
    number = isinstance(VARIABLES[name].example, int)
    return Ask(field=name, label=_label(desk, name), number=number)


def _label(desk: Reading, name: str) -> str:
    """Money is asked for in yuan."""
    label = VARIABLES[name].label
    if name.endswith("_fen"):
        return desk.say(YUAN, label=desk.say(label[:_FEN]))
    return desk.say(label)


async def _best(desk: Reading, stage: str) -> frozenset[str]:
    """What the colleagues with most deals say at this stage, for somebody new."""
    me = desk.actor.staff_id
    since = await staff.joined(desk.conn, me) if me is not None else None
    if me is None or since is None or desk.now - since > NEW or desk.actor.team_id is None:
        return frozenset()
    members = await staff.all_members(desk.conn)
    team = [m.staff_id for m in members if m.team_id == desk.actor.team_id and m.staff_id != me]
    begun = desk.now - NEW
    closers = await effect.closers(desk.conn, team, since=begun, limit=_BEST)
    return frozenset(await effect.said_by(desk.conn, closers, stage, since=begun, least=_OFTEN))
