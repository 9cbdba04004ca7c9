"""Tencent Cloud IM (腾讯云即时通信): the chat inside our customer's own app, by callbacks and REST."""

from __future__ import annotations

import hashlib
import json

from connectors.kit.codec import fresh, same
from connectors.kit.needs import API_BASE, USERS
from connectors.tim.events import translate
from connectors.tim.keys import raw_of
from connectors.tim.outward import enrich, media, probe, send
from scrm.contract import Call, Context, Need, Receipt, Window
from scrm.errors import Refused

__all__ = [
    "ICON",
    "IDEMPOTENT",
    "KINDS",
    "NEEDS",
    "TALKS",
    "TEXT_LIMIT",
    "TITLE",
    "WINDOWS",
    "enrich",
    "media",
    "probe",
    "receive",
    "send",
    "translate",
]

TITLE = "即时通信"
ICON = "im"
_USER = r"[\x21-\x7e]{1,32}"
NEEDS = (
    Need(name="sdk_app_id", help="即时通信控制台“应用管理”里的 SDKAppID", pattern=r"^[0-9]{1,18}$"),
    Need(name="secret", help="同一页的密钥（SecretKey），用来计算 UserSig", secret=True),
    Need(
        name="token",
        help="“回调配置”里的鉴权 Token",
        secret=True,
        pattern=r"^[\x21-\x7e]{1,64}$",
    ),
    Need(
        name="admin",
        help="App 管理员的账号，如 administrator",
        required=False,
        pattern=rf"^{_USER}$",
        default="administrator",
    ),
    Need(
        name="agents",
        help="自己人的账号，用空格分开，可以用 *，如 kf_* teacher_*；他们说的算我们说的",
        required=False,
        pattern=rf"^{_USER}( +{_USER})*$",
    ),
    Need(
        name="sender",
        help="客户没有找过谁时，用哪个账号回复；留空使用管理员",
        required=False,
        pattern=rf"^{_USER}$",
    ),
    USERS,
    API_BASE,
)
#: The same numbers and words are one message for two minutes only; a retry may come later.
IDEMPOTENT = False
TALKS = True
KINDS = frozenset({"text"})
#: A message body may have 12 KB, escapes included.
TEXT_LIMIT = 6000
#: An app's own chat has none.
WINDOWS: tuple[Window, ...] = ()
#: Tencent's advice; the signature covers the time alone, so that it must not be good for long.
_MAX_AGE_S = 60
_OK = json.dumps({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}).encode()


def receive(ctx: Context, call: Call) -> Receipt:
    """Verify one callback. Those that ask for leave first are given it and not kept. Raises `Refused`."""
    if call.method != "POST":
        raise Refused("只接受 POST。")
    asked_at = _verified(ctx, call)
    answer = Receipt(body=_OK, mime="application/json")
    if ".CallbackBefore" in call.query.get("CallbackCommand", ""):
        return answer
    return Receipt(raws=(raw_of(ctx.account, call.body, asked_at),), body=_OK, mime="application/json")


def _verified(ctx: Context, call: Call) -> int:
    """When it was asked."""
    stamp, given = call.query.get("RequestTime", ""), call.query.get("Sign", "")
    wanted = hashlib.sha256((ctx.account.get("token") + stamp).encode("utf-8", "replace")).hexdigest()
    if not given or not same(given.lower(), wanted):
        raise Refused("签名不符：请核对控制台回调配置里的鉴权 Token。")
    fresh(stamp, call.received_at, min(ctx.account.max_age_s, _MAX_AGE_S))
    if not same(call.query.get("SdkAppid", ""), ctx.account.get("sdk_app_id")):
        raise Refused("这个回调不属于本应用：请核对 SDKAppID。")
    return int(stamp)
