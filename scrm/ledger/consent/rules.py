"""Whether a customer wants to hear from us: what holds of all they said, what counts as saying so. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

#: `all` is the platform's word: nothing but answers may go out on that channel.
ConsentPurpose = Literal["marketing", "sop", "service", "all"]
ConsentState = Literal["granted", "withdrawn"]
#: Who said so: the customer's own words, one of us, a machine by the API, the platform.
Source = Literal["customer", "staff", "api", "vendor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. `channel` "" = on every channel; `reason` is the customer's word, or ours in a sentence."""

    entry_id: int
    node_id: int
    purpose: ConsentPurpose
    channel: str
    state: ConsentState
    source: Source
    reason: str
    at: datetime
    event_id: int | None = None
    staff_id: int | None = None


def standing(entries: Sequence[Entry], purpose: str, channel: str) -> Entry | None:
    """What holds about this purpose on this channel; None = nobody ever said anything.

    On one address the newest entry holds. Of several addresses of one person one that says no is enough,
    until the customer says yes again somewhere: what another source noted elsewhere lifts nothing.
    A customer who stops marketing stops the follow-ups of our plans too: to them it is the same.
    """
    about = {purpose, "all"} | ({"marketing"} if purpose == "sop" else set())
    spoken = [e for e in entries if e.purpose in about and e.channel in ("", channel)]
    newest = {e.node_id: e for e in sorted(spoken, key=_said)}
    again = max(
        (e for e in spoken if e.state == "granted" and e.source == "customer"), key=_said, default=None
    )
    stops = [
        e for e in newest.values() if e.state == "withdrawn" and (again is None or _said(e) > _said(again))
    ]
    return max(stops or newest.values(), key=_said, default=None)


def strictest(people: Sequence[Sequence[Entry]], purpose: str, channel: str) -> Entry | None:
    """What holds for several people together, each with their entries: one no is everybody's."""
    each = [held for entries in people if (held := standing(entries, purpose, channel)) is not None]
    stops = [e for e in each if e.state == "withdrawn"]
    return max(stops or each, key=_said, default=None)


def _said(entry: Entry) -> tuple[datetime, int]:
    return (entry.at, entry.entry_id)


# -- the customer's own words ------------------------------------------------------------------------------
#: The whole message, as platforms taught people to write it.
_ALONE = frozenset(
    {"退订", "td", "t", "取消订阅", "unsubscribe", "stop", "拒收", "退订td", "回复td", "回t退订"}
)
_THINGS = "(?:消息|短信|信息|广告|营销|推送|通知|优惠信息|活动信息)"
_STOP = (
    re.compile(rf"退订(?:所有|全部|你们的?|这些?|此类)*{_THINGS}"),
    re.compile(
        r"(?:不要|别|不用|请勿|停止)再?(?:给我|向我)?再?(?:发|推送|推)(?:了|这|广告|消息|短信|营销|信息|过来)"
    ),
    re.compile(r"(?:不要|别|不用|请勿)再(?:给我|向我)?(?:发|推送|推)$"),
    re.compile(r"停止(?:推送|发送)"),
    re.compile(r"(?:不想|不要)再?(?:收到|接收)(?:你们)?(?:的|这些|任何)*(?:广告|消息|短信|营销|推送|信息)"),
)
_AGAIN = frozenset({"重新订阅", "恢复订阅", "继续订阅", "取消退订", "订阅"})
#: Asking how is not doing; "发错" is about one parcel or one file, not about us.
_NOT = re.compile(r"怎么|如何|吗$|么$|发错|发快递|发货|发票|发给(?:他|她|别人|孩子|老师)")
#: A long message that mentions it is a conversation, and a rep reads it.
_LONGEST = 30


def asks_to_stop(text: str) -> str:
    """The words by which a customer asks us to stop, "" when they do not."""
    plain = _plain(text)
    if plain in _ALONE:
        return text.strip()
    if len(plain) > _LONGEST or _NOT.search(plain):
        return ""
    found = next((m for p in _STOP if (m := p.search(plain))), None)
    return found[0] if found else ""


def asks_again(text: str) -> str:
    """The words by which a customer wants to hear from us again."""
    return text.strip() if _plain(text) in _AGAIN else ""


def _plain(text: str) -> str:
    """Without spaces and punctuation, full width folded, in small letters."""
    folded = unicodedata.normalize("NFKC", text[:200]).lower()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LN")
