"""Opening what is left: of an erased customer nothing opens any more, and that stops nobody else."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from scrm.db import Conn
from scrm.errors import Unsealable
from scrm.seal import DataKey


async def keys_left(conn: Conn, key_ids: Collection[int]) -> dict[int, DataKey]:
    """Those of the data keys that were not destroyed."""
    if not key_ids:
        return {}
    with suppress(Unsealable):
        return await conn.keys(key_ids)
    found: dict[int, DataKey] = {}
    for one in sorted(key_ids):
        with suppress(Unsealable):
            found |= await conn.keys([one])
    return found
