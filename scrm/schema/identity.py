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
    #: JSON list of [from, until] in microseconds: times nobody used it, each longer than its kind's epoch gap
    text("gaps", default="[]"),
    #: pieces of standing evidence about persons that touch it; of a device: uses
    integer("degree"),
    #: pieces of standing evidence about families that touch it, and of devices it was seen with
    integer("kin"),
    #: active | generic | blocked
    text("state", default="active"),
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
    #: key of the event that said so first
    text("key"),
    #: who decided, where a human did
    ident("actor_id", nullable=True),
    #: import or model run it came with
    text("batch"),
    text("why"),
    instant("retracted_at", nullable=True),
    ident("retracted_by", nullable=True),
    text("retracted_why"),
    sa.UniqueConstraint("tenant_id", "node_a", "node_b", "class", "rule"),
    sa.Index("ix_evidence_b", "tenant_id", "node_b"),
    # What humans said is found among any number of other pieces.
    *(
        sa.Index(
            f"ix_evidence_said_{end}",
            "tenant_id",
            f"node_{end}",
            "class",
            sqlite_where=sa.text("origin IN ('rep', 'admin')"),
            postgresql_where=sa.text("origin IN ('rep', 'admin')"),
        )
        for end in ("a", "b")
    ),
    key=["evidence_id"],
)
node_person = table(
    "node_person",
    ident("node_id"),
    instant("from_at"),
    instant("until_at", nullable=True),
    ident("person_id"),
    # All of its columns: with fewer SQLite, which has no statistics, reads all rows of the tenant instead.
    sa.Index("ix_node_person_person", "tenant_id", "person_id", "node_id", "from_at", "until_at"),
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
#: Names an identifier was shown with: who the owner of a telephone was, and when.
node_name = table(
    "node_name",
    ident("node_id"),
    octets("name_key"),
    octets("name"),
    instant("first_at"),
    instant("last_at"),
    integer("n", 1),
    key=["node_id", "name_key"],
)
#: What became of evidence that was not simply accepted.
evidence_state = table(
    "evidence_state",
    ident("evidence_id"),
    #: implied | held | overruled | generic | capped
    text("standing"),
    text("why"),
    #: JSON list of the nodes that stand against it
    text("by", default="[]"),
    key=["evidence_id"],
)
#: Ids of persons founded by a later owner of an identifier; those of first owners are `node.birth_id`.
person_alias = table(
    "person_alias",
    ident("person_id"),
    ident("node_id"),
    integer("epoch"),
    key=["person_id"],
    rowid=False,
)
#: Persons of households of more than one; whoever is not here is a household alone, under their own id.
household_member = table(
    "household_member",
    ident("person_id"),
    ident("household_id"),
    sa.Index("ix_household_member_household", "tenant_id", "household_id"),
    key=["person_id"],
    rowid=False,
)
#: Everything identity did, in order: what consumers rebuild from.
identity_log = table(
    "identity_log",
    ident("log_id"),
    instant("at"),
    #: merge | split | household | hold | release | generic_on | generic_off | recycled | link | unlink | ...
    text("op"),
    text("origin", default="auto"),
    ident("actor_id", nullable=True),
    ident("evidence_id", nullable=True),
    #: JSON: before and after by node id
    text("body", default="{}"),
    integer("policy_version", 1),
    key=["log_id"],
)
#: Versions of the kind policy; the highest is in force. None = that of the file.
identity_policy = table(
    "identity_policy",
    integer("version"),
    instant("at"),
    ident("actor_id", nullable=True),
    text("body"),
    text("note"),
    key=["version"],
)
