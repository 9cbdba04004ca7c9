"""What can be found: one row per event with its words as keyed marks, and each engine's own index of them.

The index follows its table by triggers: inserting, copying and erasing rows is the same on both engines.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from scrm.schema.kinds import ident, table

search_doc = table(
    "search_doc",
    #: in the order of time: milliseconds, then a mark of the event
    ident("search_id"),
    ident("event_id"),
    ident("node_id", nullable=True),
    #: marks of its words, with spaces between them
    sa.Column("words", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant_id", "event_id"),
    sa.Index("ix_search_doc_node", "tenant_id", "node_id"),
    key=["search_id"],
)

#: Both engines' name for what is no table of ours; SQLite keeps helpers under longer names.
INDEX = "search_index"
_SQLITE = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {INDEX} USING fts5(words, content='search_doc', "
    "content_rowid='search_id', detail='none', columnsize=0)",
    f"CREATE TRIGGER search_doc_in AFTER INSERT ON search_doc BEGIN "
    f"INSERT INTO {INDEX} (rowid, words) VALUES (new.search_id, new.words); END",
    f"CREATE TRIGGER search_doc_out AFTER DELETE ON search_doc BEGIN "
    f"INSERT INTO {INDEX} ({INDEX}, rowid, words) VALUES ('delete', old.search_id, old.words); END",
    f"CREATE TRIGGER search_doc_new AFTER UPDATE ON search_doc BEGIN "
    f"INSERT INTO {INDEX} ({INDEX}, rowid, words) VALUES ('delete', old.search_id, old.words); "
    f"INSERT INTO {INDEX} (rowid, words) VALUES (new.search_id, new.words); END",
)
# Without row-level security: behind it PostgreSQL never asks a text index. Its marks are keyed by tenant, say
# nothing without the key, and whatever they lead to is read from walled tables.
_POSTGRES = (
    f"CREATE TABLE IF NOT EXISTS {INDEX} (tenant_id BIGINT NOT NULL, search_id BIGINT NOT NULL, "
    "words tsvector NOT NULL, PRIMARY KEY (tenant_id, search_id))",
    f"CREATE INDEX IF NOT EXISTS ix_search_index_words ON {INDEX} USING gin (words)",
    "CREATE OR REPLACE FUNCTION search_follows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"IF TG_OP <> 'INSERT' THEN DELETE FROM {INDEX} WHERE tenant_id = OLD.tenant_id "
    "AND search_id = OLD.search_id; END IF; "
    f"IF TG_OP <> 'DELETE' THEN INSERT INTO {INDEX} (tenant_id, search_id, words) VALUES (NEW.tenant_id, "
    "NEW.search_id, array_to_tsvector(string_to_array(NEW.words, ' '))); END IF; RETURN NULL; END $$",
    "CREATE TRIGGER search_doc_follows AFTER INSERT OR UPDATE OR DELETE ON search_doc "
    "FOR EACH ROW EXECUTE FUNCTION search_follows()",
)
MAKE: Mapping[str, tuple[str, ...]] = {"sqlite": _SQLITE, "postgresql": _POSTGRES}
DROP: Mapping[str, tuple[str, ...]] = {
    "sqlite": (f"DROP TABLE IF EXISTS {INDEX}",),
    "postgresql": (f"DROP TABLE IF EXISTS {INDEX}", "DROP FUNCTION IF EXISTS search_follows() CASCADE"),
}


def is_declared(name: str | None, kind: str, _parents: object = None) -> bool:
    """Whether a database object has its likeness in the metadata: for comparing and copying tables."""
    return not (kind == "table" and name is not None and name.startswith(INDEX))


def _follow() -> None:
    for engine in MAKE:
        for moment, lines in (("after_create", MAKE[engine]), ("after_drop", DROP[engine])):
            for line in lines:
                rule = sa.DDL(line.replace("%", "%%"))  # type: ignore[no-untyped-call]
                sa.event.listen(search_doc, moment, rule.execute_if(dialect=engine))


_follow()
