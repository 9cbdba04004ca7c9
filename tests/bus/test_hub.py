"""The bus: said once, heard by the others once; a broken wire costs a fresh look, never a stale screen."""

from __future__ import annotations

import asyncio

import pytest

from scrm.bus import hub
from scrm.bus.hub import Bus
from tests.bus.room import Air, Ear, acquainted, process
from tests.ground import until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_AGAIN_S", 0.02)
    monkeypatch.setattr(hub, "_AGAIN_MAX_S", 0.05)
    monkeypatch.setattr(hub, "_BEAT_S", 0.05)


async def test_the_others_hear_what_one_says_and_nobody_hears_himself() -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two, process(Ear(air)) as three:
        await acquainted(one, two, three)

        one.bus.publish("word", "你好 1 2")
        two.bus.publish("word", "hello")

        await one.hears("hello")
        await two.hears("你好 1 2")
        await three.hears("你好 1 2", "hello")
        assert (one.heard, two.heard) == (["hello"], ["你好 1 2"])


async def test_what_is_said_at_once_travels_together_and_the_same_thing_once() -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        await acquainted(one, two)
        before = len(air.messages)

        for n in range(90):
            one.bus.publish("word", str(n % 30))

        await two.hears(*map(str, range(30)))
        assert two.heard == [str(n) for n in range(30)]
        assert len([m for m in air.messages[before:] if "word" in m]) == 1


async def test_more_than_fits_into_a_message_is_sent_in_several_none_too_long_for_postgresql() -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        await acquainted(one, two)

        for n in range(400):
            one.bus.publish("word", f"{n:04d} " + "宽" * 20)

        await two.hears(f"0399 {'宽' * 20}")
        assert len(two.heard) == 400
        assert max(len(m.encode()) for m in air.messages) < 7500


async def test_without_wires_nothing_happens() -> None:
    bus = Bus()

    async with bus.running():
        bus.publish("word", "x")

        assert (bus.deaf, bus.share, bus.wires) == (False, 1, {})


async def test_publishing_neither_waits_nor_fails_while_every_wire_is_broken_and_does_not_pile_up() -> None:
    air = Air("a", still=True)
    async with process(Ear(air)) as one:
        for n in range(12_000):
            one.bus.publish("word", str(n))

        assert one.bus.deaf
        assert one.bus.meter.counts["lost"] >= 7_000


async def test_the_second_wire_carries_on_when_the_first_breaks() -> None:
    first, second = Air("a"), Air("b")
    async with process(Ear(first), Ear(second)) as one, process(Ear(first), Ear(second)) as two:
        await acquainted(one, two)
        assert not second.messages  # as long as the first works, the second is not burdened

        first.cut()
        one.bus.publish("word", "over the second")

        await two.hears("over the second")
        assert (one.bus.deaf, one.bus.wires) == (False, {"a": False, "b": True})


async def test_who_is_deaf_on_the_first_wire_alone_is_told_over_the_second() -> None:
    first, second = Air("a"), Air("b")
    ear = Ear(first)
    async with (
        process(Ear(first), Ear(second)) as one,
        process(ear, Ear(second)) as two,
        process(Ear(first), Ear(second)) as three,
    ):
        await acquainted(one, two, three)
        ear.plug()

        async def told() -> bool:
            one.bus.publish("word", f"{len(first.messages)}")
            return bool(two.heard)

        await until(told)
        await asyncio.sleep(0.1)
        assert len(three.heard) == len(set(three.heard))  # two wires, but each message counts once


async def test_everybody_looks_afresh_when_the_only_wire_breaks_and_when_it_works_again() -> None:
    air = Air("a")
    async with process(Ear(air)) as one, process(Ear(air)) as two:
        await acquainted(one, two)
        for change in (air.cut, air.restore):
            before = two.missed

            change()

            async def afresh(before: int = before) -> bool:
                return two.missed > before

            await until(afresh)
            assert two.bus.deaf is air.still
        one.bus.publish("word", "again")
        await two.hears("again")


async def test_who_could_not_say_something_makes_the_others_look_afresh_as_soon_as_a_wire_works() -> None:
    air = Air("a")
    mute = Muted(air)
    async with process(mute) as one, process(Ear(air)) as two:
        await acquainted(one, two)
        before = two.missed
        mute.muted = True
        one.bus.publish("word", "never heard")

        async def lost() -> bool:
            return one.bus.meter.counts["lost"] >= 1

        await until(lost)
        assert two.missed == before
        mute.muted = False

        async def told() -> bool:
            return two.missed > before

        await until(told)
        assert two.heard == []


class Muted:
    """It hears, but cannot speak."""

    def __init__(self, air: Air) -> None:
        self._ear, self.muted = Ear(air), False

    @property
    def name(self) -> str:
        return self._ear.name

    async def send(self, message: str) -> None:
        if self.muted:
            raise TimeoutError
        await self._ear.send(message)

    async def listen(self, heard: hub.Heard, ready: object) -> None:
        await self._ear.listen(heard, ready)  # type: ignore[arg-type]


async def test_a_process_that_has_gone_no_longer_counts_but_stays_counted_by_who_cannot_hear() -> None:
    air, clock = Air("a"), Clock()
    one = Bus([Ear(air)], clock=clock)
    async with one.running():
        async with process(Ear(air)):

            async def two() -> bool:
                return one.share == 2

            await until(two)
        clock.now += 3600
        assert one.share == 1

        async with process(Ear(air)):
            await until(two)
            air.cut()

            async def deaf() -> bool:
                return one.deaf

            await until(deaf)
            clock.now += 3600
            assert one.share == 2


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_said_last_before_the_end_is_still_sent() -> None:
    air = Air("a")
    async with process(Ear(air)) as two:
        async with process(Ear(air)) as one:
            await acquainted(one, two)
            one.bus.publish("word", "goodbye")

        await two.hears("goodbye")
