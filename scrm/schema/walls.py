"""The second wall on PostgreSQL: row-level security by tenant, behind our own predicates."""

from __future__ import annotations

import sqlalchemy as sa

#: Small tables that are read before anybody knows the tenant.
OPEN_TABLES = frozenset({"tenant", "schema_info"})


def walls(table: str) -> tuple[str, ...]:
    """PostgreSQL's own check behind our predicates: one sees the tenant one named, or all (`*`), or nothing.

    The sub-selects are evaluated once a statement, not once a row.
    """
    named = "(SELECT nullif(nullif(current_setting('scrm.tenant', true), ''), '*')::bigint)"
    every = "(SELECT current_setting('scrm.tenant', true) = '*')"
    return (
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
        # The owner is the role the service runs as: it must not pass either.
        f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
        f'CREATE POLICY tenant_wall ON "{table}" USING (tenant_id = {named} OR {every})',
    )


def raise_walls(metadata: sa.MetaData) -> None:
    """Every table made from here on gets its wall with it."""
    for each in metadata.sorted_tables:
        for line in () if each.name in OPEN_TABLES else walls(each.name):
            rule = sa.DDL(line)  # type: ignore[no-untyped-call]
            sa.event.listen(each, "after_create", rule.execute_if(dialect="postgresql"))
