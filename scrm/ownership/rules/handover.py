"""Hand-over: what the new rep must know, and how the platform's transfer stands, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from scrm.errors import BadInput

_ZONE = ZoneInfo("Asia/Shanghai")
#: Of a rep who stays, or who has left.
Sort = Literal["onjob", "resigned"]
SORTS: Mapping[str, str] = {"onjob": "在职继承", "resigned": "离职继承"}
#: The deeds the platform does it by, and what it calls its customers.
DEEDS: Mapping[str, str] = {"onjob": "transfer", "resigned": "resigned.transfer"}
KIND = "wecom_external"
#: The platform takes so many at once.
MOST = 100
_LONGEST = 4000
_TALKS = 6

#: How the transfer of one customer stands. `waiting` and `refused` are the platform's own rules.
OUTCOMES: Mapping[str, str] = {
    "draft": "还没有发出。",
    "none": "这位客户不在企业微信里，只转系统内的归属，已经生效。",
    "unknown": "原成员或接替成员没有绑定企业微信账号，请到企业微信后台转接；系统内的归属已经生效。",
    "resting": "90 天内在平台转接过，现在太早，平台会拒绝；系统内的归属已经生效，到期后再转接。",
    "asked": "系统内的归属已经生效；稍后提交给平台，提交前可以撤销。",
    "waiting": "平台已受理：客户 24 小时内没有拒绝就自动转接。",
    "done": "平台已转接。",
    "refused": "客户拒绝了转接：企业微信好友仍在原成员名下，请人工沟通。",
    "full": "接替成员的客户数已满，请换一位同事或扩容后重新交接。",
    "failed": "平台没有接受，请到企业微信后台核对。",
    "undone": "已撤销，客户仍归原同事。",
}
#: The platform's words for one customer, as its connector says them.
_SAID: Mapping[str, str] = {
    "已转接": "done",
    "等待转接": "waiting",
    "客户拒绝": "refused",
    "接替成员客户数已满": "full",
}
#: Lines of a brief; message ids of nobody: a brief is a text people edit.
_NOTHING = "（没有）"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A line of talk."""

    at: datetime
    ours: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known of a customer who is handed over."""

    name: str
    #: Name and part in the family of everybody else in the household, `王子涵（使用人）`.
    family: Sequence[str] = ()
    roles: Sequence[str] = ()
    #: Since when they wait for an answer; until when somebody put them off.
    waits: Sequence[datetime] = ()
    put_off: Sequence[datetime] = ()
    #: What is not finished, in words: appeals, rulings that wait.
    tasks: Sequence[str] = ()
    deals: Sequence[str] = ()
    #: Newest first.
    talks: Sequence[Said] = ()


def brief(known: Around) -> str:
    """What the new rep must know, as a text to be edited."""
    who = known.name + (f"（{'、'.join(known.roles)}）" if known.roles else "")
    waits = [f"客户从 {_minute(at)} 起在等回复" for at in known.waits]
    tasks = [f"{_minute(at)} 前再联系（稍后处理）" for at in known.put_off]
    talks = [f"{_minute(t.at)} {'我方' if t.ours else '客户'}：{t.text}" for t in known.talks[:_TALKS]]
    parts = [
        ("客户", [who]),
        ("家庭", known.family),
        ("正在等待", waits),
        ("未完成", [*tasks, *known.tasks]),
        ("成交", known.deals),
        ("最近往来", talks[::-1]),
    ]
    return "\n".join(_part(title, lines) for title, lines in parts)[:_LONGEST]


def _part(title: str, lines: Sequence[str]) -> str:
    if len(lines) == 1 and title == "客户":
        return f"{title}：{lines[0]}"
    return f"{title}：" + ("".join(f"\n- {line}" for line in lines) if lines else _NOTHING)


def _minute(at: datetime) -> str:
    return f"{at.astimezone(_ZONE):%-m月%-d日 %H:%M}"


def edited(text: str) -> str:
    """Raises `BadInput`."""
    words = text.strip().replace("\r\n", "\n")
    if not 1 <= len(words) <= _LONGEST:
        raise BadInput("交接说明请写 1 到 4000 个字。")
    return words


def rested(before: Collection[datetime], days: int, *, now: datetime) -> bool:
    """Whether the platform would take another transfer of a customer handed over at these times."""
    return all(at <= now - timedelta(days=days) for at in before)


def outcome(
    state: str, barrier: str, deed_state: str | None, result: Mapping[str, Any], customers: Collection[str]
) -> str:
    """A key of `OUTCOMES`: how one customer's hand-over stands on the platform."""
    if state in ("draft", "undone"):
        return state
    if deed_state is None:
        return barrier or "none"
    if words := _words(result, customers):
        return next((_SAID.get(w, "failed") for w in words), "failed")
    return {"asked": "asked", "calling": "waiting", "waiting": "waiting"}.get(deed_state, "failed")


def refusal(result: Mapping[str, Any], customers: Collection[str]) -> str:
    """Why the platform did not even begin, in its own words; "" = it did not say."""
    return next((w for w in _words(result, customers) if w not in _SAID), "")


def _words(result: Mapping[str, Any], customers: Collection[str]) -> list[str]:
    told = result.get("customers")
    return [str(told[c]) for c in customers if c in told] if isinstance(told, Mapping) else []


def sentence(key: str, say: Callable[[str], str] = str) -> str:
    return say(OUTCOMES[key])
