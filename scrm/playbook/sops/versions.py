"""Versions of SOPs: those that ship as files, those written on the page; which one new runs begin with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from scrm.db import Conn
from scrm.errors import BadInput, Conflict, NotFound
from scrm.playbook.sops import files
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.store.versions import Head, Version
from scrm.playbook.sops.values import Plan
from scrm.shapes import to_json

#: What runs that are under way do when a version is published: stay on theirs, or go over.
Running = Literal["keep", "migrate"]

NO_SOP = "没有这个流程。"
NO_VERSION = "没有这个版本。"
NOT_DRAFT = "只有草稿能改，请另存一个新版本。"
NOTHING_LIVE = "还没有发布的版本，不能打开。"
OTHER_CODE = "内容里的编号和流程的编号不一样。"
CHANGED = "{code}: 文件内容改了但版本还是 {version}，没有采用，请把 version 加 1。"
DRAFTED = "{code}: 页面上的版本在用，文件的版本 {version} 存成草稿，请到“SOP”页发布。"
SENTENCES = (NO_SOP, NO_VERSION, NOT_DRAFT, NOTHING_LIVE, OTHER_CODE, CHANGED, DRAFTED)

#: Reading one takes longer than fetching it. By code, version and digest.
_read: dict[tuple[str, int, str], Plan] = {}
_MOST_READ = 2000


async def in_force(conn: Conn) -> list[Plan]:
    """What new runs may begin with, the most important first."""
    found = await of(conn, await store.live(conn))
    return sorted(found.values(), key=lambda p: (-p.priority, p.code))


async def of(conn: Conn, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Plan]:
    """The plans of these versions; one that is not there is left out."""
    digests = await store.digests(conn, wanted)
    missing = [pair for pair, said in digests.items() if (*pair, said) not in _read]
    for pair, content in (await store.contents(conn, missing)).items():
        if len(_read) >= _MOST_READ:
            _read.clear()
        _read[(*pair, digests[pair])] = read(content, *pair)
    return {pair: _read[(*pair, said)] for pair, said in digests.items()}


def read(content: Mapping[str, Any], code: str, number: int) -> Plan:
    """The row says which version it is, whatever stands in the content."""
    (plan,) = files.parse([content], where=f"{code}@{number}")
    return replace(plan, code=code, version=number)


def digest(plan: Plan) -> str:
    """Of all that a run does; the number of the version does not count."""
    return hashlib.sha256(to_json(files.plain(replace(plan, version=1)))).hexdigest()


# -- files -------------------------------------------------------------------------------------------------
async def sync(conn: Conn, packs: Mapping[str, Sequence[Plan]], *, now: datetime) -> list[str]:
    """Takes over what the files of these trades say that is not known yet; what must be looked at, in words.

    A new SOP is off until somebody switches it on. Where a version of the page is in force it stays so.
    """
    heads = {h.code: h for h in await store.heads(conn)}
    said = []
    for trade in sorted(packs):
        for plan in packs[trade]:
            said += await _take_over(conn, trade, plan, heads.get(plan.code), now=now)
    return said


async def _take_over(conn: Conn, trade: str, plan: Plan, head: Head | None, *, now: datetime) -> list[str]:
    made = _version(plan, state="live", source="file", author_id=None, note="", now=now)
    if known := await store.version(conn, plan.code, plan.version):
        same = known.digest == made.digest or known.source != "file"
        return [] if same else [CHANGED.format(code=plan.code, version=plan.version)]
    current = await store.version(conn, plan.code, head.live_version) if head else None
    if current is not None and (current.source != "file" or current.version > plan.version):
        await store.add_version(conn, replace(made, state="draft", published_at=None))
        return [DRAFTED.format(code=plan.code, version=plan.version)]
    if await store.add_version(conn, made):
        await _make_live(
            conn, head or Head(code=plan.code, trade=trade, live_version=0, state="off", changed_at=now), made
        )
    return []


def _version(
    plan: Plan, *, state: str, source: str, author_id: int | None, note: str, now: datetime
) -> Version:
    return Version(
        code=plan.code,
        version=plan.version,
        state=state,
        content=files.plain(plan),
        digest=digest(plan),
        source=source,
        author_id=author_id,
        note=note,
        created_at=now,
        published_at=now if state == "live" else None,
    )


async def _make_live(conn: Conn, head: Head, one: Version) -> None:
    if head.live_version and head.live_version != one.version:
        await store.change_version(conn, one.code, head.live_version, state="retired")
    at = one.published_at or head.changed_at
    await store.put_head(conn, replace(head, live_version=one.version, changed_at=at))


# -- the page ----------------------------------------------------------------------------------------------
async def draft(
    conn: Conn,
    trade: str,
    plan: Plan,
    scripts: Collection[str],
    *,
    by: int | None,
    note: str = "",
    now: datetime,
) -> Version:
    """A new version, not yet in force; its number is the next. Raises `BadInput` with what cannot work."""
    files.prove(plan, scripts, where="SOP")
    head = await store.head(conn, plan.code, hold=True)
    if head is None:
        await store.put_head(
            conn, Head(code=plan.code, trade=trade, live_version=0, state="off", changed_at=now)
        )
        head = await store.head(conn, plan.code, hold=True)
    newest = next(iter(await store.versions(conn, plan.code)), None)
    plan = replace(plan, version=newest.version + 1 if newest else 1)
    made = _version(plan, state="draft", source="page", author_id=by, note=note, now=now)
    await store.add_version(conn, made)
    return made


async def change_draft(
    conn: Conn, code: str, number: int, plan: Plan, scripts: Collection[str], *, note: str = ""
) -> Version:
    """Raises `BadInput`, `NotFound` or `Conflict` (it is in force, or was)."""
    files.prove(plan, scripts, where="SOP")
    if plan.code != code:
        raise BadInput(OTHER_CODE)
    known = await _version_of(conn, code, number)
    if known.state != "draft":
        raise Conflict(NOT_DRAFT)
    plan = replace(plan, version=number)
    values = {"content": files.plain(plan), "digest": digest(plan), "note": note}
    await store.change_version(conn, code, number, **values)
    return await _version_of(conn, code, number)


async def publish(conn: Conn, code: str, number: int, running: Running, *, now: datetime) -> int:
    """New runs begin with it from now on; how many that were under way went over to it."""
    head = await store.head(conn, code, hold=True)
    if head is None:
        raise NotFound(NO_SOP)
    made = await _version_of(conn, code, number)
    await store.change_version(conn, code, number, state="live", published_at=now)
    await _make_live(conn, head, replace(made, published_at=now))
    return await migrate(conn, code, number) if running == "migrate" else 0


async def switch(conn: Conn, code: str, *, on: bool, now: datetime) -> Head:
    """Off begins nothing new; what is under way goes on. Raises `NotFound` or `Conflict`."""
    head = await store.head(conn, code, hold=True)
    if head is None:
        raise NotFound(NO_SOP)
    if on and not head.live_version:
        raise Conflict(NOTHING_LIVE)
    head = replace(head, state="on" if on else "off", changed_at=now)
    await store.put_head(conn, head)
    return head


async def _version_of(conn: Conn, code: str, number: int) -> Version:
    found = await store.version(conn, code, number)
    if found is None:
        raise NotFound(NO_VERSION)
    return found


# -- runs under way ----------------------------------------------------------------------------------------
async def migrate(conn: Conn, code: str, number: int) -> int:
    """Every run of an older version goes over, to where it stands there; how many."""
    moved = 0
    # Whoever took a step meanwhile stands somewhere else: look again.
    for _ in range(5):
        places = await runs.standing_at(conn, code, but=number)
        if not places:
            break
        plans = await of(conn, {(code, number), *((code, old) for old, _ in places)})
        for old, step in places:
            to = place_in(plans[code, number], plans.get((code, old)), step)
            moved += await runs.move(conn, code, (old, step), (number, to))
    return moved


def place_in(new: Plan, old: Plan | None, step: str) -> str:
    """Where a run that stood at `step` stands in the new version: at the step of the same id; if that is
    gone, after the nearest one above it that is still there - what was said or asked for is not repeated.
    """
    if not step or new.step(step) is not None:
        return step
    ids = [s.id for s in old.steps] if old else []
    above = ids[: ids.index(step)] if step in ids else []
    kept = next((found for ident in reversed(above) if (found := new.step(ident)) is not None), None)
    if kept is None:
        return new.steps[0].id
    return kept.id if kept.kind in ("wait", "branch", "end") else new.after(kept)
