"""Row-level security by tenant on PostgreSQL (expand: the embedded engine has nothing to do)."""

from __future__ import annotations

from alembic import op
from sqlalchemy import inspect

revision = "2026_11_21_walls"
down_revision = "2026_11_21_webchat"
branch_labels = None
depends_on = None

NAMED = "(SELECT nullif(nullif(current_setting('scrm.tenant', true), ''), '*')::bigint)"
EVERY = "(SELECT current_setting('scrm.tenant', true) = '*')"
OPEN_TABLES = {"tenant", "schema_info", "alembic_version"}


def tables() -> list[str]:
    """Every table of a tenant's rows; none on SQLite, which knows no such wall."""
    bind = op.get_bind()
    found = inspect(bind).get_table_names() if bind.dialect.name == "postgresql" else []
    return sorted(set(found) - OPEN_TABLES)


def upgrade() -> None:
    for table in tables():
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(f'CREATE POLICY tenant_wall ON "{table}" USING (tenant_id = {NAMED} OR {EVERY})')


def downgrade() -> None:
    for table in tables():
        op.execute(f'DROP POLICY tenant_wall ON "{table}"')
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY')
