"""Telephone calls, whoever reports them: one report as an envelope; all reports of a call are one event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import quote

from connectors.kit.http import under
from connectors.kit.people import e164, phone
from scrm.contract import Account, Context, Direction, Envelope, Handle, Media, Need, Piece
from scrm.errors import Rejected

Stage = Literal["recording", "ringing", "answered", "ended"]

#: Later stages speak for the call. A recording says nothing about it.
_RANKS: Mapping[Stage, int] = MappingProxyType({"recording": 0, "ringing": 10, "answered": 20, "ended": 30})
_WAYS: Mapping[Direction, str] = MappingProxyType({"in": "呼入", "out": "呼出", "none": "通话"})
_AGENT = re.compile(r"[A-Za-z0-9._@-]{1,64}=[^\s,=]{1,64}")
#: An hour of uncompressed speech at 8 kHz is 57 MB.
RECORDING_MAX = 100 * 1024 * 1024
#: Of a phone system of one's own.
_EXTENSION = re.compile(r"[0-9]{2,6}")
_CLOCK = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,2}):([0-9]{1,2})")
_BODY = ("result", "agent_name", "started_at", "talk_s", "duration_s")

LINES = Need(
    name="lines",
    help="我们自己的号码（热线、中继、直线），用逗号分开；报告里没有写方向时靠它判断呼入还是呼出",
    required=False,
    pattern=r"^[0-9+\-() ,，]{1,2000}$",
)
AGENTS = Need(
    name="agents",
    help="分机或坐席号对应的同事，如 8001=zhangsan, 8002=lisi；没写的按原样当作同事的账号",
    required=False,
    pattern=rf"^{_AGENT.pattern}([,，\s]+{_AGENT.pattern})*$",
)
CORP = Need(
    name="corp_id",
    help="同事用企业微信账号时填写企业 ID，坐席就能认成同一个人；留空表示电话系统自己的坐席号",
    required=False,
    pattern=r"^[A-Za-z0-9_-]{1,64}$",
)
RECORDINGS_BASE = Need(
    name="recordings_base",
    help="录音服务器的地址，如 http://10.0.3.7/recordings；只有写在这里的服务器才允许在内网",
    required=False,
    pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
)
RECORDINGS_ROOT = Need(
    name="recordings_root",
    help="报告里的录音是文件路径时，要去掉的开头部分，如 /var/lib/freeswitch/recordings",
    required=False,
    pattern=r"^/[^\s?#]*$",
)
RECORDINGS_KEY = Need(
    name="recordings_key",
    help="录音服务器要求登录时的 Authorization 请求头，如 Basic dXNlcjpwYXNz；只发给 recordings_base",
    secret=True,
    required=False,
    pattern=r"^[\x20-\x7e]{1,512}$",
)
NEEDS = (LINES, AGENTS, CORP, RECORDINGS_BASE, RECORDINGS_ROOT, RECORDINGS_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one report says of a call; "" and None where it says nothing."""

    #: The call's ids, surest first.
    names: tuple[str, ...]
    stage: Stage
    #: When the call began, else when the report was made.
    at: datetime
    direction: Literal["in", "out", ""] = ""
    caller: str = ""
    callee: str = ""
    line: str = ""
    agent: str = ""
    agent_name: str = ""
    #: Both sides were on the line; None = not said.
    answered: bool | None = None
    talk_s: int | None = None
    duration_s: int | None = None
    started_at: str = ""
    #: Why it ended, in words.
    result: str = ""
    #: URL or path of the recording.
    recording: str = ""
    recording_s: int = 0
    #: Ranks legs of one stage among each other, 0..9.
    weight: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)


def envelope(account: Account, report: Report) -> Envelope:
    """The report on the timeline: a call that was taken is talk, one we missed waits for an answer."""
    way = _direction(account, report)
    customer, line = _sides(report, way)
    kind = _kind(report, way)
    handles = [phone(customer, part="other" if way == "out" else "actor") if customer else None]
    handles.append(_line(account, line))
    staff = agents(account).get(report.agent, report.agent)
    return Envelope(
        kind=kind,
        direction="none" if report.stage == "recording" and not customer else way,
        at=report.at,
        handles=tuple(h for h in handles if h),
        text=_text(report, kind, way),
        body={"call": _body(report, way)},
        whole=tuple(f"call:{name}" for name in report.names),
        rank=_RANKS[report.stage] + report.weight,
        staff=staff,
        pieces=_pieces(report),
    )


def _direction(account: Account, report: Report) -> Literal["in", "out"]:
    """As reported, else by which side is one of our lines, else by which side is an extension."""
    if report.direction:
        return report.direction
    lines = {_digits(one) for one in re.split(r"[,，]", account.get("lines")) if one.strip()}
    caller_ours, callee_ours = (
        _digits(n) in lines or bool(_EXTENSION.fullmatch(n)) for n in (report.caller, report.callee)
    )
    return "out" if caller_ours and not callee_ours else "in"


