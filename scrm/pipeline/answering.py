"""React, answers by themselves: where an account allows it, a talk-track goes out before anybody comes to it.

Allowed per account: `first` (nobody has answered this customer yet), `night` (we are not at work), `faq` (the
first thing that was surely understood). The customer goes on waiting for one of us all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm import situations
from scrm.accounts.service import Plugged
from scrm.contract import Sends
from scrm.db import Conn
from scrm.desk.calendar import rules as calendar_rules
from scrm.desk.calendar import service as calendars
from scrm.desk.manners import Manners
from scrm.errors import Conflict
from scrm.pipeline.drafts import Drafts
from scrm.playbook import store as suggestions
from scrm.playbook.answers import rules
from scrm.playbook.answers import store as leaves
from scrm.playbook.answers.rules import Kind
from scrm.playbook.checks.rules import judge
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.service import Library
from scrm.playbook.store import Made
from scrm.push import service as push
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations
from scrm.timeline.store.events import Stored

#: How the keys of such messages begin.
KEY = "auto"
#: Somebody who looked at the talk so lately is about to answer it.
_LOOKS = timedelta(minutes=2)
#: A night answer, and a first one, is said once in so long.
_ONCE = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What the accounts allow, and whether we are at work."""

    allowed: Mapping[str, frozenset[Kind]]
    at_work: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is going to be said to this message, unless somebody is faster."""

    event: Stored
    made: Made
    kind: Kind
    script_id: str
    plugged: Plugged
    shelf: Library


async def leave(
    conn: Conn,
    usual: Mapping[str, frozenset[Kind]],
    accounts: Iterable[Plugged],
    manners: Manners,
    *,
    now: datetime,
) -> Leave:
    """`usual`: by the setting, wherever nobody switched it here."""
    decided = await leaves.decided(conn)
    if not usual and not decided:
        return Leave(allowed={})
    allowed = {
        p.account.slug: rules.allowed(
            usual.get(p.account.slug, frozenset()),
            {kind: one.on for kind, one in decided.get(p.account.account_id, {}).items()},
        )
        for p in accounts
    }
    allowed = {slug: kinds for slug, kinds in allowed.items() if kinds}
    if not allowed:
        return Leave(allowed={})
    calendar = await calendars.calendar(conn, manners, now=now)
    return Leave(allowed=allowed, at_work=calendar_rules.is_open(calendar, now))


def choose(
    given: Leave, plugged: Plugged, event: Stored, made: Made, shelf: Library, *, is_new: bool
) -> Answer | None:
    """Which of what was ranked may go out by itself, if any."""
    allowed = given.allowed.get(plugged.account.slug, frozenset())
    if not allowed or event.recalled_at is not None:
        return None
    for rank, one in enumerate(made.ranked, 1):
        script = shelf.get(one.script_id)
        if script is None or script.delivery != "auto" or made.arms.get(one.script_id):
            continue
        sure = one.sure and rank == 1
        kind = _kind(allowed, at_work=given.at_work, is_new=is_new, sure=sure)
        if kind is not None:
            return Answer(
                event=event, made=made, kind=kind, script_id=script.id, plugged=plugged, shelf=shelf
            )
    return None


def _kind(allowed: Collection[Kind], *, at_work: bool, is_new: bool, sure: bool) -> Kind | None:
    if not at_work and "night" in allowed:
        return "night"
    if is_new and "first" in allowed:
        return "first"
    return "faq" if sure and "faq" in allowed else None


async def say(
    conn: Conn, drafts: Drafts, one: Answer, *, company: str, manners: Manners, until: datetime, now: datetime
) -> bool:
    """False when it may not be said after all: somebody is at it, a fact is missing, a rule objects."""
    talk = await conversations.of_id(conn, one.event.conversation_id or 0)
    if talk is None or now >= until or not await _waits(conn, talk, one.event, now=now):
        return False
    again = await suggestions.taken_by_nobody(conn, talk.conversation_id, since=now - _ONCE)
    if one.kind != "faq" and again:
        return False
    channel = one.plugged.account.channel
    stands = await situations.of(conn, talk, channel=channel, company=company, now=now)
    rendered = one.shelf.rendered(one.script_id, situations.facts(stands, now))
    if rendered.missing:
        return False
    ground = await drafts.of_home(conn, stands.nodes, role="rep", now=now)
    if judge(rendered.text, ground, now=now).level != "ok":
        return False
    script = one.shelf.get(one.script_id)
    named = script.files if script is not None else ()
    files = await enclosures.of_script(conn, named)
    if len(files) < len(named) or not _carries(one.plugged, files):
        return False
    word = push.Word(
        key=f"{KEY}:{one.kind}:{one.event.source_key}",
        text=rendered.text,
        deadline_at=until,
        auto=True,
        files=files,
    )
    try:
        said = await push.say(conn, one.plugged, talk, word, manners=manners, now=now)
    except Conflict:
        return False
    await _take(conn, one, said.event_ids[0], now=now)
    return True


def _carries(plugged: Plugged, files: Sequence[push.Enclosure]) -> bool:
    """Words that name a picture are not said without it."""
    return isinstance(plugged.plug, Sends) and {f.form for f in files} <= set(plugged.plug.KINDS)


async def _waits(conn: Conn, talk: Talk, event: Stored, *, now: datetime) -> bool:
    """Nobody answered this, nobody is about to, and it is the last thing that was said."""
    if talk.last_direction != "in" or talk.session == "human" or (talk.last_in_at or event.at) > event.at:
        return False
    looked = await conversations.read_at(conn, talk.conversation_id)
    return looked is None or now - looked > _LOOKS


async def _take(conn: Conn, one: Answer, event_id: int, *, now: datetime) -> None:
    """Its suggestion was used, by nobody."""
    for offer in await suggestions.latest(conn, one.made.conversation_id):
        if offer.script_id == one.script_id and offer.event_id == one.event.event_id:
            await suggestions.mark_used(conn, offer.suggestion_id, event_id=event_id, now=now)
