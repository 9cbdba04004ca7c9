"""From tasks to boards: sections in order, words for when it is due, and where one tap leads."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from scrm.desk.calendar.rules import ZONE
from scrm.desk.tasks import rules, store
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.rules import Task
from scrm.desk.tasks.store import Whose
from scrm.errors import Unsealable
from scrm.identity import store as identity
from scrm.playbook.enclosures import service as enclosures
from scrm.seal import Vault
from scrm.staff import store as staff
from scrm.staff.rules import Actor, masked, scope
from scrm.timeline.rules import Talk
from scrm.web import bringing, views
from scrm.web.boards import BoardView, Section, TaskRow
from scrm.web.reading import Reading

#: Where a tap opens the customer.
Place = Literal["sidebar", "inbox"]
#: What the button of a task of a kind says.
VERBS: Mapping[str, str] = {
    "reply": "去回",
    "call": "拨打",
    "quote": "去报价",
    "material": "去发",
    "coupon": "发券",
    "visit": "看安排",
    "other": "打开",
}
_NOBODY = Whose(staff_id=0)
_DONE_SHOWN = 20


def whose(actor: Actor) -> Whose:
    """What this person may see and act on: a rep's own, a leader's team's, a machine's tenant's."""
    seen = scope(actor)
    if seen.everything:
        return Whose()
    if seen.whole_team and seen.team_id is not None:
        return Whose(team_id=seen.team_id)
    return Whose(staff_id=seen.rep_id) if seen.rep_id is not None else _NOBODY


def mine(actor: Actor) -> Whose:
    """A person's own board."""
    return Whose(staff_id=actor.staff_id or 0)


def day_begins(now: datetime) -> datetime:
    """Midnight in Shanghai."""
    return now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    names: Mapping[int, str]
    people: Mapping[int, Any]
    numbers: Mapping[int, str]


async def board(
    desk: Reading, of: Whose, *, place: Place, url: str, topics: Sequence[str] = (), owners: bool = False
) -> BoardView:
    """Sections with their counts, and what was done today."""
    listed = tasks.ordered(await store.board(desk.conn, of, now=desk.now), desk.now)
    counts = await store.counts(desk.conn, of, now=desk.now)
    since = day_begins(desk.now)
    done = await store.done_since(desk.conn, of, since, limit=_DONE_SHOWN)
    rows = await rows_of(desk, [*listed, *done], place=place, owners=owners)
    by_kind = {
        kind: [r for r, t in zip(rows, listed, strict=False) if t.kind == kind] for kind in rules.KINDS
    }
    return BoardView(
        sections=tuple(
            Section(kind=kind, name=desk.say(name), count=counts.get(kind, 0), rows=tuple(by_kind[kind]))
            for kind, name in rules.KINDS.items()
            if counts.get(kind)
        ),
        total=sum(counts.values()),
        done=tuple(rows[len(listed) :]),
        done_count=await store.done_count(desk.conn, of, since),
        url=url,
        topics=tuple(topics),
    )


async def of_family(desk: Reading, talk: Talk, nodes: Collection[int]) -> BoardView:
    """What this person has to do for the family of this conversation."""
    of = replace(whose(desk.actor), node_ids=sorted({talk.node_id, *nodes}))
    cid = desk.cid(talk)
    view = await board(desk, of, place="sidebar", url=f"/s/c/{cid}?tab=todo")
    return replace(view, cid=cid, key=secrets.token_hex(12))


async def prepared(desk: Reading, talk: Talk, public: str, *, via: views.Via) -> views.ScriptCard | None:
    """What a task has ready to be said here, to be looked over and sent; None = it has no words."""
    ident = desk.conn.vault.private("task", public) if public else 0
    task = await store.get(desk.conn, ident, whose=whose(desk.actor)) if ident else None
    text = str(task.action.get("text", "")) if task is not None else ""
    if task is None or task.conversation_id != talk.conversation_id or task.state != "open" or not text:
        return None
    card = views.ScriptCard(
        id="",
        n=0,
        title=desk.say(task.title),
        why=desk.say(task.why),
        parts=(),
        text=text,
        key=secrets.token_hex(12),
    )
    files = enclosures.named(task.action.get("files"))
    return (await bringing.onto(desk, talk, [card], {card.id: files}, via=via))[0]


