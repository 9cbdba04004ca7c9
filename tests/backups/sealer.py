"""A process that seals and opens without a pause: `sealer.py URL KEYFILE`; ends when its input closes.

Prints a dot for each value it committed and, at the end, how many it opened. A refusal ends it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import sqlalchemy as sa

from scrm.db import Conn, Database, utcnow
from scrm.schema import media
from scrm.seal import new_id, open_vault


async def seal(conn: Conn) -> None:
    """A value with a data key of its own."""
    ident = new_id()
    content = await conn.seal(f"node:{ident}", b"said", "media", ident, "content")
    row = {"media_id": ident, "name": "s", "mime": "x", "content": content, "created_at": utcnow()}
    await conn.insert(media, [{"tenant_id": conn.tenant_id, "node_id": None, **row}])


async def open_newest(conn: Conn) -> int:
    """What others sealed a moment ago, too."""
    c = media.c
    stmt = sa.select(c.media_id, c.content).where(c.tenant_id == conn.tenant_id, c.name == "s")
    found = await conn.rows(stmt.order_by(c.media_id.desc()).limit(10))
    for row in found:
        assert await conn.unseal(row.content, "media", row.media_id, "content") == b"said"
    return len(found)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def work(url: str, key: Path) -> None:
    db = await Database.open(url, open_vault(key))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    opened = 0
    try:
        while not ended.done():
            async with db.begin(1) as conn:
                await seal(conn)
            tell(".")
            async with db.read(1) as conn:
                opened += await open_newest(conn)
    finally:
        await db.close()
    tell(str(opened))


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
