"""Telephone: recordings nobody has listened to yet are found at once (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_ring"
down_revision = "2026_11_22_admin"
branch_labels = None
depends_on = None

_UNHEARD = sa.text("kind = 'voice' AND state = 'kept' AND transcribed = ''")


def upgrade() -> None:
    op.create_index(
        "ix_event_media_unheard",
        "event_media",
        ["tenant_id", "event_id"],
        sqlite_where=_UNHEARD,
        postgresql_where=_UNHEARD,
    )


def downgrade() -> None:
    op.drop_index("ix_event_media_unheard", table_name="event_media")
