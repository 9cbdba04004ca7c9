"""Whether somebody may see a customer: by one of their own conversations, or by one of their family."""

from __future__ import annotations

from collections.abc import Collection

from scrm.db import Conn
from scrm.identity import service as identity
from scrm.identity import store
from scrm.staff.rules import Scope
from scrm.timeline.store import conversations


async def sees(conn: Conn, scope: Scope, node_id: int) -> bool:
    """The timeline is the family's: who sees one of them sees what the others said and sent."""
    person = (await store.persons_of(conn, [node_id])).get(node_id)
    return person is not None and await sees_family(conn, scope, person)


async def sees_family(conn: Conn, scope: Scope, person_id: int) -> bool:
    if await conversations.visible_persons(conn, scope, [person_id]):
        return True
    return bool(await conversations.visible_persons(conn, scope, await identity.family(conn, person_id)))


async def answers_some(conn: Conn, scope: Scope, node_ids: Collection[int]) -> bool:
    """Whether one of the conversations of these is the reader's, or they have none (a learner)."""
    mine = await conversations.visible_of_nodes(conn, scope, list(node_ids))
    return bool(mine) or not await conversations.of_nodes(conn, list(node_ids))
