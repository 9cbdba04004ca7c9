"""One family's story over six channels: registered, asked, gave the father's card, called, ordered, attended.

Each step is what the real sender would put on the wire: nothing here knows how scrm reads it.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from aiohttp import ClientSession

from connectors.kit.http import is_loopback, open_session
from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature
from connectors.kit.world import Persona, Staff, World
from scrm.app import TENANT
from scrm.contract import Handle
from scrm.db import Conn, utcnow
from scrm.demo.stage import USERS, Stage
from scrm.identity import roles
from scrm.identity import service as identity
from scrm.identity import store as nodes


class _Forwards(Protocol):
    """The archive, where customers forward each other's cards."""

    async def forward(self, persona: Persona, staff: Staff, owner: Persona) -> bool: ...


_LOOKS_S = 0.5
#: The parts of the story that are told in words.
_KNOWN = frozenset({"registrant", "payer", "decision_maker", "user"})
PRODUCT = {"product": "math-3", "name": "三年级数学春季班", "quantity": 1, "amount": 398_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    mother: Persona
    father: Persona

    @property
    def names(self) -> frozenset[str]:
        """As conversations with them are called."""
        return frozenset((self.mother.name, self.father.name, self.mother.kid))

    @property
    def user(self) -> str:
        """The mother's id in the school's app, the same as on its site."""
        return f"member-{self.mother.number}"


def family(world: World) -> Family:
    """A mother of the cast, who says only what the story wants, and her husband, whom only WeCom knows."""
    mother = replace(world.personas[0], channels=frozenset())
    father = replace(
        mother,
        number=len(world.personas) + 1,
        name=f"{mother.kid}爸爸",
        unionid=f"oU{secrets.token_hex(13)}",
        mood="quiet",
        channels=frozenset(),
    )
    world.personas = (mother, *world.personas[1:], father)
    return Family(mother=mother, father=father)


async def live(stage: Stage, home: Family, *, pause_s: float = 0.0) -> dict[str, str]:
    """All of it, in order; what is posted is posted twice, as happens. `pause_s`: how long a call rings.

    What the mother's browser sends along when she writes on the site.
    """
    async with open_session(is_loopback) as http:
        await _registers(stage, home, http)
        chat = await _asks(stage, home, http)
        await _meets(stage, home)
        await _calls(stage, home, http, pause_s)
        await _orders(stage, home, http)
        await _attends(stage, home, http)
    return chat


async def _registers(stage: Stage, home: Family, http: ClientSession) -> None:
    """Segment's batch: gzipped JSON, Basic authentication."""
    began = utcnow() - timedelta(days=2)
    batch = [
        _app_event(home, began, "identify", traits={"name": home.mother.name, "phone": home.mother.mobile}),
        _app_event(home, began, "track", event="注册成功", properties={"grade": home.mother.grade}),
        *(
            _app_event(home, began + timedelta(minutes=n), "page", name="课程页", properties={})
            for n in range(1, 4)
        ),
    ]
    now = utcnow().isoformat()
    body = gzip.compress(json.dumps({"batch": batch, "sentAt": now}).encode())
    key = base64.b64encode(f"{stage.accounts['school-app'].get('write_key')}:".encode()).decode()
    headers = {
        "Authorization": f"Basic {key}",
        "Content-Encoding": "gzip",
        "Content-Type": "application/json",
    }
    await _post(http, f"{stage.url}/hooks/school-app/v1/batch", body, headers)


def _app_event(home: Family, at: datetime, kind: str, **more: object) -> dict[str, object]:
    ident = f"{home.user}-{kind}-{int(at.timestamp())}"
    return {"type": kind, "messageId": ident, "userId": home.user, "timestamp": at.isoformat(), **more}


async def _asks(stage: Stage, home: Family, http: ClientSession) -> dict[str, str]:
    """Signs in at the school's site, whose chat then knows her; the site's cookie stays with the site."""
    site, chat = stage.platforms["shop"], f"{stage.url}/chat/shop"
    form = {"number": str(home.mother.number)}
    async with http.post(f"{site}/login", data=form, allow_redirects=False) as entered:
        cookie = "; ".join(f"{name}={one.value}" for name, one in entered.cookies.items())
    async with http.get(f"{site}/chat-token", headers={"Cookie": cookie}) as told:
        identity = await told.text()
    headers = {"Origin": site}
    for step, body in (("session", {}), ("identify", {"identity": identity})):
        async with http.post(f"{chat}/{step}", json=body, headers=headers) as known:
            headers["Authorization"] = f"Bearer {(await known.json())['token']}"
    question = home.mother.words("{kid}{grade}，{subject}跟得上吗？想先了解一下")
    headers["Idempotency-Key"] = secrets.token_hex(8)
    for _ in range(2):
        async with http.post(f"{chat}/messages", json={"text": question}, headers=headers) as answer:
            answer.raise_for_status()
    return headers


async def _meets(stage: Stage, home: Family) -> None:
    """The mother adds a teacher in WeCom and forwards her husband's card; he adds the teacher and writes.

    Encrypted callbacks, look-ups, the archive.
    """
    teacher = stage.world.staff[0]
    archive = cast(_Forwards, stage.world.outlets["archive"])
    await stage.world.outlets["school"].meet(home.mother, teacher)
    await stage.world.say(home.mother, "archive", "老师，学费的事我老公管，加我老公微信吧，我把名片发您")
    await archive.forward(home.mother, teacher, home.father)
    await stage.world.outlets["school"].meet(home.father, stage.world.staff[0])
    question = home.mother.words("我是{kid}爸爸，{subject}班一个班多少人？价格能优惠吗？")
    await stage.world.say(home.father, "archive", question)


async def _calls(stage: Stage, home: Family, http: ClientSession, pause_s: float) -> None:
    """Rings at the teacher's desk, is answered, talks, hangs up."""
    teacher = stage.world.staff[0].userid
    await telephones(stage, http, home.mother, teacher, rings_s=pause_s, talks_s=pause_s)


async def telephones(
    stage: Stage,
    http: ClientSession,
    persona: Persona,
    agent: str,
    *,
    rings_s: float,
    talks_s: float,
    direction: str = "in",
) -> None:
    """Four reports of one call: it rings, is answered, ends, and was recorded."""
    exchange = stage.platforms["hotline"]
    form = {"number": str(persona.number), "agent": agent, "direction": direction}
    async with http.post(f"{exchange}/ring", data=form) as rung:
        rings = re.search(r"/calls/([\w-]+)/answer", await rung.text())
    call_id = rings[1] if rings else ""
    for verb, after_s in (("answer", rings_s), ("hangup", talks_s)):
        await asyncio.sleep(after_s)
        async with http.post(f"{exchange}/calls/{call_id}/{verb}") as done:
            done.raise_for_status()


async def _orders(stage: Stage, home: Family, http: ClientSession) -> None:
    """The order system: the product, its price, and the order the father pays."""
    now = utcnow()
    product = {"type": "product", "id": PRODUCT["product"], "at": now.isoformat(), "name": PRODUCT["name"]}
    product["business_line"] = "新签"
    price = {
        "type": "price",
        "id": "math-3-standard",
        "at": now.isoformat(),
        "product": PRODUCT["product"],
        "amount": PRODUCT["amount"],
        "starts": (now - timedelta(days=30)).isoformat(),
    }
    order = {
        "type": "order",
        "id": f"D{now:%Y%m%d}-0001",
        "version": 1,
        "at": (now - timedelta(minutes=5)).isoformat(),
        "status": "paid",
        "business_line": "新签",
        "buyer": {
            "app_user": home.user,
            "phone": home.mother.mobile,
            "unionid": home.mother.unionid,
            "name": home.mother.name,
        },
        "payer": {"unionid": home.father.unionid, "name": home.father.name},
        "learner": {"id": f"learner-{home.mother.number}", "name": home.mother.kid},
        "items": [PRODUCT],
        "coupon": {"code": "SPRING50", "amount": 5_000},
        "total": 393_000,
        "paid": 393_000,
    }
    await signed(stage, http, "mall", {"items": [product, price, order]})


async def _attends(stage: Stage, home: Family, http: ClientSession) -> None:
    """The teaching system: the child came to its first lesson, booked on the mother's account."""
    lesson = {
        "type": "lesson",
        "id": f"K{utcnow():%Y%m%d}-0001",
        "at": utcnow().isoformat(),
        "status": "attended",
        "course": PRODUCT["product"],
        "name": f"{PRODUCT['name']} 第 1 讲",
        "learner": {"id": f"learner-{home.mother.number}", "name": home.mother.kid},
        "account": {"app_user": home.user},
    }
    await signed(stage, http, "mall", lesson)


async def parts(conn: Conn, home: Family) -> list[roles.Part]:
    """Which part each of them plays, as scrm has understood it."""
    node = await identity.find(conn, Handle(kind="app_user", scope=USERS, value=home.user))
    owner = (await nodes.persons_of(conn, [node])).get(node) if node else None
    if owner is None:
        return []
    family = await identity.household(conn, owner)
    return await roles.parts(conn, family.owners, utcnow())


async def in_words(stage: Stage, home: Family, *, patience_s: float = 20.0) -> str:
    """The family and its parts in a sentence, once the whole story has been understood."""
    for _ in range(round(patience_s / _LOOKS_S)):
        async with stage.service.house.db.read(TENANT) as conn:
            found = await parts(conn, home)
            names = await nodes.shown(conn, {p.person_id for p in found})
        if {p.role for p in found} >= _KNOWN:
            break
        await asyncio.sleep(_LOOKS_S)
    told: dict[int, dict[str, str]] = {}
    for part in found:
        told.setdefault(part.person_id, {}).setdefault(part.title, part.reason)
    return "；".join(
        f"{names[p].name if p in names else '？'}是"
        + "、".join(f"{title}（{why}）" for title, why in said.items())
        for p, said in told.items()
    )


async def signed(stage: Stage, http: ClientSession, slug: str, document: Mapping[str, Any]) -> None:
    """As the order system posts: signed, and twice."""
    body, now = json.dumps(document).encode(), str(int(utcnow().timestamp()))
    proof = signature(stage.accounts[slug].get("secret"), now, body)
    headers = {TIMESTAMP: now, SIGNATURE: proof, "Content-Type": "application/json"}
    await _post(http, f"{stage.url}/hooks/{slug}", body, headers)


async def _post(http: ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    for _ in range(2):
        async with http.post(url, data=body, headers=headers) as answer:
            answer.raise_for_status()
