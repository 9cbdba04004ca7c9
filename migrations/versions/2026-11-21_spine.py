"""The spine: every table of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_spine"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("max_age_s", sa.Integer(), server_default="600", nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_id", name=op.f("pk_account")),
        sa.UniqueConstraint("slug", name=op.f("uq_account_slug")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "api_token",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "token_hash", name=op.f("pk_api_token")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "audit_entry",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("audit_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "audit_id", name=op.f("pk_audit_entry")),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index("ix_audit_entry_at", ["tenant_id", "at"], unique=False)

    op.create_table(
        "conversation",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("thread", sa.Text(), server_default="", nullable=False),
        sa.Column("rep_id", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("session", sa.Text(), server_default="api", nullable=False),
        sa.Column("waiting_since", sa.BigInteger(), nullable=True),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_in_at", sa.BigInteger(), nullable=True),
        sa.Column("last_text", sa.Text(), server_default="", nullable=False),
        sa.Column("last_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("last_direction", sa.Text(), server_default="", nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "conversation_id", name=op.f("pk_conversation")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            "node_id",
            "thread",
            name=op.f("uq_conversation_tenant_id_account_id_node_id_thread"),
        ),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.create_index("ix_conversation_node", ["tenant_id", "node_id"], unique=False)
        batch_op.create_index(
            "ix_conversation_rep", ["tenant_id", "rep_id", "last_at", "conversation_id"], unique=False
        )
        batch_op.create_index(
            "ix_conversation_team", ["tenant_id", "team_id", "last_at", "conversation_id"], unique=False
        )

    op.create_table(
        "cursor",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_id", "stream", name=op.f("pk_cursor")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "data_key",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key_id", name=op.f("pk_data_key")),
        sa.UniqueConstraint("tenant_id", "owner", name=op.f("uq_data_key_tenant_id_owner")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "due",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("due_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "due_id", name=op.f("pk_due")),
        sa.UniqueConstraint("tenant_id", "kind", "key", name=op.f("uq_due_tenant_id_kind_key")),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("due", schema=None) as batch_op:
        batch_op.create_index("ix_due_at", ["tenant_id", "at"], unique=False)

    op.create_table(
        "event",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("direction", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("conversation_id", sa.BigInteger(), nullable=True),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("inbox_id", sa.BigInteger(), nullable=True),
        sa.Column("recalls", sa.Text(), nullable=True),
        sa.Column("recalled_at", sa.BigInteger(), nullable=True),
        sa.Column("superseded_by", sa.BigInteger(), nullable=True),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "event_id", name=op.f("pk_event")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_id",
            "source_key",
            "version",
            name=op.f("uq_event_tenant_id_account_id_source_key_version"),
        ),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(
            "ix_event_account_at", ["tenant_id", "account_id", "at", "seq", "event_id"], unique=False
        )
        batch_op.create_index("ix_event_inbox", ["tenant_id", "inbox_id"], unique=False)
        batch_op.create_index(
            "ix_event_recalls",
            ["tenant_id", "account_id", "recalls"],
            unique=False,
            sqlite_where=sa.text("recalls IS NOT NULL"),
            postgresql_where=sa.text("recalls IS NOT NULL"),
        )

    op.create_table(
        "event_node",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "node_id", "at", "seq", "event_id", name=op.f("pk_event_node")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evidence",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("evidence_id", sa.BigInteger(), nullable=False),
        sa.Column("node_a", sa.BigInteger(), nullable=False),
        sa.Column("node_b", sa.BigInteger(), nullable=False),
        sa.Column("class", sa.Text(), server_default="", nullable=False),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("rule_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("strength", sa.Integer(), server_default="0", nullable=False),
        sa.Column("origin", sa.Text(), server_default="auto", nullable=False),
        sa.Column("first_event_id", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.Integer(), server_default="1", nullable=False),
        sa.Column("retracted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "evidence_id", name=op.f("pk_evidence")),
        sa.UniqueConstraint(
            "tenant_id",
            "node_a",
            "node_b",
            "class",
            "rule",
            name=op.f("uq_evidence_tenant_id_node_a_node_b_class_rule"),
        ),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.create_index("ix_evidence_b", ["tenant_id", "node_b"], unique=False)

    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "actor", "key", name=op.f("pk_idempotency_key")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "inbox",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("inbox_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("lane", sa.LargeBinary(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "inbox_id", name=op.f("pk_inbox")),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.create_index("ix_inbox_claim", ["tenant_id", "state", "rank", "inbox_id"], unique=False)
        batch_op.create_index("ix_inbox_lane", ["tenant_id", "lane", "state", "inbox_id"], unique=False)

    op.create_table(
        "media",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("media_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("mime", sa.Text(), server_default="", nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "media_id", name=op.f("pk_media")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "node",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("scope", sa.Text(), server_default="", nullable=False),
        sa.Column("value_key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("avatar", sa.Text(), server_default="", nullable=False),
        sa.Column("named_at", sa.BigInteger(), nullable=True),
        sa.Column("birth_id", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("first_key", sa.Text(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "node_id", name=op.f("pk_node")),
        sa.UniqueConstraint("tenant_id", "birth_id", name=op.f("uq_node_tenant_id_birth_id")),
        sa.UniqueConstraint("tenant_id", "value_key", name=op.f("uq_node_tenant_id_value_key")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "node_person",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("from_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "node_id", "from_at", name=op.f("pk_node_person")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("node_person", schema=None) as batch_op:
        batch_op.create_index("ix_node_person_person", ["tenant_id", "person_id"], unique=False)

    op.create_table(
        "oauth_state",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("back", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "state_hash", name=op.f("pk_oauth_state")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "outbox",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "outbox_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_outbox_tenant_id_key")),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_claim", ["tenant_id", "state", "next_at", "outbox_id"], unique=False)
        batch_op.create_index("ix_outbox_event", ["tenant_id", "event_id"], unique=False)
        batch_op.create_index("ix_outbox_external", ["tenant_id", "account_id", "external_id"], unique=False)
        batch_op.create_index("ix_outbox_lane", ["tenant_id", "lane", "outbox_id"], unique=False)

    op.create_table(
        "person",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("name_node_id", sa.BigInteger(), nullable=True),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "person_id", name=op.f("pk_person")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "schema_info",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schema_info")),
    )
    op.create_table(
        "seen",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_id", "source_key", name=op.f("pk_seen")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "token_hash", name=op.f("pk_session")),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index("ix_session_staff", ["tenant_id", "staff_id"], unique=False)

    op.create_table(
        "staff",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=True),
        sa.Column("password", sa.Text(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("locale", sa.Text(), server_default="zh_CN", nullable=False),
        sa.Column("theme", sa.Text(), server_default="auto", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "staff_id", name=op.f("pk_staff")),
        sa.UniqueConstraint("tenant_id", "login", name=op.f("uq_staff_tenant_id_login")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "staff_handle",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "value", name=op.f("pk_staff_handle")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "suggestion",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("suggestion_id", sa.BigInteger(), nullable=False),
        sa.Column("conversation_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.Integer(), server_default="0", nullable=False),
        sa.Column("script_id", sa.Text(), nullable=False),
        sa.Column("script_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), server_default="shown", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "suggestion_id", name=op.f("pk_suggestion")),
        sa.UniqueConstraint(
            "tenant_id", "event_id", "script_id", name=op.f("uq_suggestion_tenant_id_event_id_script_id")
        ),
        sqlite_with_rowid=True,
    )
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.create_index(
            "ix_suggestion_conversation", ["tenant_id", "conversation_id", "event_id", "rank"], unique=False
        )

    op.create_table(
        "team",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "team_id", name=op.f("pk_team")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_team_tenant_id_name")),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "tenant",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant")),
        sa.UniqueConstraint("slug", name=op.f("uq_tenant_slug")),
    )
    # The oldest release that may run on this schema; a contracting migration raises it.
    op.execute("INSERT INTO schema_info (name, value) VALUES ('oldest_code', '0.1.0')")


def downgrade() -> None:
    op.drop_table("tenant")
    op.drop_table("team")
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.drop_index("ix_suggestion_conversation")

    op.drop_table("suggestion")
    op.drop_table("staff_handle")
    op.drop_table("staff")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index("ix_session_staff")

    op.drop_table("session")
    op.drop_table("seen")
    op.drop_table("schema_info")
    op.drop_table("person")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_lane")
        batch_op.drop_index("ix_outbox_external")
        batch_op.drop_index("ix_outbox_event")
        batch_op.drop_index("ix_outbox_claim")

    op.drop_table("outbox")
    op.drop_table("oauth_state")
    with op.batch_alter_table("node_person", schema=None) as batch_op:
        batch_op.drop_index("ix_node_person_person")

    op.drop_table("node_person")
    op.drop_table("node")
    op.drop_table("media")
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index("ix_inbox_lane")
        batch_op.drop_index("ix_inbox_claim")

    op.drop_table("inbox")
    op.drop_table("idempotency_key")
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.drop_index("ix_evidence_b")

    op.drop_table("evidence")
    op.drop_table("event_node")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_event_recalls",
            sqlite_where=sa.text("recalls IS NOT NULL"),
            postgresql_where=sa.text("recalls IS NOT NULL"),
        )
        batch_op.drop_index("ix_event_inbox")
        batch_op.drop_index("ix_event_account_at")

    op.drop_table("event")
    with op.batch_alter_table("due", schema=None) as batch_op:
        batch_op.drop_index("ix_due_at")

    op.drop_table("due")
    op.drop_table("data_key")
    op.drop_table("cursor")
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.drop_index("ix_conversation_team")
        batch_op.drop_index("ix_conversation_rep")
        batch_op.drop_index("ix_conversation_node")

    op.drop_table("conversation")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_entry_at")

    op.drop_table("audit_entry")
    op.drop_table("api_token")
    op.drop_table("account")
