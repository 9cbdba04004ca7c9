"""Webhooks signed by the tenant's own servers: HMAC-SHA256 over `timestamp.body`, checked before anything."""

from __future__ import annotations

import hashlib
import hmac

from connectors.kit.codec import fresh
from scrm.contract import Call, Context
from scrm.errors import Refused

TIMESTAMP, SIGNATURE = "X-Scrm-Timestamp", "X-Scrm-Signature"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What the sender puts into `X-Scrm-Signature`."""
    made = hmac.digest(secret.encode(), timestamp.encode("utf-8", "replace") + b"." + body, hashlib.sha256)
    return f"sha256={made.hex()}"


def verify(ctx: Context, call: Call) -> None:
    """Raises `Refused` for a call that was not signed with the account's `secret`, or too long ago."""
    if call.method != "POST":
        raise Refused("只接受 POST。")
    timestamp, given = call.headers.get(TIMESTAMP, ""), call.headers.get(SIGNATURE, "")
    if not (secret := ctx.account.get("secret")):
        raise Refused("这个账号还没有填写 secret，不能验签。")  # anybody can sign with nothing
    wanted = signature(secret, timestamp, call.body)
    if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
        raise Refused(f"签名不对：请核对 secret，以及 {SIGNATURE} 是否按“时间戳.请求体”计算。")
    fresh(timestamp, call.received_at, ctx.account.max_age_s)
