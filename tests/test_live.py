"""Live: a screen hears of every change once, and is told to start afresh when it heard too much."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from scrm.live import Change, Live
from tests.bus.room import Air, Ear, acquainted, process


def change(topic: str = "node:1", ident: int = 1, version: int = 1) -> Change:
    return Change(topic=topic, ident=ident, version=version)


async def test_a_screen_hears_only_its_topics() -> None:
    live = Live()

    with live.subscribe(1, ["node:1", "rep:2"]) as screen:
        live.publish(1, [change("node:1", 1), change("node:9", 2), change("rep:2", 3)])

        assert [c.ident for c in await screen.take(30)] == [1, 3]


async def test_what_is_published_between_subscribing_and_the_first_look_is_kept() -> None:
    live = Live()

    with live.subscribe(1, ["node:1"]) as screen:
        live.publish(1, [change()])
        await asyncio.sleep(0)  # the screen fetches its fresh state meanwhile

        assert await screen.take(30) == [change()]


async def test_one_thing_is_told_once_with_its_newest_version() -> None:
    live = Live()

    with live.subscribe(1, ["node:1"]) as screen:
        live.publish(1, [change(version=1), change(ident=2), change(version=2)])

        assert await screen.take(30) == [change(version=2), change(ident=2)]
        assert await screen.take(0) == []


async def test_a_waiting_screen_wakes_up() -> None:
    live = Live()

    with live.subscribe(1, ["node:1"]) as screen:
        waiting = asyncio.create_task(screen.take(30))
        await asyncio.sleep(0)
        live.publish(1, [change()])

        assert await waiting == [change()]


async def test_a_screen_that_fell_behind_starts_afresh_once_and_then_hears_on() -> None:
    live = Live()

    with live.subscribe(1, ["node:1"]) as slow, live.subscribe(1, ["node:1"]) as quick:
        for n in range(700):
            live.publish(1, [change(ident=n)])
            await quick.take(30)

        assert (quick.start_afresh(), slow.start_afresh(), slow.start_afresh()) == (False, True, False)
        assert [c.ident for c in await slow.take(30)][-1] == 699  # nothing after the overflow is missing


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=1200))
def test_whatever_was_published_is_told_or_the_screen_starts_afresh(said: list[tuple[int, int]]) -> None:
    live = Live()

    with live.subscribe(1, ["node:0", "node:1"]) as screen:
        live.publish(1, (change(f"node:{t}", i, n) for n, (t, i) in enumerate(said)))
        told = {(c.topic, c.ident) for c in asyncio.run(screen.take(0))} if said else set()
        afresh = screen.start_afresh()

    wanted = {(f"node:{t}", i) for t, i in said if t < 2}
    assert told == wanted or (afresh and told <= wanted)


async def test_closing_ends_every_stream_at_once() -> None:
    live = Live()

    with live.subscribe(1, ["node:1"]) as screen:
        waiting = asyncio.create_task(screen.take(30))
        await asyncio.sleep(0)
        live.close()

        assert await waiting == []
        assert screen.closed
        assert await screen.take(30) == []  # and never blocks again


def test_a_screen_that_left_is_forgotten() -> None:
    live = Live()

    with live.subscribe(1, ["node:1"]):
        assert (live.watched(1, "node:1"), live.screens) == (True, 1)

    assert (live.watched(1, "node:1"), live.screens) == (False, 0)
    live.publish(1, [change()])  # nobody listens: nothing happens


async def test_two_tenants_never_hear_each_other() -> None:
    live = Live()

    with live.subscribe(1, ["team:0"]) as ours, live.subscribe(2, ["team:0"]) as theirs:
        live.publish(2, [change("team:0")])

        assert await ours.take(0) == []
        assert await theirs.take(0) == [change("team:0")]


async def test_screens_of_all_processes_hear_a_change_once_and_only_their_tenants() -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        here, there = Live(one.bus), Live(two.bus)
        await acquainted(one, two)

        with (
            here.subscribe(1, ["node:1"]) as mine,
            there.subscribe(1, ["node:1"]) as theirs,
            there.subscribe(2, ["node:1"]) as strange,
        ):
            here.publish(1, [change(ident=5, version=3)])

            assert await theirs.take(30) == [change(ident=5, version=3)]
            assert await mine.take(30) == [change(ident=5, version=3)]
            assert (await mine.take(0.1), await theirs.take(0), await strange.take(0)) == ([], [], [])


async def test_every_screen_starts_afresh_when_the_bus_breaks_and_when_it_works_again() -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        there = Live(two.bus)
        await acquainted(one, two)

        with there.subscribe(1, ["node:1"]) as screen:
            for breaking in (air.cut, air.restore):
                breaking()

                async with asyncio.timeout(30):
                    while not screen.start_afresh():
                        await screen.take(30)
                assert there.deaf is air.still


async def test_alone_a_process_is_never_deaf() -> None:
    assert not Live().deaf
