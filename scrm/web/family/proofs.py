"""A household's identifiers, evidence and history as sentences, with what the reader may undo."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from scrm.identity import store as identity
from scrm.identity.explain import service as explain
from scrm.identity.explain import store as explained
from scrm.identity.explain.rules import Opened, Piece
from scrm.identity.explain.words import Known, Teller
from scrm.identity.rules.values import Span
from scrm.identity.store import log, persons
from scrm.identity.store.log import Logged
from scrm.staff import store as staff
from scrm.staff.rules import scope
from scrm.timeline.store import conversations
from scrm.web import lines
from scrm.web.explaining import teller
from scrm.web.family import rules
from scrm.web.family.kinfolk import Folk
from scrm.web.family.members import door_of, event_href
from scrm.web.kinship import EntryView, NodeView, ProofView, SpanView
from scrm.web.reading import Reading
from scrm.web.render import ZONE

SHOWN, _SCANNED, _TOLD = 60, 500, 40
STATES: Mapping[str, tuple[str, str]] = {
    "active": ("使用中", "ok"),
    "generic": ("多人共用，只作参考", "warn"),
    "blocked": ("无效号码", ""),
}
OPS: Mapping[str, str] = {
    "merge": "合并：{who} 成为同一个人",
    "split": "拆分：{who} 各自是一个人",
    "household": "家庭成员变为：{who}",
    "recycled": "{node} 换了主人，前后的记录各归各人",
    "generic_on": "{node} 很多人在用，改为只作参考",
    "generic_off": "{node} 恢复为可以判断身份",
    "hold": "新的证据和已有的冲突，先不采用",
    "release": "之前有冲突的证据，现在没有冲突了",
    "link": "认定是同一个人：{nodes}",
    "unlink": "认定不是同一个人：{nodes}",
    "family": "认定是一家人：{nodes}",
    "no_family": "认定不是一家人：{nodes}",
    "retract": "撤回了一条证据：{nodes}",
    "reinstate": "恢复了一条证据：{nodes}",
}
_WITH_WHY = "{said}（理由：{why}）"
#: What a decision in the history is undone by.
_UNDONE: Mapping[str, str] = {
    "link": "withdraw",
    "unlink": "withdraw",
    "family": "withdraw",
    "no_family": "withdraw",
    "reinstate": "withdraw",
    "retract": "reinstate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What the lower half of the page is made of."""

    nodes: tuple[NodeView, ...]
    proofs: tuple[ProofView, ...]
    unshown: int
    history: tuple[EntryView, ...]
    stories: tuple[tuple[str, tuple[str, ...]], ...]


async def proofs(desk: Reading, known: Folk, *, may: bool) -> Proofs:
    """`may`: the reader may take evidence back."""
    ids = [p.person_id for p in known.people]
    held = await persons.held_by(desk.conn, ids)
    nodes = sorted({n for mine in held.values() for n, _ in mine})
    _, degrees = await explained.dots(desk.conn, nodes)
    pieces = await explained.pieces(desk.conn, nodes, degrees)
    entries = await _entries(desk, nodes, ids)
    about = {n for p in pieces for n in (p.a, p.b)} | {n for e in entries for n in _nodes(e)} | set(nodes)
    told = await _teller(desk, pieces, about)
    shown = _ordered(pieces)
    door = door_of(desk, known)
    return Proofs(
        nodes=await _node_views(desk, known, nodes, told),
        proofs=tuple(_proof(desk, told, p, door, may=may) for p in shown[:SHOWN]),
        unshown=max(0, len(shown) - SHOWN),
        history=tuple(await _history(desk, known, told, entries, pieces, may=may)),
        stories=await _stories(desk, known),
    )


async def _teller(desk: Reading, pieces: Collection[Piece], about: Collection[int]) -> Teller:
    """Sentences that name nobody whom the reader may not see."""
    known = await explain.told_of(desk.conn, pieces)
    opened = {**known.opened, **await explained.opened(desk.conn, set(about) - known.opened.keys())}
    return teller(desk.house, desk.actor, replace(known, opened=await _veiled(desk, opened)), now=desk.now)


