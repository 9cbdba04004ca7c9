"""An SOP tried before it begins: against what happened, and on one family. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.pipeline.sops import rehearsing
from scrm.pipeline.sops.rehearsing import DryRun, Rehearsal, Shown
from scrm.playbook.library.samples import SAMPLES
from scrm.playbook.sops.values import Plan
from scrm.staff.rules import scope
from scrm.timeline.store import conversations
from scrm.web.cards import Tone
from scrm.web.flows import views as v
from scrm.web.flows import words
from scrm.web.flows.room import Room, named, seen

#: What becomes of a step: by itself, by a colleague, left out.
STATES: Mapping[str, tuple[str, Tone]] = {
    "done": ("自动", "ok"),
    "waiting": ("交给顾问", "brand"),
    "skipped": ("略过", "warn"),
    "failed": ("做不了", "bad"),
}
FARTHEST = rehearsing.FARTHEST.days
DAYS = "往回看的天数要在 1 到 {most} 之间。"
WOULD = "过去 {days} 天会有 {families} 家开始，给这些家庭自动发 {messages} 条，交给顾问 {tasks} 件。"
NOBODY = "过去 {days} 天没有客户符合开始条件。"
PAST = "按那段时间真实发生的事推演：谁回复、谁付款都算；阶段、角色和标签按今天的。没有真的发出任何东西。"
MORE, LIMITED = "只列出前 {n} 家。", "符合的太多，只推演了前 {n} 家。"
AHEAD = "从现在开始会这样走"
AS_IF = "假设没有人回复、顾问按时做完待办。没有真的发出任何东西。"
NOT_NOW = "这一家现在不会开始：{why}"
GOES_ON = "到现在还没有走完。"
PICK = "请选一家来试走。"
SENTENCES = (DAYS, PICK)


async def against_history(conn: Conn, room: Room, plan: Plan, days: int, *, now: datetime) -> v.Tried:
    """Raises `BadInput`."""
    if not 1 <= days <= FARTHEST:
        raise BadInput(room.say(DAYS, most=FARTHEST))
    made = await rehearsing.dry_run(conn, room.means, plan, now - timedelta(days=days), now=now)
    known = await seen(conn, room, [one.node_id for one in made.shown])
    title = WOULD if made.families else NOBODY
    counts = (
        {"families": made.families, "messages": made.messages, "tasks": made.tasks} if made.families else {}
    )
    return v.Tried(
        title=room.say(title, days=days, **counts),
        note=room.say(PAST),
        families=tuple(_family(room, one, *named(room, known, one.node_id)) for one in made.shown),
        more=_more(room, made),
    )


def _more(room: Room, made: DryRun) -> str:
    if made.more:
        return room.say(LIMITED, n=made.families)
    return room.say(MORE, n=len(made.shown)) if made.families > len(made.shown) else ""


async def on_one(conn: Conn, room: Room, plan: Plan, key: str, *, now: datetime) -> v.Tried:
    """Raises `BadInput`, or `NotFound` for somebody this reader may not see."""
    kind, _, ident = key.partition(":")
    if kind == "sample" and ident in SAMPLES:
        name, known = SAMPLES[ident]
        made = await rehearsing.sample(conn, room.means, plan, known, now=now)
        family = _family(room, made, room.say(name), "", named_=True)
    elif kind == "talk":
        talk = await conversations.get(conn, conn.vault.private("conversation", ident), scope(room.who))
        if talk is None:
            raise NotFound(rehearsing.GONE)
        made = await rehearsing.simulate(conn, room.means, plan, talk.node_id, now=now)
        who = await seen(conn, room, [talk.node_id])
        family = _family(room, made, *named(room, who, talk.node_id), named_=True)
    else:
        raise BadInput(PICK)
    return v.Tried(title=room.say(AHEAD), note=room.say(AS_IF), families=(family,))


def _family(room: Room, one: Rehearsal, name: str, href: str, *, named_: bool = False) -> v.Family:
    """Only who may see a family reads what it would be told."""
    ended = room.say(one.why) if one.why else room.say(GOES_ON)
    return v.Family(
        name=name,
        href=href,
        start=one.start,
        moments=tuple(_moment(room, s, words_=bool(href) or named_) for s in one.steps),
        ended_at=one.ended_at,
        ended=ended,
        why_not=room.say(NOT_NOW, why=one.why_not) if one.why_not else "",
    )


def _moment(room: Room, shown: Shown, *, words_: bool) -> v.Moment:
    return moment(room, shown.kind, shown.state, shown.at, text=shown.text if words_ else "", why=shown.why)


def moment(room: Room, kind: str, state: str, at: datetime, *, text: str = "", why: str = "") -> v.Moment:
    said, tone = STATES.get(state, (state, ""))
    names: Mapping[str, str] = dict(words.STEP_KINDS.items())
    icons: Mapping[str, str] = dict(words.ICONS.items())
    return v.Moment(
        at=at,
        kind=room.say(names.get(kind, kind)),
        icon=icons.get(kind, "ev"),
        state=room.say(said),
        tone=tone,
        text=text,
        why=room.say(why) if why else "",
    )
