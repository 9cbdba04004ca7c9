"""What was done just now, as the next page's address carries it: a word and what it is undone by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

ACTION = "/households/undo"
_IDENT = re.compile(r"[0-9A-Za-z_-]{8,64}")
#: By kind: what the page says, and what the undo form asks for ("" = there is nothing to undo).
DONE: Mapping[str, tuple[str, str]] = {
    "family": ("已归到同一个家庭。", "match"),
    "person": ("已合并为同一个人。", "match"),
    "no_family": ("已记住：不是同一家。", "match"),
    "no_person": ("已记住：不是同一个人。", "match"),
    "asked": ("已申请合并，等主管或合规同事确认。", ""),
    "later": ("好的，7 天后再提醒。", ""),
    "role": ("角色已更改。", "role"),
    "role_back": ("已改回，按事件记录的角色为准。", ""),
    "corrected": ("已更正，以后以你写的为准。", "correction"),
    "withdraw": ("已撤回这条证据。", "reinstate"),
    "reinstate": ("已恢复这条证据。", "withdraw"),
    "sale": ("商机已更新。", ""),
    "label": ("标签已更新。", ""),
    "coupon_sent": ("券已发出。", ""),
    "coupon_kept": ("券已领出，请复制发给客户。", ""),
    "undone": ("已撤销，一切如前。", ""),
}


def with_done(where: str, kind: str, ident: str = "") -> str:
    """The address with what was done; an older word on it is forgotten."""
    parts = urlsplit(where)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != "done"]
    asked = urlencode([*query, ("done", f"{kind}.{ident}" if ident else kind)])
    return f"{parts.path}?{asked}"


def read(value: str) -> tuple[str, str, str] | None:
    """(what the page says, what its form asks for, of what) of an address; None = nothing we know."""
    kind, _, ident = value.partition(".")
    if kind not in DONE:
        return None
    text, what = DONE[kind]
    usable = _IDENT.fullmatch(ident) is not None
    return text, what if usable else "", ident if usable else ""