async def _veiled(desk: Reading, opened: Mapping[int, Opened]) -> dict[int, Opened]:
    owners = await identity.persons_of(desk.conn, list(opened))
    families = await identity.households_of(desk.conn, owners.values())
    everybody = {p: families.get(p, p) for p in owners.values()}
    kin = await identity.members(desk.conn, families.values())
    people = {*everybody, *(p for mine in kin.values() for p in mine)}
    seen = await conversations.visible_persons(desk.conn, scope(desk.actor), people)
    homes = {everybody.get(p, p) for p in seen} | {h for h, mine in kin.items() if seen & set(mine)}
    allowed = {n for n, p in owners.items() if everybody[p] in homes}
    return {n: o if n in allowed else replace(o, name=rules.hidden(o.name)) for n, o in opened.items()}


# -- identifiers -------------------------------------------------------------------------------------------
async def _node_views(desk: Reading, known: Folk, nodes: Sequence[int], told: Teller) -> tuple[NodeView, ...]:
    rows = await identity.by_id(desk.conn, nodes)
    spans = await persons.spans_of(desk.conn, nodes)
    names = dict(known.names)
    names |= await _strangers(desk, {s.person_id for mine in spans.values() for s in mine} - names.keys())
    made = []
    for n, row in sorted(rows.items(), key=lambda one: (one[1].kind, one[1].vertex.order)):
        opened = told.known.opened.get(n)
        word, tone = STATES.get(row.state, STATES["active"])
        mine = spans.get(n, ())
        made.append(
            NodeView(
                kind=told.kind(row.kind),
                value=_written(desk, told, row.kind, opened),
                state=desk.say(word),
                tone=tone,
                spans=tuple(_span(s, names, desk) for s in mine),
                seen=f"{_day(row.vertex.first_at)} – {_day(row.vertex.last_at)}",
                note=desk.say("这个号码换过主人：以前的记录归以前的人，以后的归现在的人。")
                if len(mine) > 1
                else "",
            )
        )
    return tuple(made)


def _written(desk: Reading, told: Teller, kind: str, opened: Opened | None) -> str:
    if opened is None or opened.value is None:
        return desk.say("已清除")
    value = opened.value.removeprefix("+86") if kind == "phone" else opened.value
    return " · ".join(part for part in (told.masked(value), opened.name) if part)


async def _strangers(desk: Reading, person_ids: Collection[int]) -> dict[int, str]:
    """Former owners: by name where the reader may see them."""
    seen = await conversations.visible_persons(desk.conn, scope(desk.actor), person_ids)
    family = {p: await identity.intervals(desk.conn, p) for p in sorted(person_ids)}
    found = await lines.members_of(desk, family) if family else {}
    return {
        p: found[p].name if p in seen and p in found else desk.say("另一位客户") for p in sorted(person_ids)
    }


def _span(span: Span, names: Mapping[int, str], desk: Reading) -> SpanView:
    return SpanView(
        who=names.get(span.person_id) or desk.say("另一位客户"),
        since=_day(span.from_at) if span.from_at else "",
        until=_day(span.until_at) if span.until_at else "",
    )


def _day(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%d}"


# -- evidence ----------------------------------------------------------------------------------------------
def _ordered(pieces: Collection[Piece]) -> list[Piece]:
    """What humans said, then what ties people, the strongest first; mere uses and what is gone last."""
    return sorted(
        pieces,
        key=lambda p: (not p.active, p.cls == "uses", not p.human, -p.strength, p.first_at, p.evidence_id),
    )


def _proof(desk: Reading, told: Teller, piece: Piece, door: str, *, may: bool) -> ProofView:
    standing = piece.standing if piece.active else "retracted"
    word, tone = rules.STANDINGS[standing]
    cited = told.known.events.get(piece.first_event_id)
    strength = desk.say(rules.STRENGTHS[rules.strength(piece.strength, human=piece.human)])
    return ProofView(
        id=desk.conn.vault.public("evidence", piece.evidence_id),
        text=told.said(piece),
        source=told.source(piece),
        strength=strength if piece.cls != "uses" else desk.say(rules.STRENGTHS["weak"]),
        standing=desk.say(word),
        tone=tone,
        why=piece.retracted_why or piece.why,
        href=event_href(desk, door, cited.event_id if cited else None),
        act=("withdraw" if piece.active else "reinstate") if may and piece.cls != "uses" else "",
    )


