"""Limits of visitors: levels refill, are bounded in memory and shared, and one visitor's touch no other's."""

from __future__ import annotations

import pytest

from scrm.errors import Busy, TooMany
from scrm.web import limits
from scrm.web.callers import caller
from scrm.web.limits import RATES, Limits

SHOP = (1, 7)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """Levels that all processes see, as simple as can be; `answers` False = nobody keeps them."""

    def __init__(self) -> None:
        self.answers = True
        self.spent: dict[tuple[tuple[int, int], str], float] = {}

    async def take(self, owner: tuple[int, int], api: str, *, burst: float, per_s: float) -> float | None:
        if not self.answers:
            return None
        spent = self.spent.get((owner, api), 0.0) + 1 / burst
        if spent > 1 + 1e-9:
            return 1 / per_s
        self.spent[owner, api] = spent
        return 0.0


async def spent(limits: Limits, visitor: str, address: str, what: str = "message") -> int:
    """How many go through before the first is refused."""
    for count in range(1000):
        try:
            await limits.take(what, SHOP, visitor, address)
        except TooMany:
            return count
    return 1000


async def test_a_visitor_may_burst_and_then_waits() -> None:
    clock = Clock()
    made = Limits(clock)
    (burst, per_s), _ = RATES["message"]

    assert await spent(made, "v1", "a1") == burst
    assert await spent(made, "v2", "a1") == burst
    clock.now += 3 / per_s
    assert await spent(made, "v1", "a1") == 3


async def test_one_address_cannot_pretend_to_be_many_visitors() -> None:
    made = Limits(Clock())
    _, (burst, _) = RATES["message"]

    through = sum([await spent(made, f"v{n}", "a1") for n in range(40)])

    assert through == burst
    assert await spent(made, "v-elsewhere", "a2") > 0


async def test_one_address_at_many_accounts_is_still_one() -> None:
    made = Limits(Clock())
    _, (burst, _) = RATES["session"]

    for n in range(int(burst)):
        await made.take("session", (1, n), "", "a1")

    with pytest.raises(TooMany):
        await made.take("session", (1, 999), "", "a1")


async def test_memory_is_bounded_whoever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_KEPT", 10)
    made = Limits(Clock())

    for n in range(100):
        await made.take("session", SHOP, f"v{n}", f"a{n}")

    assert len(made._levels) == 10  # noqa: SLF001


# -- several processes -------------------------------------------------------------------------------------
async def test_four_processes_allow_no_more_than_one() -> None:
    kept = Kept()
    house = [Limits(Clock(), shared=kept, share=lambda: 4) for _ in range(4)]
    (each, _), (place, _) = RATES["message"]

    assert sum([await spent(made, "v1", "a1") for made in house]) == each
    through = sum([await spent(made, f"v{n}", "a1") for made in house for n in range(2, 40)])
    assert through + each == place


async def test_one_process_may_use_up_what_is_shared() -> None:
    made = Limits(Clock(), shared=Kept(), share=lambda: 4)

    assert await spent(made, "v1", "a1") == RATES["message"][0][0]


