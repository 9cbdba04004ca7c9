"""Row-level security on PostgreSQL for the tables of what to say and what to do (expand)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_walls4"
down_revision = "2026_11_23_playbook"
branch_labels = None
depends_on = None

NAMED = "(SELECT nullif(nullif(current_setting('scrm.tenant', true), ''), '*')::bigint)"
EVERY = "(SELECT current_setting('scrm.tenant', true) = '*')"
#: The text index has none: behind it PostgreSQL would never use the index. See scrm/schema/search.py.
OPEN_TABLES = {"tenant", "schema_info", "alembic_version", "search_index"}


def bare() -> list[str]:
    """Tables of a tenant's rows that have no wall yet; none on SQLite, which knows no such wall."""
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return []
    walled = {r[0] for r in bind.execute(sa.text("SELECT tablename FROM pg_policies"))}
    found = set(sa.inspect(bind).get_table_names())
    return sorted(found - walled - OPEN_TABLES)


def upgrade() -> None:
    for table in bare():
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(f'CREATE POLICY tenant_wall ON "{table}" USING (tenant_id = {NAMED} OR {EVERY})')


def downgrade() -> None:
    """The tables go with their walls in the revisions below."""
