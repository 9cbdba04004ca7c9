"""The door out: consent, business calendar, purpose and plan of a push (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_push"
down_revision = "2026_11_22_channels"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_day",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), server_default="0", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("pk_calendar_day")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consent_entry",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), server_default="", nullable=False),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_consent_entry")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_consent_entry_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_consent_entry_node", "consent_entry", ["tenant_id", "node_id", "at"])
    op.create_table(
        "reach",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("deed_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deed_id", "node_id", name=op.f("pk_reach")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reach_node", "reach", ["tenant_id", "node_id", "at"])
    op.add_column("outbox", sa.Column("purpose", sa.Text(), server_default="reply", nullable=False))
    op.add_column("outbox", sa.Column("planned_at", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("effect", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_outbox_node", "outbox", ["tenant_id", "node_id", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_outbox_node", table_name="outbox")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_column("effect")
        batch_op.drop_column("planned_at")
        batch_op.drop_column("purpose")
    op.drop_index("ix_reach_node", table_name="reach")
    op.drop_table("reach")
    op.drop_index("ix_consent_entry_node", table_name="consent_entry")
    op.drop_table("consent_entry")
    op.drop_table("calendar_day")