async def test_while_nobody_keeps_the_levels_each_has_its_part() -> None:
    kept = Kept()
    kept.answers = False
    house = [Limits(Clock(), shared=kept, share=lambda: 4) for _ in range(4)]

    assert [await spent(made, "v1", "a1") for made in house] == [RATES["message"][0][0] // 4] * 4


async def test_what_was_counted_together_counts_when_the_levels_are_lost() -> None:
    kept = Kept()
    made = Limits(Clock(), shared=kept)
    await spent(made, "v1", "a1")

    kept.answers = False

    assert await spent(made, "v1", "a1") == 0
    assert await spent(made, "v2", "a1") > 0


async def test_those_who_keep_the_levels_do_not_learn_addresses() -> None:
    kept = Kept()
    made = Limits(Clock(), shared=kept, mark=lambda who: f"{len(who)}")

    await made.take("message", SHOP, "a-visitor", "81.69.216.43")

    assert list(kept.spent) == [(SHOP, "visit-message:9"), ((0, 0), "visit-message:13")]


# -- what costs more ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("shared", [None, Kept()])
async def test_megabytes_are_counted_not_files(shared: Kept | None) -> None:
    made = Limits(Clock(), shared=shared)
    (burst, _), _ = RATES["up"]

    for _ in range(int(burst // 20)):
        await made.take("up", SHOP, "v1", "a1", cost=20)

    with pytest.raises(TooMany):
        await made.take("up", SHOP, "v1", "a1", cost=20)


async def test_the_largest_file_is_possible_in_each_of_many_processes() -> None:
    made = Limits(Clock(), share=lambda: 16)

    await made.take("up", SHOP, "v1", "a1", cost=20)

    with pytest.raises(TooMany):
        await made.take("up", SHOP, "v1", "a1", cost=20)


# -- at the same time --------------------------------------------------------------------------------------
def test_places_are_given_back() -> None:
    made = Limits()
    with made.streaming("v"), made.streaming("v"), made.streaming("v"), made.streaming("v"):
        with pytest.raises(TooMany), made.streaming("v"):
            pass
        with made.streaming("w"):
            pass
    with made.streaming("v"):
        pass


def test_uploads_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_UPLOADS", 1)
    made = Limits()
    with made.uploading(), pytest.raises(Busy), made.uploading():
        pass
    with made.uploading():
        pass


def test_one_address_cannot_take_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_STREAMS_PLACE", 2)
    monkeypatch.setattr(limits, "_UPLOADS_PLACE", 2)
    made = Limits()

    with made.streaming("v1", address="a1"), made.streaming("v2", address="a1"):
        with pytest.raises(TooMany), made.streaming("v3", address="a1"):
            pass
        with made.streaming("v3", address="a2"):
            pass
    with made.uploading("a1"), made.uploading("a1"):
        with pytest.raises(TooMany), made.uploading("a1"):
            pass
        with made.uploading("a2"):
            pass
    with made.streaming("v3", address="a1"), made.uploading("a1"):
        pass


# -- who it is ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("81.69.216.43", [], "81.69.216.43"),
        # From outside nobody says who he is.
        ("81.69.216.43", ["1.2.3.4"], "81.69.216.43"),
        # Our proxy's word is the last; the others are the caller's own.
        ("10.0.0.5", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.5", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6,,  1.2.3.4 "], "1.2.3.4"),
        # A proxy may add a line of its own instead of a word.
        ("10.0.0.5", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        # Another port or another spelling is not another caller.
        ("10.0.0.5", ["1.2.3.4:4567"], "1.2.3.4"),
        ("10.0.0.5", ["::ffff:1.2.3.4"], "1.2.3.4"),
        ("::ffff:81.69.216.43", ["1.2.3.4"], "81.69.216.43"),
        ("::ffff:10.0.0.5", ["1.2.3.4"], "1.2.3.4"),
        # One line has 2^64 addresses.
        ("2402:4e00:1:2:3:4:5:6", [], "2402:4e00:1:2::/64"),
        ("10.0.0.5", ["2402:4e00:1:2::9"], "2402:4e00:1:2::/64"),
        ("10.0.0.5", ["[2402:4e00:1:2::9]:443"], "2402:4e00:1:2::/64"),
        # What is no address cannot be chosen at will either.
        ("10.0.0.5", ["made-up-1"], ""),
        ("10.0.0.5", ["made-up-2"], ""),
        # No proxy between us and a neighbour.
        ("10.0.0.5", [], "10.0.0.5"),
        # A load balancer of a cloud (carrier-grade range) and a unix socket.
        ("100.64.0.9", ["1.2.3.4"], "1.2.3.4"),
        ("", ["1.2.3.4"], "1.2.3.4"),
    ],
)
def test_limits_count_for_whom_our_own_proxy_names(peer: str, forwarded: list[str], who: str) -> None:
    assert caller(peer, forwarded) == who
