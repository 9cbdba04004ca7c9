"""What ranking is asked and what it answers: the moment in a talk, and a suggestion with its reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scrm.playbook.prior import Prior


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """All that is known when somebody asks what to say next. Nothing but `channel` must be known."""

    channel: str
    #: What the customer said lately, newest first; () = the chat was opened and nothing is waiting.
    utterances: Sequence[str] = ()
    #: Where the sale stands; one of `STAGES`.
    stage: str | None = None
    #: Who is speaking: registrant, buyer or user.
    role: str | None = None
    #: The hour of the day where the customer is, 0 to 23.
    hour: int | None = None
    #: Only scripts of these trades; empty = all the index holds.
    trades: Collection[str] = frozenset()
    #: Kinds of promises that somebody of the household holds: discount, price, off, gift, until.
    promises: Collection[str] = frozenset()
    #: Ids of scripts not to repeat, with or without `@version`.
    recently_sent: Collection[str] = ()
    #: What became of each script in this tenant so far.
    prior: Prior | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    script_id: str
    version: int
    score: float
    #: Why, for the rep, in Chinese.
    reason: str
    #: Something the customer said was understood, and is answered by this: more than a guess.
    sure: bool = False
