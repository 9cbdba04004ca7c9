"""The platforms' reply windows and who may answer now: whether a channel's API lets a push through. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from scrm.contract import Window

#: How a reply reaches the customer: by the channel's API, by the rep's own tap in WeCom, or copied by hand.
Way = Literal["api", "jssdk", "copy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An event of the customer that opened a window."""

    kind: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Pushes since a time, newest first."""

    at: tuple[datetime, ...] = ()
    #: The platform itself said that the window is closed: what was opened before is void.
    shut_at: datetime | None = None

    def since(self, moment: datetime) -> int:
        return sum(at >= moment for at in self.at)


#: Why not by API, for the rep; message ids of the catalogues.
BY_HAND = "这个渠道只能由你本人在企业微信里发出。"
HUMAN = "会话已由人工接待，接口不能代发，请在企业微信里回复。"
ENDED = "会话已结束，客户再次来消息后才能用接口回复。"
USED_UP = "客户回复前最多发 {count} 条，已经用完；等客户说话后可继续。"
SILENT = "客户超过 {hours} 小时没有说话，平台不允许主动发送。"
SHUT = "平台刚刚拒绝了发送：回复时限已过或条数已用完，需客户先发消息。"
SENTENCES = (BY_HAND, HUMAN, ENDED, USED_UP, SILENT, SHUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`why` says why the way is not `api`; `left` counts pushes still allowed."""

    way: Way
    why: str = ""
    #: What fills the braces of `why`.
    values: Mapping[str, int] = field(default_factory=dict)
    left: int | None = None
    until: datetime | None = None

    @property
    def sentence(self) -> str:
        return self.why.format(**self.values)


def verdict(
    windows: Sequence[Window],
    openings: Sequence[Opening],
    used: Used,
    *,
    sends: bool,
    session: str,
    in_app: bool,
    now: datetime,
) -> Verdict:
    """`sends`: the channel has an API for talk; `in_app`: the rep's page runs inside the vendor's app."""
    fallback: Way = "jssdk" if in_app else "copy"
    if not sends:
        return Verdict(way=fallback, why=BY_HAND)
    if session == "human":
        return Verdict(way=fallback, why=HUMAN)
    if session == "ended":
        return Verdict(way=fallback, why=ENDED)
    if not windows:
        return Verdict(way="api")
    valid = [o for o in openings if used.shut_at is None or o.at > used.shut_at]
    open_now = [v for w in windows for o in valid if (v := _open(w, o, used, now))]
    if open_now:
        return max(open_now, key=lambda v: (v.left or 0, v.until or now))
    if len(valid) < len(openings):
        return Verdict(way=fallback, why=SHUT)
    why, values = _closed(windows, openings, used, now)
    return Verdict(way=fallback, why=why, values=values)


def _open(window: Window, opening: Opening, used: Used, now: datetime) -> Verdict | None:
    until = opening.at + timedelta(seconds=window.seconds)
    left = window.count - used.since(opening.at)
    if not opening.kind.startswith(window.opens) or now >= until or left <= 0:
        return None
    return Verdict(way="api", left=left, until=until)


def _closed(
    windows: Sequence[Window], openings: Sequence[Opening], used: Used, now: datetime
) -> tuple[str, Mapping[str, int]]:
    main = max(windows, key=lambda w: w.seconds)
    since = now - timedelta(seconds=main.seconds)
    recent = [o.at for o in openings if o.kind.startswith(main.opens) and o.at > since]
    if recent and used.since(max(recent)) >= main.count:
        return USED_UP, {"count": main.count}
    return SILENT, {"hours": main.seconds // 3600}
