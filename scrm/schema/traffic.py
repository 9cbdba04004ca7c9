"""Tables of what goes in and out: accounts, keys, inbox, cursors, due jobs, outbox, vendor tokens."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, metadata, octets, table, text

tenant = sa.Table(
    "tenant",
    metadata,
    sa.Column("tenant_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("slug", sa.Text, nullable=False, unique=True),
    text("name"),
    instant("created_at"),
)
schema_info = sa.Table("schema_info", metadata, sa.Column("name", sa.Text, primary_key=True), text("value"))
account = table(
    "account",
    ident("account_id"),
    sa.Column("slug", sa.Text, nullable=False, unique=True),
    text("channel"),
    text("name"),
    integer("max_age_s", 600),
    sa.Column("options", sa.JSON, nullable=False),
    octets("secrets"),
    ident("team_id", nullable=True),
    instant("updated_at"),
    #: running | draining (nothing new goes out or is asked for) | paused (what comes in waits too)
    text("state", default="running"),
    key=["account_id"],
)
data_key = table(
    "data_key",
    ident("key_id"),
    sa.Column("owner", sa.Text, nullable=False),
    octets("wrapped"),
    instant("created_at"),
    sa.UniqueConstraint("tenant_id", "owner"),
    key=["key_id"],
)

# -- the way in --------------------------------------------------------------------------------------------
seen = table(
    "seen",
    ident("account_id"),
    sa.Column("source_key", sa.Text, nullable=False),
    ident("inbox_id"),
    key=["account_id", "source_key"],
    rowid=False,
)
inbox = table(
    "inbox",
    ident("inbox_id"),
    ident("account_id"),
    sa.Column("source_key", sa.Text, nullable=False),
    octets("lane"),
    #: 0 urgent, 1 normal, 2 bulk
    sa.Column("rank", sa.SmallInteger, nullable=False),
    #: new | settled | done | quarantined | discarded
    text("state", default="new"),
    #: where a quarantined row stopped: translate | settle | react
    text("stage"),
    integer("attempts"),
    text("error"),
    octets("payload"),
    instant("received_at"),
    instant("next_at"),
    #: what the channel really said, when an admin has mended the payload; sealed
    octets("payload_before", nullable=True),
    #: why an admin put it away
    text("note"),
    sa.Index("ix_inbox_claim", "tenant_id", "state", "rank", "inbox_id"),
    sa.Index("ix_inbox_lane", "tenant_id", "lane", "state", "inbox_id"),
    key=["inbox_id"],
)
cursor = table(
    "cursor",
    ident("account_id"),
    sa.Column("stream", sa.Text, nullable=False),
    text("cursor"),
    instant("moved_at"),
    #: everything the vendor had up to then has been fetched; NULL = not known
    instant("reached_at", nullable=True),
    key=["account_id", "stream"],
)
due = table(
    "due",
    ident("due_id"),
    #: which errand of the worker it is: poll, enrich, media ...
    text("kind"),
    sa.Column("key", sa.Text, nullable=False),
    ident("account_id"),
    sa.Column("payload", sa.JSON, nullable=False),
    instant("at"),
    instant("lease_until", nullable=True),
    integer("version"),
    integer("attempts"),
    text("error"),
    sa.UniqueConstraint("tenant_id", "kind", "key"),
    sa.Index("ix_due_at", "tenant_id", "at"),
    #: the few polls among a hundred thousand files
    sa.Index("ix_due_kind", "tenant_id", "kind", "at"),
    key=["due_id"],
)

# -- the way out -------------------------------------------------------------------------------------------
outbox = table(
    "outbox",
    ident("outbox_id"),
    ident("account_id"),
    ident("node_id"),
    ident("conversation_id"),
    ident("event_id"),
    octets("lane"),
    sa.Column("key", sa.Text, nullable=False),
    text("kind"),
    octets("payload"),
    #: queued | sending | retry | sent | unconfirmed | unknown | dead
    text("state", default="queued"),
    integer("attempts"),
    instant("next_at"),
    instant("lease_until", nullable=True),
    instant("deadline_at", nullable=True),
    text("external_id"),
    text("code"),
    text("error"),
    instant("created_at"),
    instant("updated_at"),
    #: reply | service | marketing | sop | welcome
    text("purpose", default="reply"),
    #: it waits until then: quiet hours, or somebody chose the time
    instant("planned_at", nullable=True),
    #: what a refusal means for us: out_of_window, opted_out, quota, config ...
    text("effect"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_outbox_claim", "tenant_id", "state", "next_at", "outbox_id"),
    sa.Index("ix_outbox_lane", "tenant_id", "lane", "outbox_id"),
    sa.Index("ix_outbox_event", "tenant_id", "event_id"),
    sa.Index("ix_outbox_node", "tenant_id", "node_id", "created_at"),
    sa.Index("ix_outbox_external", "tenant_id", "account_id", "external_id"),
    key=["outbox_id"],
)
vendor_token = table(
    "vendor_token",
    #: The key names the vendor's login: kept as a keyed hash.
    octets("key_hash"),
    integer("version"),
    octets("token", nullable=True),
    instant("renew_at", nullable=True),
    instant("expires_at", nullable=True),
    instant("lease_until", nullable=True),
    ident("lease_by", nullable=True),
    instant("updated_at"),
    key=["key_hash"],
)
