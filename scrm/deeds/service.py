"""Asking for a deed: checked against what the connector says it takes, once per key, on the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from scrm import jobs
from scrm.accounts.service import Plugged
from scrm.contract import Administers, Deed
from scrm.db import Conn
from scrm.deeds import rules, store
from scrm.deeds.store import Asked
from scrm.errors import BadInput, Conflict
from scrm.ledger.store import audit

#: The kind of its due row.
DUE = "deed"


def deeds_of(plugged: Plugged) -> tuple[Deed, ...]:
    """What this account can be asked to do."""
    plug = plugged.plug
    return plug.DEEDS if isinstance(plug, Administers) else ()


def does(plugged: Plugged, kind: str) -> bool:
    return any(d.kind == kind for d in deeds_of(plugged))


async def ask(
    conn: Conn,
    plugged: Plugged,
    kind: str,
    fields: Mapping[str, Any],
    *,
    key: str,
    by: str,
    staff_id: int | None,
    now: datetime,
    wait: timedelta = timedelta(0),
) -> Asked:
    """The deed, due at once or after `wait`; the same `key` of the same asker gives the same deed again.

    Raises `BadInput` for fields the connector does not take, `Conflict` for a key used otherwise.
    """
    if not key or len(key) > 200:
        raise BadInput("缺少操作编号，请刷新页面后重试。")
    given = rules.checked(rules.deed_of(deeds_of(plugged), kind), fields)
    account, own = plugged.account, f"{by}:{key}"
    ident = await store.add(
        conn,
        account_id=account.account_id,
        kind=kind,
        key=own,
        fields=given,
        staff_id=staff_id,
        now=now,
    )
    found = await store.of_key(conn, own) if ident is None else await store.get(conn, ident)
    if found is None or (found.account_id, found.kind, dict(found.fields)) != (
        account.account_id,
        kind,
        given,
    ):
        raise Conflict("这个操作编号已用于另一项操作。")
    if ident is not None:
        due_at = await conn.now() + wait
        await jobs.put(conn, DUE, str(ident), account.account_id, {"deed_id": ident}, at=due_at)
        names = [kind, *sorted(given)]
        await audit(conn, by, "deed.asked", now=now, subject=f"deed:{ident}", fields=names)
    return found


async def call_off(conn: Conn, deed_id: int, why: str, *, by: str, now: datetime) -> bool:
    """Whether it had not begun: then it never will."""
    found = await store.get(conn, deed_id, lock=True)
    if found is None or found.state != rules.ASKED or found.attempts:
        return False
    await store.change(conn, deed_id, rules.FAILED, now=now, code="called_off", error=why)
    await audit(conn, by, "deed.called_off", now=now, subject=f"deed:{deed_id}")
    return True
