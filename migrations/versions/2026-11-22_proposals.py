"""Proposals of the batch companion and their review (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_proposals"
down_revision = "2026_11_22_ownership"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proposal",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_id", sa.BigInteger(), nullable=False),
        sa.Column("node_a", sa.BigInteger(), nullable=False),
        sa.Column("node_b", sa.BigInteger(), nullable=False),
        sa.Column("class", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("model_version", sa.Text(), server_default="", nullable=False),
        sa.Column("batch", sa.Text(), server_default="", nullable=False),
        sa.Column("weight", sa.Integer(), server_default="0", nullable=False),
        sa.Column("likely", sa.Integer(), server_default="0", nullable=False),
        sa.Column("value", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rank", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reasons", sa.LargeBinary(), nullable=False),
        sa.Column("sides", sa.Text(), server_default="[[], []]", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_why", sa.Text(), server_default="", nullable=False),
        sa.Column("evidence_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "proposal_id", name=op.f("pk_proposal")),
        sa.UniqueConstraint(
            "tenant_id", "node_a", "node_b", "class", name=op.f("uq_proposal_tenant_id_node_a_node_b_class")
        ),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_proposal_b", "proposal", ["tenant_id", "node_b"])
    op.create_index("ix_proposal_queue", "proposal", ["tenant_id", "state", "rank", "proposal_id"])
    op.create_index("ix_proposal_batch", "proposal", ["tenant_id", "batch"])
    op.create_table(
        "hint",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("hint_key", sa.LargeBinary(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "hint_key", "node_id", name=op.f("pk_hint")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_hint_node", "hint", ["tenant_id", "node_id"])
    op.create_table(
        "match_model",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "version", name=op.f("pk_match_model")),
        sqlite_with_rowid=True,
    )


def downgrade() -> None:
    op.drop_table("match_model")
    op.drop_table("hint")
    op.drop_table("proposal")
