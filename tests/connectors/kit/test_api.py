"""Tokens and calls: one fetch for everybody, one refresh and never a second, every error told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from connectors.kit import api
from connectors.kit.errcodes import TABLE, Action, raise_for
from connectors.kit.http import Guard
from connectors.kit.tokens import MemoryTokens
from scrm.contract import Account, Context
from scrm.errors import NotSent, Rejected, ScrmError, Unknown
from tests.connectors.support import NOW, account
from tests.connectors.vendor import TOKEN_OK, Vendor, page

GRANTS = {"wecom": (api.WECOM, "gettoken"), "wechat_oa": (api.OFFICIAL, "stable_token")}
EXPIRED: Mapping[str, Any] = {"errcode": 42001, "errmsg": "access_token expired"}


def context(guard: Guard, vendor: Vendor, channel: str = "wecom") -> Context:
    of: Account = account(channel, api_base=vendor.base)
    return Context(account=of, http=guard.http(of), tokens=MemoryTokens(), now=NOW)


async def test_200_cold_calls_make_one_token_fetch() -> None:
    async with Vendor({"x": [{"errcode": 0}]}).running() as vendor, Guard() as guard:
        ctx = context(guard, vendor)

        await asyncio.gather(*(api.call(ctx, "cgi-bin/x", grant=api.WECOM) for _ in range(200)))

        assert vendor.calls == {"gettoken": 1, "x": 200}


@pytest.mark.parametrize("channel", GRANTS)
async def test_one_expired_token_is_replaced_once(channel: str) -> None:
    grant, fetches = GRANTS[channel]
    tokens = [{**TOKEN_OK, "access_token": "old"}, {**TOKEN_OK, "access_token": "new"}]
    script = {fetches: tokens, "x": [EXPIRED, {"errcode": 0, "ok": 1}]}
    async with Vendor(script).running() as vendor, Guard() as guard:
        answer = await api.call(context(guard, vendor, channel), "cgi-bin/x", grant=grant, body={}, sent=True)

    assert answer["ok"] == 1
    assert [one.query["access_token"] for one in vendor.asked if one.path == "x"] == ["old", "new"]
    assert vendor.calls == {fetches: 2, "x": 2}


@pytest.mark.parametrize("code", [40014, 42001])
@pytest.mark.parametrize("channel", GRANTS)
async def test_a_token_that_stays_expired_costs_two_calls_and_two_fetches(channel: str, code: int) -> None:
    grant, fetches = GRANTS[channel]
    async with Vendor({"x": [{"errcode": code}]}).running() as vendor, Guard() as guard:
        with pytest.raises(NotSent) as failed:
            await api.call(context(guard, vendor, channel), "cgi-bin/x", grant=grant, body={}, sent=True)

    assert failed.value.code == str(code)
    assert vendor.calls == {fetches: 2, "x": 2}


async def test_40001_renews_an_official_account_token_and_is_final_for_wecom() -> None:
    async with Vendor({"x": [{"errcode": 40001}]}).running() as vendor, Guard() as guard:
        for channel, calls in (("wechat_oa", 2), ("wecom", 1)):
            vendor.asked.clear()
            grant, fetches = GRANTS[channel]
            with pytest.raises(Rejected):
                await api.call(context(guard, vendor, channel), "cgi-bin/x", grant=grant)
            assert vendor.calls == {fetches: calls, "x": calls}


async def test_50_calls_that_meet_an_expired_token_share_one_renewal() -> None:
    fresh = {**TOKEN_OK, "access_token": "new"}
    script = {"gettoken": [TOKEN_OK, fresh], "x": [*([EXPIRED] * 50), {"errcode": 0}]}
    async with Vendor(script).running() as vendor, Guard() as guard:
        ctx = context(guard, vendor)
        await api.token(ctx, api.WECOM)

        await asyncio.gather(*(api.call(ctx, "cgi-bin/x", grant=api.WECOM) for _ in range(50)))

        assert vendor.calls == {"gettoken": 2, "x": 100}


async def test_a_wrong_secret_is_final_and_asked_for_once() -> None:
    script = {"gettoken": [{"errcode": 40001, "errmsg": "invalid credential"}]}
    async with Vendor(script).running() as vendor, Guard() as guard:
        with pytest.raises(Rejected) as failed:
            await api.call(context(guard, vendor), "cgi-bin/x", grant=api.WECOM, sent=True)

    assert "Secret" in failed.value.sentence
    assert vendor.calls == {"gettoken": 1}


@pytest.mark.parametrize("reply", [page("200 OK", b"<html>"), "reset", {"errcode": 0}, {"access_token": 5}])
async def test_without_a_token_nothing_was_sent(reply: Any) -> None:
    async with Vendor({"gettoken": [reply]}).running() as vendor, Guard() as guard:
        with pytest.raises(NotSent):
            await api.call(context(guard, vendor), "cgi-bin/x", grant=api.WECOM, body={}, sent=True)

    assert vendor.calls["x"] == 0


async def test_a_failed_fetch_is_not_remembered() -> None:
    script = {"gettoken": [page("502 Bad Gateway", b"?"), TOKEN_OK], "x": [{"errcode": 0}]}
    async with Vendor(script).running() as vendor, Guard() as guard:
        ctx = context(guard, vendor)
        with pytest.raises(NotSent):
            await api.call(ctx, "cgi-bin/x", grant=api.WECOM, body={})

        assert await api.call(ctx, "cgi-bin/x", grant=api.WECOM, body={}) == {"errcode": 0}


async def test_an_unclear_end_matters_only_when_something_was_delivered() -> None:
    async with Vendor({"x": [page("200 OK", b"<html>")]}).running() as vendor, Guard() as guard:
        ctx = context(guard, vendor)

        with pytest.raises(Unknown):
            await api.call(ctx, "cgi-bin/x", grant=api.WECOM, body={}, sent=True)
        with pytest.raises(NotSent):
            await api.call(ctx, "cgi-bin/x", grant=api.WECOM, body={})


def test_a_token_is_shared_by_what_it_belongs_to_and_never_named_by_its_secret() -> None:
    one = account("wecom")
    same_app = replace(one, account_id=8, slug="other")
    other_secret = replace(one, secrets={**one.secrets, "secret": "rotated"})

    assert api.WECOM.key(one) == api.WECOM.key(same_app)
    others = [
        other_secret,
        replace(one, tenant_id=2),
        account("wecom", corp_id="ww-other"),
        account("wecom", api_base="http://127.0.0.1:1"),
    ]
    assert len({api.WECOM.key(of) for of in [one, *others]}) == 5
    assert "app-secret" not in api.WECOM.key(one)


def test_the_lifetime_is_never_longer_than_documented() -> None:
    for given, seconds in [(7200, 7200), ("60", 60), (-5, 1), (1e12, 7200), ("soon", 7200), (None, 7200)]:
        assert api.lifetime({"expires_in": given}) == seconds
    assert api.lifetime({}) == 7200


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_token_is_renewed_at_four_fifths_of_its_life() -> None:
    clock, fetched = Clock(), []

    async def fetch() -> tuple[str, float]:
        fetched.append(clock.now)
        return f"T{len(fetched)}", 100.0

    tokens = MemoryTokens(clock)
    assert await tokens.get("k", fetch) == "T1"
    clock.now = 79.9
    assert await tokens.get("k", fetch) == "T1"
    clock.now = 80.0
    assert await tokens.get("k", fetch) == "T2"
    assert fetched == [0.0, 80.0]


async def test_dropping_a_value_that_was_replaced_keeps_the_new_one() -> None:
    count = 0

    async def fetch() -> tuple[str, float]:
        nonlocal count
        count += 1
        return f"T{count}", 100.0

    tokens = MemoryTokens()
    await tokens.get("k", fetch)
    await tokens.drop("k", "T1")
    assert await tokens.get("k", fetch) == "T2"

    await tokens.drop("k", "T1")

    assert await tokens.get("k", fetch) == "T2"


async def test_a_caller_who_gives_up_does_not_take_the_token_from_the_others() -> None:
    gate = asyncio.Event()

    async def fetch() -> tuple[str, float]:
        await gate.wait()
        return "T", 100.0

    tokens = MemoryTokens()
    first = asyncio.create_task(tokens.get("k", fetch))
    second = asyncio.create_task(tokens.get("k", fetch))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()

    assert await second == "T"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failure_that_nobody_waits_for_is_quiet() -> None:
    gate = asyncio.Event()

    async def fetch() -> tuple[str, float]:
        await gate.wait()
        raise NotSent("down")

    tokens = MemoryTokens()
    only = asyncio.create_task(tokens.get("k", fetch))
    await asyncio.sleep(0)
    only.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await only
    await asyncio.sleep(0)


#: A code of every kind -> the error it must become, and how long to wait.
MEANINGS: list[tuple[Mapping[str, Any], bool, type[ScrmError] | None, float | None]] = [
    ({"errcode": 0}, True, None, None),
    ({"errcode": "0"}, True, None, None),
    ({"openid": "o"}, False, None, None),  # many answers have no errcode when all is well
    ({"openid": "o"}, True, Unknown, None),  # but a delivery without one is no answer
    ({"errcode": None}, True, Unknown, None),
    ({"errcode": "x"}, False, Unknown, None),
    ({"errcode": -1}, True, NotSent, 2.0),
    ({"errcode": 6000}, True, NotSent, 2.0),
    ({"errcode": 45033}, True, NotSent, 2.0),
    ({"errcode": 41096}, True, NotSent, 2.0),
    ({"errcode": 45009}, True, NotSent, 60.0),
    ({"errcode": 42001}, True, NotSent, 60.0),
    ({"errcode": 45015}, True, Rejected, None),
    ({"errcode": 45047}, True, Rejected, None),
    ({"errcode": 41050}, True, Rejected, None),
    ({"errcode": 95018}, True, Rejected, None),
    ({"errcode": 60020}, True, Rejected, None),
    ({"errcode": 123456}, True, Rejected, None),  # unknown, but a clear no
]


@pytest.mark.parametrize(("answer", "sent", "error", "wait_s"), MEANINGS)
def test_an_errcode_becomes_the_right_error(
    answer: Mapping[str, Any], sent: bool, error: type[ScrmError] | None, wait_s: float | None
) -> None:
    if error is None:
        raise_for(answer, sent=sent)
        return
    with pytest.raises(error) as failed:
        raise_for(answer, sent=sent)
    if isinstance(failed.value, NotSent):
        assert failed.value.retry_after_s == wait_s


def test_every_code_of_the_fact_sheet_has_a_sentence() -> None:
    listed = {
        -1, 6000, 40001, 40013, 40014, 42001, 40029, 40093, 40058, 40063, 45009, 45033, 48002, 60011, 60111,
        81013, 60020, 84061, 84071, 84074, 84083, 84084, 301052, 301053, 301059, 301060, 701008, 40201, 90207,
        91040, 45015, 45047, 43004, 45011, 41050, 41051, 41096, 41053, 95001, 95002, 95007, 95011, 95012,
        95013, 95016, 95018,
    }  # fmt: skip

    assert listed <= TABLE.keys()
    assert all(meaning.sentence.endswith("。") for meaning in TABLE.values())
    assert {meaning.action for meaning in TABLE.values()} == set(Action)
