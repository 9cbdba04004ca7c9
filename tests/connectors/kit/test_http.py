"""The guarded client: where it may connect, and which failures are clear."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.abc import AbstractResolver, ResolveResult

from connectors.kit.buckets import Buckets
from connectors.kit.http import LONGEST, Guard, Http, is_public, loopback_base, open_session
from scrm.contract import Account, Media
from scrm.errors import NotSent, Unknown
from tests.connectors.support import account
from tests.connectors.vendor import Reply, Vendor, page

PUBLIC = "127.0.0.2"


class Names(AbstractResolver):
    """Answers every name with the next address; the last one stays."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else family or socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


def plays_public(address: str) -> bool:
    return address == PUBLIC


def http(session: ClientSession) -> Http:
    return Http(session, owner=(1, 7), buckets=Buckets(), https_only=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
        "2002:7f00:1::", "2001::1",
    ],
)  # fmt: skip
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "101.226.129.166", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_outside_is_public(address: str) -> None:
    assert is_public(address)


def listeners_hit(vendor: Vendor) -> int:
    return len(vendor.asked)


#: Ways to write this machine. Names go through a resolver that answers as the system's would.
HOSTS = [
    "127.0.0.1",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "localhost",
    "0x7f000001",
    "evil.example",
    "127.0.0.1.",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("allow", [is_public, plays_public])
async def test_no_form_of_an_inside_address_is_reached(host: str, allow: Callable[[str], bool]) -> None:
    async with Vendor({"x": [{"errcode": 0}]}).running() as vendor:
        async with open_session(allow, resolver=Names("127.0.0.1")) as session:
            with pytest.raises(NotSent):
                await http(session).json("GET", f"http://{host}:{vendor.port}/cgi-bin/x")

        assert listeners_hit(vendor) == 0


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "127.1"])
async def test_odd_numbers_for_a_host_are_refused(host: str) -> None:
    async with Vendor({"x": [{"errcode": 0}]}).running() as vendor:
        async with open_session(is_public, resolver=Names("127.0.0.1")) as session:
            with pytest.raises(NotSent):
                await http(session).json("GET", f"http://{host}:{vendor.port}/cgi-bin/x")

        assert listeners_hit(vendor) == 0


async def test_a_name_that_moves_inside_is_caught_on_the_second_request() -> None:
    async with (
        Vendor({"x": [{"errcode": 0}, "close"]}, host=PUBLIC).running() as outside,
        open_session(plays_public, resolver=Names(PUBLIC, "127.0.0.1")) as session,
    ):
        url = f"http://rebind.example:{outside.port}/cgi-bin/x"
        assert await http(session).json("GET", url, body={}) == {"errcode": 0}
        with pytest.raises(Unknown):
            await http(session).json("POST", url, body={})
        session.connector.clear_dns_cache()  # type: ignore[union-attr]

        with pytest.raises(NotSent) as refused:
            await http(session).json("POST", url, body={})

        assert refused.value.code == "blocked"
        assert listeners_hit(outside) == 2


async def test_a_redirect_from_an_allowed_host_is_not_followed() -> None:
    async with Vendor({"x": [{"errcode": 0}]}).running() as inside:
        moved = page("302 Found", b"", more=f"Location: {inside.base}/cgi-bin/x\r\n")
        async with (
            Vendor({"x": [moved]}, host=PUBLIC).running() as outside,
            open_session(plays_public) as session,
        ):
            with pytest.raises(Unknown):
                await http(session).json("GET", f"{outside.base}/cgi-bin/x")

        assert listeners_hit(inside) == 0


async def test_an_allowed_host_is_reached_by_address_and_by_name() -> None:
    async with (
        Vendor({"x": [{"errcode": 0}]}, host=PUBLIC).running() as outside,
        open_session(plays_public, resolver=Names(PUBLIC)) as session,
    ):
        for host in (PUBLIC, "api.example"):
            assert await http(session).json("GET", f"http://{host}:{outside.port}/cgi-bin/x") == {
                "errcode": 0
            }


def based_at(base: str) -> Account:
    return account("wecom", api_base=base)


async def test_only_an_account_of_a_simulator_reaches_this_machine() -> None:
    async with Vendor({"x": [{"errcode": 0}]}).running() as vendor, Guard(https_only=False) as guard:
        url = f"{vendor.base}/cgi-bin/x"

        assert await guard.http(based_at(vendor.base)).json("GET", url) == {"errcode": 0}
        for other in ("", "https://qyapi.weixin.qq.com", "http://127.0.0.1.evil.example", "http://10.0.0.1"):
            with pytest.raises(NotSent):
                await guard.http(based_at(other)).json("GET", url)

        assert listeners_hit(vendor) == 1


async def test_an_account_of_a_simulator_reaches_nothing_else() -> None:
    async with Guard() as guard:
        with pytest.raises(NotSent) as refused:
            await guard.http(based_at("http://127.0.0.1:1")).json("GET", "https://8.8.8.8/cgi-bin/x")

    assert refused.value.code == "blocked"


