"""The one guarded way out: JSON over aiohttp, a timeout on everything, no redirects, addresses checked."""

from __future__ import annotations

import io
import ipaddress
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, Self

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    FormData,
    InvalidURL,
    NonHttpUrlClientError,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from aiohttp.client import _RequestContextManager
from yarl import URL

from connectors.kit.buckets import QUOTA_BLOCK_S, Buckets
from connectors.kit.xml import clean
from scrm.contract import Account, Media
from scrm.errors import NotSent, Rejected, TooLarge, Unknown

Allow = Callable[[str], bool]
#: Longest answer we read; the longest real one is a page of 1,000 messages.
LONGEST = 4 * 1024 * 1024
#: Part of the timeout a connection may take: a call that never connected is known not to have left.
_CONNECT_PART = 0.7
#: Shorter than the vendors' own, so that we rarely write into a connection they have just closed.
_KEEPALIVE_S = 10.0
_QUOTA: Final = 45009
_PLAIN_NAME = re.compile(r"[0-9A-Za-z._-]{1,64}")
#: IPv6 ranges that carry an IPv4 address of the writer's choice, and the old site-local ones.
_CARRIERS = tuple(ipaddress.IPv6Network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "fec0::/10"))
_HEADERS = {"User-Agent": "scrm", "Accept-Encoding": "identity"}


class _Blocked(OSError):
    """The guard refused the address."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, whatever form it is written in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip.sixtofour is not None or ip.teredo is not None or any(ip in n for n in _CARRIERS):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


#: Hosts of a house of one's own; never link-local, where clouds keep their metadata.
_HOUSES = tuple(
    ipaddress.ip_network(n)
    for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1/128", "fc00::/7")
)


def is_near(address: str) -> bool:
    """Public, or a private network: only for a host that the operator wrote down by name."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return any(ip in n for n in _HOUSES if n.version == ip.version) or is_public(address)


def under(url: str, base: str) -> bool:
    """Whether `url` lies at or below `base`: the same scheme, host and port, and its folder."""
    try:
        a, b = URL(url), URL(base)
        folder = b.path.rstrip("/")
        inside = a.path == folder or a.path.startswith(f"{folder}/")
        steps = a.raw_path.lower().replace("%2e", ".").split("/")
        same = (a.scheme, a.host, a.port) == (b.scheme, b.host, b.port)
        return bool(b.host) and same and not a.user and inside and ".." not in steps
    except (ValueError, TypeError):
        return False


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


@lru_cache(maxsize=256)
def loopback_base(base: str) -> bool:
    """Whether a base URL names this machine itself: only a simulator does."""
    try:
        host = URL(base).host or ""
        return host == "localhost" or is_loopback(host)
    except ValueError:
        return False


def open_session(allow: Allow = is_public, *, resolver: AbstractResolver | None = None) -> ClientSession:
    """A client that connects only to addresses `allow` accepts; checked on the final socket address.

    A check in the resolver is not enough: aiohttp never asks it about IP literals.
    """

    def guarded(found: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, address = found
        if not allow(str(address[0])):
            raise _Blocked(f"address not allowed: {address[0]}")
        return socket.socket(family=family, type=kind, proto=proto)

    connector = TCPConnector(socket_factory=guarded, resolver=resolver, keepalive_timeout=_KEEPALIVE_S)
    return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False, headers=_HEADERS)


