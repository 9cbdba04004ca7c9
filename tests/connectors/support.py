"""What connector tests share: accounts, sealed calls, and the `Http` of the plug answered from a table."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.kit.codec import Codec, plain_signature
from connectors.kit.tokens import MemoryTokens
from scrm.contract import Account, Call, Context, Media

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
TOKEN = "QDG6eK3kf7Vq9bXz"
AES_KEY = "kWxPEV2UEDyxWpmPBKZKLmtXhV5cHLTDQFkgBmrMkn0"
APP_ID = "wx5823bf96d3bd56c7"
CORP_ID = "ww9c2f1e7a60b84d35"
SUITE_ID = "ww4asffe99e54c0f4c"
MINI_ID = "wx7c8d593b2f0a4e61"
SDK_APP_ID = "1400123456"

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "wechat_oa": {"app_id": APP_ID},
    "wecom_kf": {"corp_id": CORP_ID},
    "webchat": {"origins": "https://shop.example https://outlet.example"},
    "miniprogram": {"app_id": MINI_ID, "users": "school"},
    "tim": {"sdk_app_id": SDK_APP_ID, "admin": "administrator", "agents": "kf_*", "users": "school"},
    "wecom_archive": {"corp_id": CORP_ID, "library": "simulator"},
    "wecom": {"corp_id": CORP_ID, "agent_id": "1000002", "suite_id": SUITE_ID},
}


def account(channel: str, *, max_age_s: int = 600, **options: str) -> Account:
    """A complete account of a channel; `options` add to or replace its settings."""
    return Account(
        tenant_id=1,
        account_id=7,
        slug=f"{channel}-main",
        channel=channel,
        name="测试账号",
        max_age_s=max_age_s,
        options={**OPTIONS.get(channel, {}), **options},
        secrets={"token": TOKEN, "aes_key": AES_KEY, "secret": options.get("secret", "app-secret")},
    )


def receive_id(channel: str) -> str:
    return OPTIONS[channel].get("app_id", CORP_ID)


@dataclass
class TableHttp:
    """`contract.Http` that answers by API path; a list is consumed answer by answer."""

    answers: Mapping[str, Any]
    calls: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = {k: list(v) if isinstance(v, list) else v for k, v in self.answers.items()}

    async def json(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the plug's signature
        timeout_s: float = 5.0,
    ) -> dict[str, Any]:
        assert method == ("GET" if body is None else "POST")
        assert timeout_s > 0
        return self._answer(urlsplit(url).path.removeprefix("/cgi-bin/"), params or {}, body)

    async def upload(
        self, url: str, *, params: Mapping[str, str], media: Media, timeout_s: float = 15.0
    ) -> dict[str, Any]:
        assert timeout_s > 0
        return self._answer(urlsplit(url).path.removeprefix("/cgi-bin/"), params, media)

    async def download(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the plug's signature
        limit: int,
        timeout_s: float = 30.0,
    ) -> Media:
        """The answer of a path is a file, or an error to raise."""
        assert timeout_s > 0
        assert limit > 0
        path = urlsplit(url).path.removeprefix("/cgi-bin/")
        self.calls.append((path, params or {}, None))
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Media)
        return answer

    def _answer(self, path: str, params: Mapping[str, str], body: Any) -> dict[str, Any]:
        self.calls.append((path, params, body))
        if path in {"gettoken", "stable_token"} and path not in self.answers:
            return {"errcode": 0, "access_token": "T", "expires_in": 7200}
        answer = self.answers[path]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.calls if path not in {"gettoken", "stable_token"}]


class NoTokens:
    """For powers that must not ask for any."""

    async def get(self, key: str, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> str:
        raise AssertionError(f"asked for {key} by {fetch}")

    async def drop(self, key: str, value: str) -> None:
        raise AssertionError(f"dropped {key} {value}")


def context(of: Account, answers: Mapping[str, Any] | None = None, *, now: datetime = NOW) -> Context:
    """A context whose API calls are answered from `answers`; without them, any call fails the test."""
    if answers is None:
        return Context(account=of, http=TableHttp({}), tokens=NoTokens(), now=now)
    return Context(account=of, http=TableHttp(answers), tokens=MemoryTokens(), now=now)


def asked(ctx: Context) -> TableHttp:
    assert isinstance(ctx.http, TableHttp)
    return ctx.http


def sealed_call(
    plain: bytes,
    *,
    to: str,
    envelope: str = "xml",
    at: datetime = NOW,
    received_at: datetime = NOW,
    salt: bytes = b"0123456789abcdef",
    agent_id: str = "",
) -> Call:
    """A callback as the platform sends it: `xml`, `json`, `compatible` (plain fields beside) or `plain`."""
    codec = Codec(TOKEN, AES_KEY, frozenset({to}))
    timestamp, nonce = str(int(at.timestamp())), "1372623149"
    query = {
        "signature": plain_signature(TOKEN, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
    }
    body = plain
    if envelope != "plain":
        encrypt = codec.encrypt(plain, receive_id=to, salt=salt)
        query |= {"msg_signature": codec.signature(timestamp, nonce, encrypt), "encrypt_type": "aes"}
        body = _envelope(envelope, encrypt, to, agent_id, plain)
    return Call(method="POST", tail="", query=query, headers={}, body=body, received_at=received_at)


def echo_call(echostr: str, *, to: str, at: datetime = NOW) -> Call:
    """WeCom's URL verification."""
    codec = Codec(TOKEN, AES_KEY, frozenset({to}))
    timestamp, nonce = str(int(at.timestamp())), "263014780"
    encrypt = codec.encrypt(echostr.encode(), receive_id=to, salt=b"fedcba9876543210")
    query = {
        "msg_signature": codec.signature(timestamp, nonce, encrypt),
        "timestamp": timestamp,
        "nonce": nonce,
        "echostr": encrypt,
    }
    return Call(method="GET", tail="", query=query, headers={}, body=b"", received_at=NOW)


def _envelope(shape: str, encrypt: str, to: str, agent_id: str, plain: bytes) -> bytes:
    if shape == "json":
        return json.dumps({"ToUserName": to, "Encrypt": encrypt}).encode()
    sealed = f"<Encrypt><![CDATA[{encrypt}]]></Encrypt>"
    if shape == "compatible":
        return plain.replace(b"</xml>", f"{sealed}</xml>".encode())
    agent = f"<AgentID><![CDATA[{agent_id}]]></AgentID>" if agent_id else ""
    return f"<xml><ToUserName><![CDATA[{to}]]></ToUserName>{agent}{sealed}</xml>".encode()
