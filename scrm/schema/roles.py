"""Tables of who is what to whom, and who plays which part in a purchase; all hang on nodes."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

#: `node_a` is the `type` of `node_b`: what somebody said, forwarded or signed.
relation = table(
    "relation",
    ident("relation_id"),
    #: account and source key of the event, and which of the things it says: the same word is written once
    sa.Column("key", sa.Text, nullable=False),
    instant("at"),
    ident("event_id"),
    ident("account_id"),
    #: of ours, whom it was said to
    ident("staff_id", nullable=True),
    ident("node_a"),
    #: NULL = we do not know yet who is meant
    ident("node_b", nullable=True),
    #: spouse | parent | child | grandparent | grandchild | guardian | sibling | helper | other | referrer
    text("type"),
    #: statement.<type> | nickname | card | order.learner | contract.<type>
    text("rule"),
    #: the word for what the speaker is, as they put it
    text("kin"),
    integer("strength"),
    #: where in the event's text it stands
    integer("said_from"),
    integer("said_to"),
    #: phone | child | account | card | unknown
    text("target"),
    #: keyed hash of the child's given name, and of the whole name where it was said
    octets("name_key", nullable=True),
    octets("full_key", nullable=True),
    #: what it makes probable became evidence then
    instant("tied_at", nullable=True),
    text("origin", default="auto"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_relation_a", "tenant_id", "node_a", "at"),
    sa.Index("ix_relation_b", "tenant_id", "node_b"),
    sa.Index("ix_relation_name", "tenant_id", "name_key"),
    sa.Index("ix_relation_event", "tenant_id", "event_id"),
    key=["relation_id"],
)
role_assignment = table(
    "role_assignment",
    ident("role_id"),
    #: one row per context, part and node of what events say; one per decision of a human
    sa.Column("key", sa.Text, nullable=False),
    #: lead | opportunity | order | contract | course | household
    text("context_type"),
    #: "" = the household the node is in
    text("context_id"),
    #: registrant | decision_maker | buyer | payer | user | referrer | signatory
    text("role"),
    ident("node_id"),
    #: of the document that says so; the highest of a context speaks
    sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
    #: of that version
    instant("told_at"),
    instant("valid_from"),
    instant("valid_to", nullable=True),
    #: 0..100
    integer("confidence", 100),
    ident("event_id", nullable=True),
    text("origin", default="auto"),
    #: who decided, where a human did, and why
    ident("actor_id", nullable=True),
    text("why"),
    instant("taken_back_at", nullable=True),
    #: keyed hash of the learner's given name, and of the whole name
    octets("name_key", nullable=True),
    octets("full_key", nullable=True),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_role_assignment_node", "tenant_id", "node_id"),
    sa.Index("ix_role_assignment_context", "tenant_id", "context_type", "context_id"),
    sa.Index("ix_role_assignment_name", "tenant_id", "name_key"),
    key=["role_id"],
)
