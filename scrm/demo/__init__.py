"""`scrm demo`: a living team on simulated platforms, on this machine alone, gone when it stops."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from connectors.kit.world import World, live
from scrm.demo import family, reps
from scrm.demo.stage import Stage, staged
from scrm.settings import Settings

_RUSH_S, _RUSH_PACE_S = 12.0, 0.8
_FRIENDS = 8
#: How long a telephone rings, and how long they talk.
_RINGS_S = 3.0


async def run(
    settings: Settings, *, pace_s: float, seed: int, stop: asyncio.Event, say: Callable[[str], None]
) -> int:
    """Until `stop`. Data live in a temporary folder; only the scripts are yours."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="scrm-demo-"))
        fresh = replace(
            settings, data_dir=folder, database_url="", master_key="", master_key_file="", accounts=()
        )
        stage = await stack.enter_async_context(staged(fresh, seed=seed))
        team = asyncio.create_task(_play(stage, pace_s, seed, say), name="demo")
        say(_words(stage))
        say(f"ready {stage.url}")
        done, _ = await asyncio.wait(
            [team, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        team.cancel()
        if team in done and not team.cancelled():
            team.result()  # the play never ends by itself: say why it did
    return 0


def _words(stage: Stage) -> str:
    lines = [
        "小橡树教育的一组销售正在工作（全部是本机模拟，不需要任何账号）：",
        f"  坐席桌面   {stage.url}/inbox      用企业微信登录，选一位同事",
        f"  侧边栏     {stage.url}/s",
        f"  管理后台   {stage.url}/admin      用企业微信登录，选“管理员”",
        f"  客户手机   {stage.phones_url}     在这里以客户身份说话",
        f"  电话交换机 {stage.platforms['hotline']}     给同事打一个电话，看来电弹屏",
        f"  学校网站   {stage.platforms['shop']}     右下角就是嵌入的在线客服，可以登录成一位客户",
        f"  接口文档   {stage.url}/api/v1/openapi.json",
        "你以谁的身份登录，谁就由你来回复；其余同事照常工作。按 Ctrl-C 结束。",
    ]
    return "\n".join(lines)


async def _play(stage: Stage, pace_s: float, seed: int, say: Callable[[str], None]) -> None:
    """The first seconds go fast, so that the queue is full when the page opens; then life is normal."""
    rng, begin = random.Random(seed), time.monotonic()
    await _befriend(stage.world, rng)
    home = family.family(stage.world)
    await family.live(stage, home, pause_s=_RINGS_S)

    def pace() -> float:
        return _RUSH_PACE_S if time.monotonic() - begin < _RUSH_S else pace_s

    async with reps.client() as http, asyncio.TaskGroup() as group:
        group.create_task(live(stage.world, pace, rng))
        group.create_task(_introduce(stage, home, say))
        for number, rep in enumerate(await reps.hire(stage)):
            one = random.Random(seed + number)
            group.create_task(reps.work(stage, rep, pace_s=pace_s, rng=one, http=http))


async def _introduce(stage: Stage, home: family.Family, say: Callable[[str], None]) -> None:
    """Who the family on six channels turned out to be."""
    say(f"一个家庭的三个人：{await family.in_words(stage, home)}")


async def _befriend(world: World, rng: random.Random) -> None:
    """Some customers have a rep as a friend in WeCom: those talks go through the rep's own hands."""
    wecom = next(outlet for outlet in world.outlets.values() if outlet.channel == "wecom")
    for number, persona in enumerate(rng.sample(world.personas, _FRIENDS)):
        await wecom.meet(persona, world.staff[number % 3])