def _sides(report: Report, way: Literal["in", "out"]) -> tuple[str, str]:
    """The customer's number and ours."""
    customer, ours = (report.caller, report.callee) if way == "in" else (report.callee, report.caller)
    return customer, report.line or ours


def _digits(number: str) -> str:
    return e164(number) or re.sub(r"[^0-9]", "", number)


def _line(account: Account, number: str) -> Handle | None:
    """A line of ours: a place, not a person. An extension is a colleague, not a line."""
    full = e164(number)
    value = full or re.sub(r"[^0-9+]", "", number)[:32]
    if not value or (not full and _EXTENSION.fullmatch(value)):
        return None
    return Handle(kind="hotline", scope="e164" if full else account.slug, value=value, part="about")


def agents(account: Account) -> dict[str, str]:
    """Our colleagues by extension or agent id."""
    return {a: b for a, _, b in (m.group().partition("=") for m in _AGENT.finditer(account.get("agents")))}


def _kind(report: Report, way: Literal["in", "out"]) -> str:
    if report.stage != "ended":
        return f"event.call.{report.stage}"
    if _taken(report):
        return "message.call"
    return "message.call.missed" if way == "in" else "event.call.unanswered"


def _taken(report: Report) -> bool:
    return report.answered if report.answered is not None else bool(report.talk_s)


def _text(report: Report, kind: str, way: Direction) -> str:
    if report.stage == "recording":
        return "通话录音"
    words = {
        "event.call.ringing": "振铃中",
        "event.call.answered": "通话中",
        "message.call": "已接通",
        "message.call.missed": "未接",
        "event.call.unanswered": "未接通",
    }[kind]
    lasted = spell(report.talk_s) if kind == "message.call" and report.talk_s else ""
    why = report.result if kind.endswith(("missed", "unanswered")) else ""
    return " · ".join(part for part in (_WAYS[way], lasted, words + (f"（{why}）" if why else "")) if part)


def spell(seconds: int) -> str:
    """`3 分 12 秒`."""
    hours, rest = divmod(max(seconds, 0), 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "小时"), (minutes, "分"), (left, "秒"))
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 秒"


def _body(report: Report, way: Direction) -> dict[str, Any]:
    said = {name: getattr(report, name) for name in _BODY}
    body = {
        "id": report.names[0],
        "direction": way if report.stage != "recording" else "",
        "state": report.stage if report.stage != "recording" else "",
        "from": report.caller,
        "to": report.callee,
        "line": report.line,
        "agent": report.agent,
        "taken": _taken(report) if report.stage == "ended" else None,
        "recorded": True if report.recording else None,
        **said,
        **report.more,
    }
    return {name: value for name, value in body.items() if value not in (None, "")}


def _pieces(report: Report) -> tuple[Piece, ...]:
    if not report.recording:
        return ()
    name = report.recording.partition("?")[0].partition("#")[0].rpartition("/")[2][-80:]
    seconds = report.recording_s or report.talk_s or 0
    return (Piece(ref=report.recording, kind="voice", name=name or "recording", seconds=seconds),)


async def recording(ctx: Context, ref: str) -> Media:
    """The recording a piece names. Raises `Rejected` for an address we do not go to, else as `Http.download`.

    A private host is reached only under `recordings_base`, and only it is given `recordings_key`.
    """
    base = ctx.account.get("recordings_base").rstrip("/")
    url = _address(ctx.account, ref, base)
    key = ctx.account.get("recordings_key")
    near = bool(base) and under(url, base)
    headers = {"Authorization": key} if key and near else {}
    return await ctx.http.download(url, headers=headers, limit=RECORDING_MAX, timeout_s=60.0)


def _address(account: Account, ref: str, base: str) -> str:
    if ref.startswith(("http://", "https://")):
        return ref
    if "://" in ref or ".." in ref.split("/"):
        raise Rejected("录音地址不正确，没有下载。", code="bad_url")
    if not base:
        raise Rejected("报告里只有录音的文件路径：请在账号设置里填写 recordings_base。", code="no_base")
    path = ref.removeprefix(account.get("recordings_root").rstrip("/")).lstrip("/")
    return f"{base}/{quote(path)}"


def whole_s(value: object) -> int | None:
    """Seconds, also where they are written as text or as `00:03:12`; None when it is no number."""
    clock = _CLOCK.fullmatch(str(value).strip())
    if clock:
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return (hours * 60 + minutes) * 60 + seconds
    try:
        return min(max(int(float(str(value))), 0), 31 * 24 * 3600)
    except (ValueError, OverflowError):
        return None
