"""The clock of appeals: until when one may be raised, until when it must be decided."""

from __future__ import annotations

from datetime import datetime, timedelta

from scrm.errors import BadInput
from scrm.ownership.rules.policy import Appealing

_WORDS = (10, 4000)


def due(policy: Appealing, ruled_at: datetime, text: str, *, now: datetime) -> datetime:
    """Until when an appeal raised now must be decided. Raises `BadInput`."""
    evidence(text)
    if now > ruled_at + timedelta(hours=policy.within_hours):
        raise BadInput(f"判定已超过 {policy.within_hours} 小时，不能再申诉；有新证据请找主管重新判定。")
    return now + timedelta(hours=policy.decide_hours)


def evidence(text: str) -> str:
    """Raises `BadInput`."""
    words = text.strip()
    if not _WORDS[0] <= len(words) <= _WORDS[1]:
        raise BadInput("请写明理由和证据，10 到 4000 个字。")
    return words


def is_overdue(due_at: datetime, state: str, *, now: datetime) -> bool:
    return state == "open" and now > due_at
