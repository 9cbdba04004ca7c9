"""How an event moves a conversation, and where it stands in the order of time. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from scrm.contract import Direction, Envelope, Handle, Session
from scrm.identity.rules import Address, address, is_person

#: Talk that a rep reads as an unanswered question when the customer says it.
_TALK = "message."
#: A telephone call that was taken: whoever rang, both sides have spoken.
_BOTH = "message.call"
_PREVIEW = 80
_CALLS = (_BOTH, "message.voiptext", "message.meeting_voice_call")


def are_words(kind: str, text: str) -> bool:
    """Whether somebody said this: of a call, a picture or a card the text only tells what it was."""
    if not text or not kind.startswith(_TALK) or kind.startswith(_CALLS):
        return False
    return kind == "message.text" or not text.startswith("[")


def seq(envelope: Envelope, source_key: str) -> int:
    """The vendor's order inside `at`, else one drawn from the source key: the same on every replay."""
    if envelope.seq is not None:
        return envelope.seq & 0x7FFF_FFFF_FFFF_FFFF
    return int.from_bytes(hashlib.sha256(source_key.encode()).digest()[:8], "big") >> 1


def partner(envelope: Envelope, persons: tuple[Handle, ...]) -> Handle | None:
    """Whose conversation this is: the customer who speaks or is spoken to."""
    wanted = "other" if envelope.direction == "out" else "actor"
    exact = [h for h in persons if h.part == wanted]
    return next(iter([*exact, *(h for h in persons if h.part != "about")]), None)


def partner_node(envelope: Envelope, nodes: Mapping[Address, int]) -> int | None:
    """The node of the conversation partner; None when nobody of the event is a person."""
    persons = tuple(h for h in envelope.handles if is_person(h.kind))
    handle = partner(envelope, persons)
    return nodes[address(handle)] if handle else None


def opens_conversation(envelope: Envelope) -> bool:
    """Profile updates and our own staff's doings are events, but nobody's talk.

    What decides about talk counts as well: who follows the customer, and who may answer. What is said in a
    group of WeCom is the group's: nobody can answer it from here, so nobody waits for us.
    """
    if any(h.kind == "wecom_chat" for h in envelope.handles):
        return False
    return envelope.direction != "none" or envelope.follows is not None or envelope.session is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A conversation's state as its events leave it."""

    conversation_id: int
    account_id: int
    node_id: int
    thread: str
    rep_id: int | None
    team_id: int | None
    session: str
    waiting_since: datetime | None
    last_at: datetime
    last_in_at: datetime | None
    last_text: str
    last_kind: str
    last_direction: str
    version: int
    #: new (nobody has answered since it was opened) | open | closed
    state: str = "open"
    #: Put off until then; once it has passed, the conversation asks for attention again.
    snooze_until: datetime | None = None
    closed_at: datetime | None = None
    #: When it was given to the rep automatically; None once they have answered, or when somebody chose them.
    offered_at: datetime | None = None
    #: Who of us talked last with this customer here.
    last_rep_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event, as far as it moves a conversation."""

    kind: str
    direction: Direction
    at: datetime
    text: str
    staff_id: int | None = None
    follows: bool | None = None
    session: Session | None = None


def begin(
    step: Step, conversation_id: int, *, account_id: int, node_id: int, thread: str, team_id: int | None
) -> Talk:
    """A conversation before its first event."""
    return Talk(
        conversation_id=conversation_id,
        account_id=account_id,
        node_id=node_id,
        thread=thread,
        rep_id=None,
        team_id=team_id,
        session="api",
        waiting_since=None,
        last_at=step.at,
        last_in_at=None,
        last_text="",
        last_kind="",
        last_direction="none",
        version=0,
        state="new",
    )


def advance(talk: Talk, step: Step) -> Talk:
    """The conversation after one more event; a late event changes only what it is the newest word on."""
    newest = step.at >= talk.last_at
    moved: dict[str, Any] = {
        "rep_id": _owner(talk, step),
        "waiting_since": _waiting(talk, step),
        "version": talk.version + 1,
    }
    if step.direction == "in":
        moved["last_in_at"] = max(step.at, talk.last_in_at or step.at)
    if newest:
        moved["session"] = _session(talk, step)
    if newest and step.direction != "none":
        moved |= {
            "last_at": step.at,
            "last_text": step.text[:_PREVIEW],
            "last_kind": step.kind,
            "last_direction": step.direction,
        }
    return replace(talk, **moved | _standing(talk, step, moved["waiting_since"]))


def _standing(talk: Talk, step: Step, waiting_since: datetime | None) -> dict[str, Any]:
    """The customer's words end a pause and open what was closed; a rep's words settle who has it."""
    if not step.kind.startswith(_TALK):
        return {}
    if step.direction == "in" and waiting_since is not None:
        state = "new" if talk.state == "closed" else talk.state
        return {"state": state, "snooze_until": None, "closed_at": None}
    if not _spoke(step) or step.staff_id is None or waiting_since is not None:
        return {}
    if talk.closed_at is not None and step.at <= talk.closed_at:
        return {"last_rep_id": step.staff_id}  # said before it was closed, told to us afterwards
    return {
        "state": "open",
        "snooze_until": None,
        "closed_at": None,
        "offered_at": None,
        "last_rep_id": step.staff_id,
    }


def _session(talk: Talk, step: Step) -> str:
    """The vendor's word; and a customer who writes after the end begins anew."""
    begins_anew = talk.session == "ended" and step.direction == "in" and step.kind.startswith(_TALK)
    return step.session or ("api" if begins_anew else talk.session)


def _owner(talk: Talk, step: Step) -> int | None:
    """The first reply claims; the vendor's word on who follows the customer claims and releases."""
    if step.follows is False:
        return None if talk.rep_id == step.staff_id else talk.rep_id
    if step.staff_id is not None and talk.rep_id is None and (step.follows or _spoke(step)):
        return step.staff_id
    return talk.rep_id


def _spoke(step: Step) -> bool:
    """Whether one of us said something in it."""
    return step.direction == "out" or step.kind == _BOTH


def _waiting(talk: Talk, step: Step) -> datetime | None:
    if not step.kind.startswith(_TALK):
        return talk.waiting_since
    if step.direction == "in" and not _spoke(step):
        # Vendors date by whole seconds: within the second of our reply the customer counts as unanswered.
        if talk.last_direction == "out" and step.at < talk.last_at.replace(microsecond=0):
            return talk.waiting_since  # arrived late: it was answered before we heard of it
        return min(step.at, talk.waiting_since or step.at)
    if _spoke(step) and (talk.last_in_at is None or step.at >= talk.last_in_at):
        return None
    return talk.waiting_since
