"""Whether a customer agrees to be archived: what they pressed, and what the vendor says when asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connectors.kit import api
from connectors.kit.profiles import word
from connectors.kit.xml import clean
from connectors.wecom_archive.names import part_of
from scrm.contract import Context, Envelope, Fact, Handle, Raw
from scrm.errors import Untranslatable

PREFIX = "consent:"
_FACT = "archive_consent"
#: check_single_agree takes 100 pairs; this many calls for one customer, never more.
_PAIRS, _CALLS = 100, 10
_Fields = dict[str, Any]


def agreed(base: Envelope, message: _Fields, room: str) -> Envelope:
    """The customer pressed agree or disagree."""
    kind, part = word(message, "msgtype"), part_of(message)
    customer = next((h for h in base.handles if h.kind == "wecom_external"), None)
    if customer is None:
        return replace(base, kind=f"event.archive.{kind}", text=_WORDS[kind])
    with_whom = room or base.staff
    body = {"status": _STATES[kind], "with": with_whom, "at": part.get(f"{kind}_time")}
    at_ms = int(base.at.timestamp() * 1000)
    fact = Fact(kind=_FACT, key=f"{customer.value}:{with_whom}", body=body, rank=at_ms, handle=customer)
    return replace(base, kind=f"event.archive.{kind}", text=_WORDS[kind], facts=(fact,))


_WORDS = {"agree": "客户同意存档会话内容", "disagree": "客户不同意存档会话内容"}
_STATES = {"agree": "Agree", "disagree": "Disagree"}


async def enrich(ctx: Context, handle: Handle) -> tuple[Raw, ...]:
    """What a customer agreed to with each archived member, as one raw."""
    if handle.kind != "wecom_external" or handle.scope != ctx.account.get("corp_id"):
        return ()
    answer = await api.call(ctx, "cgi-bin/msgaudit/get_permit_user_list", grant=api.WECOM, body={})
    found = answer.get("ids")
    members = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    infos: list[_Fields] = []
    for start in range(0, min(len(members), _PAIRS * _CALLS), _PAIRS):
        # Tencent's own spelling.
        pairs = [{"userid": m, "exteranalopenid": handle.value} for m in members[start : start + _PAIRS]]
        said = await api.call(
            ctx, "cgi-bin/msgaudit/check_single_agree", grant=api.WECOM, body={"info": pairs}
        )
        part = said.get("agreeinfo")
        infos += [one for one in part if isinstance(one, dict)] if isinstance(part, list) else []
    return (_raw(handle.value, infos, ctx.now),) if infos else ()


def _raw(value: str, infos: list[_Fields], now: datetime) -> Raw:
    content = {"customer": value, "agreeinfo": infos}
    key = hashlib.sha256(_json(content)).hexdigest()
    payload = _json(content | {"at": int(now.timestamp() * 1000)})
    return Raw(source_key=f"{PREFIX}{key}", lane=value, payload=payload)


def looked_up(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One quiet envelope with a fact per member. Raises `Untranslatable`."""
    try:
        stored = json.loads(raw.payload)
        at, value = datetime.fromtimestamp(int(stored["at"]) / 1000, UTC), str(stored["customer"])
        infos = [dict(one) for one in stored["agreeinfo"]]
    except (KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError) as broken:
        raise Untranslatable("会话存档同意情况无法读取。") from broken
    handle = Handle(kind="wecom_external", scope=ctx.account.get("corp_id"), value=value)
    facts = tuple(_fact(handle, one) for one in infos if word(one, "userid"))
    return [
        Envelope(
            kind="event.archive.consent",
            direction="none",
            at=at,
            handles=(handle,),
            facts=facts,
            body={"agreeinfo": infos},
            quiet=True,
        )
    ]


def _fact(handle: Handle, one: _Fields) -> Fact:
    member, since = word(one, "userid"), one.get("status_change_time")
    since_s = since if isinstance(since, int) and 0 <= since < 1 << 40 else 0
    body = {"status": word(one, "agree_status"), "with": member, "at": since_s * 1000 or None}
    return Fact(kind=_FACT, key=f"{handle.value}:{member}", body=body, rank=since_s * 1000, handle=handle)


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
