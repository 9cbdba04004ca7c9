"""What a board is made of: the exact values a request handler hands to a template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One thing to do. `id` is a task's, or `c-` and the conversation's for a reply the queue asks for."""

    id: str
    kind: str
    title: str
    why: str
    #: The customer.
    name: str
    #: When it is due, in words, and how urgent that is: "" | warn | bad.
    due: str = ""
    tone: str = ""
    #: Fen at stake, 0 = nobody knows.
    value: int = 0
    #: What Enter and the tap do, and how the button is called.
    href: str = ""
    verb: str = ""
    #: As this person may see it; only of calls.
    number: str = ""
    #: Whose it is; only on boards of several people.
    owner: str = ""
    #: Why it was put off, and how often.
    put_off: str = ""
    times: int = 0
    #: Put off so often that only a leader may do it again.
    stuck: bool = False
    #: It is a reply: no row of its own.
    asks: bool = False
    #: Done: when, how, and by which event.
    done_at: datetime | None = None
    how: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    kind: str
    name: str
    #: Of the same rows that are listed; more than are listed only where a board is too long.
    count: int
    rows: tuple[TaskRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """Whose board, by sections."""

    sections: tuple[Section, ...]
    total: int
    done: tuple[TaskRow, ...] = ()
    done_count: int = 0
    #: Answers with this board alone.
    url: str = "/s/today"
    topics: tuple[str, ...] = ()
    #: Of a leader: to whom a task may be given.
    colleagues: tuple[tuple[str, str], ...] = ()
    #: For pages that show what belongs to one family: its conversation, and a fresh key to add something.
    cid: str = ""
    key: str = ""

    @property
    def left(self) -> int:
        """How many are not listed."""
        return self.total - sum(len(s.rows) for s in self.sections)

    @property
    def share(self) -> int:
        """How much of today is done, in hundredths."""
        return 100 * self.done_count // (self.done_count + self.total) if self.done_count else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RepRow:
    id: str
    name: str
    #: 在线, 离开, 不在线; "" for what is nobody's yet.
    state: str
    open: int
    late: int
    done: int
    href: str
    current: bool = False

    @property
    def share(self) -> int:
        return 100 * self.done // (self.done + self.open) if self.done else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamView:
    """`/lead/today`: who has how much to do, and the board of one of them or of all."""

    reps: tuple[RepRow, ...]
    board: BoardView
    #: Whose board is shown; "" = everybody's.
    whose: str = ""
    #: Put off again and again.
    stuck: tuple[TaskRow, ...] = ()

    @property
    def open(self) -> int:
        return sum(r.open for r in self.reps)

    @property
    def late(self) -> int:
        return sum(r.late for r in self.reps)

    @property
    def done(self) -> int:
        return sum(r.done for r in self.reps)
