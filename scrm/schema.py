"""Every table, on both engines; each key leads with tenant_id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time, stored as microseconds since 1970 so that both engines order and index it alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else (value - _EPOCH) // _MICRO

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _EPOCH + value * _MICRO


def _table(name: str, *columns: Any, key: Sequence[str], rowid: bool = True) -> sa.Table:
    """A table of one tenant's rows; narrow tables that are only looked up by key need no rowid on SQLite."""
    return sa.Table(
        name,
        metadata,
        sa.Column("tenant_id", sa.BigInteger, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("tenant_id", *key),
        sqlite_with_rowid=rowid,
    )


def _id(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _at(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, Instant, nullable=nullable)


def _text(name: str, *, nullable: bool = False, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable, server_default=None if nullable else default)


def _int(name: str, default: int = 0) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=nullable)


# -- reference ---------------------------------------------------------------------------------------------
tenant = sa.Table(
    "tenant",
    metadata,
    sa.Column("tenant_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("slug", sa.Text, nullable=False, unique=True),
    _text("name"),
    _at("created_at"),
)
schema_info = sa.Table("schema_info", metadata, sa.Column("name", sa.Text, primary_key=True), _text("value"))
account = _table(
    "account",
    _id("account_id"),
    sa.Column("slug", sa.Text, nullable=False, unique=True),
    _text("channel"),
    _text("name"),
    _int("max_age_s", 600),
    sa.Column("options", sa.JSON, nullable=False),
    _bytes("secrets"),
    _id("team_id", nullable=True),
    _at("updated_at"),
    key=["account_id"],
)
data_key = _table(
    "data_key",
    _id("key_id"),
    sa.Column("owner", sa.Text, nullable=False),
    _bytes("wrapped"),
    _at("created_at"),
    sa.UniqueConstraint("tenant_id", "owner"),
    key=["key_id"],
)

# -- the way in --------------------------------------------------------------------------------------------
seen = _table(
    "seen",
    _id("account_id"),
    sa.Column("source_key", sa.Text, nullable=False),
    _id("inbox_id"),
    key=["account_id", "source_key"],
    rowid=False,
)
inbox = _table(
    "inbox",
    _id("inbox_id"),
    _id("account_id"),
    sa.Column("source_key", sa.Text, nullable=False),
    _bytes("lane"),
    #: 0 urgent, 1 normal, 2 bulk
    sa.Column("rank", sa.SmallInteger, nullable=False),
    #: new | settled | done | quarantined
    _text("state", default="new"),
    #: where a quarantined row stopped: translate | settle | react
    _text("stage"),
    _int("attempts"),
    _text("error"),
    _bytes("payload"),
    _at("received_at"),
    _at("next_at"),
    sa.Index("ix_inbox_claim", "tenant_id", "state", "rank", "inbox_id"),
    sa.Index("ix_inbox_lane", "tenant_id", "lane", "state", "inbox_id"),
    key=["inbox_id"],
)
cursor = _table(
    "cursor",
    _id("account_id"),
    sa.Column("stream", sa.Text, nullable=False),
    _text("cursor"),
    _at("moved_at"),
    key=["account_id", "stream"],
)
due = _table(
    "due",
    _id("due_id"),
    #: poll | enrich
    _text("kind"),
    sa.Column("key", sa.Text, nullable=False),
    _id("account_id"),
    sa.Column("payload", sa.JSON, nullable=False),
    _at("at"),
    _at("lease_until", nullable=True),
    _int("version"),
    _int("attempts"),
    _text("error"),
    sa.UniqueConstraint("tenant_id", "kind", "key"),
    sa.Index("ix_due_at", "tenant_id", "at"),
    key=["due_id"],
)

# -- the timeline ------------------------------------------------------------------------------------------
event = _table(
    "event",
    _id("event_id"),
    _id("account_id"),
    sa.Column("source_key", sa.Text, nullable=False),
    _int("version", 1),
    _text("kind"),
    _text("direction"),
    _at("at"),
    sa.Column("seq", sa.BigInteger, nullable=False),
    _text("text"),
    _bytes("body"),
    #: the conversation partner's node: whose talk this is
    _id("node_id", nullable=True),
    _id("conversation_id", nullable=True),
    _id("staff_id", nullable=True),
    _id("inbox_id", nullable=True),
    sa.Column("recalls", sa.Text, nullable=True),
    _at("recalled_at", nullable=True),
    _id("superseded_by", nullable=True),
    _at("stored_at"),
    sa.UniqueConstraint("tenant_id", "account_id", "source_key", "version"),
    sa.Index(
        "ix_event_recalls",
        "tenant_id",
        "account_id",
        "recalls",
        sqlite_where=sa.text("recalls IS NOT NULL"),
        postgresql_where=sa.text("recalls IS NOT NULL"),
    ),
    sa.Index("ix_event_account_at", "tenant_id", "account_id", "at", "seq", "event_id"),
    sa.Index("ix_event_inbox", "tenant_id", "inbox_id"),
    key=["event_id"],
)
event_node = _table(
    "event_node",
    _id("node_id"),
    _at("at"),
    sa.Column("seq", sa.BigInteger, nullable=False),
    _id("event_id"),
    _id("account_id"),
    #: actor | other | about
    _text("part"),
    key=["node_id", "at", "seq", "event_id"],
    rowid=False,
)
conversation = _table(
    "conversation",
    _id("conversation_id"),
    _id("account_id"),
    _id("node_id"),
    #: the vendor's name of the conversation, given back on a push
    _text("thread"),
    _id("rep_id", nullable=True),
    _id("team_id", nullable=True),
    #: api | human | ended: who may answer now
    _text("session", default="api"),
    _at("waiting_since", nullable=True),
    _at("last_at"),
    _at("last_in_at", nullable=True),
    _text("last_text"),
    _text("last_kind"),
    _text("last_direction"),
    _at("read_at", nullable=True),
    _int("version"),
    _at("created_at"),
    sa.UniqueConstraint("tenant_id", "account_id", "node_id", "thread"),
    sa.Index("ix_conversation_rep", "tenant_id", "rep_id", "last_at", "conversation_id"),
    sa.Index("ix_conversation_team", "tenant_id", "team_id", "last_at", "conversation_id"),
    sa.Index("ix_conversation_node", "tenant_id", "node_id"),
    key=["conversation_id"],
)
media = _table(
    "media",
    _id("media_id"),
    _text("name"),
    _text("mime"),
    _bytes("content"),
    _at("created_at"),
    key=["media_id"],
)

# -- who is who --------------------------------------------------------------------------------------------
node = _table(
    "node",
    _id("node_id"),
    _text("kind"),
    _text("scope"),
    _bytes("value_key"),
    _bytes("value"),
    #: what the channel calls this person, sealed
    _bytes("name", nullable=True),
    _text("avatar"),
    #: when the channel said this name; an older word that arrives later does not replace it
    _at("named_at", nullable=True),
    #: the person this node founds when it comes first; resolves for ever
    _id("birth_id"),
    _at("first_at"),
    sa.Column("first_key", sa.Text, nullable=False),
    _at("last_at"),
    sa.UniqueConstraint("tenant_id", "value_key"),
    sa.UniqueConstraint("tenant_id", "birth_id"),
    key=["node_id"],
)
evidence = _table(
    "evidence",
    _id("evidence_id"),
    _id("node_a"),
    _id("node_b"),
    _text("class"),
    _text("rule"),
    _int("rule_version", 1),
    _int("strength"),
    _text("origin", default="auto"),
    _id("first_event_id"),
    _at("first_at"),
    _at("last_at"),
    _int("n", 1),
    _at("retracted_at", nullable=True),
    sa.UniqueConstraint("tenant_id", "node_a", "node_b", "class", "rule"),
    sa.Index("ix_evidence_b", "tenant_id", "node_b"),
    key=["evidence_id"],
)
node_person = _table(
    "node_person",
    _id("node_id"),
    _at("from_at"),
    _at("until_at", nullable=True),
    _id("person_id"),
    sa.Index("ix_node_person_person", "tenant_id", "person_id"),
    key=["node_id", "from_at"],
    rowid=False,
)
person = _table(
    "person",
    _id("person_id"),
    #: the node the shown name comes from
    _id("name_node_id", nullable=True),
    _at("first_at"),
    _int("version"),
    key=["person_id"],
)

# -- the way out -------------------------------------------------------------------------------------------
outbox = _table(
    "outbox",
    _id("outbox_id"),
    _id("account_id"),
    _id("node_id"),
    _id("conversation_id"),
    _id("event_id"),
    _bytes("lane"),
    sa.Column("key", sa.Text, nullable=False),
    _text("kind"),
    _bytes("payload"),
    #: queued | sending | retry | sent | unconfirmed | unknown | dead
    _text("state", default="queued"),
    _int("attempts"),
    _at("next_at"),
    _at("lease_until", nullable=True),
    _at("deadline_at", nullable=True),
    _text("external_id"),
    _text("code"),
    _text("error"),
    _at("created_at"),
    _at("updated_at"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_outbox_claim", "tenant_id", "state", "next_at", "outbox_id"),
    sa.Index("ix_outbox_lane", "tenant_id", "lane", "outbox_id"),
    sa.Index("ix_outbox_event", "tenant_id", "event_id"),
    sa.Index("ix_outbox_external", "tenant_id", "account_id", "external_id"),
    key=["outbox_id"],
)
suggestion = _table(
    "suggestion",
    _id("suggestion_id"),
    _id("conversation_id"),
    _id("event_id"),
    _int("rank"),
    sa.Column("script_id", sa.Text, nullable=False),
    _int("script_version"),
    sa.Column("score", sa.Float, nullable=False),
    _text("reason"),
    #: shown | used
    _text("state", default="shown"),
    _at("created_at"),
    sa.UniqueConstraint("tenant_id", "event_id", "script_id"),
    sa.Index("ix_suggestion_conversation", "tenant_id", "conversation_id", "event_id", "rank"),
    key=["suggestion_id"],
)

# -- our own people and what they did ----------------------------------------------------------------------
team = _table(
    "team",
    _id("team_id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant_id", "name"),
    key=["team_id"],
)
staff = _table(
    "staff",
    _id("staff_id"),
    sa.Column("login", sa.Text, nullable=False),
    _text("name"),
    #: rep | lead | marketing | compliance | admin
    _text("role"),
    _id("team_id", nullable=True),
    _text("password"),
    _int("failures"),
    _at("locked_until", nullable=True),
    _text("state", default="active"),
    _text("locale", default="zh_CN"),
    _text("theme", default="auto"),
    #: single-key shortcuts: 1 on, 0 off
    _int("shortcuts", 1),
    _at("created_at"),
    sa.UniqueConstraint("tenant_id", "login"),
    key=["staff_id"],
)
staff_handle = _table(
    "staff_handle",
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    _id("staff_id"),
    key=["scope", "value"],
)
session = _table(
    "session",
    _bytes("token_hash"),
    _id("staff_id"),
    _at("created_at"),
    _at("expires_at"),
    _at("ended_at", nullable=True),
    sa.Index("ix_session_staff", "tenant_id", "staff_id"),
    key=["token_hash"],
)
oauth_state = _table(
    "oauth_state",
    _bytes("state_hash"),
    _id("account_id"),
    _text("back"),
    _at("expires_at"),
    key=["state_hash"],
)
api_token = _table(
    "api_token",
    _bytes("token_hash"),
    _text("role"),
    _id("staff_id", nullable=True),
    _text("name"),
    _at("created_at"),
    _at("ended_at", nullable=True),
    key=["token_hash"],
)
idempotency_key = _table(
    "idempotency_key",
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    _bytes("request_hash"),
    _int("status"),
    _bytes("body", nullable=True),
    _at("created_at"),
    key=["actor", "key"],
)
audit_entry = _table(
    "audit_entry",
    _id("audit_id"),
    _at("at"),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    _text("subject"),
    sa.Column("fields", sa.JSON, nullable=False),
    sa.Index("ix_audit_entry_at", "tenant_id", "at"),
    key=["audit_id"],
)
