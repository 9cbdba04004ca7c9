"""A wrong server on purpose: it writes the timeline, then notes in a transaction of its own that it did.

And, as who works like that usually does, it gives each thing a key of its own making.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from scrm import inbox
from scrm.cli import main
from scrm.pipeline import Pipeline
from scrm.timeline.service import Entry

write: Callable[..., Any] = Pipeline._write  # noqa: SLF001
entries: Callable[..., Any] = Pipeline._entries  # noqa: SLF001
mark = inbox.mark


async def own_keys(self: Pipeline, *given: Any) -> list[Entry]:
    return [replace(e, source_key=f"{e.source_key}:{uuid4()}") for e in await entries(self, *given)]


async def in_two_steps(self: Pipeline, conn: Any, batch: list[Any], **given: Any) -> None:
    async with self.db.begin(conn.tenant_id) as first:
        await write(self, first, batch, **given)
    await asyncio.sleep(0.5)
    await mark(conn, [r.item.inbox_id for r in batch], "settled")


async def not_yet(conn: Any, ids: Any, state: str) -> None:
    if state != "settled":
        await mark(conn, ids, "done")


if __name__ == "__main__":
    setattr(Pipeline, "_entries", own_keys)  # noqa: B010 - mypy refuses a plain assignment
    setattr(Pipeline, "_write", in_two_steps)  # noqa: B010
    setattr(inbox, "mark", not_yet)  # noqa: B010
    main()
