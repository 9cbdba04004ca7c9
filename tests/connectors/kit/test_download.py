"""Files of vendors: bounded, from allowed hosts alone, and told apart: gone, later, too large."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors.kit.buckets import Buckets
from connectors.kit.http import Guard, Http, is_public, open_session
from scrm.contract import Account, Media
from scrm.errors import NotSent, Rejected, TooLarge
from tests.connectors.kit.test_http import HOSTS, PUBLIC, Clock, Names, plays_public
from tests.connectors.support import account
from tests.connectors.vendor import Bytes, Reply, Vendor, page

LIMIT = 64 * 1024
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 10


def at(vendor: Vendor) -> Account:
    return account("wecom", api_base=vendor.base)


def file(
    content: bytes = JPEG, mime: str = "image/jpeg", more: str = "", *, length: int | None = None
) -> Bytes:
    size = len(content) if length is None else length
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\nContent-Length: {size}\r\n{more}\r\n"
    return Bytes(head.encode() + content)


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    async with Guard() as made:
        yield made


async def fetched(guard: Guard, reply: Reply, *, limit: int = LIMIT, timeout_s: float = 2.0) -> Media:
    async with Vendor({"f": [reply]}).running() as vendor:
        return await guard.http(at(vendor)).download(
            f"{vendor.base}/cgi-bin/f", limit=limit, timeout_s=timeout_s
        )


# -- what comes back ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("", ""),
        ('Content-Disposition: attachment; filename="课程表.jpg"\r\n', "课程表.jpg"),
        ("Content-Disposition: attachment; filename*=UTF-8''%E8%AF%BE.jpg\r\n", "课.jpg"),
        ('Content-Disposition: attachment; filename="  "\r\n', ""),
        (f'Content-Disposition: attachment; filename="{"x" * 200}.jpg"\r\n', "x" * 76 + ".jpg"),
    ],
)
async def test_a_file_comes_with_what_the_server_calls_it(guard: Guard, more: str, name: str) -> None:
    got = await fetched(guard, file(more=more))

    assert got == Media(name=name, mime="image/jpeg", content=JPEG)


async def test_a_refusal_as_json_comes_back_as_a_file_for_the_connector_to_read(guard: Guard) -> None:
    said = b'{"errcode": 40007, "errmsg": "invalid media_id"}'

    assert await fetched(guard, file(said, "application/json; charset=UTF-8")) == Media(
        name="", mime="application/json", content=said
    )


async def test_the_query_and_headers_go_along(guard: Guard) -> None:
    async with Vendor({"f": [file()]}).running() as vendor:
        await guard.http(at(vendor)).download(
            f"{vendor.base}/cgi-bin/f",
            params={"media_id": "中&x"},
            headers={"Range": "bytes=0-"},
            limit=LIMIT,
        )

    assert vendor.asked[0].query == {"media_id": "中&x"}


# -- how much ----------------------------------------------------------------------------------------------
async def test_a_file_of_exactly_the_limit_fits_and_one_byte_more_does_not(guard: Guard) -> None:
    assert len((await fetched(guard, file(b"x" * LIMIT))).content) == LIMIT
    with pytest.raises(TooLarge):
        await fetched(guard, file(b"x" * (LIMIT + 1)))


async def test_a_file_that_unpacks_to_more_than_the_limit_is_too_large(guard: Guard) -> None:
    bomb = gzip.compress(b"\0" * (50 * LIMIT))
    assert len(bomb) < LIMIT

    with pytest.raises(TooLarge):
        await fetched(guard, file(bomb, more="Content-Encoding: gzip\r\n"))


async def test_an_endless_file_is_not_read_to_its_end(guard: Guard) -> None:
    endless = Bytes(b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\n" + b"x" * (4 * LIMIT))

    with pytest.raises(TooLarge):
        await fetched(guard, endless)


# -- why not -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "status", ["400 Bad Request", "401 No", "403 Forbidden", "404 Not Found", "410 Gone"]
)
async def test_what_is_not_there_is_rejected_for_good(guard: Guard, status: str) -> None:
    with pytest.raises(Rejected) as refused:
        await fetched(guard, page(status, b"?"))

    assert refused.value.code == f"http_{status[:3]}"


LATER: dict[str, Any] = {
    "busy": page("503 Busy", b"?"),
    "too many": page("429 Slow down", b"?"),
    "too slow": page("408 Timeout", b"?"),
    "bad gateway": page("502 Bad Gateway", b"?"),
    "moved": page("302 Found", b"", more="Location: http://127.0.0.1:1/x\r\n"),
    "nothing new": page("204 No Content", b""),
    "short body": file(length=len(JPEG) + 100),
    "reset": "reset",
    "close": "close",
    "hang": "hang",
    "drip": "drip",
}


@pytest.mark.parametrize("reply", LATER.values(), ids=list(LATER))
async def test_anything_unclear_is_asked_again_later(guard: Guard, reply: Reply) -> None:
    with pytest.raises(NotSent):
        await fetched(guard, reply, timeout_s=0.5)


# -- from where --------------------------------------------------------------------------------------------
def http(session: Any) -> Http:
    return Http(session, owner=(1, 7), buckets=Buckets(), https_only=False)


@pytest.mark.parametrize("host", [*HOSTS, "2130706433", "0177.0.0.1", "127.1"])
@pytest.mark.parametrize("allow", [is_public, plays_public])
async def test_no_form_of_an_inside_address_gives_a_file(host: str, allow: Callable[[str], bool]) -> None:
    async with Vendor({"f": [file()]}).running() as vendor:
        async with open_session(allow, resolver=Names("127.0.0.1")) as session:
            with pytest.raises(NotSent):
                await http(session).download(f"http://{host}:{vendor.port}/cgi-bin/f", limit=LIMIT)

        assert vendor.asked == []


async def test_a_redirect_is_not_followed_not_even_to_an_allowed_host() -> None:
    async with Vendor({"f": [file()]}, host=PUBLIC).running() as other:
        moved = page("302 Found", b"", more=f"Location: {other.base}/cgi-bin/f\r\n")
        async with (
            Vendor({"f": [moved]}, host=PUBLIC).running() as outside,
            open_session(plays_public) as session,
        ):
            with pytest.raises(NotSent):
                await http(session).download(f"{outside.base}/cgi-bin/f", limit=LIMIT)
            assert await http(session).download(f"{other.base}/cgi-bin/f", limit=LIMIT)  # it could be reached

    assert len(other.asked) == 1


async def test_a_file_is_asked_for_over_tls_only() -> None:
    async with Guard() as guard:
        for url in ("http://8.8.8.8/f", "ftp://8.8.8.8/f", "file:///etc/passwd", "//8.8.8.8/f", "http://["):
            with pytest.raises(NotSent) as refused:
                await guard.http(account("wecom")).download(url, limit=LIMIT)
            assert refused.value.code == "bad_url"


async def test_a_quota_that_is_used_up_stops_downloads_of_this_api_too() -> None:
    clock = Clock()
    buckets = Buckets(clock=clock)
    async with Vendor({"f": [file()]}).running() as vendor, Guard(buckets=buckets) as guard:
        client, url = guard.http(at(vendor)), f"{vendor.base}/cgi-bin/f"
        await buckets.block((1, 7), "/cgi-bin/f", 60)

        with pytest.raises(NotSent):
            await client.download(url, limit=LIMIT)
        clock.now = 60.0
        assert await client.download(url, limit=LIMIT)

    assert vendor.calls == {"f": 1}
