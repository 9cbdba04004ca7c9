"""Tables of who is who: nodes, evidence, and the persons projected from them."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

node = table(
    "node",
    ident("node_id"),
    text("kind"),
    text("scope"),
    octets("value_key"),
    octets("value"),
    #: what the channel calls this person, sealed
    octets("name", nullable=True),
    text("avatar"),
    #: when the channel said this name; an older word that arrives later does not replace it
    instant("named_at", nullable=True),
    #: the person this node founds when it comes first; resolves for ever
    ident("birth_id"),
    instant("first_at"),
    sa.Column("first_key", sa.Text, nullable=False),
    instant("last_at"),
    sa.UniqueConstraint("tenant_id", "value_key"),
    sa.UniqueConstraint("tenant_id", "birth_id", info={"drawn": True}),
    key=["node_id"],
)
evidence = table(
    "evidence",
    ident("evidence_id"),
    ident("node_a"),
    ident("node_b"),
    text("class"),
    text("rule"),
    integer("rule_version", 1),
    integer("strength"),
    text("origin", default="auto"),
    ident("first_event_id"),
    instant("first_at"),
    instant("last_at"),
    integer("n", 1),
    instant("retracted_at", nullable=True),
    sa.UniqueConstraint("tenant_id", "node_a", "node_b", "class", "rule"),
    sa.Index("ix_evidence_b", "tenant_id", "node_b"),
    key=["evidence_id"],
)
node_person = table(
    "node_person",
    ident("node_id"),
    instant("from_at"),
    instant("until_at", nullable=True),
    ident("person_id"),
    sa.Index("ix_node_person_person", "tenant_id", "person_id"),
    key=["node_id", "from_at"],
    rowid=False,
)
person = table(
    "person",
    ident("person_id"),
    #: the node the shown name comes from
    ident("name_node_id", nullable=True),
    instant("first_at"),
    integer("version"),
    key=["person_id"],
)
