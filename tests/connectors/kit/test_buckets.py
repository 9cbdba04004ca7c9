"""Token buckets: a burst, then the rate; with nobody to count for all, each process has its part."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from connectors.kit.buckets import Buckets, Limit, Owner
from scrm.errors import NotSent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Common:
    """Shared levels as a test says: what `take` answers, and what was blocked."""

    answer: float | None = 0.0
    asked: int = 0
    blocked: list[tuple[Owner, str, float]] = field(default_factory=list)

    async def take(self, owner: Owner, api: str, *, burst: float, per_s: float) -> float | None:  # noqa: ARG002
        self.asked += 1
        return self.answer

    async def block(self, owner: Owner, api: str, seconds: float) -> None:
        self.blocked.append((owner, api, seconds))


async def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    clock = Clock()
    buckets = Buckets({"/x": Limit(burst=3, per_s=0.5)}, clock=clock)

    for _ in range(3):
        await buckets.take((1, 7), "/x")
    with pytest.raises(NotSent) as full:
        await buckets.take((1, 7), "/x")
    assert full.value.retry_after_s == 2.0

    await buckets.take((1, 8), "/x")  # another account
    await buckets.take((1, 7), "/y")  # another API
    clock.now = 2.0
    await buckets.take((1, 7), "/x")
    with pytest.raises(NotSent):
        await buckets.take((1, 7), "/x")


async def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    buckets = Buckets({"/x": Limit(burst=2, per_s=100)}, clock=clock)
    await buckets.take((1, 7), "/x")
    clock.now = 1e6

    for _ in range(2):
        await buckets.take((1, 7), "/x")
    with pytest.raises(NotSent):
        await buckets.take((1, 7), "/x")


async def test_the_shared_level_decides_while_somebody_keeps_it() -> None:
    common = Common()
    buckets = Buckets({"/x": Limit(burst=1, per_s=1)}, clock=Clock(), shared=common)

    for _ in range(5):
        await buckets.take((1, 7), "/x")
    common.answer = 3.5
    with pytest.raises(NotSent) as full:
        await buckets.take((1, 7), "/x")

    assert (full.value.retry_after_s, common.asked) == (3.5, 6)


async def test_with_nobody_to_count_for_all_each_process_has_its_part() -> None:
    clock, common = Clock(), Common(answer=None)
    buckets = Buckets({"/x": Limit(burst=8, per_s=4)}, clock=clock, shared=common, share=lambda: 4)

    for _ in range(2):
        await buckets.take((1, 7), "/x")
    with pytest.raises(NotSent) as full:
        await buckets.take((1, 7), "/x")
    assert full.value.retry_after_s == 1.0


async def test_however_many_processes_there_are_one_call_fits() -> None:
    clock = Clock()
    buckets = Buckets({"/x": Limit(burst=2, per_s=1)}, clock=clock, share=lambda: 10)

    await buckets.take((1, 7), "/x")
    with pytest.raises(NotSent) as full:
        await buckets.take((1, 7), "/x")
    assert full.value.retry_after_s == 10.0


async def test_a_block_is_told_to_all_and_holds_here_even_when_nobody_else_knows() -> None:
    clock, common = Clock(), Common()
    buckets = Buckets(clock=clock, shared=common)

    await buckets.block((1, 7), "/x", 60)

    assert common.blocked == [((1, 7), "/x", 60)]
    with pytest.raises(NotSent) as blocked:
        await buckets.take((1, 7), "/x")
    assert (blocked.value.retry_after_s, common.asked) == (60, 0)
    clock.now = 60
    await buckets.take((1, 7), "/x")
