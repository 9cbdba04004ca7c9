"""Explanations for whoever asks: their language, their masks, the names of our accounts."""

from __future__ import annotations

from datetime import datetime

from scrm.identity.explain.words import Known, Teller
from scrm.staff.rules import Actor, masked
from scrm.web.house import House
from scrm.web.pages import locale


def teller(found: House, who: Actor, known: Known, *, now: datetime) -> Teller:
    """Sentences for this reader."""

    def say(text: str, **values: object) -> str:
        return found.renderer.say(locale(who), text, **values)

    def channel(account_id: int) -> str:
        plugged = next(
            (p for p in found.directory.all(who.tenant_id) if p.account.account_id == account_id), None
        )
        return "" if plugged is None else say(plugged.title)

    return Teller(known=known, masked=lambda value: masked(who, value), channel=channel, say=say, now=now)
