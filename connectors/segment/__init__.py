"""App events by Segment's HTTP tracking API: any Segment library, pointed here, sends them."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Any

from connectors.kit import appevents
from connectors.kit.appevents import (
    CHOICES,
    EVENT_MAX,
    ORIGINS,
    digest,
    fields,
    ident,
    payload,
    welcome,
    written,
)
from connectors.kit.callback import lane
from connectors.kit.needs import OPEN_SUBJECT, USERS
from connectors.segment.events import TYPES, translate
from scrm.contract import Call, Context, Finding, Need, Raw, Receipt, Severity
from scrm.errors import Refused, Unreadable

__all__ = ["BODY_MAX", "ICON", "NEEDS", "TITLE", "probe", "receive", "translate"]

TITLE = "App 事件（Segment）"
ICON = "app"
NEEDS = (
    Need(
        name="write_key",
        help="写入密钥：自己定一串 16 位以上的随机文字，与埋点程序里的 writeKey 一致",
        secret=True,
        pattern=r"^[\x21-\x39\x3b-\x7e]{8,128}$",
    ),
    USERS,
    OPEN_SUBJECT,
    ORIGINS,
    *CHOICES,
)
#: Above what a batch may have, so that one that is too large is told so in words.
BODY_MAX = 1024 * 1024
BATCH_MAX = 500 * 1024
EVENTS_MAX = 2500
#: What a batch may become once its shared context is in each of its events.
_SPREAD_MAX = 8 * 1024 * 1024
#: What the libraries call: in full, and as the one for browsers shortens it.
_SINGLE = {
    "identify": "identify", "i": "identify",
    "track": "track", "t": "track",
    "page": "page", "p": "page",
    "screen": "screen", "s": "screen",
    "group": "group", "g": "group",
    "alias": "alias", "a": "alias",
}  # fmt: skip
_BATCHES = frozenset({"batch", "import", "b"})
#: The browser's library reports on itself; nobody's business.
_CHATTER = "m"
_THANKS, _JSON = b'{"success":true}', "application/json"


def receive(ctx: Context, call: Call) -> Receipt:
    """Check the key and take each event as a raw of its own. Raises `Refused`."""
    if call.method != "POST":
        raise Refused("只接受 POST。")
    tail = call.tail.strip("/").removeprefix("v1").strip("/")
    try:
        body = fields(appevents.read(call.body))
        _admit(ctx, call, body)
        events = [] if tail == _CHATTER else _events(tail, body)
        _within(call, events)
    except Unreadable as broken:
        # The libraries log the answer's words: whoever set them up sees what is wrong.
        said = {"success": False, "code": "invalid", "message": broken.sentence}
        return Receipt(status=400, body=written(said), mime=_JSON, headers=welcome(ctx.account, call.headers))
    raws = tuple(_raw(call, event, body.get("sentAt")) for event in events)
    return Receipt(raws=raws, body=_THANKS, mime=_JSON, headers=welcome(ctx.account, call.headers))


async def probe(ctx: Context) -> Sequence[Finding]:
    """Nothing to try: the libraries call us. Says what they must be told."""
    sentence = f"等待 App 上报：地址填 /hooks/{ctx.account.slug}，密钥填 write_key。"
    return (Finding(severity=Severity.OK, sentence=sentence),)


def _admit(ctx: Context, call: Call, body: dict[str, Any]) -> None:
    """By the user name of Basic authentication, or by the body's `writeKey`."""
    scheme, _, given = call.headers.get("Authorization", "").partition(" ")
    said = _user(given) if scheme.lower() == "basic" else str(body.get("writeKey") or "").encode()
    if not said or not hmac.compare_digest(said, ctx.account.get("write_key").encode()):
        raise Refused("写入密钥不对。")


def _user(packed: str) -> bytes:
    try:
        return base64.b64decode(packed.strip().encode(), validate=True).partition(b":")[0]
    except (binascii.Error, ValueError):
        raise Refused("Authorization 头无法读取。") from None


def _events(tail: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    if tail in _SINGLE:
        event = {k: v for k, v in body.items() if k not in {"writeKey", "sentAt"}}
        return [{**event, "type": _SINGLE[tail]}]
    if tail not in _BATCHES and tail:
        raise Unreadable(f"没有 /v1/{tail} 这个地址，可用的是 batch 和 {'、'.join(TYPES)}。"[:200])
    batch = body.get("batch")
    if not isinstance(batch, list) or not all(isinstance(one, dict) for one in batch):
        raise Unreadable("batch 必须是事件的数组。")
    if len(batch) > EVENTS_MAX:
        raise Unreadable("一次上报超过 2500 个事件，请分几次发。")
    # What is said of the whole batch holds for each event that does not say otherwise.
    shared = fields(body.get("context"))
    if not shared:
        return batch
    return [{**event, "context": {**shared, **fields(event.get("context"))}} for event in batch]


def _within(call: Call, events: list[dict[str, Any]]) -> None:
    if len(call.body) > BATCH_MAX:
        raise Unreadable("一次上报超过 500 KB，请分几次发。")
    left = _SPREAD_MAX
    for size in (len(written(event)) for event in events):
        left -= size
        if size > EVENT_MAX:
            raise Unreadable("单个事件超过 32 KB，请减少属性。")
        if left < 0:
            raise Unreadable("一次上报展开后超过 8 MB，请分几次发，或少写些公共的 context。")


def _raw(call: Call, event: dict[str, Any], sent: object) -> Raw:
    message_id = ident(event.get("messageId"))
    user, device = ident(event.get("userId")), ident(event.get("anonymousId"))
    return Raw(
        source_key=f"seg:{message_id or digest(event)}",
        lane=lane("user", user) if user else lane("anon", device) if device else lane(),
        payload=payload(event, call.received_at, sent),
    )
