"""Orders (订单与商品): orders, refunds, products and prices by a webhook our customer's own system signs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from connectors.kit.needs import OPEN_SUBJECT, USERS
from connectors.kit.signed import verify
from connectors.orders.documents import Anything, one
from connectors.orders.events import translate
from scrm.contract import Call, Context, Finding, Need, Raw, Receipt, Severity
from scrm.errors import Untranslatable

__all__ = ["BODY_MAX", "ICON", "NEEDS", "TITLE", "probe", "receive", "translate"]

TITLE = "订单系统"
ICON = "app"
NEEDS = (
    Need(
        name="secret",
        help="给推送签名的密钥，32 位以上的随机文字，只放在订单系统的服务器上",
        secret=True,
        pattern=r"^[\x21-\x7e]{32,128}$",
    ),
    USERS,
    OPEN_SUBJECT,
    Need(
        name="corp_id",
        help="订单里写了企业微信客户（external_userid）时填写：企业 ID",
        required=False,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
    ),
)
BODY_MAX = 1024 * 1024
_MOST = 500


def receive(ctx: Context, call: Call) -> Receipt:
    """One document or `{"items": [...]}`. What is signed is kept, also what cannot be understood yet.

    Answers 202 with `{"accepted", "problems": [{"index", "problem"}]}`: what has a problem waits in
    quarantine and can be replayed; sending a corrected version is as good.
    """
    verify(ctx, call)
    documents = _documents(call.body)
    raws, problems = [], []
    for index, document in enumerate(documents):
        raw, problem = _raw(document)
        raws.append(raw)
        if problem:
            problems.append({"index": index, "problem": problem})
    answer = {"accepted": len(raws) - len(problems), "problems": problems}
    body = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
    return Receipt(raws=tuple(raws), status=202, body=body, mime="application/json")


def _documents(body: bytes) -> Sequence[bytes | object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return [body]
    items = found.get("items") if isinstance(found, dict) and "type" not in found else None
    return items if isinstance(items, list) and 0 < len(items) <= _MOST else [found]


def _raw(document: bytes | object) -> tuple[Raw, str]:
    """The document as a row, and what is wrong with it ("" = nothing)."""
    payload = document if isinstance(document, bytes) else _json(document)
    try:
        known = one(payload)
    except Untranslatable as wrong:
        return Raw(source_key=_digest(payload), lane="-", payload=payload), wrong.sentence
    return Raw(source_key=f"{_key(known)}:{_digest(payload)[7:23]}", lane=_lane(known), payload=payload), ""


def _key(known: Anything) -> str:
    """Names the thing and its version; the same content again is the same row."""
    return f"{known.__struct_config__.tag}:{known.key()}:{known.version}"


def _lane(known: Anything) -> str:
    """A refund follows its order, a price its product."""
    return known.lane()


def _digest(payload: bytes) -> str:
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


async def probe(ctx: Context) -> Sequence[Finding]:
    """There is nobody to ask: the order system calls us."""
    sentence = f"签名密钥已配置；请让订单系统推送到 /hooks/{ctx.account.slug}。"
    return [Finding(severity=Severity.OK, sentence=sentence)]
