"""Vendor tokens shared by every process (expand: the previous release leaves the table alone)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_tokens"
down_revision = "2026_11_21_shortcuts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vendor_token",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("renew_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("lease_by", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key_hash", name=op.f("pk_vendor_token")),
        sqlite_with_rowid=True,
    )


def downgrade() -> None:
    op.drop_table("vendor_token")
