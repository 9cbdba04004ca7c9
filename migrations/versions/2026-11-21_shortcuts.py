"""Single-key shortcuts can be switched off (expand: the previous release leaves the column alone)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_shortcuts"
down_revision = "2026_11_21_spine"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staff", sa.Column("shortcuts", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("staff") as staff:
        staff.drop_column("shortcuts")
