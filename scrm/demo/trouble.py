"""What goes wrong at the demo's desks: two prices for one family, a guarantee, a discount too many."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

from connectors.kit.world import Persona, Staff
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo.day import by_hand
from scrm.demo.office import Colleague, Crew, Item, talk_with
from scrm.demo.stage import Stage
from scrm.desk.calendar.rules import ZONE
from scrm.playbook.checks.store import clearances
from scrm.staff import store as staff

_LOOKS_S, _PATIENCE = 0.5, 40
#: The leader leaves so many of a kind for visitors to decide.
_LEAVES = 1
_API = ("school-oa", "school-kf")
_TOO_CHEAP = (
    ("数学年课给您 8 折，5440 元，今天付定金就按这个价。", "家里两个孩子一起报，想再让一点"),
    ("年课我做主给您 7.8 折，5304 元，今天有效。", "老客户介绍来的，客户在跟别家比价"),
    ("英语春季班 8 折给您，3424 元，今天定下来就行。", "妈妈说今天能定，就差这一点"),
)
_TOO_SURE = (
    "您放心报，我们保证提分，一个学期看得到。",
    "跟着学三个月，保证进步，不然您来找我。",
)
_ANSWERS = ("两个孩子一起报，可以，只限这一次", "老客户介绍的，按这个价走，合同里写清楚")
_NOTES = (
    ("coach", "已经当面说过：发之前先看红卡，家里人听到的要是同一个价"),
    ("valid", "属实，下午已经给客户解释并按承诺的价格走"),
    ("coach", "效果不能保证，改成每四周测一次、结果发给家长"),
)


async def begin(stage: Stage, crew: Crew, friends: Sequence[tuple[Persona, Staff]]) -> None:
    """Each of them once, in the first minute; the leader has dealt with some, the rest waits."""
    await _two_prices(stage, crew, _friend_of(crew.reps[1], friends, stage))
    await _sure(stage, crew.reps[2], _friend_of(crew.reps[2], friends, stage), _TOO_SURE[0])
    for rep, (text, why) in zip(crew.reps[1:], _TOO_CHEAP, strict=False):
        await _asks(rep, text, why)
    await _decides(stage, crew)


async def go_on(
    stage: Stage, crew: Crew, friends: Sequence[tuple[Persona, Staff]], pace_s: float, rng: random.Random
) -> None:
    """From time to time something again; whatever lies about too long, the leader decides."""
    while True:
        await asyncio.sleep(pace_s * rng.uniform(12, 20))
        rep = rng.choice(crew.reps[1:])
        if rng.random() < 0.5:
            await _asks(rep, *rng.choice(_TOO_CHEAP))
        else:
            await _sure(stage, rep, _friend_of(rep, friends, stage), rng.choice(_TOO_SURE))
        if not _watched(stage, crew.lead, await _team_of(stage, crew.lead)):
            await _decides(stage, crew)


def _friend_of(rep: Colleague, friends: Sequence[tuple[Persona, Staff]], stage: Stage) -> Persona:
    """A customer who is that rep's friend in WeCom; else anybody."""
    return next((p for p, s in friends if s.userid == rep.userid), stage.world.personas[-1])


# -- what is said ------------------------------------------------------------------------------------------
async def _two_prices(stage: Stage, crew: Crew, persona: Persona) -> None:
    """A colleague promises 8.8 折 by one channel; in WeCom, by hand, their rep says 9.5 折."""
    slug = next(s for s, o in stage.world.outlets.items() if o.channel in persona.channels)
    await stage.world.say(persona, slug, "老师，年课现在报名有活动吗？")
    talk = await talk_with(crew.lead, {persona.name}, _API)
    if not talk:
        return
    other = next((r for r in crew.reps if r.login == talk["owner"]), crew.reps[2])
    until = (utcnow() + timedelta(days=1)).astimezone(ZONE)
    text = f"这周报名数学年课给您 8.8 折，5984 元，{until.month}月{until.day}日前都有效。"
    await other.do("/pushes", conversation_id=talk["id"], text=text, confirm=True)
    if await _promised(crew.lead, talk):
        await by_hand(stage, crew.reps[1], persona, "年课现在最低 9.5 折，6460 元，今天能定下来吗？")


async def _promised(who: Colleague, talk: Item) -> bool:
    """The promise has been read out of what was sent."""
    for _ in range(_PATIENCE):
        if await who.read("/promises", conversation_id=talk["id"], state="live"):
            return True
        await asyncio.sleep(_LOOKS_S)
    return False


async def _sure(stage: Stage, rep: Colleague, persona: Persona, text: str) -> None:
    await by_hand(stage, rep, persona, text)


async def _asks(rep: Colleague, text: str, why: str) -> None:
    """More than a rep may give: they ask for leave from the sheet before sending."""
    mine = [c for c in await rep.read("/conversations", limit="50") if c["account"] in _API]
    if mine:
        await rep.fill(f"/s/c/{mine[0]['id']}/clearance", text=text, why=why)


# -- what the leader says to it ----------------------------------------------------------------------------
async def _decides(stage: Stage, crew: Crew) -> None:
    """The oldest first, all but the newest."""
    await asyncio.sleep(_LOOKS_S * 4)
    asked = await _asked(stage, crew.lead)
    for number, (ident, _) in enumerate(asked[_LEAVES:]):
        note = _ANSWERS[number % len(_ANSWERS)]
        await crew.lead.fill(f"/lead/alerts/{ident}", do="grant", note=note)
    found = await crew.lead.read("/findings", state="open", limit="50")
    for number, one in enumerate(found[_LEAVES + 1 :]):
        what, note = _NOTES[number % len(_NOTES)]
        await crew.lead.fill(f"/lead/alerts/{one['id']}", do=what, note=note)


async def _asked(stage: Stage, lead: Colleague) -> list[tuple[str, int]]:
    """What waits for the leader, the newest first, as the page names it."""
    team_id = await _team_of(stage, lead)
    async with stage.service.house.db.read(TENANT) as conn:
        rows = await clearances.page(conn, team_ids=[team_id], state="asked", before=None, limit=50)
        return [(conn.vault.public("clearance", row.clearance_id), row.staff_id) for row in rows]


async def _team_of(stage: Stage, one: Colleague) -> int | None:
    async with stage.service.house.db.read(TENANT) as conn:
        return (await staff.members(conn, [one.staff_id]))[one.staff_id].team_id


def _watched(stage: Stage, lead: Colleague, team_id: int | None) -> bool:
    """You sit at the leader's desk."""
    live = stage.service.house.live
    return live.watched(TENANT, f"team:{team_id or 0}") or live.watched(TENANT, f"rep:{lead.staff_id}")