async def rows_of(
    desk: Reading, found: Sequence[Task], *, place: Place, owners: bool = False
) -> tuple[TaskRow, ...]:
    known = _Known(
        names=await desk.names(sorted({t.node_id for t in found})),
        people=await staff.members(
            desk.conn, sorted({i for t in found for i in (t.staff_id, t.done_by) if i})
        ),
        numbers=await _numbers(desk, [t for t in found if t.kind == "call" and t.state == "open"]),
    )
    return tuple(_row(desk, t, known, place, owners=owners) for t in found)


def _row(desk: Reading, task: Task, known: _Known, place: Place, *, owners: bool) -> TaskRow:
    vault = desk.conn.vault
    asks = task.source == "clock"
    cid = vault.public("conversation", task.conversation_id) if task.conversation_id else ""
    ident = f"c-{cid}" if asks else vault.public("task", task.task_id)
    urgent = rules.slot(task.due_at, desk.now)
    row = TaskRow(
        id=ident,
        kind=task.kind,
        title=desk.say(task.title),
        why=desk.say(task.why),
        name=known.names.get(task.node_id, ""),
        due=due(desk, task.due_at),
        tone={"late": "bad", "now": "warn"}.get(urgent, ""),
        value=task.value,
        href=_quote(vault, task, cid) or _href(task, cid, "" if asks else ident, place),
        verb=desk.say(VERBS[task.kind]),
        number=known.numbers.get(task.node_id, "") if task.kind == "call" else "",
        owner=_name(desk, known, task.staff_id, desk.say("未分配")) if owners else "",
        put_off=task.postponed_why,
        times=task.postponed,
        stuck=rules.needs_leader(task) and desk.actor.role != "lead",
        asks=asks,
    )
    if task.state == "open":
        return row
    how = desk.say(task.done_why)
    if task.done_by is not None and task.done_by != task.staff_id:
        how = f"{how} · {_name(desk, known, task.done_by, '')}"
    proof = vault.public("event", task.done_event_id) if task.done_event_id else ""
    return replace(row, done_at=task.done_at, how=how, proof=proof, due="", tone="")


def _name(desk: Reading, known: _Known, ident: int | None, otherwise: str) -> str:
    if ident is not None and ident == desk.actor.staff_id:
        return desk.say("我")
    member = known.people.get(ident or 0)
    return member.name if member else otherwise


def _href(task: Task, cid: str, ident: str, place: Place) -> str:
    """Opens the customer with what is to be said ready; "" where there is no conversation."""
    if not cid:
        return ""
    if task.kind == "coupon":
        return f"/s/c/{cid}?tab=coupons&task={ident}"
    asked = f"task={ident}" if ident else ""
    if place == "inbox":
        return f"/inbox/{cid}?filter=tasks" + (f"&{asked}" if asked else "")
    return f"/s/c/{cid}" + (f"?{asked}" if asked else "")


def _quote(vault: Vault, task: Task, cid: str) -> str:
    """A promise to be reminded of stands ready in words."""
    if not cid or task.promise_id is None:
        return ""
    return f"/s/c/{cid}?quote={vault.public('promise', task.promise_id)}"


def due(desk: Reading, at: datetime) -> str:
    """18:00 前, 11-23 10:00 前, 11-21 18:00 已到期."""
    local, today = at.astimezone(ZONE), desk.now.astimezone(ZONE).date()
    day = "" if local.date() == today else f"{local:%m-%d} "
    if local.date() == today + timedelta(days=1):
        day = desk.say("明天") + " "
    text = f"{day}{local:%H:%M}"
    return desk.say("{at} 已到期", at=text) if at <= desk.now else desk.say("{at} 前", at=text)


async def _numbers(desk: Reading, calls: Sequence[Task]) -> dict[int, str]:
    """The telephone of each customer to be called, as this person may see it."""
    persons = await identity.persons_of(desk.conn, sorted({t.node_id for t in calls}))
    owned = await identity.nodes_of(desk.conn, sorted(set(persons.values()))) if persons else {}
    kinds = await identity.kinds(desk.conn, sorted(owned)) if owned else {}
    phones = sorted(n for n, kind in kinds.items() if kind == "phone")
    try:
        found = await identity.handles(desk.conn, phones) if phones else {}
    except Unsealable:  # one of them was erased
        return {}
    by_person = {owned[n]: found[n].value for n in reversed(phones) if n in found}
    return {
        node: masked(desk.actor, by_person[p].removeprefix("+86"))
        for node, p in persons.items()
        if p in by_person
    }
