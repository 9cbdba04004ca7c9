"""What an admin sees of a connector: its pulse; mended and discarded inbox rows (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_admin"
down_revision = "2026_11_22_sales"
branch_labels = None
depends_on = None

COUNTS = ("received", "sent", "failed", "refused", "checked")


def upgrade() -> None:
    op.create_table(
        "pulse",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in COUNTS),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_id", "slot", name=op.f("pk_pulse")),
        sqlite_with_rowid=True,
    )
    op.add_column("inbox", sa.Column("payload_before", sa.LargeBinary(), nullable=True))
    op.add_column("inbox", sa.Column("note", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_column("note")
        batch_op.drop_column("payload_before")

    op.drop_table("pulse")
