"""`scrm demo`: a living team on simulated platforms, on this machine alone, gone when it stops."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Protocol, cast

from connectors.kit.world import Persona, Staff, World, live
from scrm.demo import day, family, office, opening, reps, selling, trouble
from scrm.demo.office import Crew
from scrm.demo.stage import Stage, staged
from scrm.settings import Settings

_RUSH_S, _RUSH_PACE_S = 12.0, 0.8
_FRIENDS = 9
#: How long a telephone rings, and how long they talk.
_RINGS_S = 3.0


class _Note(Protocol):
    mobiles: list[str]


class _Office(Protocol):
    def note(self, persona: Persona, userid: str) -> _Note: ...


class _Remarks(Protocol):
    """The platform where reps keep remarks about their friends."""

    office: _Office


async def run(
    settings: Settings, *, pace_s: float, seed: int, stop: asyncio.Event, say: Callable[[str], None]
) -> int:
    """Until `stop`. Data live in a temporary folder; only the scripts are yours."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="scrm-demo-"))
        stage = await stack.enter_async_context(staged(company(settings, folder), seed=seed))
        team = asyncio.create_task(play(stage, pace_s, seed, say), name="demo")
        say(_words(stage))
        say(f"ready {stage.url}")
        done, _ = await asyncio.wait(
            [team, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        team.cancel()
        if team in done and not team.cancelled():
            team.result()  # the play never ends by itself: say why it did
    return 0


def company(given: Settings, folder: str) -> Settings:
    """A company of the demo's own: it works at whatever hour you look, and reps may give 8.5 折, no more."""
    return replace(
        given,
        data_dir=folder,
        database_url="",
        master_key="",
        master_key_file="",
        accounts=(),
        opportunity_opens="registration,order",
        quiet_hours="",
        promise_floor="8.5 lead=7",
        auto_answers="school-kf:first,faq",
    )


def _words(stage: Stage) -> str:
    lines = [
        "小橡树教育的一组销售正在工作（全部是本机模拟，不需要任何账号）：",
        f"  坐席桌面   {stage.url}/inbox      用企业微信登录，选一位同事",
        f"  侧边栏     {stage.url}/s",
        f"  今日待办   {stage.url}/s/today",
        f"  主管台     {stage.url}/lead/today    用企业微信登录，选“赵敏”",
        f"  管理后台   {stage.url}/admin      用企业微信登录，选“管理员”",
        f"  客户手机   {stage.phones_url}     在这里以客户身份说话",
        f"  电话交换机 {stage.platforms['hotline']}     给同事打一个电话，看来电弹屏",
        f"  学校网站   {stage.platforms['shop']}     右下角就是嵌入的在线客服，可以登录成一位客户",
        f"  接口文档   {stage.url}/api/v1/openapi.json",
        "你以谁的身份登录，谁就由你来回复；其余同事照常工作。按 Ctrl-C 结束。",
    ]
    return "\n".join(lines)


async def play(stage: Stage, pace_s: float, seed: int, say: Callable[[str], None]) -> None:
    """The first seconds go fast, so that the queue is full when the page opens; then life is normal."""
    rng = random.Random(seed)
    await selling.stock(stage)
    # Before anybody asks the platforms who is who.
    home = family.family(stage.world)
    async with office.client() as http:
        crew = await office.crew(stage, http)
        await opening.prepare(crew)
        friends = await _befriend(stage.world, rng, home)
        chat = await family.live(stage, home, pause_s=_RINGS_S)
        await selling.promised(stage, home, chat)
        begin = time.monotonic()

        def pace() -> float:
            return _RUSH_PACE_S if time.monotonic() - begin < _RUSH_S else pace_s

        async with asyncio.TaskGroup() as group:
            group.create_task(live(stage.world, pace, rng))
            group.create_task(_introduce(stage, home, say))
            group.create_task(_trouble(stage, crew, friends, pace_s, random.Random(seed)))
            group.create_task(_work(stage, crew, friends, pace_s, seed, home))


async def _work(
    stage: Stage,
    crew: Crew,
    friends: list[tuple[Persona, Staff]],
    pace_s: float,
    seed: int,
    home: family.Family,
) -> None:
    """Every rep answers, and does what is on the board."""
    async with asyncio.TaskGroup() as group:
        for number, rep in enumerate(crew.reps):
            own = random.Random(seed + number)
            group.create_task(reps.work(stage, rep, spared=home.names, pace_s=pace_s, rng=own))
        await day.begin(crew, friends, home.father)
        for number, rep in enumerate(crew.reps):
            own = random.Random(seed - number)
            group.create_task(day.work(stage, rep, spared=home.names, pace_s=pace_s, rng=own))


async def _trouble(
    stage: Stage, crew: Crew, friends: list[tuple[Persona, Staff]], pace_s: float, rng: random.Random
) -> None:
    await trouble.begin(stage, crew, friends)
    await trouble.go_on(stage, crew, friends, pace_s, rng)


async def _introduce(stage: Stage, home: family.Family, say: Callable[[str], None]) -> None:
    """Who the family on six channels turned out to be; the father asks once more."""
    say(f"一个家庭的三个人：{await family.in_words(stage, home)}")
    await stage.world.say(home.father, "archive", "孩子妈妈说您那边答应过她优惠，年课到底多少钱？")


async def _befriend(world: World, rng: random.Random, home: family.Family) -> list[tuple[Persona, Staff]]:
    """Some customers have a rep as a friend in WeCom: those talks go through the rep's own hands.

    The reps have written their telephone numbers into the remarks.
    """
    wecom = next(outlet for outlet in world.outlets.values() if outlet.channel == "wecom")
    others = [p for p in world.personas if p.number not in (home.mother.number, home.father.number)]
    friends = [(p, world.staff[n % 3]) for n, p in enumerate(rng.sample(others, _FRIENDS))]
    for persona, member in friends:
        cast(_Remarks, wecom).office.note(persona, member.userid).mobiles = [persona.mobile]
        await wecom.meet(persona, member)
    return friends
