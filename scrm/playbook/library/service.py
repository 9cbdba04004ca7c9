"""The library at work: each tenant's shelf kept in memory, drafts, reviews, publishing, files taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary

from scrm.db import Conn
from scrm.errors import BadInput, Conflict, Forbidden, NotFound
from scrm.playbook.checks.values import Hit
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.library import rules, store
from scrm.playbook.library.diff import stretches
from scrm.playbook.library.rules import overlay
from scrm.playbook.library.values import OUT, Editor, Folder, Placed, Source, Version, content_of, script_of
from scrm.playbook.scripts import TRADES, USUAL_TRADES, Script, content_hash, prove
from scrm.seal import Vault

#: Versions of one script that are looked at.
_LOOKED = 200
_NOTE = 200
FORBIDDEN_WORDS = "这段话里有不能发的词，改好再提交。"
NO_TRADE = "至少留一个行业。"
NO_SCRIPT = "没有这条话术，或者它不在你的文件夹里。"
NO_VERSION = "没有这一版。"
ELSEWHERE = "这个编号已经有别的话术在用，请换一个。"
SENTENCES = (FORBIDDEN_WORDS, NO_TRADE, NO_SCRIPT, NO_VERSION, ELSEWHERE, *rules.SENTENCES)


class Shelves(Protocol):
    """A library of all files, and how to make a tenant's own out of it."""

    @property
    def files(self) -> Mapping[str, tuple[Script, str]]: ...

    def shelf(self, trades: Collection[str]) -> Self: ...

    def overlaid(self, scripts: Sequence[Script], owned: Mapping[str, Placed]) -> Self: ...

    def warm(self, trades: Collection[str] = ...) -> None: ...


L = TypeVar("L", bound=Shelves)
Scan = Callable[[str], Sequence[Hit]]


# -- in memory ---------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Held:
    base: Any
    stamp: tuple[Any, ...]
    until: datetime | None
    library: Any


_HELD: WeakKeyDictionary[Vault, dict[int, _Held]] = WeakKeyDictionary()


async def load(conn: Conn, base: L, *, now: datetime) -> L:
    """This tenant's library as of `now`: made anew when something changed, in whatever process."""
    held = _HELD.setdefault(conn.vault, {})
    stamp = (await trades(conn), await store.changed(conn))
    mine = held.get(conn.tenant_id)
    fresh = mine is not None and mine.base is base and mine.stamp == stamp
    if mine is not None and fresh and (mine.until is None or now < mine.until):
        return mine.library  # type: ignore[no-any-return]
    library, until = await _made(conn, base, stamp, now)
    held[conn.tenant_id] = _Held(base, stamp, until, library)
    return library


async def _made(conn: Conn, base: L, stamp: tuple[Any, ...], now: datetime) -> tuple[L, datetime | None]:
    mine, changed = stamp
    if changed is None:
        shelf = base.shelf(mine)
        await asyncio.to_thread(shelf.warm)
        return shelf, None
    placed, live = await store.all_placed(conn), await store.live(conn)

    def make() -> tuple[L, datetime | None]:
        laid = overlay(base.files, mine, placed, live, now)
        library = base.overlaid(laid.scripts, laid.owned)
        library.warm()
        return library, laid.until

    return await asyncio.to_thread(make)


async def trades(conn: Conn) -> tuple[str, ...]:
    """The packs this tenant works with."""
    return await store.trades(conn) or USUAL_TRADES


async def begin(conn: Conn, usual: str, *, now: datetime) -> None:
    """The packs of the settings for a tenant that has chosen none yet; raises `BadInput` for unknown ones."""
    wanted = [name.strip() for name in usual.split(",") if name.strip()]
    _known(wanted)
    if not await store.trades(conn):
        await store.add_trades(conn, wanted or USUAL_TRADES, now=now)


async def choose(conn: Conn, wanted: Collection[str], *, now: datetime) -> None:
    """Work with these packs and no others. Nothing that was written is lost."""
    _known(wanted)
    if not wanted:
        raise BadInput(NO_TRADE)
    before = await store.trades(conn)
    await store.add_trades(conn, wanted, now=now)
    await store.drop_trades(conn, set(before) - set(wanted))


def _known(wanted: Collection[str]) -> None:
    if strange := sorted(set(wanted) - set(TRADES)):
        raise BadInput(f"没有 {strange[0]} 这个行业，可用的是 {'、'.join(TRADES)}。")


# -- one script --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A script with all there is of it, as an editor sees it."""

    placed: Placed
    #: The folder's own; None = nobody shipped it.
    file: Script | None
    #: The newest first.
    versions: tuple[Version, ...]
    #: What customers get now; None = nothing.
    current: Script | None
    #: The folder has a newer version than the one people here work on.
    behind: bool
    #: This editor may write another version.
    mine: bool

    @property
    def passed(self) -> set[int]:
        """Versions that customers get, got or may get: of the folder, or let out by somebody."""
        out = {v.version for v in self.versions if v.state in ("live", "retired")}
        return out | ({self.file.version} if self.file else set())

    @property
    def newest(self) -> Version | None:
        return self.versions[0] if self.versions else None

    @property
    def working(self) -> Script | None:
        """What an editor goes on from: an open draft, else what is in force, else the newest there is."""
        newest = self.newest
        if newest is not None and newest.state in ("draft", "review", "refused"):
            return newest.script
        return self.current or (newest.script if newest else self.file)


