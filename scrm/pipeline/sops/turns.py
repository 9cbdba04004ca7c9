"""One look at one run: whom it concerns, what is true of them, what would be said and whether it may be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from scrm.accounts.service import Directory
from scrm.db import Conn
from scrm.desk.calendar.rules import Calendar
from scrm.desk.manners import Manners
from scrm.desk.tasks import store as board
from scrm.live import Change
from scrm.pipeline.drafts import Drafts
from scrm.pipeline.sops import around as surroundings
from scrm.pipeline.sops import wording
from scrm.pipeline.sops.around import Around
from scrm.playbook.service import Library
from scrm.playbook.sops import service, versions
from scrm.playbook.sops.rules import Facts
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store.runs import Row
from scrm.playbook.sops.values import Message, Plan, Step
from scrm.push import looking

NOBODY = "客户资料已删除，流程停下。"
NO_TALK = "没有跟这一家的会话，说不了话。"
SENTENCES = (NOBODY, NO_TALK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What runs are carried out with."""

    directory: Directory
    #: The tenant's own.
    library: Library
    company: str = ""
    manners: Manners = field(default_factory=Manners)
    #: What is held against what we would say by ourselves; None = nothing is.
    drafts: Drafts | None = None


@dataclass(slots=True, kw_only=True)
class Came:
    """What came of looking at a run: when it goes on (None = it is over), who must look, whom to wake."""

    again_at: datetime | None = None
    changes: list[Change] = field(default_factory=list)
    sent: bool = False
    noted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """`around` is None where nothing but time counts."""

    conn: Conn
    means: Means
    row: Row
    plan: Plan
    now: datetime
    facts: Facts = field(default_factory=Facts)
    calendar: Calendar = field(default_factory=Calendar)
    around: Around | None = None
    said: wording.Said = field(default_factory=wording.Said)
    came: Came = field(default_factory=Came)

    @property
    def key(self) -> str:
        """Of this step of this run, for ever."""
        return f"sop:{self.row.run_id}:{self.row.taken}"

    def key_of(self, step: Step) -> str:
        """Of the task this step makes: in another version its place may hold another step."""
        return f"{self.key}:{step.id}"


async def look(conn: Conn, means: Means, row: Row, plan: Plan, *, now: datetime) -> Turn:
    calendar = await looking.calendar_of(conn, means.manners, now=now)
    turn = Turn(conn=conn, means=means, row=row, plan=plan, now=now, calendar=calendar)
    step = plan.step(row.step)
    if step is None or (step.wait and not step.wait.until_reply):
        return turn
    found = await surroundings.look(
        conn,
        means.directory,
        row.node_id,
        conversation_id=row.conversation_id,
        company=means.company,
        now=now,
    )
    if found is None:
        return replace(turn, facts=Facts(stop=NOBODY))
    facts = replace(await surroundings.facts(conn, found), stop=await _rival(conn, row, plan, found))
    turn = replace(turn, around=found, facts=facts)
    if step.message:
        return await _spoken(turn, found, step.message)
    if step.task:
        return replace(turn, facts=replace(facts, task=await _state_of_task(turn, step)))
    return turn


async def _rival(conn: Conn, row: Row, plan: Plan, around: Around) -> str:
    """Families that were put together may be on two of one group: why the later one stops."""
    began = (row.started_at, row.run_id)
    earlier = [
        r
        for r in await runs.of_nodes(conn, around.nodes)
        # One that went to its end while this one was on its way counts as well.
        if (r.started_at, r.run_id) < began and (r.ended_at is None or r.ended_at > row.started_at)
    ]
    plans = await versions.of(conn, {(r.code, r.version) for r in earlier})
    for other in earlier:
        theirs = plans.get((other.code, other.version))
        if theirs and (theirs.code == plan.code or (plan.group and theirs.group == plan.group)):
            return service.BESIDE.format(title=theirs.title)
    return ""


async def _spoken(turn: Turn, around: Around, message: Message) -> Turn:
    """With what would be said to whom, and whether it may be."""
    conn, means, now = turn.conn, turn.means, turn.now
    other = surroundings.of_role(around, message.to) if message.to != "same" else None
    if other is not None and other != around.talk:
        around = await surroundings.through(
            conn, means.directory, around, other, company=means.company, now=now
        )
    if around.talk is None:
        return replace(turn, facts=replace(turn.facts, mute=NO_TALK))
    said = wording.worded(means.library, message, around, now=now)
    may = await wording.may(conn, means, around, said, now=now)
    by_hand = may.by_hand if message.delivery == "auto" else said.by_hand
    if message.delivery == "auto" and not by_hand and may.at is None and means.drafts is not None:
        by_hand = await wording.objection(conn, means.drafts, around, said, now=now)
    facts = replace(turn.facts, mute=may.mute, by_hand=by_hand, speaks_at=may.at)
    return replace(turn, around=around, said=said, facts=facts)


async def _state_of_task(turn: Turn, step: Step) -> str:
    """Of the task this step has made; "" = none yet."""
    key = turn.key_of(step)
    made = [t for t in await board.of_runs(turn.conn, [turn.row.run_id]) if t.key == key]
    if not made:
        return ""
    ends = made[0].expires_at
    ran_out = made[0].state == "open" and ends is not None and ends <= turn.now
    return "expired" if ran_out else made[0].state