async def test_secrets_do_not_travel_without_tls() -> None:
    async with Guard() as guard:
        for url in ("http://8.8.8.8/cgi-bin/gettoken", "ftp://8.8.8.8/x", "http://[", "//x"):
            with pytest.raises(NotSent) as refused:
                await guard.http(based_at("")).json("GET", url)
            assert refused.value.code == "bad_url"


@pytest.mark.parametrize(
    ("base", "is_this_machine"),
    [
        ("http://127.0.0.1:8801", True),
        ("http://localhost:8801/", True),
        ("http://[::1]:8801", True),
        ("https://qyapi.weixin.qq.com", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_loopback_is_told_by_the_host_alone(base: str, is_this_machine: bool) -> None:
    assert loopback_base(base) is is_this_machine


UNCLEAR: dict[str, Reply] = {
    "html": page("200 OK", b"<html>busy</html>"),
    "error page": page("502 Bad Gateway", b"<html>nginx</html>"),
    "errcode in a 500": page("500 Oops", b'{"errcode": 0}'),
    "not an object": page("200 OK", b"[1]"),
    "empty": page("200 OK", b""),
    "truncated json": page("200 OK", b'{"errcode": 0'),
    "short body": page("200 OK", b'{"errcode": 0}', length=400),
    "deep": page("200 OK", b"[" * 100_000),
    "endless": page("200 OK", b'{"a": "' + b"x" * (LONGEST + 10) + b'"}'),
    "reset": "reset",
    "close": "close",
    "hang": "hang",
    "drip": "drip",
}


@pytest.mark.parametrize("reply", UNCLEAR.values(), ids=list(UNCLEAR))
async def test_no_clear_answer_is_unknown(reply: Reply) -> None:
    async with Vendor({"x": [reply]}).running() as vendor, Guard() as guard:
        with pytest.raises(Unknown):
            await guard.http(based_at(vendor.base)).json(
                "POST", f"{vendor.base}/cgi-bin/x", body={"a": 1}, timeout_s=0.5
            )

        assert vendor.calls["x"] == 1


async def test_a_closed_port_is_certainly_not_sent() -> None:
    async with Vendor({}).running() as vendor:
        base = vendor.base
    async with Guard() as guard:
        with pytest.raises(NotSent) as failed:
            await guard.http(based_at(base)).json("POST", f"{base}/cgi-bin/x", body={})

    assert failed.value.code == "connect"


async def test_chinese_travels_as_utf8_and_odd_answers_come_back_clean() -> None:
    answer = page("200 OK", b'\xef\xbb\xbf{"errcode": 0, "name": "a\x01b", "emoji": "\\ud83d\\ude00\\ud800"}')
    async with Vendor({"x": [answer]}).running() as vendor, Guard() as guard:
        found = await guard.http(based_at(vendor.base)).json(
            "POST", f"{vendor.base}/cgi-bin/x", params={"q": "中 文&"}, body={"text": "你好😀"}
        )

    assert found == {"errcode": 0, "name": "a\x01b", "emoji": "😀?"}
    assert vendor.asked[0].body == '{"text":"你好😀"}'.encode()
    assert vendor.asked[0].query == {"q": "中 文&"}


@pytest.mark.parametrize(
    ("name", "mime", "written"),
    [
        ("photo.png", "image/png", b'filename="photo.png"'),
        ("课程表.png", "image/png", b'filename="media.png"'),
        ('a"\r\nX: y', "image/jpeg", b'filename="media.jpeg"'),
        ("", "application/x;y\r\n", b'filename="media.x"'),
    ],
)
async def test_a_file_goes_as_the_field_media(name: str, mime: str, written: bytes) -> None:
    async with Vendor({"media/upload": [{"media_id": "m"}]}).running() as vendor, Guard() as guard:
        media = Media(name=name, mime=mime.partition(";")[0], content=b"\x89PNG" * 500_000)
        found = await guard.http(based_at(vendor.base)).upload(
            f"{vendor.base}/cgi-bin/media/upload", params={"type": "image"}, media=media
        )

    assert found == {"media_id": "m"}
    assert b'name="media"' in vendor.asked[0].body
    assert written in vendor.asked[0].body
    assert media.content in vendor.asked[0].body


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_used_up_quota_stops_this_api_of_this_account_for_a_minute() -> None:
    clock = Clock()
    script: dict[str, list[Any]] = {"x": [{"errcode": 45009}, {"errcode": 0}], "y": [{"errcode": 0}]}
    async with Vendor(script).running() as vendor, Guard(buckets=Buckets(clock=clock)) as guard:
        client = guard.http(based_at(vendor.base))
        assert await client.json("GET", f"{vendor.base}/cgi-bin/x") == {"errcode": 45009}

        with pytest.raises(NotSent) as blocked:
            await client.json("GET", f"{vendor.base}/cgi-bin/x")
        assert blocked.value.retry_after_s == 60.0
        assert await client.json("GET", f"{vendor.base}/cgi-bin/y") == {"errcode": 0}
        clock.now = 60.0
        assert await client.json("GET", f"{vendor.base}/cgi-bin/x") == {"errcode": 0}

    assert vendor.calls == {"x": 2, "y": 1}