async def standing(conn: Conn, base: Shelves, code: str, who: Editor, *, now: datetime) -> Standing:
    """Raises `NotFound` also for what stands in somebody else's folder."""
    file, trade = base.files.get(code, (None, ""))
    kept = await store.placed(conn, code)
    if kept is None and (file is None or trade not in ("", *await trades(conn))):
        raise NotFound(NO_SCRIPT)
    place = kept or Placed(code=code, trade=trade, changed_at=now)
    if not rules.may_see(who, place):
        raise NotFound(NO_SCRIPT)
    versions = await store.versions(conn, code, limit=_LOOKED)
    force = rules.in_force(versions, now)
    current = force.script if force else file
    return Standing(
        placed=place,
        file=file,
        versions=tuple(versions),
        current=None if place.live_version == OUT else current,
        behind=rules.behind(file, versions, content_hash(file) if file else ""),
        mine=rules.may_edit(who, place.folder, team_id=place.team_id, owner_id=place.owner_id),
    )


async def version(conn: Conn, base: Shelves, code: str, number: int) -> Script:
    """One version, of the database or of the folder. Raises `NotFound`."""
    kept = await store.version(conn, code, number)
    if kept is not None:
        return kept.script
    file, _ = base.files.get(code, (None, ""))
    if file is None or file.version != number:
        raise NotFound(NO_VERSION)
    return file


# -- writing -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants a script to be."""

    code: str
    content: Mapping[str, Any]
    trade: str = ""
    folder: Folder = "company"
    note: str = ""
    source: Source = "page"
    starts_at: datetime | None = None
    expires_at: datetime | None = None


async def draft(conn: Conn, base: Shelves, wanted: Wanted, who: Editor, *, now: datetime) -> Version:
    """A draft of the next version; one that is open already is written over.

    Raises `BadInput` when the template is refused or an example does not come out, `Forbidden` in a folder
    that is not theirs.
    """
    await conn.lock("library")
    place = await _place(conn, base, wanted, who, now)
    script = proved(script_of(wanted.code, 1, wanted.content))
    if fault := rules.window_fault(wanted.starts_at, wanted.expires_at, now):
        raise BadInput(fault)
    await enclosures.demand(conn, script)
    file, _ = base.files.get(wanted.code, (None, ""))
    before = next(iter(await store.versions(conn, wanted.code, limit=1)), None)
    number = rules.number(file.version if file else 0, before.version if before else 0)
    made = Version(
        code=wanted.code,
        version=number,
        state="draft",
        content=content_of(script),
        digest=content_hash(script),
        source=wanted.source,
        base=file.version if file else 0,
        author_id=who.staff_id,
        note=wanted.note[:_NOTE],
        created_at=now,
        starts_at=wanted.starts_at,
        expires_at=wanted.expires_at,
    )
    if before is not None and before.state in ("draft", "refused") and before.author_id == who.staff_id:
        made = replace(made, version=before.version)
        if not await store.rewrite(conn, made):
            raise Conflict(rules.TAKEN)
    else:
        await store.add(conn, made)
    await store.hold(conn, place)
    return made


def proved(script: Script) -> Script:
    """Raises `BadInput` with a sentence for the author."""
    try:
        prove(script, where=script.id)
    except BadInput as wrong:
        raise BadInput(wrong.sentence.removeprefix(f"{script.id}: {script.id}: ")) from None
    return script


async def _place(conn: Conn, base: Shelves, wanted: Wanted, who: Editor, now: datetime) -> Placed:
    """Where it stands, or will. A code once given stays where it was first put."""
    kept = await store.placed(conn, wanted.code)
    _, trade = base.files.get(wanted.code, (None, wanted.trade))
    shipped = wanted.code in base.files
    if kept is None:
        if shipped and wanted.folder != "company":
            raise BadInput(ELSEWHERE)
        if trade not in ("", *TRADES):
            raise BadInput(f"没有 {trade} 这个行业，可用的是 {'、'.join(TRADES)}。")
        owner, team = (who.staff_id, who.team_id) if wanted.folder != "company" else (None, None)
        kept = Placed(
            code=wanted.code,
            trade=trade,
            folder=wanted.folder,
            owner_id=owner if wanted.folder == "personal" else None,
            team_id=team if wanted.folder == "team" else None,
            changed_at=now,
        )
    elif not rules.may_see(who, kept):
        raise BadInput(ELSEWHERE)
    if not rules.may_edit(who, kept.folder, team_id=kept.team_id, owner_id=kept.owner_id):
        raise Forbidden(rules.NOT_YOURS)
    return kept


