"""Tables of what is sold: products, prices, orders, refunds; opportunities with their stages, coupons."""

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

# -- opportunities -----------------------------------------------------------------------------------------
opportunity = table(
    "opportunity",
    ident("opportunity_id"),
    #: opened once per key
    sa.Column("key", sa.Text, nullable=False),
    #: the customer's address it hangs on
    ident("node_id"),
    #: new | renewal | referral
    text("kind", default="new"),
    text("business_line"),
    text("product_code"),
    text("product"),
    #: fen
    sa.Column("amount", sa.BigInteger, nullable=True),
    #: a stage of the playbook: first-contact, needs, trial ...
    text("stage", default="first-contact"),
    #: open | won | lost
    text("state", default="open"),
    ident("staff_id", nullable=True),
    instant("opened_at"),
    instant("moved_at"),
    instant("closed_at", nullable=True),
    integer("version"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_opportunity_node", "tenant_id", "node_id", "state", "opportunity_id"),
    sa.Index("ix_opportunity_stage", "tenant_id", "state", "stage", "moved_at", "opportunity_id"),
    sa.Index("ix_opportunity_staff", "tenant_id", "staff_id", "state", "opportunity_id"),
    key=["opportunity_id"],
)
stage_change = table(
    "stage_change",
    ident("change_id"),
    #: once per key
    sa.Column("key", sa.Text, nullable=False),
    ident("opportunity_id"),
    ident("node_id"),
    text("stage_from"),
    text("stage_to"),
    #: open | won | lost, from then on
    text("state", default="open"),
    #: rep | order | sop | event
    text("source", default="rep"),
    ident("by_id", nullable=True),
    ident("event_id", nullable=True),
    text("why"),
    instant("at"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_stage_change_opportunity", "tenant_id", "opportunity_id", "change_id"),
    sa.Index("ix_stage_change_node", "tenant_id", "node_id", "change_id"),
    key=["change_id"],
)
tag = table(
    "tag",
    ident("node_id"),
    sa.Column("name", sa.Text, nullable=False),
    #: rep | sop | event
    text("source", default="rep"),
    ident("by_id", nullable=True),
    instant("at"),
    sa.Index("ix_tag_name", "tenant_id", "name", "node_id"),
    key=["node_id", "name"],
)

# -- coupons -----------------------------------------------------------------------------------------------
coupon_batch = table(
    "coupon_batch",
    ident("batch_id"),
    sa.Column("code", sa.Text, nullable=False),
    text("name"),
    #: off | discount
    text("kind", default="off"),
    sa.Column("fen", sa.BigInteger, nullable=True),
    #: of the price, in ten-thousandths
    sa.Column("share", sa.Integer, nullable=True),
    sa.Column("min_fen", sa.BigInteger, nullable=True),
    #: "" = for everything
    text("product_code"),
    #: 0 = without limit
    integer("stock"),
    integer("per_household", 1),
    instant("starts_at"),
    instant("ends_at"),
    #: open | stopped
    text("state", default="open"),
    ident("by_id", nullable=True),
    instant("created_at"),
    sa.UniqueConstraint("tenant_id", "code"),
    key=["batch_id"],
)
coupon = table(
    "coupon",
    ident("coupon_id"),
    #: given once per key
    sa.Column("key", sa.Text, nullable=False),
    ident("batch_id"),
    ident("node_id"),
    #: what the customer shows
    sa.Column("code", sa.Text, nullable=False),
    ident("staff_id", nullable=True),
    #: issued | redeemed | withdrawn
    text("state", default="issued"),
    ident("event_id", nullable=True),
    instant("issued_at"),
    instant("redeemed_at", nullable=True),
    text("order_number"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.UniqueConstraint("tenant_id", "code", info={"drawn": True}),
    sa.Index("ix_coupon_node", "tenant_id", "node_id", "coupon_id"),
    sa.Index("ix_coupon_batch", "tenant_id", "batch_id", "state", "coupon_id"),
    key=["coupon_id"],
)
