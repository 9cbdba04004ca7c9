"""What the demo sells: a catalog, coupons, sales on their way, and a price that was promised to a mother."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from aiohttp import ClientSession

from connectors.kit.http import is_loopback, open_session
from scrm.app import TENANT
from scrm.campaigns.coupons import service as coupons
from scrm.campaigns.coupons.rules import Batch
from scrm.contract import Handle
from scrm.db import Conn, utcnow
from scrm.demo.family import Family, signed
from scrm.demo.stage import USERS, Stage
from scrm.desk.calendar.rules import ZONE
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.push import service as push
from scrm.sales.opportunities import service as opportunities
from scrm.sales.opportunities.service import By, Wanted
from scrm.seal import new_id
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations

_LOOKS_S = 0.5
#: code, name, line, official price in fen
CATALOG = (
    ("math-3", "三年级数学春季班", "新签", 398_000),
    ("math-year", "数学年课", "年课", 680_000),
    ("english-3", "三年级英语春季班", "新签", 428_000),
    ("trial", "一对一试听课", "体验", 9_900),
)
YEAR, YEAR_NAME, YEAR_FEN = "math-year", "数学年课", 680_000


async def stock(stage: Stage) -> None:
    """The order system tells its catalog; marketing has made three batches of coupons."""
    now = utcnow()
    items: list[dict[str, object]] = []
    for code, name, line, amount in CATALOG:
        at = now.isoformat()
        items.append({"type": "product", "id": code, "at": at, "name": name, "business_line": line})
        price = {"type": "price", "id": f"{code}-standard", "at": at, "product": code, "amount": amount}
        items.append({**price, "starts": (now - timedelta(days=30)).isoformat()})
    async with open_session(is_loopback) as http:
        await signed(stage, http, "mall", {"items": items})
    async with stage.service.house.db.begin(TENANT) as conn:
        for batch in _batches(now):
            await coupons.save_batch(conn, batch)


def _batches(now: datetime) -> list[Batch]:
    def one(code: str, name: str, *, fen: int | None = None, share: int | None = None, **more: int) -> Batch:
        return Batch(
            batch_id=new_id(),
            code=code,
            name=name,
            kind="off" if fen else "discount",
            fen=fen,
            share=share,
            min_fen=more.get("least"),
            product_code=YEAR if share else "",
            stock=more["stock"],
            per_household=1,
            starts_at=now - timedelta(days=1),
            ends_at=now + timedelta(days=more["days"]),
            state="open",
            by_id=None,
            created_at=now,
        )

    return [
        one("OLD-300", "老学员券", fen=30_000, least=300_000, stock=50, days=30),
        one("REFER-200", "老带新券", fen=20_000, stock=1, days=20),
        one("EARLY-85", "早鸟券", share=8_500, stock=126, days=6),
    ]


# -- the promise -------------------------------------------------------------------------------------------
async def promised(stage: Stage, home: Family, chat: Mapping[str, str]) -> None:
    """The mother asks about the year's course on the site and is promised 8.5 折; the father asks in WeCom.

    `chat` = what her browser sends along.
    """
    async with open_session(is_loopback) as http:
        await _says(stage, http, chat, "老师，年课现在报的话多少钱？能优惠吗")
    talk = await _talk(stage, home)
    if talk is None:
        return
    async with stage.service.house.db.begin(TENANT) as conn:
        await _opened(conn, stage, talk)
        until = (utcnow() + timedelta(days=2)).astimezone(ZONE)
        text = (
            f"{home.mother.kid}妈妈，数学年课正价 6800 元，这周报名给您 8.5 折，5780 元，"
            f"{until.month}月{until.day}日前都有效。"
        )
        word = push.Word(key=f"demo-{secrets.token_hex(6)}", text=text, staff_id=list(stage.team.values())[1])
        await push.say(conn, stage.service.house.directory.by_id(talk.account_id), talk, word, now=utcnow())
        conn.after_commit(stage.service.house.wake_send)
        conn.after_commit(stage.service.house.wake_react)
    await stage.world.say(home.father, "archive", "老师，孩子妈妈说想报年课，年课多少钱？能便宜点吗？")


async def _says(stage: Stage, http: ClientSession, chat: Mapping[str, str], text: str) -> None:
    headers = {**chat, "Idempotency-Key": secrets.token_hex(8)}
    async with http.post(f"{stage.url}/chat/shop/messages", json={"text": text}, headers=headers) as answer:
        answer.raise_for_status()


async def _talk(stage: Stage, home: Family, *, patience_s: float = 20.0) -> Talk | None:
    """The mother's conversation on the site, once it is there."""
    account = stage.service.house.directory.by_slug("shop").account
    for _ in range(round(patience_s / _LOOKS_S)):
        async with stage.service.house.db.read(TENANT) as conn:
            node = await identity.find(conn, Handle(kind="app_user", scope=USERS, value=home.user))
            person = (await nodes.persons_of(conn, [node])).get(node) if node else None
            owned = await nodes.nodes_of(conn, [person]) if person else {}
            found = [
                t
                for t in await conversations.of_nodes(conn, list(owned))
                if t.account_id == account.account_id
            ]
        if found:
            return found[0]
        await asyncio.sleep(_LOOKS_S)
    return None


async def _opened(conn: Conn, stage: Stage, talk: Talk) -> None:
    """The year's course is a sale of its own, quoted already."""
    wanted = Wanted(
        key="demo-year",
        node_id=talk.node_id,
        account_id=talk.account_id,
        kind="renewal",
        business_line="年课",
        product_code=YEAR,
        product=YEAR_NAME,
        amount=YEAR_FEN,
        stage="quotation",
        staff_id=next(iter(stage.team.values())),
    )
    await opportunities.open_one(conn, wanted, By(source="rep", staff_id=wanted.staff_id), now=utcnow())
