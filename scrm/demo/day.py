"""A day's work at the demo's desks: things to do are written down, done, put off, and some of it pays."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, cast

from connectors.kit.world import Persona, Staff
from scrm.db import utcnow
from scrm.demo.family import signed, telephones
from scrm.demo.office import Colleague, Crew, Item, talk_with
from scrm.demo.reps import BY_HAND, resting
from scrm.demo.selling import YEAR, YEAR_FEN, YEAR_NAME
from scrm.demo.stage import Stage

#: A telephone rings so long; what is shorter than twenty seconds was no call.
_RINGS_S, _TALKS_S = 3.0, 22.0
#: So many a rep keeps on the board, for visitors to see.
_STANDING = 4
#: How often what is done next is put off, and how often a coupon is paid with.
_LATER, _BUYS = 0.15, 0.6
_SHARE = 0.85
#: Which coupon a task is about: batch and name.
_EARLY, _OLD = ("EARLY-85", "早鸟券"), ("OLD-300", "老学员券")


class Archive(Protocol):
    """The platform where reps write to their friends by hand."""

    async def staff_says(self, staff: Staff, persona: Persona, text: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    kind: str
    title: str
    why: str
    due: timedelta
    value: int = 0


#: In this order they get onto a rep's board in the morning.
JOBS = (
    Job(
        kind="call",
        title="上午说好回电话，问清接送怎么安排",
        why="家长上午在开会",
        due=timedelta(minutes=-25),
    ),
    Job(
        kind="quote",
        title="把年课的总价和付款方式发过去",
        why="家里在等一个准数",
        due=timedelta(minutes=50),
        value=YEAR_FEN,
    ),
    Job(
        kind="coupon",
        title="推早鸟券 8.5 折",
        why="报过价，还在犹豫",
        due=timedelta(hours=2),
        value=YEAR_FEN,
    ),
    Job(
        kind="material",
        title="发课程介绍和这个月的课表",
        why="家长想先看看资料",
        due=timedelta(hours=3),
    ),
    Job(
        kind="visit",
        title="明天来校区试听，备好教材和测评卷",
        why="约好明天上午十点",
        due=timedelta(hours=4),
        value=398_000,
    ),
    Job(
        kind="call",
        title="试听后回访：孩子喜欢什么、家长担心什么",
        why="刚听完第一节",
        due=timedelta(hours=1),
    ),
    Job(
        kind="material", title="把孩子的测评结果写成三句话发过去", why="周六做的测评", due=timedelta(hours=2)
    ),
    Job(
        kind="coupon",
        title="推老学员券，满 3000 减 300",
        why="老学员介绍来的",
        due=timedelta(hours=5),
        value=398_000,
    ),
)
#: What is left to the visitor, for the family of the story.
_STORY = (
    Job(
        kind="quote",
        title="发年课报价",
        why="按答应过妈妈的 8.5 折，由爸爸付款",
        due=timedelta(minutes=80),
        value=578_000,
    ),
    Job(kind="coupon", title="推早鸟券 8.5 折", why="和答应过的折扣一致，每家一张", due=timedelta(hours=3)),
    Job(
        kind="call",
        title="晚上和爸爸妈妈一起通个电话，定下来",
        why="两个人商量好再付款",
        due=timedelta(hours=4),
    ),
)
_SAYS = {
    "quote": "年课正价 6800 元，一次付清或者分三期都可以，含教材，没有别的费用。您看哪种方便？",
    "material": "课程介绍和这个月的课表我发您了，您先看看，哪个时间合适跟我说一声。",
    "coupon": "给您申请了一张{name}，券码 {code}，报名时直接抵，别忘了用。",
}
_LATERS = ("家长在上班，说晚上八点以后方便", "等老师把测评结果给我再发", "孩子这两天发烧，周三再联系")
_DID = {"visit": "到校区试听了，孩子很喜欢", "other": "处理好了"}


async def begin(crew: Crew, friends: Sequence[tuple[Persona, Staff]], father: Persona) -> None:
    """The morning: every rep writes down what is to be done for those they know."""
    if talk := await talk_with(crew.reps[0], {father.name}, BY_HAND):
        for job in _STORY:
            await _write(crew.reps[0], talk, job)
    for rep in crew.reps:
        theirs = [persona for persona, staff in friends if staff.userid == rep.userid]
        for number, job in enumerate(JOBS[:5]):
            talk = await talk_with(rep, {theirs[number % len(theirs)].name}) if theirs else {}
            if talk:
                await _write(rep, talk, job)


async def _write(rep: Colleague, talk: Item, job: Job) -> None:
    due = (utcnow() + job.due).isoformat()
    wanted = {"kind": job.kind, "title": job.title, "why": job.why, "due_at": due, "value": job.value}
    await rep.do("/tasks", conversation_id=talk["id"], **wanted)


async def work(
    stage: Stage, rep: Colleague, *, spared: Collection[str], pace_s: float, rng: random.Random
) -> None:
    """One thing after the other, for ever; the board neither runs empty nor over.

    `spared`: customers who are left to the visitor.
    """
    while True:
        await asyncio.sleep(pace_s * rng.uniform(1, 2))
        if resting(stage, rep):
            continue
        standing = [t for t in await rep.read("/tasks", state="open", limit="100") if t["owner"] == rep.name]
        seen = await rep.read("/conversations", limit="200")
        talks = {c["id"]: c for c in seen if c["name"] not in spared}
        ready = [t for t in standing if t["conversation_id"] in talks]
        kinds = Counter(t["kind"] for t in standing)
        if len(standing) <= _STANDING:
            mine = [c for c in talks.values() if c["owner"] == rep.login]
            if mine:
                rarest = min(kinds[job.kind] for job in JOBS[1:])
                job = rng.choice([job for job in JOBS[1:] if kinds[job.kind] == rarest])
                await _write(rep, rng.choice(mine), job)
        elif ready:
            one = rng.choice(ready)
            await _Work(stage=stage, rep=rep, rng=rng).one(one, talks[one["conversation_id"]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One task of one rep."""

    stage: Stage
    rep: Colleague
    rng: random.Random

    async def one(self, task: Item, talk: Item) -> None:
        persona = next((p for p in self.stage.world.personas if p.name == talk["name"]), None)
        if self.rng.random() < _LATER and task["postponed"] == 0:
            back = utcnow() + timedelta(minutes=self.rng.randint(60, 180))
            why = self.rng.choice(_LATERS)
            await self.rep.do("/tasks/postpone", id=task["id"], until=back.isoformat(), why=why)
        elif task["kind"] == "call" and persona is not None:
            await self._call(task, persona)
        elif task["kind"] == "coupon":
            await self._give(task, talk, persona)
        elif task["kind"] in _SAYS:
            await self._say(talk, persona, _SAYS[task["kind"]])
        else:
            await self.rep.do("/tasks/done", id=task["id"], why=_DID.get(task["kind"], ""))

    async def _call(self, task: Item, persona: Persona) -> None:
        """Over the exchange; of a customer whose number nobody wrote down the rep says so by hand."""
        await telephones(
            self.stage,
            self.rep.http,
            persona,
            self.rep.userid,
            rings_s=_RINGS_S,
            talks_s=_TALKS_S,
            direction="out",
        )
        await asyncio.sleep(_RINGS_S)
        await self.rep.do("/tasks/done", id=task["id"], why="用自己的手机打通了")

    async def _say(self, talk: Item, persona: Persona | None, text: str) -> None:
        """Where we may send, we send; to a friend in WeCom the rep writes by hand."""
        if talk["account"] not in BY_HAND:
            await self.rep.do("/pushes", conversation_id=talk["id"], text=text, confirm=True)
        elif persona is not None:
            await by_hand(self.stage, self.rep, persona, text)

    async def _give(self, task: Item, talk: Item, persona: Persona | None) -> None:
        """A coupon, the words with it, and now and then an order that uses it up."""
        batch, name = _OLD if _OLD[1] in task["title"] else _EARLY
        coupon = await self.rep.do("/coupons", conversation_id=talk["id"], batch=batch)
        if not coupon:
            await self.rep.do("/tasks/done", id=task["id"], why=f"家里已经有一张{name}")
            return
        await self._say(talk, persona, _SAYS["coupon"].format(name=name, code=coupon["code"]))
        if persona is not None and batch == _EARLY[0] and self.rng.random() < _BUYS:
            await asyncio.sleep(_RINGS_S)
            await buys(self.stage, self.rep, persona, coupon["code"])


async def by_hand(stage: Stage, rep: Colleague, persona: Persona, text: str) -> None:
    """In WeCom, outside of everything of ours: the archive tells us afterwards."""
    member = stage.world.member(rep.userid)
    if member is not None:
        await cast(Archive, stage.world.outlets["archive"]).staff_says(member, persona, text)


async def buys(stage: Stage, rep: Colleague, persona: Persona, code: str) -> None:
    """The order system tells of a year's course, paid for with a coupon."""
    now, paid = utcnow(), round(YEAR_FEN * _SHARE)
    order = {
        "type": "order",
        "id": f"D{now:%Y%m%d%H%M%S}-{persona.number:03d}",
        "version": 1,
        "at": now.isoformat(),
        "status": "paid",
        "business_line": "年课",
        "buyer": {"unionid": persona.unionid, "phone": persona.mobile, "name": persona.name},
        "learner": {"id": f"learner-{persona.number}", "name": persona.kid},
        "items": [{"product": YEAR, "name": YEAR_NAME, "quantity": 1, "amount": YEAR_FEN}],
        "coupon": {"code": code, "amount": YEAR_FEN - paid},
        "total": paid,
        "paid": paid,
    }
    await signed(stage, rep.http, "mall", order)
