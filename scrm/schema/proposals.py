"""Tables of what might be so: proposals that wait for a human, hints that find them, models behind."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

#: Two identifiers that may be one person, or one family: nothing follows from it until somebody decides.
proposal = table(
    "proposal",
    ident("proposal_id"),
    ident("node_a"),
    ident("node_b"),
    #: same_person | same_household
    text("class"),
    #: model | online | masked | statement | ...
    text("source"),
    #: of the model that said so; "" = no model
    text("model_version"),
    #: the run it came with
    text("batch"),
    #: what speaks for it and against it, in hundredths of a bit
    integer("weight"),
    #: how likely, per mille
    integer("likely"),
    #: how much there is to gain by knowing
    integer("value"),
    #: value x uncertainty: the order of the queue
    integer("rank"),
    #: sealed JSON: field, level, weight, sentence
    octets("reasons"),
    #: JSON: the identifiers of either side when it was made
    text("sides", default="[[], []]"),
    #: open | later | accepted | rejected | moot | withdrawn
    text("state", default="open"),
    #: `later`: not shown before
    instant("until_at", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    instant("decided_at", nullable=True),
    ident("decided_by", nullable=True),
    text("decided_why"),
    ident("evidence_id", nullable=True),
    sa.UniqueConstraint("tenant_id", "node_a", "node_b", "class"),
    sa.Index("ix_proposal_b", "tenant_id", "node_b"),
    sa.Index("ix_proposal_queue", "tenant_id", "state", "rank", "proposal_id"),
    sa.Index("ix_proposal_batch", "tenant_id", "batch"),
    key=["proposal_id"],
)
#: What may bring two people together at once: a child's name, a telephone with hidden digits; keyed hashes.
hint = table(
    "hint",
    octets("hint_key"),
    ident("node_id"),
    #: child | mask
    text("kind"),
    sa.Index("ix_hint_node", "tenant_id", "node_id"),
    key=["hint_key", "node_id"],
    rowid=False,
)
#: Models by version, as their proposals were made with: to read a weight years later.
match_model = table(
    "match_model",
    sa.Column("version", sa.Text, nullable=False),
    instant("at"),
    text("body"),
    key=["version"],
)
