"""How many live streams one person may hold open."""

from __future__ import annotations

from contextlib import AsyncExitStack

from scrm.web.stream import _SCREENS_EACH as MOST
from tests.web.office import Office, until


async def test_one_persons_streams_are_bounded_and_nobody_elses_suffer(desk: Office) -> None:
    async with AsyncExitStack() as stack:

        async def open_one(who: str) -> int:
            headers = {"Cookie": f"scrm={desk.sessions[who]}"}
            answer = await stack.enter_async_context(desk.http.get(f"{desk.url}/live", headers=headers))
            return answer.status

        mine = [await open_one("rep") for _ in range(MOST + 2)]
        theirs = await open_one("peer")

    assert mine == [200] * MOST + [429] * 2
    assert theirs == 200

    async def left() -> bool:
        return desk.service.house.live.screens == 0

    await until(left)
    async with AsyncExitStack() as stack:
        assert await open_one("rep") == 200  # closed ones make room
