"""Relations in families and roles, each with its evidence (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_roles"
down_revision = "2026_11_22_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "relation",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("relation_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("node_a", sa.BigInteger(), nullable=False),
        sa.Column("node_b", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), server_default="", nullable=False),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("kin", sa.Text(), server_default="", nullable=False),
        sa.Column("strength", sa.Integer(), server_default="0", nullable=False),
        sa.Column("said_from", sa.Integer(), server_default="0", nullable=False),
        sa.Column("said_to", sa.Integer(), server_default="0", nullable=False),
        sa.Column("target", sa.Text(), server_default="", nullable=False),
        sa.Column("name_key", sa.LargeBinary(), nullable=True),
        sa.Column("full_key", sa.LargeBinary(), nullable=True),
        sa.Column("tied_at", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.Text(), server_default="auto", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "relation_id", name=op.f("pk_relation")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_relation_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_relation_a", "relation", ["tenant_id", "node_a", "at"])
    op.create_index("ix_relation_event", "relation", ["tenant_id", "event_id"])
    op.create_index("ix_relation_b", "relation", ["tenant_id", "node_b"])
    op.create_index("ix_relation_name", "relation", ["tenant_id", "name_key"])
    op.create_table(
        "role_assignment",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("role_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("context_type", sa.Text(), server_default="", nullable=False),
        sa.Column("context_id", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("confidence", sa.Integer(), server_default="100", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.Text(), server_default="auto", nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("taken_back_at", sa.BigInteger(), nullable=True),
        sa.Column("name_key", sa.LargeBinary(), nullable=True),
        sa.Column("full_key", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "role_id", name=op.f("pk_role_assignment")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_role_assignment_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_role_assignment_context", "role_assignment", ["tenant_id", "context_type", "context_id"]
    )
    op.create_index("ix_role_assignment_name", "role_assignment", ["tenant_id", "name_key"])
    op.create_index("ix_role_assignment_node", "role_assignment", ["tenant_id", "node_id"])


def downgrade() -> None:
    op.drop_table("role_assignment")
    op.drop_table("relation")
