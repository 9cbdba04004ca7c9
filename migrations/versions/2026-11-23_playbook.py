"""What to say and what to do: scripts, promises, checks, tasks, SOPs, opportunities, coupons (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_playbook"
down_revision = "2026_11_22_walls3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "check_rule",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "code", "version", name=op.f("pk_check_rule")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_check_rule_state", "check_rule", ["tenant_id", "state", "code", "version"])
    op.create_table(
        "clearance",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("clearance_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("hits", sa.JSON(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "clearance_id", name=op.f("pk_clearance")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_clearance_state", "clearance", ["tenant_id", "state", "asked_at", "clearance_id"])
    op.create_index("ix_clearance_talk", "clearance", ["tenant_id", "conversation_id", "clearance_id"])
    op.create_table(
        "coupon",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("coupon_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="issued", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_at", sa.BigInteger(), nullable=True),
        sa.Column("order_number", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "coupon_id", name=op.f("pk_coupon")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_coupon_tenant_id_code")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_coupon_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_coupon_batch", "coupon", ["tenant_id", "batch_id", "state", "coupon_id"])
    op.create_index("ix_coupon_node", "coupon", ["tenant_id", "node_id", "coupon_id"])
    op.create_table(
        "coupon_batch",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="off", nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=True),
        sa.Column("share", sa.Integer(), nullable=True),
        sa.Column("min_fen", sa.BigInteger(), nullable=True),
        sa.Column("product_code", sa.Text(), server_default="", nullable=False),
        sa.Column("stock", sa.Integer(), server_default="0", nullable=False),
        sa.Column("per_household", sa.Integer(), server_default="1", nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "batch_id", name=op.f("pk_coupon_batch")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_coupon_batch_tenant_id_code")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "finding",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("finding_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("level", sa.Text(), server_default="", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("promise_id", sa.BigInteger(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "finding_id", name=op.f("pk_finding")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_finding_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_finding_node", "finding", ["tenant_id", "node_id", "finding_id"])
    op.create_index("ix_finding_staff", "finding", ["tenant_id", "staff_id", "finding_id"])
    op.create_index("ix_finding_state", "finding", ["tenant_id", "state", "finding_id"])
    op.create_table(
        "opportunity",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("opportunity_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="new", nullable=False),
        sa.Column("business_line", sa.Text(), server_default="", nullable=False),
        sa.Column("product_code", sa.Text(), server_default="", nullable=False),
        sa.Column("product", sa.Text(), server_default="", nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("stage", sa.Text(), server_default="first-contact", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "opportunity_id", name=op.f("pk_opportunity")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_opportunity_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_opportunity_node", "opportunity", ["tenant_id", "node_id", "state", "opportunity_id"])
    op.create_index(
        "ix_opportunity_staff", "opportunity", ["tenant_id", "staff_id", "state", "opportunity_id"]
    )
    op.create_index(
        "ix_opportunity_stage", "opportunity", ["tenant_id", "state", "stage", "moved_at", "opportunity_id"]
    )
    op.create_table(
        "outcome",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("suggestion_id", sa.BigInteger(), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "suggestion_id", "goal", name=op.f("pk_outcome")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "pack",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("trade", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "trade", name=op.f("pk_pack")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "prior",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("script_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("shown", sa.Float(), server_default="0", nullable=False),
        sa.Column("used", sa.Float(), server_default="0", nullable=False),
        sa.Column("edited", sa.Float(), server_default="0", nullable=False),
        sa.Column("ignored", sa.Float(), server_default="0", nullable=False),
        sa.Column("replied", sa.Float(), server_default="0", nullable=False),
        sa.Column("moved", sa.Float(), server_default="0", nullable=False),
        sa.Column("dealt", sa.Float(), server_default="0", nullable=False),
        sa.Column("lately_used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lately_replied", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "script_id", "stage", "role", name=op.f("pk_prior")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "promise",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("promise_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), server_default="message", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("n", sa.Integer(), server_default="0", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("share", sa.Integer(), nullable=True),
        sa.Column("fen", sa.BigInteger(), nullable=True),
        sa.Column("min_fen", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("quote", sa.Text(), server_default="", nullable=False),
        sa.Column("product_code", sa.Text(), server_default="", nullable=False),
        sa.Column("product", sa.Text(), server_default="", nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="live", nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "promise_id", name=op.f("pk_promise")),
        sa.UniqueConstraint("tenant_id", "event_id", "n", name=op.f("uq_promise_tenant_id_event_id_n")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_promise_changed", "promise", ["tenant_id", "node_id", "changed"])
    op.create_index("ix_promise_node", "promise", ["tenant_id", "node_id", "promise_id"])
    op.create_index("ix_promise_until", "promise", ["tenant_id", "state", "until_at", "promise_id"])
    op.create_table(
        "script",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("trade", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), server_default="company", nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("owner_id", sa.BigInteger(), nullable=True),
        sa.Column("live_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "code", name=op.f("pk_script")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_script_changed", "script", ["tenant_id", "changed_at", "code"])
    op.create_table(
        "script_version",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="page", nullable=False),
        sa.Column("base", sa.Integer(), server_default="0", nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("reviewer_id", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "code", "version", name=op.f("pk_script_version")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_script_version_state", "script_version", ["tenant_id", "state", "code", "version"])
    op.create_table(
        "sop",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("trade", sa.Text(), nullable=False),
        sa.Column("live_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="off", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "code", name=op.f("pk_sop")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "sop_run",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("taken", sa.Integer(), server_default="0", nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", name=op.f("pk_sop_run")),
        sa.UniqueConstraint("tenant_id", "code", "key", name=op.f("uq_sop_run_tenant_id_code_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_sop_run_next", "sop_run", ["tenant_id", "state", "next_at", "run_id"])
    op.create_index("ix_sop_run_node", "sop_run", ["tenant_id", "node_id", "run_id"])
    op.create_index("ix_sop_run_state", "sop_run", ["tenant_id", "code", "state", "run_id"])
    op.create_table(
        "sop_step",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), server_default="0", nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("coupon_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "n", name=op.f("pk_sop_step")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "sop_version",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="page", nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "code", "version", name=op.f("pk_sop_version")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "stage_change",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("opportunity_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("stage_from", sa.Text(), server_default="", nullable=False),
        sa.Column("stage_to", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("source", sa.Text(), server_default="rep", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "change_id", name=op.f("pk_stage_change")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_stage_change_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_stage_change_node", "stage_change", ["tenant_id", "node_id", "change_id"])
    op.create_index(
        "ix_stage_change_opportunity", "stage_change", ["tenant_id", "opportunity_id", "change_id"]
    )
    op.create_table(
        "tag",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="rep", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "node_id", "name", name=op.f("pk_tag")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_tag_name", "tag", ["tenant_id", "name", "node_id"])
    op.create_table(
        "task",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="manual", nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("promise_id", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("action", sa.JSON(), nullable=False),
        sa.Column("done_by_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("from_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("postponed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("postponed_why", sa.Text(), server_default="", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("done_by", sa.BigInteger(), nullable=True),
        sa.Column("done_event_id", sa.BigInteger(), nullable=True),
        sa.Column("done_why", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "task_id", name=op.f("pk_task")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_task_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_task_expires", "task", ["tenant_id", "state", "expires_at", "task_id"])
    op.create_index("ix_task_node", "task", ["tenant_id", "node_id", "state", "task_id"])
    op.create_index("ix_task_run", "task", ["tenant_id", "run_id", "task_id"])
    op.create_index("ix_task_staff", "task", ["tenant_id", "staff_id", "state", "due_at", "task_id"])
    op.create_index("ix_task_talk", "task", ["tenant_id", "conversation_id", "state", "task_id"])
    op.create_index("ix_task_team", "task", ["tenant_id", "team_id", "state", "due_at", "task_id"])
    op.create_table(
        "trial",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version_a", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version_b", sa.Integer(), server_default="0", nullable=False),
        sa.Column("goal", sa.Text(), server_default="reply", nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("verdict", sa.Text(), server_default="", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "trial_id", name=op.f("pk_trial")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_trial_code", "trial", ["tenant_id", "code", "trial_id"])
    op.create_table(
        "enclosure",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("media_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("mime", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.Integer(), server_default="0", nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_enclosure")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_enclosure_media", "enclosure", ["tenant_id", "media_id"])
    op.create_table(
        "uploaded",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("media_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_id", "media_id", name=op.f("pk_uploaded")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "answer_leave",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_id", "kind", name=op.f("pk_answer_leave")),
        sqlite_with_rowid=True,
    )
    op.add_column("suggestion", sa.Column("stage", sa.Text(), server_default="", nullable=False))
    op.add_column("suggestion", sa.Column("role", sa.Text(), server_default="", nullable=False))
    op.add_column("suggestion", sa.Column("channel", sa.Text(), server_default="", nullable=False))
    op.add_column("suggestion", sa.Column("arm", sa.Text(), server_default="", nullable=False))
    op.add_column("suggestion", sa.Column("node_id", sa.BigInteger(), nullable=True))
    op.add_column("suggestion", sa.Column("staff_id", sa.BigInteger(), nullable=True))
    op.add_column("suggestion", sa.Column("used_at", sa.BigInteger(), nullable=True))
    op.add_column("suggestion", sa.Column("used_event_id", sa.BigInteger(), nullable=True))
    op.add_column("suggestion", sa.Column("distance", sa.Integer(), nullable=True))
    op.create_index(
        "ix_suggestion_script", "suggestion", ["tenant_id", "script_id", "created_at", "suggestion_id"]
    )
    op.create_index("ix_suggestion_used", "suggestion", ["tenant_id", "conversation_id", "used_at"])


def downgrade() -> None:
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.drop_index("ix_suggestion_used")
        batch_op.drop_index("ix_suggestion_script")
        batch_op.drop_column("distance")
        batch_op.drop_column("used_event_id")
        batch_op.drop_column("used_at")
        batch_op.drop_column("staff_id")
        batch_op.drop_column("node_id")
        batch_op.drop_column("arm")
        batch_op.drop_column("channel")
        batch_op.drop_column("role")
        batch_op.drop_column("stage")

    op.drop_table("answer_leave")
    op.drop_table("uploaded")
    op.drop_table("enclosure")
    op.drop_table("trial")
    op.drop_table("task")
    op.drop_table("tag")
    op.drop_table("stage_change")
    op.drop_table("sop_version")
    op.drop_table("sop_step")
    op.drop_table("sop_run")
    op.drop_table("sop")
    op.drop_table("script_version")
    op.drop_table("script")
    op.drop_table("promise")
    op.drop_table("prior")
    op.drop_table("pack")
    op.drop_table("outcome")
    op.drop_table("opportunity")
    op.drop_table("finding")
    op.drop_table("coupon_batch")
    op.drop_table("coupon")
    op.drop_table("clearance")
    op.drop_table("check_rule")
