"""HTTP Basic authentication of a webhook: the account's `secret` in constant time."""

from __future__ import annotations

import base64
import binascii
import hmac

from scrm.contract import Call, Context
from scrm.errors import Refused


def basic(ctx: Context, call: Call) -> None:
    """Raises `Refused` unless `secret` is the user or the password (phone systems name either), or both."""
    kind, _, given = call.headers.get("Authorization", "").partition(" ")
    try:
        pair = base64.b64decode(given.strip().encode("ascii", "replace"), validate=True)
    except (binascii.Error, ValueError):
        pair = b""
    user, _, password = pair.partition(b":")
    secret = ctx.account.get("secret").encode()
    # All three are compared, so the time tells nothing about which one came close.
    fits = [hmac.compare_digest(one, secret) for one in (user, password, pair)]
    if kind.lower() != "basic" or not secret or not any(fits):
        raise Refused("用户名或密码不对：请核对推送地址里的 Basic 认证与 secret 是否一致。")