class Http:
    """`contract.Http` for one account."""

    def __init__(
        self,
        session: ClientSession,
        *,
        owner: tuple[int, int],
        buckets: Buckets,
        https_only: bool = True,
        near: tuple[str, ClientSession] | None = None,
    ) -> None:
        self._session = session
        #: A base the operator wrote down, and the client that may reach it in a private network.
        self._near = near
        self._owner = owner
        self._buckets = buckets
        self._https_only = https_only

    async def json(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> dict[str, Any]:
        data, sent = None, dict(headers or {})
        if body is not None:
            # The vendors store \uXXXX literally in some fields: real UTF-8 only.
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            sent["Content-Type"] = "application/json; charset=utf-8"
        return await self._exchange(
            method, url, timeout_s, params=dict(params or {}), data=data, headers=sent
        )

    async def upload(
        self,
        url: str,
        *,
        params: Mapping[str, str],
        media: Media,
        timeout_s: float = 15.0,
        headers: Mapping[str, str] | None = None,
        field: str = "media",
    ) -> dict[str, Any]:
        form = FormData(quote_fields=False)
        form.add_field(field, io.BytesIO(media.content), filename=_file_name(media), content_type=media.mime)
        return await self._exchange(
            "POST", url, timeout_s, params=dict(params), data=form, headers=dict(headers or {})
        )

    async def download(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int,
        timeout_s: float = 30.0,
    ) -> Media:
        await self._buckets.take(self._owner, self._api(url))
        try:
            async with _told_apart():
                async with self._request(
                    "GET", url, timeout_s, params=dict(params or {}), headers=dict(headers or {})
                ) as response:
                    return await _file(response, limit)
        except Unknown as unclear:  # reading twice does no harm
            raise NotSent("文件没有取完，稍后自动重试。", code="download") from unclear

    async def _exchange(self, method: str, url: str, timeout_s: float, **request: Any) -> dict[str, Any]:
        api = self._api(url)
        await self._buckets.take(self._owner, api)
        async with _told_apart():
            async with self._request(method, url, timeout_s, **request) as response:
                answer = _decoded(response, await _read(response))
        if answer.get("errcode") == _QUOTA:
            await self._buckets.block(self._owner, api, QUOTA_BLOCK_S)
        return answer

    def _request(self, method: str, url: str, timeout_s: float, **request: Any) -> _RequestContextManager:
        connect_s = timeout_s * _CONNECT_PART
        timeout = ClientTimeout(total=timeout_s, connect=connect_s, sock_connect=connect_s)
        session = self._near[1] if self._near and under(url, self._near[0]) else self._session
        return session.request(method, url, timeout=timeout, allow_redirects=False, **request)

    def _api(self, url: str) -> str:
        try:
            parsed = URL(url)
        except ValueError as broken:
            raise NotSent("平台地址不正确：请检查 api_base。", code="bad_url") from broken
        near = self._near is not None and under(url, self._near[0])
        if self._https_only and parsed.scheme != "https" and not near:
            raise NotSent("平台地址必须是 https：请检查 api_base。", code="bad_url")
        return parsed.path


class Guard:
    """Owns the clients of a process: the internet, simulators on this machine, hosts named in settings.

    An account whose `api_base` is loopback reaches nothing but loopback, every other account never does;
    the one exception is what lies under an account's own `recordings_base`.
    """

    def __init__(
        self, *, public: Allow = is_public, buckets: Buckets | None = None, https_only: bool = True
    ) -> None:
        self._public = open_session(public)
        self._loopback = open_session(is_loopback)
        self._nearby = open_session(is_near)
        self._buckets = buckets or Buckets()
        self._https_only = https_only

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def http(self, account: Account) -> Http:
        owner = (account.tenant_id, account.account_id)
        if loopback_base(account.get("api_base")):
            return Http(self._loopback, owner=owner, buckets=self._buckets, https_only=False)
        base = account.get("recordings_base")
        near = (base, self._nearby) if base else None
        return Http(self._public, owner=owner, buckets=self._buckets, https_only=self._https_only, near=near)

    def named(self, base: str) -> Http:
        """For a service of the operator's own settings: at or below `base` also in a private network."""
        return Http(self._public, owner=(0, 0), buckets=self._buckets, near=(base, self._nearby))

    async def close(self) -> None:
        for session in (self._public, self._loopback, self._nearby):
            await session.close()


@asynccontextmanager
async def _told_apart() -> AsyncIterator[None]:
    """Every way a request can fail: certainly not sent, or without a clear answer."""
    try:
        yield
    except ClientConnectorError as failed:
        if isinstance(failed.os_error, _Blocked):
            raise NotSent("平台地址指向内网，已拦截：请检查 api_base。", code="blocked") from failed
        raise NotSent("连不上平台，稍后自动重试。", code="connect") from failed
    except ConnectionTimeoutError as failed:
        raise NotSent("连接平台超时，稍后自动重试。", code="connect") from failed
    except (InvalidURL, NonHttpUrlClientError) as failed:
        raise NotSent("平台地址不正确：请检查 api_base。", code="bad_url") from failed
    except (ClientError, TimeoutError, OSError) as failed:
        raise Unknown from failed


async def _read(response: ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > LONGEST:
            raise Unknown
    return bytes(body)


async def _file(response: ClientResponse, limit: int) -> Media:
    if response.status != 200:
        if 400 <= response.status < 500 and response.status not in (408, 429):
            raise Rejected("平台上已经没有这个文件，或不允许下载。", code=f"http_{response.status}")
        raise NotSent("平台暂时给不出这个文件，稍后自动重试。", code=f"http_{response.status}")
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"文件超过 {limit // 1024 // 1024} MB，没有保存。")
    named = response.content_disposition.filename if response.content_disposition else None
    return Media(name=(named or "").strip()[-80:], mime=response.content_type, content=bytes(body))


def _decoded(response: ClientResponse, body: bytes) -> dict[str, Any]:
    # Anything but a JSON object in a 200 comes from something in between, not from the API.
    if response.status != 200:
        raise Unknown
    try:
        # Not strict: nicknames with raw control characters do occur.
        answer = json.loads(body.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError) as broken:
        raise Unknown from broken
    if not isinstance(answer, dict):
        raise Unknown
    return dict(clean(answer)) if b"\\u" in body else answer


def _file_name(media: Media) -> str:
    # The vendors read file names as bytes of their own liking; ASCII always arrives.
    if _PLAIN_NAME.fullmatch(media.name):
        return media.name
    suffix = media.mime.rpartition("/")[2].partition(";")[0]
    return f"media.{suffix}" if _PLAIN_NAME.fullmatch(suffix) else "media"
