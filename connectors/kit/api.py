"""One call of a vendor's API: base URL, access token, one refresh at most, errors as our own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.kit.errcodes import code_of, raise_for
from scrm.contract import Account, Context, Media, Push
from scrm.errors import NotSent, Rejected, Unknown

_LIFETIME_S = 7200.0
#: How an answer in place of a file is marked, and the longest one.
_WORDS = frozenset({"application/json", "text/plain", "text/json"})
_LONGEST_WORD = 4096
#: There is no such file, or not any more.
_FORGOTTEN = frozenset({"40007"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How accounts of one vendor get their access token."""

    name: str
    base: str
    path: str
    #: Setting that names the login: one token per (login, secret).
    login: str
    #: Codes that mean "this token is no good any more".
    refreshes: frozenset[int]
    #: Query, or JSON body, of the token request.
    params: Callable[[Account], Mapping[str, str] | None]
    body: Callable[[Account], Mapping[str, object] | None]

    def key(self, account: Account) -> str:
        """Name of the token in the cache; holds no secret."""
        secret = hashlib.sha256(account.get("secret").encode()).hexdigest()[:16]
        return f"{self.name}:{account.tenant_id}:{base(account, self)}:{account.get(self.login)}:{secret}"


#: path 91039: one token per app secret, 7200 s.
WECOM = Grant(
    name="wecom",
    base="https://qyapi.weixin.qq.com",
    path="cgi-bin/gettoken",
    login="corp_id",
    refreshes=frozenset({40014, 42001}),
    params=lambda account: {"corpid": account.get("corp_id"), "corpsecret": account.get("secret")},
    body=lambda _account: None,
)
#: `stable_token` gives the same token to everybody who asks; `cgi-bin/token` would end the previous one.
OFFICIAL = Grant(
    name="official",
    base="https://api.weixin.qq.com",
    path="cgi-bin/stable_token",
    login="app_id",
    refreshes=frozenset({40001, 40014, 42001}),
    params=lambda _account: None,
    body=lambda account: {
        "grant_type": "client_credential",
        "appid": account.get("app_id"),
        "secret": account.get("secret"),
        "force_refresh": False,
    },
)

_Ask = Callable[[str], Awaitable[dict[str, Any]]]


def base(account: Account, grant: Grant) -> str:
    """The vendor's base URL for this account, without a trailing slash."""
    return (account.get("api_base") or grant.base).rstrip("/")


async def token(ctx: Context, grant: Grant) -> str:
    """The account's access token. Raises `NotSent` or `Rejected`: nothing has been delivered yet."""

    async def fetch() -> tuple[str, float]:
        url = f"{base(ctx.account, grant)}/{grant.path}"
        query, body = grant.params(ctx.account), grant.body(ctx.account)
        method = "GET" if body is None else "POST"
        answer = await _harmless(ctx.http.json(method, url, params=query, body=body))
        raise_for(answer, sent=False)
        return field(answer, "access_token"), lifetime(answer)

    return await ctx.tokens.get(grant.key(ctx.account), fetch)


async def call(
    ctx: Context,
    path: str,
    *,
    grant: Grant,
    body: object = None,
    params: Mapping[str, str] | None = None,
    sent: bool = False,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """The vendor's answer, errcode 0. GET without `body`, else POST; the token travels as `access_token`.

    `sent`: the call delivers something to a customer, so that an unclear end is `Unknown`; otherwise it is
    `NotSent`. Raises `Rejected` for a final refusal.
    """
    url = f"{base(ctx.account, grant)}/{path}"

    async def ask(access: str) -> dict[str, Any]:
        query = {**(params or {}), "access_token": access}
        method = "GET" if body is None else "POST"
        pending = ctx.http.json(method, url, params=query, body=body, timeout_s=timeout_s)
        return await (pending if sent else _harmless(pending))

    return await _with_token(ctx, grant, ask, sent=sent)


async def upload(
    ctx: Context, path: str, *, grant: Grant, media: Media, params: Mapping[str, str]
) -> dict[str, Any]:
    """The vendor's answer to a file; same errors as a `call` that delivers nothing."""
    url = f"{base(ctx.account, grant)}/{path}"

    async def ask(access: str) -> dict[str, Any]:
        return await _harmless(ctx.http.upload(url, params={**params, "access_token": access}, media=media))

    return await _with_token(ctx, grant, ask, sent=False)


async def renewed(push: Push, say: Callable[[Push], Awaitable[str]]) -> str:
    """Say it; where the platform knows the file's id no more, once again with the file itself."""
    try:
        return await say(push)
    except Rejected as refused:
        if not push.uploaded or refused.code not in _FORGOTTEN:
            raise
    return await say(replace(push, uploaded=""))


async def download(ctx: Context, path: str, *, grant: Grant, params: Mapping[str, str], limit: int) -> Media:
    """A file. The vendors refuse with JSON in its place: same errors as a `call` that delivers nothing."""
    url = f"{base(ctx.account, grant)}/{path}"
    files: list[Media] = []

    async def ask(access: str) -> dict[str, Any]:
        files.append(await ctx.http.download(url, params={**params, "access_token": access}, limit=limit))
        return answered(files[-1])

    await _with_token(ctx, grant, ask, sent=False)
    return files[-1]


def answered(file: Media) -> dict[str, Any]:
    """What the vendor says in place of a file; {} when it is one."""
    if file.mime not in _WORDS or len(file.content) > _LONGEST_WORD:
        return {}
    try:
        found = json.loads(file.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def _with_token(ctx: Context, grant: Grant, ask: _Ask, *, sent: bool) -> dict[str, Any]:
    access = await token(ctx, grant)
    answer = await ask(access)
    if code_of(answer) in grant.refreshes:
        # Once and never again: repeated token fetches get the whole server blocked.
        await ctx.tokens.drop(grant.key(ctx.account), access)
        answer = await ask(await token(ctx, grant))
    raise_for(answer, sent=sent, vendor=grant.name)
    return answer


async def _harmless(pending: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    # Nothing reaches a customer by this request, so an unclear end is as good as never asked.
    try:
        return await pending
    except Unknown as unclear:
        raise NotSent("平台没有给出明确答复，稍后自动重试。", retry_after_s=5.0, code="unclear") from unclear


def field(answer: Mapping[str, Any], name: str) -> str:
    """A text the answer must have. Raises `NotSent` when the vendor left it out."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise NotSent(f"平台的答复里没有 {name}，稍后自动重试。", retry_after_s=5.0, code="unclear")
    return value


def lifetime(answer: Mapping[str, Any]) -> float:
    """`expires_in` in seconds, never longer than the documented two hours."""
    try:
        return min(max(float(answer.get("expires_in", _LIFETIME_S)), 1.0), _LIFETIME_S)
    except (TypeError, ValueError):
        return _LIFETIME_S
