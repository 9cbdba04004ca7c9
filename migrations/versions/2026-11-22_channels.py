"""What vendors say is so, files they keep, deeds, long jobs, tallies, and an account's state (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_channels"
down_revision = "2026_11_21_walls"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deed",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("deed_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("item", sa.Text(), server_default="", nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deed_id", name=op.f("pk_deed")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_deed_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_deed_account", "deed", ["tenant_id", "account_id", "kind", "deed_id"])
    op.create_table(
        "event_media",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), server_default="0", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("mime", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("md5", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("media_id", sa.BigInteger(), nullable=True),
        sa.Column("transcript", sa.LargeBinary(), nullable=True),
        sa.Column("transcribed", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "event_id", "n", name=op.f("pk_event_media")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_event_media_media", "event_media", ["tenant_id", "media_id"])
    op.create_table(
        "fact",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("fact_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "fact_id", name=op.f("pk_fact")),
        sa.UniqueConstraint(
            "tenant_id", "account_id", "kind", "key", name=op.f("uq_fact_tenant_id_account_id_kind_key")
        ),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_fact_kind", "fact", ["tenant_id", "account_id", "kind", "fact_id"])
    op.create_index("ix_fact_node", "fact", ["tenant_id", "node_id", "kind"])
    op.create_table(
        "job",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("fresh", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("place", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", name=op.f("pk_job")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_job_account", "job", ["tenant_id", "account_id", "job_id"])
    op.create_index("ix_job_state", "job", ["tenant_id", "state", "job_id"])
    op.create_table(
        "tally",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), server_default="0", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "node_id", "name", "day", "account_id", name=op.f("pk_tally")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tally_name", "tally", ["tenant_id", "account_id", "name"])
    op.create_index("ix_due_kind", "due", ["tenant_id", "kind", "at"])
    op.add_column("account", sa.Column("state", sa.Text(), server_default="running", nullable=False))
    op.add_column("cursor", sa.Column("reached_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("cursor", schema=None) as batch_op:
        batch_op.drop_column("reached_at")

    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_column("state")

    op.drop_index("ix_due_kind", "due")
    op.drop_table("tally")
    op.drop_table("job")
    op.drop_table("fact")
    op.drop_table("event_media")
    op.drop_table("deed")
