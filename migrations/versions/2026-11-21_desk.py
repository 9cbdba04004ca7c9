"""The desk: who is here, who was given what and why, conversations put off and closed (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_desk"
down_revision = "2026_11_21_tokens"
branch_labels = None
depends_on = None

_AT = ("snooze_until", "closed_at", "offered_at", "last_rep_id")
#: Partial indexes: few conversations wait or are put off at any time.
_INDEXES = {
    "ix_conversation_waiting": (
        ["tenant_id", "waiting_since", "conversation_id"],
        "waiting_since IS NOT NULL",
    ),
    "ix_conversation_snooze": (["tenant_id", "snooze_until"], "snooze_until IS NOT NULL"),
}


def upgrade() -> None:
    # `open`: what the previous release began is never handed out by itself.
    op.add_column("conversation", sa.Column("state", sa.Text(), server_default="open", nullable=False))
    for name in _AT:
        op.add_column("conversation", sa.Column(name, sa.BigInteger(), nullable=True))
    for name, (columns, where) in _INDEXES.items():
        op.create_index(
            name, "conversation", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
    op.add_column("staff", sa.Column("capacity", sa.Integer(), server_default="8", nullable=False))
    op.create_table(
        "presence",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("away_at", sa.BigInteger(), nullable=True),
        sa.Column("assigned_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "staff_id", name=op.f("pk_presence")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "assignment",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=True),
        sa.Column("to_id", sa.BigInteger(), nullable=True),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "assignment_id", name=op.f("pk_assignment")),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_assignment_conversation", "assignment", ["tenant_id", "conversation_id", "assignment_id"]
    )


def downgrade() -> None:
    op.drop_table("assignment")
    op.drop_table("presence")
    for name in _INDEXES:
        op.drop_index(name, "conversation")
    with op.batch_alter_table("staff") as staff:
        staff.drop_column("capacity")
    with op.batch_alter_table("conversation") as conversation:
        for name in (*_AT, "state"):
            conversation.drop_column(name)
