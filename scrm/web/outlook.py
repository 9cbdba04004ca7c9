"""What a page says about the next push: which way, how many more, when it would be better, who opted out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from scrm import outbox
from scrm.db import Conn
from scrm.identity.service import Household
from scrm.ledger.consent import rules as consent_rules
from scrm.ledger.consent.rules import Entry
from scrm.push import rules
from scrm.push import service as push
from scrm.push.looking import gather
from scrm.push.rules import Ask, Decision, Spoken
from scrm.seal import Vault
from scrm.timeline.rules import Talk
from scrm.web import views
from scrm.web.house import House
from scrm.web.render import ZONE

Say = Callable[..., str]
MORE = "今天还可营销 {left} 次。"
STOPPED = "已退订营销 · {day} {who}"
_WHO: dict[str, str] = {
    "customer": "客户发送“{word}”",
    "staff": "同事登记",
    "api": "接口登记",
    "vendor": "平台告知客户拒收",
}
SENTENCES = (MORE, STOPPED, *_WHO.values())


async def outlook(
    found: House, conn: Conn, say: Say, talk: Talk, *, in_app: bool, now: datetime
) -> views.Outlook:
    """For an answer in this conversation, as sending would decide it."""
    plugged_of, manners = found.directory.by_id, found.manners
    made = await push.decide(conn, plugged_of, [talk], Ask(), manners=manners, in_app=in_app, now=now)
    return _outlook(say, made, now)


async def both(
    found: House,
    conn: Conn,
    say: Say,
    talk: Talk,
    *,
    in_app: bool,
    home: Household | None,
    now: datetime,
) -> tuple[views.Outlook, views.Standing]:
    """For an answer and for advertising: two decisions about what was looked up once."""
    seen = await gather(
        conn,
        found.directory.by_id,
        [talk],
        "marketing",
        manners=found.manners,
        in_app=in_app,
        home=home,
        now=now,
    )
    answer = rules.decide(seen.doors, Ask(), seen.about, now=now)
    channel = found.directory.by_id(talk.account_id).account.channel
    held = consent_rules.standing(seen.about.consents, "marketing", channel)
    if held is not None and held.state == "withdrawn":
        return _outlook(say, answer, now), _stopped(say, held)
    offer = rules.decide(seen.doors, Ask(purpose="marketing"), seen.about, now=now)
    return _outlook(say, answer, now), _standing(say, offer)


def _outlook(say: Say, made: Decision, now: datetime) -> views.Outlook:
    refusal = next((s for s in made.spoken if s.weight == "refuse"), None)
    return views.Outlook(
        via=made.way,
        closed=_said(say, refusal) if refusal else "",
        line="" if refusal else "".join(_said(say, s) for s in made.spoken),
        later=_later(say, made.better_at, now),
    )


def _stopped(say: Say, held: Entry) -> views.Standing:
    """This person does not want to hear from us."""
    who = say(_WHO[held.source], word=held.reason) if held.source in _WHO else ""
    day = f"{held.at.astimezone(ZONE):%m-%d}"
    return views.Standing(stopped=say(STOPPED, day=day, who=who))


def _standing(say: Say, made: Decision) -> views.Standing:
    """How often this person may still hear from us."""
    room = next((s for s in made.spoken if s.why == rules.ROOM), None)
    full = next((s for s in made.spoken if s.why in rules.FULL.values()), None)
    if room is not None:
        return views.Standing(more=say(MORE, **room.values))
    return views.Standing(more=_said(say, full) if full else "")


def _said(say: Say, one: Spoken) -> str:
    """In the reader's language; a channel's title is translated as well."""
    values = {k: say(v) if k == "channel" and isinstance(v, str) else v for k, v in one.values.items()}
    return say(one.why, **values)


def _later(say: Say, at: datetime | None, now: datetime) -> views.Later | None:
    if at is None:
        return None
    return views.Later(at=at.isoformat(), label=moment(say, at, now))


def reason(say: Say, sent: outbox.Delivery | None, now: datetime) -> str:
    """Why a push is where it is: what went wrong, or when it goes."""
    if sent is None or sent.error or not _is_waiting(sent, now):
        return sent.error if sent else ""
    return say("{at} 发出", at=moment(say, sent.planned_at or now, now))


def taking_back(vault: Vault, sent: outbox.Delivery | None, now: datetime) -> dict[str, Any]:
    """Where what waits for its time can be taken back."""
    if sent is None or not _is_waiting(sent, now):
        return {}
    cid = vault.public("conversation", sent.conversation_id)
    return {"unsend": f"/s/c/{cid}/unsend", "event_id": vault.public("event", sent.event_id)}


def _is_waiting(sent: outbox.Delivery, now: datetime) -> bool:
    return sent.state == "queued" and sent.planned_at is not None and sent.planned_at > now


def moment(say: Say, at: datetime, now: datetime) -> str:
    """今天 08:30, 明天 08:30, 11-24 08:30."""
    local, today = at.astimezone(ZONE), now.astimezone(ZONE).date()
    days = (local.date() - today).days
    word = {0: say("今天"), 1: say("明天")}.get(days, f"{local:%m-%d}")
    return f"{word} {local:%H:%M}"
