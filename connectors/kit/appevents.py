"""What an app's tracking tells: which events are shown, which only counted, and how to read them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import translate as glob
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any, NoReturn

from connectors.kit.xml import clean
from scrm.contract import Account, Need
from scrm.errors import Unreadable, Untranslatable

#: One event as it arrives, and how deep it may nest.
EVENT_MAX = 32 * 1024
_DEEPEST = 16
#: Values in one call: a thousand events of three hundred. More only keep us busy.
_VALUES = 300_000
_TOO_MUCH = "一次上报的内容太多，请分几次发。"
_LONGEST_ID = 256
#: Before apps of this kind existed: a device that lost its clock.
_EARLIEST = datetime(2005, 1, 1, tzinfo=UTC)
#: A view of a page or a screen is chosen by patterns that say so, `page:*`; a name alone never means one.
VIEWS = ("page:", "screen:")
_LISTED = r"^[^\[\]{}\"]+$"
_COMMA = re.compile(r"\s*[,，、\n]\s*")

SHOWN = Need(
    name="timeline_events",
    help="显示在客户时间线上的事件，用逗号分开，* 代表任意文字；页面写成 page:名称。其余的只计次数",
    required=False,
    pattern=_LISTED,
    default=(
        "*Order*, *Purchase*, *Payment*, *Refund*, *Trial*, *Sign*Up*, *Regist*, *Enrol*, *Appoint*,"
        " *Reserv*, *Subscri*, *下单*, *购买*, *支付*, *付款*, *退款*, *退费*, *试听*, *预约*, *注册*,"
        " *报名*, *续费*, *开通*"
    ),
)
COUNTED = Need(
    name="count_events",
    help="只计次数的事件，写法同上；与 timeline_events 都对得上时，以这里为准",
    required=False,
    pattern=_LISTED,
)
IGNORED = Need(
    name="ignore_events",
    help="既不显示也不计次数的事件，写法同上；数据照样保存",
    required=False,
    pattern=_LISTED,
    default=(
        "$AppEnd, $AppClick, $AppPageLeave, $WebClick, $WebStay, $WebPageLeave, $PageLeave, $MPHide,"
        " $MPClick, $MPPageLeave, Application Backgrounded"
    ),
)
NAMES = Need(
    name="event_names",
    help="事件和属性在时间线上的叫法：名称=叫法，用逗号分开，例如 Trial Booked=预约试听, course=课程",
    required=False,
    pattern=_LISTED,
)
CHOICES = (SHOWN, COUNTED, IGNORED, NAMES)
ORIGINS = Need(
    name="origins",
    help="允许从网页上报的网站，如 https://shop.example.com，多个用空格分开；只有 App 和服务端上报时不填",
    required=False,
    pattern=r"^https?://[^\s/?#]+(\s+https?://[^\s/?#]+)*$",
)

#: How events and properties are called that the two specifications name themselves.
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "application installed": "安装了 App",
        "application opened": "打开 App",
        "application updated": "更新了 App",
        "signed up": "注册",
        "signed in": "登录",
        "signed out": "退出登录",
        "product viewed": "查看商品",
        "product added": "加入购物车",
        "product removed": "移出购物车",
        "products searched": "搜索商品",
        "cart viewed": "查看购物车",
        "checkout started": "开始结算",
        "payment info entered": "填写支付信息",
        "coupon applied": "使用优惠券",
        "order completed": "完成订单",
        "order updated": "修改订单",
        "order refunded": "订单退款",
        "order cancelled": "取消订单",
        "trial started": "开始试用",
        "trial booked": "预约试听",
        "subscription started": "开通订阅",
        "$signup": "注册或登录",
        "$appinstall": "安装了 App",
        "$appstart": "打开 App",
        "$mplaunch": "打开小程序",
        "$mpshow": "打开小程序",
        "$mpshare": "分享小程序",
        "$appcrashed": "App 闪退",
        "$applogin": "登录",
        "page:": "浏览页面",
        "screen:": "浏览页面",
    }
)
_PROPERTIES: Mapping[str, str] = MappingProxyType(
    {
        "order_id": "订单号",
        "revenue": "金额",
        "total": "金额",
        "amount": "金额",
        "price": "价格",
        "product": "商品",
        "product_name": "商品",
        "course": "课程",
        "course_name": "课程",
        "subject": "科目",
        "grade": "年级",
        "coupon": "优惠券",
        "plan": "套餐",
    }
)
#: So many properties are told in a line of the timeline, each at most so long.
_TOLD, _TOLD_CHARS = 4, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an account wants of its events."""

    shown: re.Pattern[str]
    counted: re.Pattern[str]
    ignored: re.Pattern[str]
    words: Mapping[str, str]

    def shows(self, name: str) -> bool:
        return bool(self.shown.fullmatch(name)) and not self.counted.fullmatch(name)

    def ignores(self, name: str) -> bool:
        return bool(self.ignored.fullmatch(name)) and not self.shows(name)

    def said(self, name: str) -> str:
        """What people call this event."""
        known = self.words.get(name.lower()) or _WORDS.get(name.lower())
        view = next((v for v in VIEWS if name.startswith(v)), "")
        return known or (f"浏览「{name.removeprefix(view)}」" if view else name) or "事件"

    def line(self, name: str, properties: Mapping[str, Any]) -> str:
        """The event with those of its properties that have a name people understand."""
        told: dict[str, str] = {}
        for key, value in properties.items():
            title = self.words.get(key.lower()) or _PROPERTIES.get(key.lower())
            detail = _detail(value)
            if title and detail and title not in told and len(told) < _TOLD:
                told[title] = f"{title}：{detail}"
        return f"{self.said(name)}（{'，'.join(told.values())}）" if told else self.said(name)


