"""What we did to a customer, written on their timeline; react reviews it like anything that came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from scrm import inbox
from scrm.contract import Envelope, Handle
from scrm.db import Conn
from scrm.identity import store as nodes
from scrm.identity.rules import address
from scrm.seal import new_id
from scrm.shapes import bounded
from scrm.timeline import service


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """`key` names it for good: whoever tells it twice has a mistake of their own."""

    key: str
    kind: str
    text: str
    node_id: int
    account_id: int
    body: Mapping[str, object]
    staff_id: int | None = None


async def tell(conn: Conn, note: Note, *, now: datetime) -> int | None:
    """The event it became; None when the customer was erased meanwhile. The caller wakes react."""
    handle = (await nodes.handles(conn, [note.node_id])).get(note.node_id)
    if handle is None:
        return None
    about = Handle(kind=handle.kind, scope=handle.scope, value=handle.value, part="actor")
    source_key = bounded(note.key)
    lane = conn.vault.lane(note.account_id, f"note:{note.node_id}")
    entry = service.Entry(
        event_id=new_id(),
        account_id=note.account_id,
        team_id=None,
        source_key=source_key,
        envelope=Envelope(
            kind=note.kind, direction="none", at=now, handles=(about,), text=note.text, body=dict(note.body)
        ),
        inbox_id=await inbox.add_ours(conn, note.account_id, source_key, lane, now=now),
        staff_id=note.staff_id,
    )
    await service.append(conn, [entry], {address(about): note.node_id}, now=now)
    return entry.event_id
