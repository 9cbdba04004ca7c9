"""The site's own login as a signed word: a JWT (HS256) made by its server with the account's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import datetime
from typing import Any

from connectors.kit.people import users_of
from connectors.webchat.acts import login_raw
from scrm.contract import Context, Login
from scrm.errors import Refused

LIFE_S = 24 * 3600
_SKEW_S = 60
_LONGEST = 4096
_TEXTS = {"name": 64, "unionid": 64}
_PHONE = re.compile(r"\+?[0-9]{5,15}")


def identify(ctx: Context, visitor: str, token: str) -> Login:
    """Claims that hold now. A repeat is harmless: the same claims about the same visitor are one raw."""
    claims = _opened(ctx.account.get("secret"), token)
    _in_time(claims, ctx.now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject.strip()) <= 128 or not subject.isprintable():
        raise Refused("登录凭证里缺少 sub（网站的用户编号）。")
    known: dict[str, str] = {"sub": subject.strip()}
    for name, longest in _TEXTS.items():
        value = claims.get(name)
        if isinstance(value, str) and value.strip():
            known[name] = "".join(c for c in value.strip() if c.isprintable())[:longest]
    if phone := _phone(claims.get("phone")):
        known["phone"] = phone
    scope = users_of(ctx.account)
    digest = hashlib.sha256(f"{scope}\n{known['sub']}".encode()).hexdigest()[:24]
    return Login(subject=digest, raw=login_raw(visitor, known, ctx.now))


def signed(secret: str, claims: dict[str, Any]) -> str:
    """The token as a site's server would make it; any JWT library does the same."""
    head = _packed(b'{"alg":"HS256","typ":"JWT"}')
    body = _packed(json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode())
    return f"{head}.{body}.{_packed(hmac.digest(secret.encode(), f'{head}.{body}'.encode(), 'sha256'))}"


def _opened(secret: str, token: str) -> dict[str, Any]:
    """The claims of a token whose signature is ours. Raises `Refused`."""
    parts = token.split(".")
    if len(token) > _LONGEST or len(parts) != 3 or not token.isascii():
        raise Refused("登录凭证的格式不对。")
    want = hmac.digest(secret.encode(), f"{parts[0]}.{parts[1]}".encode(), "sha256")
    try:
        given = _unpacked(parts[2])
        header, claims = json.loads(_unpacked(parts[0])), json.loads(_unpacked(parts[1]))
    except (ValueError, RecursionError):
        raise Refused("登录凭证的格式不对。") from None
    # Only what we demand, whatever the header offers: no `none`, no other algorithm.
    fits = isinstance(header, dict) and header.get("alg") == "HS256"
    if not hmac.compare_digest(want, given) or not fits or not isinstance(claims, dict):
        raise Refused("登录凭证的签名不对，请检查两边的密钥。")
    return claims


def _in_time(claims: dict[str, Any], now: datetime) -> None:
    stamps = [claims.get("exp"), claims.get("iat")]
    if not all(isinstance(s, int) and not isinstance(s, bool) for s in stamps):
        raise Refused("登录凭证里缺少 exp 或 iat。")
    (expires, issued), here = (int(str(s)) for s in stamps), now.timestamp()
    if here >= expires:
        raise Refused("登录凭证已过期，请刷新页面。")
    if issued > here + _SKEW_S or expires - issued > LIFE_S:
        raise Refused("登录凭证的有效期不对：最长 24 小时，并请检查网站服务器的时钟。")


def _phone(value: object) -> str:
    """With country code; a bare number of eleven digits is one of the mainland. "" for anything else."""
    digits = re.sub(r"[\s-]", "", value) if isinstance(value, str) else ""
    if not _PHONE.fullmatch(digits):
        return ""
    if digits.startswith("+"):
        return digits
    return f"+86{digits}" if len(digits) == 11 and digits.startswith("1") else ""


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _unpacked(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