# -- history -----------------------------------------------------------------------------------------------
async def _entries(desk: Reading, nodes: Collection[int], person_ids: Collection[int]) -> list[Logged]:
    """What identity did lately with these, newest first."""
    mine, people = set(nodes), set(person_ids)
    found = await log.newest(desk.conn, limit=_SCANNED)
    return [
        e
        for e in found
        if e.op in OPS and (mine & _nodes(e) or (e.op == "household" and people & _people(e)))
    ][:_TOLD]


def _nodes(entry: Logged) -> set[int]:
    body = entry.body
    if entry.op in ("merge", "split"):
        return {n for side in ("before", "after") for ids in body.get(side, {}).values() for n in ids}
    if entry.op == "household":
        return set()
    found = body.get("nodes") or body.get("by") or [body.get("node")]
    return {n for n in found if isinstance(n, int)}


def _people(entry: Logged) -> set[int]:
    return {p for side in ("before", "after") for ids in entry.body.get(side, {}).values() for p in ids}


async def _history(
    desk: Reading, folk: Folk, told: Teller, entries: Sequence[Logged], found: Collection[Piece], *, may: bool
) -> list[EntryView]:
    people, pieces = {e.actor_id for e in entries if e.actor_id}, {p.evidence_id: p for p in found}
    known = await staff.members(desk.conn, sorted(people))
    made = []
    for e in entries:
        member = known.get(e.actor_id or 0)
        who = member.name if member else desk.say("系统" if e.origin == "auto" else "同事")
        act = _act(e, pieces.get(e.evidence_id or 0)) if may else ""
        evidence = desk.conn.vault.public("evidence", e.evidence_id) if e.evidence_id and act else ""
        text = await _sentence(desk, folk, told, e)
        made.append(EntryView(at=e.at, text=text, who=who, evidence=evidence, act=act if evidence else ""))
    return made


def _act(entry: Logged, piece: Piece | None) -> str:
    """What still can be undone: only what stands as this entry left it."""
    act = _UNDONE.get(entry.op, "")
    if piece is None or not act:
        return ""
    return act if piece.active == (act == "withdraw") else ""


async def _sentence(desk: Reading, folk: Folk, told: Teller, entry: Logged) -> str:
    values: dict[str, str] = {}
    text = OPS[entry.op]
    if "{who}" in text:
        values["who"] = await _who(desk, folk, told, entry)
    if "{nodes}" in text:
        values["nodes"] = desk.say("、").join(told.node(n) for n in sorted(_nodes(entry)))
    if "{node}" in text:
        values["node"] = next((told.node(n) for n in _nodes(entry)), "")
    said = desk.say(text, **values)
    why = str(entry.body.get("why") or "") if entry.op in _UNDONE else ""
    return desk.say(_WITH_WHY, said=said, why=why) if why else said


async def _who(desk: Reading, folk: Folk, told: Teller, entry: Logged) -> str:
    """The people of a change: of a merge those that became one, else those that there are now."""
    if entry.op == "household":
        ids = sorted(_people(entry))
        now = entry.body.get("after") or entry.body.get("before") or {}
        ids = sorted({p for people in now.values() for p in people}) or ids
        names = await _called(desk, folk, ids)
        return desk.say("、").join(names)
    sides = entry.body["before" if entry.op == "merge" else "after"]
    return desk.say("、").join(told.node(min(ids)) for ids in sides.values() if ids)


async def _called(desk: Reading, folk: Folk, person_ids: Sequence[int]) -> list[str]:
    now = [n for p in person_ids if (n := await identity.person_now(desk.conn, p)) is not None]
    found = folk.names | await _strangers(desk, set(now) - folk.names.keys())
    return list(dict.fromkeys(found[p] for p in now))


async def _stories(desk: Reading, known: Folk) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """How each person came to be, step by step."""
    made = []
    for p in known.people:
        how = await explain.how(desk.conn, p.person_id)
        told = teller(desk.house, desk.actor, await _safe(desk, how.known), now=desk.now)
        made.append((p.name, tuple(told.moment(m) for m in how.moments[:_TOLD])))
    return tuple(made)


async def _safe(desk: Reading, known: Known) -> Known:
    return replace(known, opened=await _veiled(desk, known.opened))
