"""Who is who in full: names, gaps, standings, households, log, policy versions (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_identity"
down_revision = "2026_11_22_walls2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evidence_state",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("evidence_id", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "evidence_id", name=op.f("pk_evidence_state")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "household_member",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("household_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", name=op.f("pk_household_member")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_household_member_household", "household_member", ["tenant_id", "household_id"])
    op.create_table(
        "identity_log",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("log_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.Text(), server_default="", nullable=False),
        sa.Column("origin", sa.Text(), server_default="auto", nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("evidence_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), server_default="{}", nullable=False),
        sa.Column("policy_version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "log_id", name=op.f("pk_identity_log")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "identity_policy",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "version", name=op.f("pk_identity_policy")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "node_name",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("name_key", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "node_id", "name_key", name=op.f("pk_node_name")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "person_alias",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", name=op.f("pk_person_alias")),
        sqlite_with_rowid=False,
    )
    op.add_column("evidence", sa.Column("key", sa.Text(), server_default="", nullable=False))
    op.add_column("evidence", sa.Column("actor_id", sa.BigInteger(), nullable=True))
    op.add_column("evidence", sa.Column("batch", sa.Text(), server_default="", nullable=False))
    op.add_column("evidence", sa.Column("why", sa.Text(), server_default="", nullable=False))
    op.add_column("evidence", sa.Column("retracted_by", sa.BigInteger(), nullable=True))
    op.add_column("evidence", sa.Column("retracted_why", sa.Text(), server_default="", nullable=False))
    op.add_column("node", sa.Column("gaps", sa.Text(), server_default="[]", nullable=False))
    op.add_column("node", sa.Column("degree", sa.Integer(), server_default="0", nullable=False))
    op.add_column("node", sa.Column("kin", sa.Integer(), server_default="0", nullable=False))
    op.add_column("node", sa.Column("state", sa.Text(), server_default="active", nullable=False))
    # With fewer columns SQLite, which has no statistics, reads all rows of the tenant instead.
    op.drop_index("ix_node_person_person", "node_person")
    op.create_index(
        "ix_node_person_person", "node_person", ["tenant_id", "person_id", "node_id", "from_at", "until_at"]
    )
    said = sa.text("origin IN ('rep', 'admin')")
    for end in ("a", "b"):
        op.create_index(
            f"ix_evidence_said_{end}",
            "evidence",
            ["tenant_id", f"node_{end}", "class"],
            sqlite_where=said,
            postgresql_where=said,
        )


def downgrade() -> None:
    op.drop_index("ix_node_person_person", "node_person")
    op.create_index("ix_node_person_person", "node_person", ["tenant_id", "person_id"])
    for end in ("a", "b"):
        op.drop_index(f"ix_evidence_said_{end}", "evidence")
    with op.batch_alter_table("node", schema=None) as batch_op:
        batch_op.drop_column("state")
        batch_op.drop_column("kin")
        batch_op.drop_column("degree")
        batch_op.drop_column("gaps")

    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.drop_column("retracted_why")
        batch_op.drop_column("retracted_by")
        batch_op.drop_column("why")
        batch_op.drop_column("batch")
        batch_op.drop_column("actor_id")
        batch_op.drop_column("key")

    op.drop_table("person_alias")
    op.drop_table("node_name")
    op.drop_table("identity_policy")
    op.drop_table("identity_log")
    op.drop_table("household_member")
    op.drop_table("evidence_state")
