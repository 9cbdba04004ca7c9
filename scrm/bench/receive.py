"""What `receive` costs on each channel: every fixture call verified, decrypted and keyed, per row."""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from time import perf_counter_ns
from types import ModuleType
from typing import Any, cast

from connectors.kit.codec import Codec
from scrm.bench.ground import Figures
from scrm.contract import Account, Call, Context, Http, Receives, Tokens
from scrm.errors import ScrmError

#: Every other channel is compared with this one.
YARDSTICK = "wechat_oa"
_ROUNDS, _WARM = 300, 20
_NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
_AES_KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
#: What the fixtures were made for; what else a connector needs stands beside them.
_OWN = {
    "app_id": "wx5823bf96d3bd56c7",
    "corp_id": "ww9c2f1e7a60b84d35",
    "sdk_app_id": "1400123456",
    "token": "QDG6eK3kf7Vq9bXz",
    "aes_key": _AES_KEY,
    "secret": "app-secret",
    "mode": "secure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One call as its vendor would make it."""

    ctx: Context
    call: Call


async def run(*, database: str = "") -> Figures:  # noqa: ARG001 - it has nothing to do with one
    return await asyncio.to_thread(measure)


def measure() -> Figures:
    """Medians in microseconds per row, and the dearest channel's ratio to the yardstick."""
    costs = {channel: _cost(plug, samples) for channel, plug, samples in _channels()}
    figures: Figures = {f"{channel}_us": cost for channel, cost in sorted(costs.items())}
    dearest = max(costs, key=lambda channel: costs[channel])
    figures["dearest"] = dearest
    figures["ratio"] = round(costs[dearest] / costs[YARDSTICK], 2)
    return figures


def _channels() -> Iterator[tuple[str, ModuleType, list[Sample]]]:
    for found in iter_modules(import_module("connectors").__path__):
        plug = import_module(f"connectors.{found.name}") if found.ispkg and found.name != "kit" else None
        if plug is not None and isinstance(plug, Receives):
            if samples := list(_samples(found.name, plug)):
                yield found.name, plug, samples


def _samples(channel: str, plug: Receives) -> Iterator[Sample]:
    """The fixture calls that store something."""
    for path in sorted(Path(str(cast(ModuleType, plug).__file__)).parent.glob("fixtures/*.json")):
        stored = json.loads(path.read_text("utf-8"))
        ctx = _context(channel, stored.get("account", {}))
        for case in stored["cases"]:
            call = _literal(case["call"]) if "call" in case else None
            if "callback" in case and case.get("envelope", "xml") == "xml":
                call = _sealed(ctx.account, case)
            if call is not None and _stores(plug, ctx, call):
                yield Sample(ctx=ctx, call=call)


def _stores(plug: Receives, ctx: Context, call: Call) -> bool:
    try:
        return bool(plug.receive(ctx, call).raws)
    except ScrmError:
        return False  # a case that shows a refusal


def _context(channel: str, own: Mapping[str, str]) -> Context:
    account = Account(
        tenant_id=1,
        account_id=7,
        slug=f"{channel}-main",
        channel=channel,
        name="bench",
        max_age_s=0,
        options={**_OWN, **own},
    )
    return Context(account=account, http=cast(Http, None), tokens=cast(Tokens, None), now=_NOW)


def _literal(given: Mapping[str, Any]) -> Call:
    body = given.get("body", "")
    if isinstance(body, dict) and set(body) == {"base64"}:
        content = base64.b64decode(body["base64"])
    else:
        content = (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()
    return Call(
        method=given.get("method", "POST"),
        tail=given.get("tail", ""),
        query=given.get("query", {}),
        headers=given.get("headers", {}),
        body=content,
        received_at=datetime.fromisoformat(given["at"]),
    )


def _sealed(account: Account, case: Mapping[str, Any]) -> Call:
    plain = case["callback"]
    content = (plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)).encode()
    needed = {need.name for need in import_module(f"connectors.{account.channel}").NEEDS}
    to = case.get("receive_id") or account.get("app_id" if "app_id" in needed else "corp_id")
    codec, stamp, nonce = Codec(_OWN["token"], _AES_KEY, frozenset({to})), str(int(_NOW.timestamp())), "1372"
    encrypt = codec.encrypt(content, receive_id=to, salt=bytes(16))
    query = {"timestamp": stamp, "nonce": nonce, "msg_signature": codec.signature(stamp, nonce, encrypt)}
    body = f"<xml><ToUserName>{to}</ToUserName><Encrypt>{encrypt}</Encrypt></xml>".encode()
    query["encrypt_type"] = "aes"
    return Call(method="POST", tail="", query=query, headers={}, body=body, received_at=_NOW)


def _cost(plug: Receives, samples: list[Sample]) -> float:
    """Median over rounds of all samples, per row."""
    rounds = []
    rows = sum(len(plug.receive(s.ctx, s.call).raws) for s in samples)
    for number in range(_WARM + max(20, _ROUNDS // len(samples))):
        began = perf_counter_ns()
        for s in samples:
            plug.receive(s.ctx, s.call)
        if number >= _WARM:
            rounds.append(perf_counter_ns() - began)
    return round(statistics.median(rounds) / rows / 1000, 2)
