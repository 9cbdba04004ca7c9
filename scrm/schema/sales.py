"""Tables of what is sold: products, prices with their validity, orders with their lines, refunds."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, table, text

product = table(
    "product",
    ident("product_id"),
    #: the order system's own id
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    instant("at"),
    text("name"),
    text("business_line"),
    text("unit"),
    integer("on_sale", 1),
    sa.UniqueConstraint("tenant_id", "code"),
    key=["product_id"],
)
price = table(
    "price",
    ident("price_id"),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    instant("at"),
    sa.Column("product_code", sa.Text, nullable=False),
    text("price_list"),
    #: fen
    sa.Column("amount", sa.BigInteger, nullable=False),
    instant("starts_at"),
    instant("ends_at", nullable=True),
    sa.UniqueConstraint("tenant_id", "code"),
    sa.Index("ix_price_product", "tenant_id", "product_code", "starts_at", "price_id"),
    key=["price_id"],
)
order = table(
    "order",
    ident("order_id"),
    ident("account_id"),
    #: the order system's own number
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    instant("at"),
    #: created | paid | delivered | closed | cancelled
    text("status"),
    text("business_line"),
    ident("event_id"),
    ident("buyer_id", nullable=True),
    ident("payer_id", nullable=True),
    ident("learner_id", nullable=True),
    #: fen
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("paid", sa.BigInteger, nullable=False, server_default="0"),
    text("coupon"),
    #: the first version's time
    instant("placed_at"),
    sa.UniqueConstraint("tenant_id", "account_id", "number"),
    sa.Index("ix_order_buyer", "tenant_id", "buyer_id", "order_id"),
    sa.Index("ix_order_placed", "tenant_id", "placed_at", "order_id"),
    key=["order_id"],
)
order_line = table(
    "order_line",
    ident("order_id"),
    integer("n"),
    sa.Column("product_code", sa.Text, nullable=False),
    text("name"),
    integer("quantity", 1),
    sa.Column("amount", sa.BigInteger, nullable=False),
    key=["order_id", "n"],
)
refund = table(
    "refund",
    ident("refund_id"),
    ident("account_id"),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    instant("at"),
    sa.Column("order_number", sa.Text, nullable=False),
    #: requested | done | refused
    text("status"),
    sa.Column("amount", sa.BigInteger, nullable=False),
    ident("event_id"),
    sa.UniqueConstraint("tenant_id", "account_id", "number"),
    sa.Index("ix_refund_order", "tenant_id", "account_id", "order_number"),
    key=["refund_id"],
)
