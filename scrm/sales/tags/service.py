"""Putting tags on a family and taking them off, told on the timeline."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scrm.db import Conn
from scrm.sales.tags import rules, store
from scrm.seal import new_id
from scrm.timeline import notes
from scrm.timeline.notes import Note

KIND = "event.tag"
ADDED = "加标签：{names}"
REMOVED = "去标签：{names}"
SENTENCES = (ADDED, REMOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """A family, and the address of it that is tagged; its account carries the note."""

    node_id: int
    #: Of every member.
    nodes: Collection[int]
    account_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


async def change(
    conn: Conn,
    whom: Whom,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    source: Literal["rep", "sop", "event"] = "rep",
    staff_id: int | None = None,
    key: str,
    now: datetime,
) -> Changed:
    """What changed: a tag that any member has already is not put on again, one comes off all of them.

    Raises `BadInput`.
    """
    plus, minus = rules.names(add), rules.names(remove)
    theirs = {whom.node_id, *whom.nodes}
    has = await store.of_nodes(conn, theirs)
    new = [name for name in plus if name not in has]
    added = await store.add(conn, whom.node_id, new, source=source, by=staff_id, now=now)
    removed = [name for name in minus if await store.remove(conn, theirs, name)]
    changed = Changed(added=tuple(sorted(added)), removed=tuple(removed))
    if changed:
        await _tell(conn, whom, changed, source, staff_id, key, now)
    return changed


async def _tell(
    conn: Conn, whom: Whom, changed: Changed, source: str, staff_id: int | None, key: str, now: datetime
) -> None:
    said = [
        words.format(names="、".join(names))
        for words, names in ((ADDED, changed.added), (REMOVED, changed.removed))
        if names
    ]
    body = {"added": list(changed.added), "removed": list(changed.removed), "by": source}
    note = Note(
        key=f"tag:{key}:{new_id():x}",
        kind=KIND,
        text="；".join(said),
        node_id=whom.node_id,
        account_id=whom.account_id,
        body=body,
        staff_id=staff_id,
    )
    await notes.tell(conn, note, now=now)
