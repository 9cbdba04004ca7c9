"""Erasing a customer everywhere: words of promises, checks, tasks and plans, then timeline and keys."""

from __future__ import annotations

from datetime import datetime

from scrm.db import Conn
from scrm.desk.tasks import store as tasks
from scrm.identity import store as identity
from scrm.pipeline.doing import households
from scrm.playbook import store as suggestions
from scrm.playbook.checks.store import clearances, findings
from scrm.playbook.promises import store as promises
from scrm.playbook.sops.store import runs
from scrm.sales.opportunities import store as opportunities
from scrm.sales.tags import store as tags
from scrm.timeline import erasing

ERASED = "客户资料已删除"
SENTENCES = (ERASED,)


async def erase(conn: Conn, person_id: int, *, by: str, now: datetime) -> int:
    """How many identifiers were emptied. Raises `NotFound`. Nobody can undo it.

    Figures and times stay, so that counts and commissions do; the family's others keep what is theirs.
    """
    today = await identity.person_now(conn, person_id)
    mine = sorted(await identity.nodes_of(conn, [today] if today is not None else []))
    family = sorted({n for home in (await households(conn, mine)).values() for n in home})
    kept = await promises.forget(conn, mine)
    await findings.forget(conn, mine, kept)
    await clearances.forget(conn, mine, family)
    await suggestions.forget(conn, mine)
    await tasks.forget(conn, mine, ERASED, now=now)
    await runs.forget(conn, mine, ERASED, now=now)
    await opportunities.forget(conn, mine)
    await tags.forget(conn, mine)
    return await erasing.erase(conn, person_id, by=by, now=now)
