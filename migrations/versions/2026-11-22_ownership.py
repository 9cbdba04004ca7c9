"""Claims, rulings, commission, pool (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_ownership"
down_revision = "2026_11_22_roles"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "appeal",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("appeal_id", sa.BigInteger(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("ruling_id", sa.BigInteger(), nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("escalated_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "appeal_id", name=op.f("pk_appeal")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_appeal_deal", "appeal", ["tenant_id", "deal_id", "appeal_id"])
    op.create_index("ix_appeal_state", "appeal", ["tenant_id", "state", "appeal_id"])
    op.create_table(
        "claim",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("claimant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("policy_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("named", sa.Integer(), server_default="1", nullable=False),
        sa.Column("phoned", sa.Integer(), server_default="1", nullable=False),
        sa.Column("masked", sa.Integer(), server_default="0", nullable=False),
        sa.Column("token", sa.Text(), server_default="", nullable=False),
        sa.Column("mask_head", sa.LargeBinary(), nullable=True),
        sa.Column("mask_tail", sa.LargeBinary(), nullable=True),
        sa.Column("device_key", sa.LargeBinary(), nullable=True),
        sa.Column("own_phone", sa.Integer(), server_default="0", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "claim_id", name=op.f("pk_claim")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_claim_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_claim_claimant", "claim", ["tenant_id", "claimant", "claim_id"])
    op.create_index("ix_claim_device", "claim", ["tenant_id", "device_key", "at"])
    op.create_index("ix_claim_mask_head", "claim", ["tenant_id", "mask_head"])
    op.create_index("ix_claim_mask_tail", "claim", ["tenant_id", "mask_tail"])
    op.create_index("ix_claim_node", "claim", ["tenant_id", "node_id", "at"])
    op.create_table(
        "commission_entry",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("ruling_id", sa.BigInteger(), nullable=False),
        sa.Column("posting_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("sort", sa.Text(), server_default="", nullable=False),
        sa.Column("reverses_entry_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_commission_entry")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_commission_entry_account", "commission_entry", ["tenant_id", "account", "entry_id"])
    op.create_index(
        "ix_commission_entry_reverses",
        "commission_entry",
        ["tenant_id", "reverses_entry_id"],
        unique=True,
        sqlite_where=sa.text("reverses_entry_id IS NOT NULL"),
        postgresql_where=sa.text("reverses_entry_id IS NOT NULL"),
    )
    op.create_index("ix_commission_entry_deal", "commission_entry", ["tenant_id", "deal_id", "entry_id"])
    op.create_table(
        "deal",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), server_default="", nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("payer_id", sa.BigInteger(), nullable=True),
        sa.Column("learner_id", sa.BigInteger(), nullable=True),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("policy_version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deal_id", name=op.f("pk_deal")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            "source",
            "number",
            name=op.f("uq_deal_tenant_id_account_id_source_number"),
        ),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_deal_at", "deal", ["tenant_id", "at"])
    op.create_index("ix_deal_learner", "deal", ["tenant_id", "learner_id"])
    op.create_index("ix_deal_node", "deal", ["tenant_id", "node_id"])
    op.create_index("ix_deal_payer", "deal", ["tenant_id", "payer_id"])
    op.create_table(
        "ownership_policy",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "version", name=op.f("pk_ownership_policy")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "ruling",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("ruling_id", sa.BigInteger(), nullable=False),
        sa.Column("deal_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="final", nullable=False),
        sa.Column("shares", sa.Text(), server_default="[]", nullable=False),
        sa.Column("reasons", sa.Text(), server_default="[]", nullable=False),
        sa.Column("rejected", sa.Text(), server_default="[]", nullable=False),
        sa.Column("inputs", sa.Text(), server_default="", nullable=False),
        sa.Column("policy_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.LargeBinary(), nullable=True),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "ruling_id", name=op.f("pk_ruling")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_ruling_deal", "ruling", ["tenant_id", "deal_id", "ruling_id"])
    op.create_index("ix_ruling_state", "ruling", ["tenant_id", "state", "ruling_id"])
    _pool()
    _handing_over()


def _pool() -> None:
    op.add_column("conversation", sa.Column("pooled_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "pool_entry",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="warned", nullable=False),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("level", sa.Text(), server_default="", nullable=False),
        sa.Column("facts", sa.Text(), server_default="{}", nullable=False),
        sa.Column("warned_at", sa.BigInteger(), nullable=True),
        sa.Column("falls_at", sa.BigInteger(), nullable=True),
        sa.Column("fell_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("taken_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_pool_entry")),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_pool_entry_open",
        "pool_entry",
        ["tenant_id", "node_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('warned', 'in')"),
        postgresql_where=sa.text("state IN ('warned', 'in')"),
    )
    op.create_index("ix_pool_entry_from", "pool_entry", ["tenant_id", "from_id", "state", "entry_id"])
    op.create_index("ix_pool_entry_state", "pool_entry", ["tenant_id", "state", "entry_id"])
    op.create_index("ix_pool_entry_taken", "pool_entry", ["tenant_id", "taken_by", "ended_at"])
    op.create_table(
        "pool_look",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), server_default="0", nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", "staff_id", "entry_id", name=op.f("pk_pool_look")),
        sqlite_with_rowid=False,
    )


def _handing_over() -> None:
    op.create_table(
        "handover",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("handover_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("sort", sa.Text(), server_default="onjob", nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "handover_id", name=op.f("pk_handover")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_handover_from", "handover", ["tenant_id", "from_id", "handover_id"])
    op.create_index("ix_handover_to", "handover", ["tenant_id", "to_id", "handover_id"])
    op.create_table(
        "handover_customer",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("handover_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("brief", sa.LargeBinary(), nullable=False),
        sa.Column("talks", sa.Text(), server_default="[]", nullable=False),
        sa.Column("deed_id", sa.BigInteger(), nullable=True),
        sa.Column("barrier", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "handover_id", "node_id", name=op.f("pk_handover_customer")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_handover_customer_node", "handover_customer", ["tenant_id", "node_id", "handover_id"])


def downgrade() -> None:
    op.drop_table("handover_customer")
    op.drop_table("handover")
    op.drop_table("pool_look")
    op.drop_table("pool_entry")
    op.drop_column("conversation", "pooled_at")
    op.drop_table("ruling")
    op.drop_table("ownership_policy")
    op.drop_table("deal")
    op.drop_table("commission_entry")
    op.drop_table("claim")
    op.drop_table("appeal")
