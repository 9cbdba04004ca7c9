"""Turns views into HTML: templates, words in two languages, clocks, and the names of the built assets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.messages.pofile import read_po
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from scrm.web.attached import yuan
from scrm.web.views import Boot, Item, Locale, Theme

HERE = Path(__file__).parent
DIST = HERE / "static" / "dist"
STATIC_URL = "/static/dist/"
LOCALES: tuple[Locale, ...] = ("zh_CN", "en")
#: Sales days end at midnight in Shanghai, wherever the server stands.
ZONE = ZoneInfo("Asia/Shanghai")

#: What the browser says by itself; a test compares this with the `t("...")` calls of the scripts.
WORDS = (
    "刚刚",
    "{n} 分钟前",
    "等 {n} 分钟",
    "等 {n} 小时",
    "实时",
    "连接中",
    "离线",
    "网络断开，正在重连（第 {n} 次，{s} 秒后）。",
    "网络断开，正在重连（第 {n} 次）。",
    "已补齐 {n} 条",
    "已恢复连接",
    "{n} 条新动态",
    "已复制，请到聊天窗口粘贴",
    "复制不了，请长按文字复制",
    "没有发出去：{why}",
    "网络不通",
    "服务器没有答应（{n}）",
    "发送中",
    "可能已发送：10 秒没有回音，请看聊天窗口",
    "企业微信没有让发送：{why}",
    "还没填：{names}",
    "没能更新，请稍后再试",
    "登录已过期，请重新登录",
    "没能从企业微信得到当前客户：{why}",
    "还没发：同事刚刚回复了",
    "还没发：发送前检查",
)


def clock(at: datetime, now: datetime, words: dict[str, str]) -> str:
    """Relative within the hour, then HH:mm the same day, then MM-DD."""
    seconds = (now - at).total_seconds()
    if 0 <= seconds < 60:
        return words.get("刚刚", "刚刚")
    if 0 <= seconds < 3600:
        return words.get("{n} 分钟前", "{n} 分钟前").replace("{n}", str(int(seconds // 60)))
    local, today = at.astimezone(ZONE), now.astimezone(ZONE)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%m-%d}" if local.year == today.year else f"{local:%Y-%m-%d}"


def waited(since: datetime, now: datetime, words: dict[str, str]) -> str:
    """How long somebody has been waiting, in whole minutes, then whole hours."""
    minutes = max(0, int((now - since).total_seconds() // 60))
    unit, n = ("等 {n} 分钟", minutes) if minutes < 60 else ("等 {n} 小时", minutes // 60)
    return words.get(unit, unit).replace("{n}", str(n))


def by_day(items: Iterable[Item], now: datetime, words: dict[str, str]) -> list[tuple[str, str, list[Item]]]:
    """Consecutive items of one Shanghai day as (date, what to call it, items)."""
    today = now.astimezone(ZONE).date()
    names = {0: words.get("今天", "今天"), 1: words.get("昨天", "昨天")}
    days: list[tuple[str, str, list[Item]]] = []
    for item in items:
        date = item.at.astimezone(ZONE).date()
        if not days or days[-1][0] != date.isoformat():
            short = f"{date:%m-%d}" if date.year == today.year else date.isoformat()
            days.append((date.isoformat(), names.get((today - date).days, short), []))
        days[-1][2].append(item)
    return days


def catalogue(locale: Locale) -> dict[str, str]:
    """Translations by Chinese source text; what is missing stays Chinese."""
    with (HERE / "locale" / f"{locale}.po").open("rb") as file:
        messages = read_po(file, locale=locale)
    return {str(m.id): str(m.string) for m in messages if m.id and m.string}


class Renderer:
    """One per process: holds the compiled templates, the words and the asset names."""

    def __init__(self, dist: Path = DIST) -> None:
        self._assets = _manifest(dist)
        self._words = {locale: catalogue(locale) for locale in LOCALES}
        self._environments = {locale: self._environment(locale) for locale in LOCALES}

    @property
    def missing_assets(self) -> bool:
        """The front end was never built: pages work, but plainly."""
        return not self._assets

    def asset(self, name: str) -> str:
        """The file a built asset is in; "" when it was not built."""
        return self._assets.get(name, "")

    def render(self, template: str, *, locale: Locale, theme: Theme, now: datetime, **views: Any) -> str:
        """The page or fragment as HTML; `views` are the names the template's first lines list."""
        environment = self._environments[locale]
        return environment.get_template(template).render(locale=locale, theme=theme, now=now, **views)

    def say(self, locale: Locale, text: str, **values: object) -> str:
        """A sentence of ours in the reader's language; `text` is its Chinese source with {braces}."""
        said = self._words[locale].get(text, text)
        return said.format(**values) if values else said

    def _environment(self, locale: Locale) -> Environment:
        words = self._words[locale]
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.newstyle_gettext = True  # type: ignore[attr-defined]
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            lambda text: words.get(text, text), _plural(words), newstyle=True
        )
        environment.filters |= _filters(words)
        environment.globals |= {
            "asset": lambda name: STATIC_URL + self._assets[name] if name in self._assets else "",
            "browser_words": {word: words[word] for word in WORDS if word in words},
        }
        return environment


def _manifest(dist: Path) -> dict[str, str]:
    path = dist / "manifest.json"
    if not path.exists():
        return {}
    names = json.loads(path.read_text("utf-8"))
    return {str(k): str(v) for k, v in names.items()}


def _plural(words: dict[str, str]) -> Any:
    # Chinese has one form, and our English is worded to need none ("3 new").
    return lambda one, _many, _n: words.get(one, one)


def _filters(words: dict[str, str]) -> dict[str, Any]:
    @pass_context
    def clock_filter(context: Context, at: datetime) -> str:
        return clock(at, context["now"], words)

    @pass_context
    def waited_filter(context: Context, since: datetime) -> str:
        return waited(since, context["now"], words)

    @pass_context
    def by_day_filter(context: Context, items: Sequence[Item]) -> list[tuple[str, str, list[Item]]]:
        return by_day(items, context["now"], words)

    return {
        "clock": clock_filter,
        "waited": waited_filter,
        "by_day": by_day_filter,
        "hhmm": lambda at: f"{at.astimezone(ZONE):%H:%M}",
        "moment": lambda at: f"{at.astimezone(ZONE):%m-%d %H:%M}",
        "minute": lambda at: f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}",
        "yuan": yuan,
        "iso": lambda at: at.isoformat(timespec="seconds"),
        "initial": lambda name: name.strip()[:1].upper() or "?",
        "boot": _boot,
    }


def _boot(boot: Boot) -> dict[str, Any]:
    return asdict(boot)
