"""All followers, page by page: taken over once, and asked again to find whom we missed."""

from __future__ import annotations

from typing import Any

from connectors.kit import api
from connectors.kit.profiles import profile_raw, word
from scrm.contract import Context, Polled, Raw, Stock
from scrm.errors import Rejected

STREAM = "fans"
STOCKS = (Stock(stream=STREAM, title="全部关注者"),)
#: `user/get` tells up to `MOST` openids after a given one and may be asked 500 times a day; `batchget`
#: explains 100 of them. A page of ours is one of the first and ten of the second: 500,000 followers a day.
MOST, PAGE, BATCH = 10_000, 1000, 100


async def poll(ctx: Context, stream: str, cursor: str, hint: str) -> Polled:  # noqa: ARG001 - the plug's
    """The followers after the openid `cursor`."""
    if stream != STREAM:
        raise Rejected("公众号没有这个列表。", code="no_stream")
    params = {"next_openid": cursor} if cursor else {}
    answer = await api.call(ctx, "cgi-bin/user/get", grant=api.OFFICIAL, params=params)
    openids = _openids(answer)
    page = openids[:PAGE]
    raws: list[Raw] = []
    for start in range(0, len(page), BATCH):
        raws += await _explained(ctx, page[start : start + BATCH])
    return Polled(
        raws=tuple(raws),
        cursor=page[-1] if page else cursor,
        more=len(openids) > len(page) or len(openids) >= MOST,
        total=_count(answer.get("total")),
    )


async def _explained(ctx: Context, openids: list[str]) -> list[Raw]:
    asked = {"user_list": [{"openid": openid, "lang": "zh_CN"} for openid in openids]}
    answer = await api.call(ctx, "cgi-bin/user/info/batchget", grant=api.OFFICIAL, body=asked)
    found = answer.get("user_info_list")
    known = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [profile_raw(o, o, one, ctx.now) for one in known if (o := word(one, "openid"))]


def _openids(answer: dict[str, Any]) -> list[str]:
    data = answer.get("data")
    found = data.get("openid") if isinstance(data, dict) else None
    return [one for one in found if isinstance(one, str) and one] if isinstance(found, list) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
