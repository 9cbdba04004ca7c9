"""Scripts from files: first what would change, then the same taken over; and everything on its way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.library import rules, service, store
from scrm.playbook.library.diff import Piece, diff
from scrm.playbook.library.service import Scan, Shelves, Wanted
from scrm.playbook.library.values import OUT, Editor, Folder, Source, Version, content_of
from scrm.playbook.scripts import Script, content_hash

#: taken: somebody else's folder has this code; word: a rule forbids what it says; file: it names what
#: nobody here has uploaded.
Change = Literal["new", "changed", "same", "taken", "word", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One script of a file against what is here."""

    script: Script
    change: Change
    #: Of the text, by words; () when nothing changed in it.
    pieces: tuple[Piece, ...] = ()
    #: What else is different, by name.
    fields: tuple[str, ...] = ()
    #: The file's number is lower than what is here: perhaps an old copy.
    older: bool = False


async def plan(
    conn: Conn, base: Shelves, scripts: Sequence[Script], who: Editor, *, scan: Scan, now: datetime
) -> tuple[Row, ...]:
    """What taking these over would change. Writes nothing."""
    return tuple([await _row(conn, base, script, who, scan, now) for script in scripts])


async def _row(conn: Conn, base: Shelves, script: Script, who: Editor, scan: Scan, now: datetime) -> Row:
    if any(hit.level == "block" for hit in service.hits(script, scan)):
        return Row(script=script, change="word")
    if script.files and await enclosures.lacking(conn, [script]):
        return Row(script=script, change="file")
    try:
        found = await service.standing(conn, base, script.id, who, now=now)
    except NotFound:
        free = await store.placed(conn, script.id) is None and script.id not in base.files
        return Row(script=script, change="new" if free else "taken")
    if not found.mine:
        return Row(script=script, change="taken")
    here = found.current
    if here is None:
        return Row(script=script, change="new")
    if content_hash(here) == content_hash(script):
        return Row(script=script, change="same")
    return Row(
        script=script,
        change="changed",
        pieces=diff(here.text, script.text) if here.text != script.text else (),
        fields=differing(here, script),
        older=script.version < here.version,
    )


def differing(a: Script, b: Script) -> tuple[str, ...]:
    """Names of what differs besides the text."""
    one, other = content_of(a), content_of(b)
    names = sorted({*one, *other} - {"text"})
    return tuple(name for name in names if one.get(name) != other.get(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a file is taken over: into which folder, as what, and whether somebody looks at it first."""

    trade: str
    folder: Folder = "company"
    source: Source = "import"
    note: str = ""
    review: bool = True


async def take(
    conn: Conn, base: Shelves, rows: Sequence[Row], who: Editor, how: Manner, *, scan: Scan, now: datetime
) -> tuple[Version, ...]:
    """Versions of what is new or different, on their way to review; the rest is left as it is."""
    made = []
    for row in rows:
        if row.change not in ("new", "changed"):
            continue
        wanted = Wanted(
            code=row.script.id,
            content=content_of(row.script),
            trade=how.trade,
            folder=how.folder,
            note=how.note,
            source=how.source,
        )
        one = await service.draft(conn, base, wanted, who, now=now)
        made.append(
            await service.submit(conn, one.code, one.version, who, scan=scan, review=how.review, now=now)
        )
    return tuple(made)


async def news(conn: Conn, base: Shelves, *, now: datetime) -> tuple[Row, ...]:
    """Scripts of the folder that are newer than what people here work on; nothing is written over."""
    found = []
    heads = await store.all_placed(conn)
    for code in heads:
        script, _ = base.files.get(code, (None, ""))
        versions = await store.versions(conn, code) if script is not None else []
        if script is None or not rules.behind(script, versions, content_hash(script)):
            continue
        force = rules.in_force(versions, now)
        here = force.script if force else script
        pieces = diff(here.text, script.text) if here.text != script.text else ()
        found.append(Row(script=script, change="changed", pieces=pieces, fields=differing(here, script)))
    return tuple(found)


async def settle(
    conn: Conn, base: Shelves, code: str, who: Editor, *, keep: bool, how: Manner, scan: Scan, now: datetime
) -> Version:
    """Answer the folder's news: a version of the file's words, or (`keep`) of ours that knows the number."""
    found = await service.standing(conn, base, code, who, now=now)
    wanted = found.working if keep else found.file
    if wanted is None or not found.behind:
        raise BadInput(rules.TAKEN)
    row = Row(script=wanted, change="changed")
    (made,) = await take(conn, base, [row], who, how, scan=scan, now=now)
    return made


async def everything(conn: Conn, base: Shelves, *, now: datetime) -> Mapping[str, Sequence[Script]]:
    """What is in force for the company, by trade; teams' and people's own stay with them."""
    mine = await service.trades(conn)
    placed, live = await store.all_placed(conn), await store.live(conn)
    company = {code: p for code, p in placed.items() if p.folder == "company" or p.live_version == OUT}
    shelf = rules.overlay(base.files, mine, company, live, now)
    found: dict[str, list[Script]] = {}
    for script in shelf.scripts:
        trade = placed[script.id].trade if script.id in placed else base.files[script.id][1]
        found.setdefault(trade, []).append(script)
    return found
