"""Web chat: what visitors have seen, and whose each upload is (expand: older code leaves both alone)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_webchat"
down_revision = "2026_11_21_desk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversation", sa.Column("seen_at", sa.BigInteger(), nullable=True))
    op.add_column("media", sa.Column("node_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("media") as media:
        media.drop_column("node_id")
    with op.batch_alter_table("conversation") as conversation:
        conversation.drop_column("seen_at")
