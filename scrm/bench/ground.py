"""What the benches stand on: customers, their signed callbacks, and a platform that knows them."""

from __future__ import annotations

import base64
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from urllib.parse import urlencode

from aiohttp import web

from connectors.kit.codec import Codec, plain_signature
from connectors.kit.profiles import profile_raw
from scrm.contract import Raw
from scrm.db import utcnow
from scrm.shapes import to_json
from scrm.web.serving import listening

Figures = dict[str, float | int | str]

SLUG, APP_ID, TOKEN = "bench", "wxbench0000000001", "benchToken"
AES_KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
#: One message in so many is no plain text.
_PICTURES, _CLICKS = 12, 15
_SAID = (
    "太贵了，能便宜点吗",
    "孩子坚持不下来怎么办",
    "在吗",
    "你们有没有试听课？想先让孩子听一节",
    "周末几点上课，我们家离得比较远",
    "老师，昨天的作业发一下",
    "我再和孩子爸爸商量一下",
    "报名之后不想上了可以退费吗",
    "好的",
    "我看别家同样的课便宜两千多，你们贵在哪里呢，能不能申请一个优惠",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One callback before it is signed."""

    openid: str
    msg_id: str
    xml: bytes
    is_event: bool

    @property
    def raw(self) -> Raw:
        key = f"event:{self.msg_id}" if self.is_event else f"msg:{self.msg_id}"
        return Raw(source_key=key, lane=self.openid, payload=self.xml, urgent=True)


def talk(count: int, *, people: int, seed: int = 7, first: int = 0) -> Iterator[Said]:
    """`count` distinct messages of `people` customers; a few say most, as in life."""
    rng = random.Random(seed)
    weights = list(accumulate(1 / (rank + 3) for rank in range(people)))
    begin = int(time.time()) - 60
    chosen = rng.choices(range(people), cum_weights=weights, k=count)
    for number, person in enumerate(chosen, first):
        openid = f"o_bench_{person:022d}"
        yield _said(openid, str(7_300_000_000_000_000_000 + number), begin + number * 60 // count, rng)


def _said(openid: str, msg_id: str, at: int, rng: random.Random) -> Said:
    click = not rng.randrange(_CLICKS)
    if click:
        inner = f"<MsgType><![CDATA[event]]></MsgType><Event>CLICK</Event><EventKey>price-{msg_id}</EventKey>"
    elif not rng.randrange(_PICTURES):
        inner = (
            "<MsgType><![CDATA[image]]></MsgType><PicUrl><![CDATA[http://mmbiz.qpic.cn/p/0]]></PicUrl>"
            f"<MediaId><![CDATA[media_{msg_id}]]></MediaId><MsgId>{msg_id}</MsgId>"
        )
    else:
        return text_message(openid, msg_id, at, rng.choice(_SAID))
    return Said(openid=openid, msg_id=msg_id, xml=_xml(openid, at, inner), is_event=click)


def text_message(openid: str, msg_id: str, at: int, text: str) -> Said:
    inner = f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content><MsgId>{msg_id}</MsgId>"
    return Said(openid=openid, msg_id=msg_id, xml=_xml(openid, at, inner), is_event=False)


def _xml(openid: str, at: int, inner: str) -> bytes:
    return (
        f"<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
        f"<CreateTime>{at}</CreateTime>{inner}</xml>"
    ).encode()


def profiles(people: int) -> list[Raw]:
    """What the platform tells about each customer: a name, and the unionid that joins two identifiers."""
    return [
        profile_raw(openid, openid, _profile(openid), utcnow())
        for openid in (f"o_bench_{person:022d}" for person in range(people))
    ]


def _profile(openid: str) -> dict[str, object]:
    return {"subscribe": 1, "openid": openid, "nickname": f"家长{openid[-4:]}", "unionid": f"u_{openid}"}


def signed(said: Said, *, salt: bytes) -> tuple[str, bytes]:
    """Query string and body of the encrypted callback, as the platform sends it in secure mode."""
    codec, now = Codec(TOKEN, AES_KEY, frozenset({APP_ID})), str(int(time.time()))
    encrypt = codec.encrypt(said.xml, receive_id=APP_ID, salt=salt)
    nonce = said.msg_id[-10:]
    query = {
        "signature": plain_signature(TOKEN, now, nonce),
        "timestamp": now,
        "nonce": nonce,
        "openid": said.openid,
        "encrypt_type": "aes",
        "msg_signature": codec.signature(now, nonce, encrypt),
    }
    body = f"<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
    return urlencode(query), body.encode()


def account(api_base: str) -> dict[str, object]:
    """The account as one writes it in TOML."""
    return {
        "slug": SLUG,
        "channel": "wechat_oa",
        "name": "压测公众号",
        "max_age_s": 0,
        "app_id": APP_ID,
        "secret": "bench-secret",
        "token": TOKEN,
        "aes_key": AES_KEY,
        "api_base": api_base,
    }


@asynccontextmanager
async def platform() -> AsyncIterator[str]:
    """The base URL of a platform that knows everybody: what the service asks it is answered at once."""

    async def answer(request: web.Request) -> web.Response:
        known = {"errcode": 0, "access_token": "t" * 64, "expires_in": 7200}
        who = request.query.get("openid")
        body = to_json(_profile(who) if who else known)
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with listening(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def wrk() -> str | None:
    return shutil.which("wrk")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
