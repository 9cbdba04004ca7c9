"""Reading the messages of one customer-service account page by page (`kf/sync_msg`, path 94670)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from connectors.kit import api
from connectors.kit.callback import digest, lane
from connectors.kit.profiles import word
from connectors.kit.xml import at_seconds
from scrm.contract import Context, Polled, Raw
from scrm.errors import Refused, Rejected

PREFIX = "kf:"
_PAGE = 1000
#: The hint (the callback's Token) is not valid any more; it only lifts a rate limit.
_BAD_HINT = "95007"
#: A page may be empty with more to come; asked again at once this often when its cursor stands still too.
_TRIES = 3
_CUSTOMER = 3
#: An older message is history being caught up, not a customer waiting.
_LIVE = timedelta(minutes=10)


async def poll(ctx: Context, stream: str, cursor: str, hint: str) -> Polled:
    """The next page of `kf:<open_kfid>`. `more` follows `has_more`: an empty page may have a next one."""
    open_kfid = stream.removeprefix(PREFIX)
    for _ in range(_TRIES):
        answer = await _page(ctx, open_kfid, cursor, hint)
        found = answer.get("msg_list")
        messages = found if isinstance(found, list) else []
        following = word(answer, "next_cursor") or cursor
        more = bool(answer.get("has_more"))
        if messages or following != cursor or not more:
            break
    # A cursor that stands still would give the same page for ever; the stream is due again soon anyway.
    return Polled(raws=_raws(ctx, open_kfid, messages), cursor=following, more=more and following != cursor)


async def _page(ctx: Context, open_kfid: str, cursor: str, hint: str) -> dict[str, Any]:
    body: dict[str, object] = {"open_kfid": open_kfid, "limit": _PAGE, "voice_format": 0}
    if cursor:
        body["cursor"] = cursor
    if not hint:
        return await api.call(ctx, "cgi-bin/kf/sync_msg", grant=api.WECOM, body=body, timeout_s=10.0)
    try:
        return await api.call(
            ctx, "cgi-bin/kf/sync_msg", grant=api.WECOM, body={**body, "token": hint}, timeout_s=10.0
        )
    except Rejected as refused:
        if refused.code != _BAD_HINT:
            raise
        return await _page(ctx, open_kfid, cursor, "")


def _raws(ctx: Context, open_kfid: str, messages: list[Any]) -> tuple[Raw, ...]:
    return tuple(_raw(ctx, open_kfid, n, message) for n, message in enumerate(messages))


def _raw(ctx: Context, open_kfid: str, n: int, message: Any) -> Raw:
    fields = message if isinstance(message, dict) else {}
    event = fields.get("event")
    inner = event if isinstance(event, dict) else {}
    customer = word(fields, "external_userid") or word(inner, "external_userid")
    msgid = word(fields, "msgid")
    # Times are whole seconds; the order in which the platform handed messages out settles the rest.
    order = int(ctx.now.timestamp() * 1000) * 1000 + n
    return Raw(
        source_key=f"{PREFIX}{msgid or digest(_json(message))}",
        lane=lane(word(fields, "open_kfid") or word(inner, "open_kfid") or open_kfid, customer),
        payload=_json({"order": order, "msg": message}),
        urgent=_is_live(fields, inner, ctx.now),
    )


def _is_live(fields: dict[str, Any], event: dict[str, Any], now: datetime) -> bool:
    if fields.get("origin") != _CUSTOMER and not event.get("welcome_code"):
        return False
    try:
        return now - at_seconds(fields.get("send_time")) < _LIVE
    except Refused:
        return False


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
