"""Search over messages, transcripts and notes; history of edited messages (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_search"
down_revision = "2026_11_22_push"
branch_labels = None
depends_on = None

SQLITE = (
    "CREATE VIRTUAL TABLE search_index USING fts5(words, content='search_doc', "
    "content_rowid='search_id', detail='none', columnsize=0)",
    "CREATE TRIGGER search_doc_in AFTER INSERT ON search_doc BEGIN "
    "INSERT INTO search_index (rowid, words) VALUES (new.search_id, new.words); END",
    "CREATE TRIGGER search_doc_out AFTER DELETE ON search_doc BEGIN "
    "INSERT INTO search_index (search_index, rowid, words) "
    "VALUES ('delete', old.search_id, old.words); END",
    "CREATE TRIGGER search_doc_new AFTER UPDATE ON search_doc BEGIN "
    "INSERT INTO search_index (search_index, rowid, words) "
    "VALUES ('delete', old.search_id, old.words); "
    "INSERT INTO search_index (rowid, words) VALUES (new.search_id, new.words); END",
)
POSTGRESQL = (
    "CREATE TABLE search_index (tenant_id BIGINT NOT NULL, search_id BIGINT NOT NULL, "
    "words tsvector NOT NULL, PRIMARY KEY (tenant_id, search_id))",
    "CREATE INDEX ix_search_index_words ON search_index USING gin (words)",
    "CREATE OR REPLACE FUNCTION search_follows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF TG_OP <> 'INSERT' THEN DELETE FROM search_index WHERE tenant_id = OLD.tenant_id "
    "AND search_id = OLD.search_id; END IF; "
    "IF TG_OP <> 'DELETE' THEN INSERT INTO search_index (tenant_id, search_id, words) VALUES (NEW.tenant_id, "
    "NEW.search_id, array_to_tsvector(string_to_array(NEW.words, ' '))); END IF; RETURN NULL; END $$",
    "CREATE TRIGGER search_doc_follows AFTER INSERT OR UPDATE OR DELETE ON search_doc "
    "FOR EACH ROW EXECUTE FUNCTION search_follows()",
)


def upgrade() -> None:
    op.add_column("event", sa.Column("edits", sa.Text(), nullable=True))
    op.add_column("event", sa.Column("edited_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_event_edits",
        "event",
        ["tenant_id", "account_id", "edits"],
        sqlite_where=sa.text("edits IS NOT NULL"),
        postgresql_where=sa.text("edits IS NOT NULL"),
    )
    op.add_column("event_node", sa.Column("genre", sa.Text(), server_default="", nullable=False))
    op.create_index(
        "ix_event_node_genre", "event_node", ["tenant_id", "node_id", "genre", "at", "seq", "event_id"]
    )
    op.create_table(
        "search_doc",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("search_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "search_id", name=op.f("pk_search_doc")),
        sa.UniqueConstraint("tenant_id", "event_id", name=op.f("uq_search_doc_tenant_id_event_id")),
    )
    op.create_index("ix_search_doc_node", "search_doc", ["tenant_id", "node_id"])
    for line in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(line)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION search_follows() CASCADE")
    op.execute("DROP TABLE search_index")
    op.drop_table("search_doc")
    op.drop_index("ix_event_node_genre", table_name="event_node")
    op.drop_column("event_node", "genre")
    op.drop_index("ix_event_edits", table_name="event")
    op.drop_column("event", "edited_at")
    op.drop_column("event", "edits")
