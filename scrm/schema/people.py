"""Tables of our own people: teams, sign-in, presence, tokens, audit trail; consent and working days."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

team = table(
    "team",
    ident("team_id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant_id", "name"),
    key=["team_id"],
)
staff = table(
    "staff",
    ident("staff_id"),
    sa.Column("login", sa.Text, nullable=False),
    text("name"),
    #: rep | lead | marketing | compliance | admin
    text("role"),
    ident("team_id", nullable=True),
    text("password"),
    integer("failures"),
    instant("locked_until", nullable=True),
    text("state", default="active"),
    text("locale", default="zh_CN"),
    text("theme", default="auto"),
    #: single-key shortcuts: 1 on, 0 off
    integer("shortcuts", 1),
    instant("created_at"),
    #: conversations they take at the same time
    integer("capacity", 8),
    sa.UniqueConstraint("tenant_id", "login"),
    key=["staff_id"],
)
presence = table(
    "presence",
    ident("staff_id"),
    #: an open page said so
    instant("seen_at"),
    #: said they are away; None = they take conversations
    instant("away_at", nullable=True),
    #: last given a conversation automatically
    instant("assigned_at", nullable=True),
    key=["staff_id"],
)
staff_handle = table(
    "staff_handle",
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    ident("staff_id"),
    key=["scope", "value"],
)
session = table(
    "session",
    octets("token_hash"),
    ident("staff_id"),
    instant("created_at"),
    instant("expires_at"),
    instant("ended_at", nullable=True),
    sa.Index("ix_session_staff", "tenant_id", "staff_id"),
    key=["token_hash"],
)
oauth_state = table(
    "oauth_state",
    octets("state_hash"),
    ident("account_id"),
    text("back"),
    instant("expires_at"),
    key=["state_hash"],
)
api_token = table(
    "api_token",
    octets("token_hash"),
    text("role"),
    ident("staff_id", nullable=True),
    text("name"),
    instant("created_at"),
    instant("ended_at", nullable=True),
    key=["token_hash"],
)
idempotency_key = table(
    "idempotency_key",
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    octets("request_hash"),
    integer("status"),
    octets("body", nullable=True),
    instant("created_at"),
    key=["actor", "key"],
)
audit_entry = table(
    "audit_entry",
    ident("audit_id"),
    instant("at"),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    text("subject"),
    sa.Column("fields", sa.JSON, nullable=False),
    sa.Index("ix_audit_entry_at", "tenant_id", "at"),
    key=["audit_id"],
)
consent_entry = table(
    "consent_entry",
    ident("entry_id"),
    ident("node_id"),
    #: marketing | sop | service | all
    text("purpose"),
    #: "" = on every channel
    text("channel"),
    #: granted | withdrawn
    text("state"),
    #: customer | staff | api | vendor
    text("source"),
    text("reason"),
    ident("event_id", nullable=True),
    ident("staff_id", nullable=True),
    #: the same key is the same entry
    sa.Column("key", sa.Text, nullable=False),
    instant("at"),
    instant("stored_at"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_consent_entry_node", "tenant_id", "node_id", "at"),
    key=["entry_id"],
)
reach = table(
    "reach",
    #: whom a deed told something without a push of ours: counts for frequency
    ident("deed_id"),
    ident("node_id"),
    text("purpose"),
    instant("at"),
    sa.Index("ix_reach_node", "tenant_id", "node_id", "at"),
    key=["deed_id", "node_id"],
    rowid=False,
)
calendar_day = table(
    "calendar_day",
    #: YYYYMMDD in Shanghai
    integer("day"),
    #: workday | holiday
    text("kind"),
    text("name"),
    instant("changed_at"),
    key=["day"],
    rowid=False,
)
