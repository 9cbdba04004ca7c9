"""Tables of ownership: claims, deals, rulings, the commission ledger, appeals, versions of the policy."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

claim = table(
    "claim",
    ident("claim_id"),
    #: the identifier it hangs on; of a masked telephone a node of its own that proves nothing
    ident("node_id"),
    #: rep:<staff id> | broker:<their id> | channel:<name> | own
    sa.Column("claimant", sa.Text, nullable=False),
    #: report | visit | call | contact | signup | follow_up | referral
    text("kind"),
    instant("at"),
    instant("told_at"),
    #: business line; "" = whatever is sold
    text("line"),
    #: source key of the event (or of who asked for it): the same key is the same claim
    sa.Column("key", sa.Text, nullable=False),
    ident("event_id", nullable=True),
    ident("account_id", nullable=True),
    integer("policy_version", 1),
    integer("named", 1),
    integer("phoned", 1),
    integer("masked"),
    #: the code of a visit, where there is one
    text("token"),
    #: keyed hashes of the masks a telephone may be given by: first 3 + last 4, first 4 + last 3
    octets("mask_head", nullable=True),
    octets("mask_tail", nullable=True),
    #: keyed hash of the device it was reported from
    octets("device_key", nullable=True),
    #: the number given is the claimant's own
    integer("own_phone"),
    #: who entered it by hand
    ident("by_id", nullable=True),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_claim_node", "tenant_id", "node_id", "at"),
    sa.Index("ix_claim_claimant", "tenant_id", "claimant", "claim_id"),
    sa.Index("ix_claim_mask_head", "tenant_id", "mask_head"),
    sa.Index("ix_claim_mask_tail", "tenant_id", "mask_tail"),
    sa.Index("ix_claim_device", "tenant_id", "device_key", "at"),
    key=["claim_id"],
)
deal = table(
    "deal",
    ident("deal_id"),
    #: order | contract
    text("source"),
    ident("account_id"),
    sa.Column("number", sa.Text, nullable=False),
    text("line"),
    #: whose it is: who bought or signed, and who else is in it
    ident("node_id"),
    ident("payer_id", nullable=True),
    ident("learner_id", nullable=True),
    ident("event_id"),
    #: when it was paid or signed first
    instant("at"),
    #: fen: what was paid less what was given back
    sa.Column("amount", sa.BigInteger, nullable=False, server_default="0"),
    #: the policy it is judged by, for ever
    integer("policy_version", 1),
    sa.UniqueConstraint("tenant_id", "account_id", "source", "number"),
    sa.Index("ix_deal_node", "tenant_id", "node_id"),
    sa.Index("ix_deal_payer", "tenant_id", "payer_id"),
    sa.Index("ix_deal_learner", "tenant_id", "learner_id"),
    sa.Index("ix_deal_at", "tenant_id", "at"),
    key=["deal_id"],
)
#: Only ever added to: the newest final one of a deal is in force, a newer pending one waits for a human.
ruling = table(
    "ruling",
    ident("ruling_id"),
    ident("deal_id"),
    instant("at"),
    #: deal | claim | identity | refund | decide | appeal
    text("trigger"),
    #: final | pending
    text("state", default="final"),
    #: JSON: [{by, bp, claim_id}]
    text("shares", default="[]"),
    #: JSON: [{rule, facts}], the first decides
    text("reasons", default="[]"),
    #: JSON: [{claim_id, by, rule, facts}]
    text("rejected", default="[]"),
    #: hash of everything it was made from
    text("inputs"),
    integer("policy_version", 1),
    #: who decided, where a human did, and what they wrote
    ident("by_id", nullable=True),
    octets("note", nullable=True),
    #: it is in the feed of changes since then
    instant("told_at", nullable=True),
    sa.Index("ix_ruling_deal", "tenant_id", "deal_id", "ruling_id"),
    sa.Index("ix_ruling_state", "tenant_id", "state", "ruling_id"),
    key=["ruling_id"],
)
#: Double entry, only ever added to: lines of one posting add up to nothing.
commission_entry = table(
    "commission_entry",
    ident("entry_id"),
    ident("deal_id"),
    ident("ruling_id"),
    ident("posting_id"),
    #: expense | cash | a claimant
    sa.Column("account", sa.Text, nullable=False),
    #: fen; credit is negative
    sa.Column("amount", sa.BigInteger, nullable=False),
    #: award | reversal | payout
    text("sort"),
    ident("reverses_entry_id", nullable=True),
    instant("at"),
    #: nothing is taken back twice
    sa.Index(
        "ix_commission_entry_reverses",
        "tenant_id",
        "reverses_entry_id",
        unique=True,
        sqlite_where=sa.text("reverses_entry_id IS NOT NULL"),
        postgresql_where=sa.text("reverses_entry_id IS NOT NULL"),
    ),
    sa.Index("ix_commission_entry_deal", "tenant_id", "deal_id", "entry_id"),
    sa.Index("ix_commission_entry_account", "tenant_id", "account", "entry_id"),
    key=["entry_id"],
)
appeal = table(
    "appeal",
    ident("appeal_id"),
    ident("deal_id"),
    ident("ruling_id"),
    ident("by_id", nullable=True),
    octets("text"),
    instant("at"),
    #: until when it must be decided
    instant("due_at"),
    #: open | upheld | dismissed
    text("state", default="open"),
    octets("answer", nullable=True),
    ident("decided_by", nullable=True),
    instant("decided_at", nullable=True),
    #: nobody decided in time, and those above were told
    instant("escalated_at", nullable=True),
    sa.Index("ix_appeal_deal", "tenant_id", "deal_id", "appeal_id"),
    sa.Index("ix_appeal_state", "tenant_id", "state", "appeal_id"),
    key=["appeal_id"],
)
#: The highest version is in force; the first is that of the release.
ownership_policy = table(
    "ownership_policy",
    integer("version"),
    instant("at"),
    ident("actor_id", nullable=True),
    text("body"),
    text("note"),
    key=["version"],
)
#: A customer on the way into the public pool, in it, or out of it again; one open entry a customer.
pool_entry = table(
    "pool_entry",
    ident("entry_id"),
    #: an identifier of the customer: people merge and split, this stays
    ident("node_id"),
    #: who has them, or had them
    ident("from_id", nullable=True),
    ident("team_id", nullable=True),
    #: warned | in | taken | kept (followed up in time) | back (came back by themselves)
    text("state", default="warned"),
    #: idle | declined | gone | given
    text("rule"),
    text("level"),
    #: JSON: the numbers the sentence names
    text("facts", default="{}"),
    instant("warned_at", nullable=True),
    #: when they fall in, unless somebody follows up
    instant("falls_at", nullable=True),
    instant("fell_at", nullable=True),
    instant("ended_at", nullable=True),
    ident("taken_by", nullable=True),
    sa.Index(
        "ix_pool_entry_open",
        "tenant_id",
        "node_id",
        unique=True,
        sqlite_where=sa.text("state IN ('warned', 'in')"),
        postgresql_where=sa.text("state IN ('warned', 'in')"),
    ),
    sa.Index("ix_pool_entry_state", "tenant_id", "state", "entry_id"),
    sa.Index("ix_pool_entry_from", "tenant_id", "from_id", "state", "entry_id"),
    sa.Index("ix_pool_entry_taken", "tenant_id", "taken_by", "ended_at"),
    key=["entry_id"],
)
#: Whom of the pool a rep has opened on a day.
pool_look = table(
    "pool_look",
    #: YYYYMMDD in Shanghai
    integer("day"),
    ident("staff_id"),
    ident("entry_id"),
    key=["day", "staff_id", "entry_id"],
    rowid=False,
)
handover = table(
    "handover",
    ident("handover_id"),
    instant("at"),
    ident("from_id"),
    ident("to_id"),
    ident("by_id", nullable=True),
    #: onjob | resigned
    text("sort", default="onjob"),
    #: draft | moved | undone
    text("state", default="draft"),
    instant("moved_at", nullable=True),
    instant("undone_at", nullable=True),
    sa.Index("ix_handover_from", "tenant_id", "from_id", "handover_id"),
    sa.Index("ix_handover_to", "tenant_id", "to_id", "handover_id"),
    key=["handover_id"],
)
handover_customer = table(
    "handover_customer",
    ident("handover_id"),
    ident("node_id"),
    octets("brief"),
    #: JSON: the conversations that changed hands
    text("talks", default="[]"),
    #: the platform's transfer, where there is one, and why there is none
    ident("deed_id", nullable=True),
    #: resting (served for too short) | unknown (no account of the platform): why nothing was asked for
    text("barrier"),
    sa.Index("ix_handover_customer_node", "tenant_id", "node_id", "handover_id"),
    key=["handover_id", "node_id"],
)
