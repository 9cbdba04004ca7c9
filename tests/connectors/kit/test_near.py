"""Hosts named in settings: reached in a private network, they alone, below their base alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.kit.http import Guard, is_near, under
from scrm.contract import Account
from scrm.errors import NotSent
from tests.connectors.support import account
from tests.connectors.vendor import Vendor


@pytest.mark.parametrize(
    "address",
    ["10.0.3.7", "172.16.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::7", "8.8.8.8", "2606:4700::1111"],
)
def test_a_house_of_one_s_own_is_near(address: str) -> None:
    assert is_near(address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::ffff:169.254.169.254",
    ],
)
def test_what_keeps_a_cloud_s_secrets_never_is(address: str) -> None:
    assert not is_near(address)


BASE = "http://10.0.3.7/rec"


@pytest.mark.parametrize(
    "url", [BASE, f"{BASE}/", f"{BASE}/a/b.wav", f"{BASE}/x.wav?y=1", "http://10.0.3.7:80/rec/a"]
)
def test_a_file_below_the_base_is_under_it(url: str) -> None:
    assert under(url, BASE)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.3.7/record/a", "http://10.0.3.7/", "https://10.0.3.7/rec/a", "http://10.0.3.7:8080/rec/a",
        "http://10.0.3.70/rec/a", "http://10.0.3.7.evil.example/rec/a", "http://10.0.3.7@evil.example/rec/a",
        "http://evil.example@10.0.3.7/rec/a", "http://10.0.3.7/rec/../etc", "http://10.0.3.7/rec/%2e%2e/etc",
        "http://10.0.3.7/rec/%2E%2e/etc", "/rec/a", "", "http://[", "file:///rec/a",
    ],
)  # fmt: skip
def test_anything_else_is_not(url: str) -> None:
    assert not under(url, BASE)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    good = [{"errcode": 0}]
    async with Vendor(
        {path: good for path in ("/rec/1.wav", "/other/1.wav", "/asr", "/admin")}
    ).running() as made:
        yield made


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    async with Guard() as made:
        yield made


def with_base(base: str) -> Account:
    return account("calls", recordings_base=base)


async def test_only_the_named_host_is_reached_inside(vendor: Vendor, guard: Guard) -> None:
    http = guard.http(with_base(at(vendor, "rec")))

    got = await http.download(at(vendor, "rec/1.wav"), limit=1000)
    with pytest.raises(NotSent):
        await http.download(at(vendor, "other/1.wav"), limit=1000)

    assert got.content
    assert asked(vendor) == ["rec/1.wav"]


async def test_an_account_without_a_base_reaches_nothing_inside(vendor: Vendor, guard: Guard) -> None:
    with pytest.raises(NotSent):
        await guard.http(account("calls")).download(at(vendor, "rec/1.wav"), limit=1000)

    assert asked(vendor) == []


async def test_a_service_of_the_operator_s_is_reached_where_it_was_named(
    vendor: Vendor, guard: Guard
) -> None:
    http = guard.named(at(vendor, "asr"))

    await http.json("POST", at(vendor, "asr"), body={})
    with pytest.raises(NotSent):
        await http.json("POST", at(vendor, "admin"), body={})

    assert asked(vendor) == ["asr"]


def asked(vendor: Vendor) -> list[str]:
    return [one.path.strip("/") for one in vendor.asked]


def at(vendor: Vendor, path: str) -> str:
    return f"{vendor.base}/{path}"