# -- letting pass ------------------------------------------------------------------------------------------
async def submit(
    conn: Conn, code: str, number: int, who: Editor, *, scan: Scan, review: bool, now: datetime
) -> Version:
    """A draft goes to whoever reviews it, or at once to customers where nobody has to."""
    await conn.lock("library")
    place, one = await _of(conn, code, number, who)
    if not rules.may_edit(who, place.folder, team_id=place.team_id, owner_id=place.owner_id):
        raise Forbidden(rules.NOT_YOURS)
    if one.state != "draft":
        raise Conflict(rules.TAKEN)
    _clean(one.script, scan)
    if not rules.needs_review(place.folder, review=review):
        return await _publish(conn, place, one, who, ("draft",), now)
    if not await store.turn(conn, code, number, before=("draft",), state="review", now=now):
        raise Conflict(rules.TAKEN)
    return replace(one, state="review")


async def publish(
    conn: Conn, code: str, number: int, who: Editor, *, scan: Scan, review: bool, now: datetime
) -> Version:
    """A reviewed version goes to customers. Raises `Forbidden` when it is the author's own."""
    await conn.lock("library")
    place, one = await _of(conn, code, number, who)
    if why := rules.objection(who, place, one.author_id, review=review):
        raise Forbidden(why)
    before = ("review",) if rules.needs_review(place.folder, review=review) else ("review", "draft")
    if one.state not in before:
        raise Conflict(rules.TAKEN)
    _clean(one.script, scan)
    if fault := rules.window_fault(one.starts_at, one.expires_at, now):
        raise BadInput(fault)
    return await _publish(conn, place, one, who, before, now)


async def _publish(
    conn: Conn, place: Placed, one: Version, who: Editor, before: Collection[str], now: datetime
) -> Version:
    proved(one.script)
    live = [v for v in await store.versions(conn, one.code, limit=_LOOKED) if v.state == "live"]
    turned = await store.turn(
        conn, one.code, one.version, before=before, state="live", reviewer_id=who.staff_id, now=now
    )
    if not turned:
        raise Conflict(rules.TAKEN)
    made = replace(one, state="live", reviewer_id=who.staff_id, decided_at=now)
    await store.retire(conn, one.code, rules.replaced(made, live, now))
    await store.place(conn, replace(place, live_version=one.version, changed_at=now))
    if one.script.files:
        await enclosures.ask(conn, now=now)
    return made


async def refuse(conn: Conn, code: str, number: int, who: Editor, why: str, *, now: datetime) -> None:
    """Back to the author, with a reason."""
    await conn.lock("library")
    place, one = await _of(conn, code, number, who)
    # The author may take it back from the review themselves.
    if who.staff_id != one.author_id and rules.objection(who, place, one.author_id, review=True):
        raise Forbidden(rules.NOT_REVIEWER)
    if not why.strip():
        raise BadInput(rules.NO_REASON)
    turned = await store.turn(
        conn, code, number, before=("review",), state="refused",
        reviewer_id=who.staff_id, note=why.strip()[:_NOTE], now=now,
    )  # fmt: skip
    if not turned:
        raise Conflict(rules.TAKEN)


async def take_out(conn: Conn, base: Shelves, code: str, who: Editor, *, now: datetime) -> None:
    """Nobody is offered it any longer, whatever the folder says."""
    await _point(conn, base, code, who, OUT, now)


async def put_back(conn: Conn, base: Shelves, code: str, who: Editor, *, now: datetime) -> None:
    """As the folder has it, without any version of ours."""
    await _point(conn, base, code, who, 0, now)


async def _point(conn: Conn, base: Shelves, code: str, who: Editor, to: int, now: datetime) -> None:
    await conn.lock("library")
    found = await standing(conn, base, code, who, now=now)
    if not found.mine:
        raise Forbidden(rules.NOT_YOURS)
    await store.retire(conn, code)
    await store.place(conn, replace(found.placed, live_version=to, changed_at=now))


async def restore(
    conn: Conn, base: Shelves, code: str, number: int, who: Editor, *, now: datetime
) -> Version:
    """An older version's words as the next draft."""
    found = await standing(conn, base, code, who, now=now)
    script = await version(conn, base, code, number)
    wanted = Wanted(code=code, content=content_of(script), folder=found.placed.folder)
    return await draft(conn, base, wanted, who, now=now)


async def _of(conn: Conn, code: str, number: int, who: Editor) -> tuple[Placed, Version]:
    place, one = await store.placed(conn, code), await store.version(conn, code, number)
    if place is None or one is None or not rules.may_see(who, place):
        raise NotFound(NO_VERSION)
    return place, one


# -- checks ------------------------------------------------------------------------------------------------
def hits(script: Script, scan: Scan) -> list[Hit]:
    """What the rules say of everything this script can become, each rule and word once."""
    found: dict[tuple[str, str], Hit] = {}
    for text in ("\n".join(stretches(script.text)), *(example.expect for example in script.examples)):
        for hit in scan(text):
            found.setdefault((hit.rule_id, hit.matched), hit)
    return list(found.values())


def _clean(script: Script, scan: Scan) -> None:
    if any(hit.level == "block" for hit in hits(script, scan)):
        raise BadInput(FORBIDDEN_WORDS)