def choice(account: Account) -> Choice:
    return _choice(*(account.get(need.name) or need.default for need in CHOICES))


@lru_cache(maxsize=64)
def _choice(shown: str, counted: str, ignored: str, names: str) -> Choice:
    pairs = (one.partition("=") for one in _COMMA.split(names.strip()) if "=" in one)
    return Choice(
        shown=_pattern(shown),
        counted=_pattern(counted),
        ignored=_pattern(ignored),
        words={key.strip().lower(): title.strip()[:64] for key, _, title in pairs if title.strip()},
    )


def _pattern(listed: str) -> re.Pattern[str]:
    """Any of the globs, whatever the case; one that names no views meets none."""
    wanted = [one.replace("[", "[[]") for one in _COMMA.split(listed.strip()) if one]
    either = [glob(one) if one.startswith(VIEWS) else f"(?!page:|screen:){glob(one)}" for one in wanted]
    return re.compile("|".join(either) or r"(?!)", re.IGNORECASE | re.DOTALL)


def _detail(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return " ".join(str(value).split())[:_TOLD_CHARS]


def welcome(account: Account, headers: Mapping[str, str]) -> dict[str, str]:
    """What lets a page of ours read the answer, so that its library does not send the same again."""
    origin = headers.get("Origin", "")
    if not origin or origin not in account.get("origins").split():
        return {}
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def read(body: bytes) -> Any:
    """A JSON value with nothing a database would not take. Raises `Unreadable`."""
    if sum(map(body.count, (b",", b"[", b"{"))) > _VALUES:  # cheaper than reading what nobody wants
        raise Unreadable(_TOO_MUCH)
    try:
        value = json.loads(body, parse_float=_number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as broken:
        raise Unreadable("内容不是合法的 JSON。") from broken
    _demand_modest(value)
    return clean(value)


def written(value: Any) -> bytes:
    """The same value always as the same bytes."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def fields(value: object) -> dict[str, Any]:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def ident(value: object) -> str:
    """A name of somebody or something; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if len(text) <= _LONGEST_ID and text.isprintable() else ""


def stored(payload: bytes) -> tuple[dict[str, Any], datetime, object]:
    """The event of a raw, when it came in, and when its sender says it was sent. Raises `Untranslatable`."""
    try:
        kept = json.loads(payload)
        return dict(kept["event"]), datetime.fromisoformat(kept["received"]), kept.get("sent")
    except (KeyError, TypeError, ValueError) as broken:
        raise Untranslatable("事件无法读取。") from broken


def payload(event: Mapping[str, Any], received_at: datetime, sent: object = None) -> bytes:
    kept = {"event": event, "received": received_at.isoformat(), "sent": sent}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def digest(event: Mapping[str, Any]) -> str:
    """Names an event that has no id of its own: the same content is the same event."""
    return hashlib.sha256(written(event)).hexdigest()


def happened(at: datetime | None, sent: datetime | None, received: datetime) -> datetime:
    """When it was by our clock: the device's may be wrong, but it is as wrong when it sends."""
    if at is None:
        return received
    try:
        told = at + (received - sent) if sent is not None else at
    except OverflowError:
        return received
    return told if _EARLIEST <= told <= received + timedelta(minutes=1) else received


def by_iso(value: object) -> datetime | None:
    """A time as RFC 3339 writes it; one without a zone is UTC."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def by_ms(value: object) -> datetime | None:
    """Milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value)
    except OverflowError:
        return None


def _number(text: str) -> float | str:
    value = float(text)
    return value if isfinite(value) else text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _demand_modest(value: Any) -> None:
    """Raises `Unreadable` for what nests too deep or has too much in it, before anything walks through it."""
    layer, left = [value] if isinstance(value, dict | list) else [], _VALUES
    for _ in range(_DEEPEST + 1):
        left -= sum(map(len, layer))
        if left < 0:
            raise Unreadable(_TOO_MUCH)
        inner = (one for held in layer for one in (held.values() if isinstance(held, dict) else held))
        layer = [one for one in inner if isinstance(one, dict | list)]
    if layer:
        raise Unreadable("内容嵌套过深。")
