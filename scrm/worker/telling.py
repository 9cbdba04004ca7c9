"""Before a deed tells customers something: the decision of every push, for each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scrm.accounts.service import Plugged
from scrm.contract import Reaches
from scrm.db import Database
from scrm.deeds import rules
from scrm.deeds.store import Asked
from scrm.desk.manners import Manners
from scrm.push import looking, many, store

UNCHECKED = "没有客户名单，无法逐位检查退订和频次。"
NOBODY = "名单里的客户都已退订或到了频次上限，没有发送。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heed:
    """What is to be done with a deed that reaches customers."""

    #: Ask the vendor with these fields, and note this in the result.
    fields: Mapping[str, Any]
    note: Mapping[str, Any]
    #: Not before so long: nobody is told anything at this hour.
    wait: timedelta | None = None
    why: str = ""
    nobody: bool = False


async def heed(
    db: Database, plugged: Plugged, reaches: Reaches, asked: Asked, *, manners: Manners, now: datetime
) -> Heed:
    """Who goes counts from now on; `give_back` when it turns out that nobody was told."""
    items = [str(one) for one in asked.fields.get(reaches.field) or ()]
    async with db.read(plugged.account.tenant_id) as conn:
        calendar = await looking.calendar_of(conn, manners, now=now)
    when = many.hour(plugged, reaches, calendar, now=now)
    if when.wait_until is not None:
        wait, why = when.wait_until - now, many.reason(when)
        return Heed(fields=asked.fields, note={}, wait=wait, why=why)
    if not items:
        return Heed(fields=asked.fields, note={rules.UNCHECKED: UNCHECKED})
    async with db.begin(plugged.account.tenant_id) as conn:
        await store.drop_told(conn, asked.deed_id)  # of a try before this one
    goes, left_out, strangers = list[str](), dict[str, str](), 0
    for chunk in many.chunks(items):
        # One transaction each: a list of thousands must not keep everybody else from writing.
        async with db.begin(plugged.account.tenant_id) as conn:
            one = await many.weigh(
                conn, plugged, reaches, chunk, manners=manners, calendar=calendar, lock=True, now=now
            )
            await store.keep_told(conn, asked.deed_id, one.nodes, reaches.purpose, now=now)
        goes += one.goes
        left_out |= one.left_out
        strangers += one.strangers
    note: dict[str, Any] = {rules.LEFT_OUT: left_out}
    if strangers:
        note[rules.UNCHECKED] = f"名单里有 {strangers} 位客户我们还不认识，没有检查退订和频次。"
    return Heed(fields={**asked.fields, reaches.field: goes}, note=note, nobody=not goes)


def narrowed(reaches: Reaches, asked: Asked) -> Mapping[str, Any]:
    """The fields of a deed that was heeded before, without those who were left out then."""
    out = asked.result.get(rules.LEFT_OUT) or {}
    items = [one for one in asked.fields.get(reaches.field) or () if one not in out]
    return {**asked.fields, reaches.field: items} if out else asked.fields


async def give_back(
    db: Database,
    plugged: Plugged,
    reaches: Reaches | None,
    asked: Asked,
    missed: Collection[str] | None = None,
) -> None:
    """These were not told (None = nobody was): it does not count."""
    if reaches is None or (missed is not None and not missed):
        return
    async with db.begin(plugged.account.tenant_id) as conn:
        if missed is None:
            await store.drop_told(conn, asked.deed_id)
            return
        for chunk in many.chunks(list(missed)):
            gone = await many.nodes_of(conn, plugged, reaches, chunk)
            await store.drop_told(conn, asked.deed_id, gone)
