"""Alembic's entry: one transaction per migration, the schema's own metadata, batch mode on SQLite."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import context

from scrm.db import connected
from scrm.schema import Instant, metadata
from scrm.schema.search import is_declared


def render(kind: str, item: object, _context: object) -> str | bool:
    """Migrations are frozen: they say what a column is, not which class of ours it was."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Instant) else False


def run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=True,
        compare_type=True,
        render_item=render,
        include_name=is_declared,
    )
    with context.begin_transaction():
        context.run_migrations()


given: sa.Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    connected(os.environ.get("SCRM_DATABASE_URL") or "sqlite:///var/scrm.db", run)
