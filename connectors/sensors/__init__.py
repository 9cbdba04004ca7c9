"""App events by the Sensors Analytics (神策) SDKs: their server URL, pointed here, takes the data."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.kit.appevents import CHOICES, EVENT_MAX, ORIGINS, digest, ident, payload, welcome, written
from connectors.kit.callback import lane
from connectors.kit.needs import OPEN_SUBJECT, USERS
from connectors.sensors.events import signed_in_as, translate
from connectors.sensors.packing import parcel, unpacked
from scrm.contract import Account, Call, Context, Finding, Need, Raw, Receipt, Severity
from scrm.errors import Refused, Unreadable

__all__ = ["BODY_MAX", "ICON", "NEEDS", "TITLE", "probe", "receive", "translate"]

TITLE = "App 事件（神策）"
ICON = "app"
NEEDS = (
    Need(
        name="project",
        help="项目名，与 SDK 数据接收地址里的 project 一致",
        required=False,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        default="default",
    ),
    Need(
        name="token",
        help="数据接收地址里的 token；强烈建议填写，不填则知道地址的人都能上报",
        secret=True,
        required=False,
        pattern=r"^[A-Za-z0-9_-]{4,128}$",
    ),
    Need(
        name="distinct_id",
        help="user 表示 distinct_id 总是用户编号（只有服务端埋点时）；留空则按 SDK 的标记判断",
        required=False,
        pattern=r"^(user|flag)$",
        default="flag",
    ),
    USERS,
    OPEN_SUBJECT,
    ORIGINS,
    *CHOICES,
)
BODY_MAX = 1024 * 1024
EVENTS_MAX = 1000
_TAILS = frozenset({"", "sa", "sa.gif"})
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
#: The SDK writes it anew each time it sends, so a repeat has another.
_SENT = "_flush_time"


def receive(ctx: Context, call: Call) -> Receipt:
    """Check project and token and take each event as a raw of its own. Raises `Refused`."""
    if call.method not in {"GET", "POST"}:
        raise Refused("只接受 GET 与 POST。")
    tail = call.tail.strip("/")
    if tail not in _TAILS:
        raise Refused("没有这个地址，请使用 /sa。")
    _project(ctx.account, call.query)
    if "token" in call.query:
        _known(ctx.account, call.query["token"])
    try:
        events = unpacked(parcel(call))
        _within(events)
    except Unreadable as broken:
        return Receipt(status=400, body=broken.sentence.encode())
    for event in events:
        _allowed(ctx.account, call.query, event)
    raws = tuple(_raw(ctx.account, call, event) for event in events)
    if call.method == "GET":
        return Receipt(raws=raws, body=_PIXEL, mime="image/gif")
    return Receipt(raws=raws, headers=welcome(ctx.account, call.headers))


async def probe(ctx: Context) -> Sequence[Finding]:
    """Nothing to try: the SDKs call us. Says what they must be told, and whether anybody may."""
    where = f"数据接收地址填 /hooks/{ctx.account.slug}/sa?project={ctx.account.get('project') or 'default'}"
    if not ctx.account.get("token"):
        return (Finding(severity=Severity.WARN, sentence=f"{where}。没有设置 token，谁都能上报。"),)
    return (Finding(severity=Severity.OK, sentence=f"{where}&token=……"),)


def _project(account: Account, query: Mapping[str, str]) -> None:
    if (query.get("project") or "default") != (account.get("project") or "default"):
        raise Refused("项目名不对。")


def _known(account: Account, token: str) -> None:
    wanted = account.get("token")
    if wanted and not hmac.compare_digest(token.encode("utf-8", "replace"), wanted.encode()):
        raise Refused("token 不对。")


def _allowed(account: Account, query: Mapping[str, str], event: Mapping[str, Any]) -> None:
    """The token is in the address; one event may carry its own, and name its project."""
    _known(account, ident(event.get("token")) or query.get("token", ""))
    if event.get("project"):
        _project(account, {"project": ident(event["project"])})


def _within(events: Sequence[Mapping[str, Any]]) -> None:
    if len(events) > EVENTS_MAX:
        raise Unreadable("一次上报超过 1000 个事件，请分几次发。")
    if any(len(written(event)) > EVENT_MAX for event in events):
        raise Unreadable("单个事件超过 32 KB，请减少属性。")


def _raw(account: Account, call: Call, event: dict[str, Any]) -> Raw:
    said = {name: value for name, value in event.items() if name not in {_SENT, "token"}}
    user = signed_in_as(account, event)
    device = ident(event.get("anonymous_id")) or ident(event.get("distinct_id"))
    return Raw(
        source_key=f"sa:{digest(said)}",
        lane=lane("user", user) if user else lane("anon", device) if device else lane(),
        payload=payload(said, call.received_at, event.get(_SENT)),
    )
