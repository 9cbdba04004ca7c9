"""Tables of channels in full: what vendors say is so, files they keep, deeds we asked for, long jobs."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

fact = table(
    "fact",
    ident("fact_id"),
    ident("account_id"),
    text("kind"),
    #: keyed hash: keys hold vendors' ids of people
    sa.Column("key", sa.Text, nullable=False),
    #: the customer or chat it is about
    ident("node_id", nullable=True),
    #: sealed with the node's key, else the tenant's
    octets("body"),
    #: the vendor's version: a lower one that comes later is dropped
    sa.Column("rank", sa.BigInteger, nullable=False),
    instant("at"),
    instant("gone_at", nullable=True),
    sa.UniqueConstraint("tenant_id", "account_id", "kind", "key"),
    sa.Index("ix_fact_node", "tenant_id", "node_id", "kind"),
    sa.Index("ix_fact_kind", "tenant_id", "account_id", "kind", "fact_id"),
    key=["fact_id"],
)
tally = table(
    "tally",
    ident("node_id"),
    sa.Column("name", sa.Text, nullable=False),
    #: YYYYMMDD in Shanghai
    integer("day"),
    ident("account_id"),
    integer("n"),
    instant("last_at"),
    sa.Index("ix_tally_name", "tenant_id", "account_id", "name"),
    key=["node_id", "name", "day", "account_id"],
    rowid=False,
)
event_media = table(
    "event_media",
    ident("event_id"),
    integer("n"),
    ident("account_id"),
    #: the customer it was exchanged with: their key seals it
    ident("node_id", nullable=True),
    #: what `Fetches.media` takes, sealed
    octets("ref"),
    #: image | voice | video | file
    text("kind"),
    text("name"),
    text("mime"),
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
    integer("seconds"),
    text("md5"),
    #: waiting | kept | too_large | gone | failed
    text("state", default="waiting"),
    text("error"),
    ident("media_id", nullable=True),
    #: what was said in it, sealed; NULL = not transcribed
    octets("transcript", nullable=True),
    #: "" | waiting | done | failed
    text("transcribed"),
    sa.Index("ix_event_media_media", "tenant_id", "media_id"),
    sa.Index(
        "ix_event_media_unheard",
        "tenant_id",
        "event_id",
        sqlite_where=sa.text("kind = 'voice' AND state = 'kept' AND transcribed = ''"),
        postgresql_where=sa.text("kind = 'voice' AND state = 'kept' AND transcribed = ''"),
    ),
    key=["event_id", "n"],
)
deed = table(
    "deed",
    ident("deed_id"),
    ident("account_id"),
    text("kind"),
    #: idempotency: the same key is the same deed
    sa.Column("key", sa.Text, nullable=False),
    #: what was asked, sealed
    octets("fields"),
    #: asked | waiting (for the outcome) | done | failed | unknown
    text("state", default="asked"),
    #: the vendor's name of what was made
    text("item"),
    #: the vendor's answer, sealed
    octets("result", nullable=True),
    text("code"),
    text("error"),
    ident("staff_id", nullable=True),
    integer("attempts"),
    instant("created_at"),
    instant("updated_at"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_deed_account", "tenant_id", "account_id", "kind", "deed_id"),
    key=["deed_id"],
)
job = table(
    "job",
    ident("job_id"),
    #: sync | replay | import ...
    text("kind"),
    ident("account_id", nullable=True),
    sa.Column("payload", sa.JSON, nullable=False),
    #: running | paused | done | failed | cancelled
    text("state", default="running"),
    integer("done"),
    sa.Column("total", sa.Integer, nullable=True),
    #: of those done: what we did not have before, what could not be done
    integer("fresh"),
    integer("failed"),
    #: where to go on after a stop
    text("place"),
    text("error"),
    ident("staff_id", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    sa.Index("ix_job_state", "tenant_id", "state", "job_id"),
    sa.Index("ix_job_account", "tenant_id", "account_id", "job_id"),
    key=["job_id"],
)
