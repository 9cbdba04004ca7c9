"""The database: embedded SQLite or PostgreSQL - transactions of one tenant, data keys, migrations."""

from scrm.db.bulk import Visit
from scrm.db.conn import Conn, utcnow
from scrm.db.database import Database
from scrm.db.migrations import connected, head, migrate, move, revision, revisions

__all__ = [
    "Conn",
    "Database",
    "Visit",
    "connected",
    "head",
    "migrate",
    "move",
    "revision",
    "revisions",
    "utcnow",
]
