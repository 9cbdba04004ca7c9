"""A proposal as a question: both sides as they are known, what speaks for it and against, what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from scrm.db import Conn
from scrm.identity import looking, proposals
from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.identity.explain import catalogue
from scrm.identity.explain import service as explain
from scrm.identity.match.sentences import Reason
from scrm.identity.preview import preview
from scrm.identity.survivorship import service as survivorship
from scrm.identity.survivorship.words import FIELDS
from scrm.ownership import service as ownership
from scrm.staff import store as staff
from scrm.staff.rules import Actor, masked
from scrm.timeline.store import conversations
from scrm.web.explaining import teller
from scrm.web.house import House
from scrm.web.knowing import views as v
from scrm.web.pages import locale

Say = Callable[..., str]
#: Identifiers and family members that are shown of one side.
_SHOWN = 8
_SOURCES = {
    "model": "夜间比对",
    "online": "实时线索",
    "masked": "隐号手机",
    "statement": "聊天里说的",
}
_CONFLICT = "和已有的证据冲突，点“是”也不会合并。"
_STOPPED = {
    "cap": "合起来太多了，不像一个人或一家人，点“是”也不会合并。",
    "not_same": "已有人说过不是，点“是”会以这次的决定为准。",
}


async def rows(
    conn: Conn, found: Sequence[proposals.Proposal], who: Actor, *, current: int
) -> tuple[v.QueueRow, ...]:
    names = await _names(conn, {p for one in found for p in (one.person_a, one.person_b) if p})
    known = await looking.described(conn, {n for one in found for n in (one.node_a, one.node_b)})

    def named(person_id: int | None, node_id: int) -> str:
        """By name, else by what identifies them."""
        value = known[node_id].value if node_id in known else ""
        return names.get(person_id or 0) or masked(who, (value or "").removeprefix("+86"))

    return tuple(
        v.QueueRow(
            id=conn.vault.public("proposal", one.proposal_id),
            title=f"{named(one.person_a, one.node_a)} / {named(one.person_b, one.node_b)}",
            percent=one.percent,
            cls=one.cls,
            current=one.proposal_id == current,
        )
        for one in found
    )


async def _names(conn: Conn, persons: set[int]) -> dict[int, str]:
    fields = await survivorship.of_persons(conn, sorted(persons))
    return {p: next((f.shown.value for f in mine if f.name == "name"), "") for p, mine in fields.items()}


async def question(
    conn: Conn, found: House, who: Actor, one: proposals.Proposal, *, now: datetime
) -> v.Question:
    def say(text: str, **values: object) -> str:
        return found.renderer.say(locale(who), text, **values)

    both = [p for p in (one.person_a, one.person_b) if p is not None]
    stopped, effects = "", tuple[str, ...]()
    if len(set(both)) < 2:
        stopped = (
            say("这两个标识现在已是同一个人，无需再判断。") if both else say("其中一个标识已不属于任何人。")
        )
    elif one.state in ("open", "later"):
        stopped, effects = await _effects(conn, one, say, now=now)
    return v.Question(
        id=conn.vault.public("proposal", one.proposal_id),
        cls=one.cls,
        percent=one.percent,
        source=say(_SOURCES.get(one.source, "线索")),
        a=await _party(conn, one.person_a, one.node_a, who, say),
        b=await _party(conn, one.person_b, one.node_b, who, say),
        reasons=tuple(_reason(r, say) for r in one.reasons if r.weight >= 0),
        against=await _against(conn, found, one, who, say, now=now),
        effects=effects,
        stopped=stopped,
        state=one.state,
    )


def _reason(one: Reason, say: Say) -> v.ReasonRow:
    return v.ReasonRow(text=say(one.text, **one.values), strength=one.strength)


async def _against(
    conn: Conn, found: House, one: proposals.Proposal, who: Actor, say: Say, *, now: datetime
) -> tuple[str, ...]:
    """What the model says against it, and what keeps the two apart so far."""
    lines = [say(r.text, **r.values) for r in one.reasons if r.weight < 0]
    if one.person_a is None or one.person_b is None or one.person_a == one.person_b:
        return tuple(lines)
    why = await explain.why(conn, explain.person(one.person_a), explain.person(one.person_b))
    told = teller(found, who, why.known, now=now)
    return tuple(dict.fromkeys([*lines, *(told.block(b) for b in why.blocks if b.reason != "nothing")]))


async def _effects(
    conn: Conn, one: proposals.Proposal, say: Say, *, now: datetime
) -> tuple[str, tuple[str, ...]]:
    """Why a yes would change nothing (or ""), and what it would."""
    assert one.person_a is not None
    assert one.person_b is not None
    pair = (one.node_a, one.node_b)
    seen = await preview(conn, one.person_a, one.person_b, one.cls, pair=pair)
    deals = await ownership.preview(conn, {one.person_a, one.person_b}, now=now)
    lines = [say("合为一个人：时间线、标签、角色合在一起")] if one.cls == "same_person" else []
    lines += [say("成为一家人：各人仍是各人，时间线按家庭合看")] if one.cls == "same_household" else []
    lines += [say("{n} 笔成交的归属会重新判定", n=len(deals))] if deals else [say("不影响归属和佣金")]
    waits = sum(not d.at_once for d in deals)
    lines += [say("其中 {n} 笔要主管批准", n=waits)] if waits else []
    return say(_STOPPED.get(seen.stopped, _CONFLICT)) if seen.stopped else "", tuple(lines)


async def _party(conn: Conn, person_id: int | None, node_id: int, who: Actor, say: Say) -> v.Party:
    nodes = await identity.nodes_of(conn, [person_id]) if person_id else {node_id: 0}
    shown = await looking.described(conn, [*sorted(nodes)[:_SHOWN], node_id])
    fields = await survivorship.shown(conn, person_id) if person_id else []
    texts = {f.name: f.shown.value for f in fields}
    kin = [p for p in await families.family(conn, person_id) if p != person_id] if person_id else []
    names = await _names(conn, set(kin[:_SHOWN]))
    return v.Party(
        name=texts.get("name", "") or say("未知姓名"),
        fields=tuple(
            (say(FIELDS[n]), masked(who, t.removeprefix("+86")) if n == "phone" else t)
            for n, t in texts.items()
            if n != "name"
        ),
        nodes=tuple(
            (
                say(catalogue.KINDS.get(d.dot.kind, d.dot.kind)),
                masked(who, (d.value or "").removeprefix("+86")),
            )
            for d in shown.values()
        ),
        owners=await _owners(conn, sorted(nodes)),
        family=tuple(names.get(p) or say("未知姓名") for p in kin[:_SHOWN]),
    )


async def _owners(conn: Conn, nodes: Sequence[int]) -> tuple[str, ...]:
    """Colleagues who look after their conversations."""
    ids = {t.rep_id for t in await conversations.of_nodes(conn, nodes) if t.rep_id}
    known = await staff.members(conn, sorted(ids)) if ids else {}
    return tuple(known[i].name for i in sorted(ids) if i in known)
