"""The demo's reps answer their customers through the public API, and rest while you sit at their desk."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from scrm.app import TENANT
from scrm.db import utcnow
from scrm.demo.office import Colleague, Item
from scrm.demo.stage import Stage
from scrm.desk import service as desk

#: A customer waits at least this long, so that visitors see the queue fill and empty.
_THINKS = timedelta(seconds=8)
#: Sooner than a silent page counts as closed.
_GETS_UP_S = 20.0
#: Friends in WeCom are answered there, by the rep's own hands.
BY_HAND = frozenset({"school", "archive"})
_OWN_WORDS = "好的，我马上帮您确认一下，稍等。"
#: What reps add to a script; how many take it as it is, from where on they say something of their own.
_ADDED = ("您看这样行吗？", "不着急，您慢慢看，我都在。", "有别的想法您直接跟我说就好😊")
_AS_IT_IS, _IN_OWN_WORDS = 0.65, 0.92


async def work(
    stage: Stage, rep: Colleague, *, spared: Collection[str], pace_s: float, rng: random.Random
) -> None:
    """Answer whoever has waited longest, with the best script that needs nothing filled in; for ever.

    `spared`: customers who are left to the visitor.
    """
    while True:
        await _sit(stage, rep)
        await asyncio.sleep(min(pace_s * rng.uniform(0.7, 1.6), _GETS_UP_S))
        if not resting(stage, rep):
            await _answer(rep, spared, rng)


def resting(stage: Stage, one: Colleague) -> bool:
    """You sit at their desk."""
    return stage.service.house.live.watched(TENANT, f"rep:{one.staff_id}")


async def _sit(stage: Stage, rep: Colleague) -> None:
    """At their desk, so that new conversations are given to them too."""
    async with stage.service.house.db.begin(TENANT) as conn:
        await desk.here(conn, rep.staff_id, now=utcnow())


async def _answer(rep: Colleague, spared: Collection[str], rng: random.Random) -> None:
    waiting = await rep.read("/conversations", limit="200")
    ready = [
        c
        for c in waiting
        if c["session"] == "api"
        and c["account"] not in BY_HAND
        and c["name"] not in spared
        and c["waiting_since"]
        and datetime.now(UTC) - datetime.fromisoformat(c["waiting_since"]) > _THINKS
    ]
    if not ready:
        return
    chosen = min(ready, key=lambda c: (c["owner"] != rep.login, c["waiting_since"]))
    offers = await rep.read("/suggestions", conversation_id=chosen["id"], limit="5")
    usable = sorted((o for o in offers if not o["missing"] and o["state"] != "used"), key=lambda o: o["rank"])
    if await rep.do("/pushes", conversation_id=chosen["id"], confirm=True, **_words(usable, rng)):
        await _sell(rep, chosen["id"])


def _words(usable: list[Item], rng: random.Random) -> dict[str, str]:
    """The best script as it is or with a sentence more; now and then one's own words."""
    way = rng.random()
    if not usable or way > _IN_OWN_WORDS:
        return {"text": _OWN_WORDS}
    added = "" if way < _AS_IT_IS else rng.choice(_ADDED)
    return {"text": usable[0]["text"] + added, "suggestion_id": usable[0]["id"]}


#: Where a sale goes next, and what a rep writes about it.
_NEXT = {
    "first-contact": ("needs", "问清了孩子的年级和想解决的问题"),
    "needs": ("trial", "约好了周末试听"),
    "trial": ("quotation", "试听反馈不错，问了价格"),
}
_PRODUCTS = ("math-3", "english-3")


async def _sell(rep: Colleague, cid: str) -> None:
    """After each answer the sale is one step further."""
    product = _PRODUCTS[sum(cid.encode()) % len(_PRODUCTS)]
    one = await rep.do("/opportunities", conversation_id=cid, product=product)
    if one.get("stage") in _NEXT:
        stage, why = _NEXT[one["stage"]]
        await rep.do("/opportunities/move", opportunity_id=one["id"], stage=stage, why=why)
