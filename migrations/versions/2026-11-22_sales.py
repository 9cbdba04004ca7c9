"""Catalog of products and price lists; orders and refunds (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_sales"
down_revision = "2026_11_22_search"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "order",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="", nullable=False),
        sa.Column("business_line", sa.Text(), server_default="", nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("buyer_id", sa.BigInteger(), nullable=True),
        sa.Column("payer_id", sa.BigInteger(), nullable=True),
        sa.Column("learner_id", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("coupon", sa.Text(), server_default="", nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "order_id", name=op.f("pk_order")),
        sa.UniqueConstraint(
            "tenant_id", "account_id", "number", name=op.f("uq_order_tenant_id_account_id_number")
        ),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_order_buyer", "order", ["tenant_id", "buyer_id", "order_id"])
    op.create_index("ix_order_placed", "order", ["tenant_id", "placed_at", "order_id"])
    op.create_table(
        "order_line",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), server_default="0", nullable=False),
        sa.Column("product_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("quantity", sa.Integer(), server_default="1", nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "order_id", "n", name=op.f("pk_order_line")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "price",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("price_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("product_code", sa.Text(), nullable=False),
        sa.Column("price_list", sa.Text(), server_default="", nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "price_id", name=op.f("pk_price")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_price_tenant_id_code")),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_price_product", "price", ["tenant_id", "product_code", "starts_at", "price_id"])
    op.create_table(
        "product",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("business_line", sa.Text(), server_default="", nullable=False),
        sa.Column("unit", sa.Text(), server_default="", nullable=False),
        sa.Column("on_sale", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "product_id", name=op.f("pk_product")),
        sa.UniqueConstraint("tenant_id", "code", name=op.f("uq_product_tenant_id_code")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "refund",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("refund_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("order_number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="", nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "refund_id", name=op.f("pk_refund")),
        sa.UniqueConstraint(
            "tenant_id", "account_id", "number", name=op.f("uq_refund_tenant_id_account_id_number")
        ),
        sqlite_with_rowid=True,
    )
    op.create_index("ix_refund_order", "refund", ["tenant_id", "account_id", "order_number"])


def downgrade() -> None:
    op.drop_table("refund")
    op.drop_table("product")
    op.drop_table("price")
    op.drop_table("order_line")
    op.drop_table("order")
