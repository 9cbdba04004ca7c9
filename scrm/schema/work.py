"""Tables of what is to be done: the work board's tasks, SOPs with their versions and runs."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, table, text

task = table(
    "task",
    ident("task_id"),
    #: made once per key, however often it is asked for
    sa.Column("key", sa.Text, nullable=False),
    #: call | material | coupon | reply | visit | quote | other
    text("kind"),
    text("title"),
    #: why it is to be done, in words
    text("why"),
    #: sop | clock | promise | manual
    text("source", default="manual"),
    ident("node_id"),
    ident("conversation_id", nullable=True),
    ident("staff_id", nullable=True),
    ident("team_id", nullable=True),
    ident("run_id", nullable=True),
    text("step"),
    ident("promise_id", nullable=True),
    #: what is at stake, fen
    sa.Column("value", sa.BigInteger, nullable=False, server_default="0"),
    #: what one tap does: script, coupon batch, telephone of a node ...
    sa.Column("action", sa.JSON, nullable=False),
    #: which event does it by itself: call | out | in | coupon | visit | order | stage | ""
    text("done_by_kind"),
    instant("due_at"),
    #: nobody needs it after that
    instant("expires_at", nullable=True),
    #: not on the board before then
    instant("from_at"),
    #: open | done | expired | cancelled
    text("state", default="open"),
    integer("postponed"),
    text("postponed_why"),
    instant("done_at", nullable=True),
    #: who did it, or said that it is done
    ident("done_by", nullable=True),
    ident("done_event_id", nullable=True),
    text("done_why"),
    integer("version"),
    instant("created_at"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_task_staff", "tenant_id", "staff_id", "state", "due_at", "task_id"),
    sa.Index("ix_task_team", "tenant_id", "team_id", "state", "due_at", "task_id"),
    sa.Index("ix_task_node", "tenant_id", "node_id", "state", "task_id"),
    sa.Index("ix_task_expires", "tenant_id", "state", "expires_at", "task_id"),
    sa.Index("ix_task_talk", "tenant_id", "conversation_id", "state", "task_id"),
    sa.Index("ix_task_run", "tenant_id", "run_id", "task_id"),
    key=["task_id"],
)

# -- SOPs --------------------------------------------------------------------------------------------------
sop = table(
    "sop",
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("trade", sa.Text, nullable=False),
    #: the version new runs start with; 0 = none
    integer("live_version"),
    #: on | off (no new runs)
    text("state", default="off"),
    instant("changed_at"),
    key=["code"],
)
sop_version = table(
    "sop_version",
    sa.Column("code", sa.Text, nullable=False),
    integer("version"),
    #: draft | live | retired
    text("state", default="draft"),
    sa.Column("content", sa.JSON, nullable=False),
    text("digest"),
    #: file | page | import
    text("source", default="page"),
    ident("author_id", nullable=True),
    text("note"),
    instant("created_at"),
    instant("published_at", nullable=True),
    key=["code", "version"],
)
sop_run = table(
    "sop_run",
    ident("run_id"),
    sa.Column("code", sa.Text, nullable=False),
    integer("version"),
    #: what started it; once per key
    sa.Column("key", sa.Text, nullable=False),
    #: the customer's address it speaks to
    ident("node_id"),
    ident("conversation_id", nullable=True),
    ident("staff_id", nullable=True),
    ident("event_id", nullable=True),
    #: running | done (to the end) | met (goal) | stopped | failed
    text("state", default="running"),
    #: where it stands: the step's id, and how many steps were taken
    text("step"),
    integer("taken"),
    #: facts of its own: the trigger's date, answers to branches
    sa.Column("memory", sa.JSON, nullable=False),
    instant("started_at"),
    instant("next_at", nullable=True),
    instant("ended_at", nullable=True),
    #: why it ended, in words
    text("why"),
    sa.UniqueConstraint("tenant_id", "code", "key"),
    sa.Index("ix_sop_run_node", "tenant_id", "node_id", "run_id"),
    sa.Index("ix_sop_run_state", "tenant_id", "code", "state", "run_id"),
    sa.Index("ix_sop_run_next", "tenant_id", "state", "next_at", "run_id"),
    key=["run_id"],
)
#: What each step did: written in the transaction that does it, so no step happens twice.
sop_step = table(
    "sop_step",
    ident("run_id"),
    integer("n"),
    text("step"),
    #: message | task | wait | branch | coupon | tag | stage
    text("kind"),
    #: done | skipped | waiting (for a human) | failed
    text("state"),
    instant("planned_at"),
    instant("at"),
    text("why"),
    ident("event_id", nullable=True),
    ident("task_id", nullable=True),
    ident("coupon_id", nullable=True),
    key=["run_id", "n"],
)
