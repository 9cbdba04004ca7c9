"""Which errors are a state of the world (a database down, full, locked or late) and no fault of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import sqlalchemy as sa

from scrm.errors import BadInput, Unavailable

#: SQLSTATE classes: connection, who may connect, no such database (any more), too few resources,
#: operator intervention (shutdown, cancel), system error.
_CLASSES = ("08", "28", "3D", "53", "57", "58")
#: A character no text may hold (NUL).
_UNFIT = frozenset({"22021", "22P05"})
#: A server that became a standby (read only), serialization failure, deadlock, lock not available in time,
#: idle too long in a transaction.
_CODES = frozenset({"25006", "40001", "40P01", "55P03", "25P03"})
#: The connection died under us: told once, or noticed only when somebody went on with it.
_LOST = (sa.exc.PendingRollbackError, asyncpg.InternalClientError)


@contextmanager
def translated() -> Iterator[None]:
    """Raises `Unavailable` for what passes by itself: who asked may try the same again later.

    `BadInput` for text with characters that PostgreSQL does not take.
    """
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.TimeoutError, TimeoutError, OSError, *_LOST) as error:
        raise Unavailable from error
    except (sa.exc.DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if passing(error):
            raise Unavailable from error
        if isinstance(error, sa.exc.DBAPIError) and getattr(error.orig, "sqlstate", None) in _UNFIT:
            raise BadInput("内容里有不能显示的字符，请重新输入。") from error
        raise


def passing(error: BaseException) -> bool:
    """Whether PostgreSQL, or the way to it, is in a state that will pass."""
    if isinstance(error, sa.exc.DBAPIError):
        if error.connection_invalidated:
            return True
        code = getattr(error.orig, "sqlstate", None)
        cause = error.orig.__cause__ if error.orig is not None else None
        return _passes(code) or (cause is not None and passing(cause))
    if isinstance(error, (asyncpg.InterfaceError, *_LOST)):
        return True  # the connection was closed under us
    return _passes(getattr(error, "sqlstate", None))


def _passes(code: str | None) -> bool:
    return code is not None and (code in _CODES or code[:2] in _CLASSES)
