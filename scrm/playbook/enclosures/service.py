"""Enclosures at work: kept once, demanded of versions that name them, given to the channels ahead of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm import jobs
from scrm.accounts.service import Plugged
from scrm.contract import Media, Sends, Shows, Uploads
from scrm.db import Conn
from scrm.errors import BadInput
from scrm.playbook.enclosures import rules, store
from scrm.playbook.enclosures.store import Held, Kept
from scrm.playbook.scripts import Enclosed, Script
from scrm.push.words import Enclosure

#: Due rows: one that looks what vendors must be given, and one for each file and account.
SWEEP, GIVE = "enclosures", "enclosure"
UNKNOWN = "附件“{name}”还没有上传到这里，请先在话术里上传一次。"
GONE = "没有这个附件，请刷新页面。"
SENTENCES = (UNKNOWN, GONE, *rules.SENTENCES)


async def keep(
    conn: Conn, files: Sequence[Media], *, author_id: int | None, now: datetime
) -> tuple[Enclosed, ...]:
    """What a version names them by; `files` come from `rules.admitted`."""
    made = []
    for one in files:
        kept = await store.add(conn, rules.digest(one), one, author_id=author_id, now=now)
        made.append(Enclosed(name=kept.name, digest=kept.digest))
    return tuple(made)


async def demand(conn: Conn, script: Script) -> None:
    """Raises `BadInput` when the script names what is not here, or more than may go out at once."""
    if len(script.files) > rules.MOST:
        raise BadInput(rules.MANY.format(most=rules.MOST))
    known = await store.of_digests(conn, {one.digest for one in script.files})
    for one in script.files:
        if one.digest not in known:
            raise BadInput(UNKNOWN.format(name=one.name))


async def lacking(conn: Conn, scripts: Iterable[Script]) -> frozenset[str]:
    """Digests that these scripts name and nobody here has uploaded."""
    wanted = {one.digest for script in scripts for one in script.files}
    return frozenset(wanted - (await store.of_digests(conn, wanted)).keys())


async def of_script(conn: Conn, files: Sequence[Enclosed]) -> tuple[Enclosure, ...]:
    """As a push sends them, in their order; what is not here is left out."""
    known = await store.of_digests(conn, {one.digest for one in files})
    return tuple(sent(known[one.digest]) for one in files if one.digest in known)


def written(files: Sequence[Enclosed]) -> list[dict[str, str]]:
    """As a task keeps them."""
    return [{"name": one.name, "digest": one.digest} for one in files]


def named(kept: object) -> tuple[Enclosed, ...]:
    """What `written` made; nothing of what it did not."""
    found = kept if isinstance(kept, list) else []
    try:
        return tuple(Enclosed(name=str(one["name"]), digest=str(one["digest"])) for one in found)
    except (TypeError, KeyError, ValueError):
        return ()


async def of_ids(conn: Conn, media_ids: Sequence[int]) -> tuple[Enclosure, ...]:
    """Those a form names, in its order. Raises `BadInput` for anything that is no enclosure."""
    if len(media_ids) > rules.MOST:
        raise BadInput(rules.MANY.format(most=rules.MOST))
    known = await store.of_media(conn, set(media_ids))
    if set(media_ids) - known.keys():
        raise BadInput(GONE)
    return tuple(sent(known[ident]) for ident in dict.fromkeys(media_ids))


def sent(one: Kept) -> Enclosure:
    return Enclosure(
        media_id=one.media_id,
        name=one.name,
        mime=one.mime,
        size=one.size,
        form=rules.form_of(one.mime),
    )


# -- given ahead of time -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A file that an account's vendor must be given."""

    account_id: int
    media_id: int


async def ask(conn: Conn, *, now: datetime) -> None:
    """Look soon what vendors must be given."""
    await jobs.put(conn, SWEEP, "sweep", 0, {}, at=now)


async def look(
    conn: Conn, scripts: Iterable[Script], accounts: Iterable[Plugged], *, now: datetime
) -> list[Gap]:
    """What must be given anew; what nobody sends any more is forgotten."""
    naming = [script for script in scripts if script.files]
    files = await store.of_digests(conn, {one.digest for script in naming for one in script.files})
    pairs = {
        (plugged.account.account_id, files[one.digest].media_id)
        for plugged in accounts
        for script in naming
        for one in script.files
        if one.digest in files and _goes(script, files[one.digest], plugged)
    }
    there = await store.held(conn)
    await store.forget(conn, there.keys() - pairs)
    return [Gap(account_id=a, media_id=m) for a, m in sorted(pairs) if _is_due(there.get((a, m)), now)]


def _is_due(held: Held | None, now: datetime) -> bool:
    return held is None or rules.stale(held.until_at, held.tried_at, now)


def _goes(script: Script, file: Kept, plugged: Plugged) -> bool:
    return (not script.channels or plugged.account.channel in script.channels) and goes(file, plugged)


def goes(file: Kept, plugged: Plugged) -> bool:
    """Whether this account's customers can be sent it by its id: by us, or by a rep in the vendor's app."""
    plug, form = plugged.plug, rules.form_of(file.mime)
    if not isinstance(plug, Uploads):
        return False
    by_us = isinstance(plug, Sends) and form in plug.KINDS
    return by_us or (isinstance(plug, Shows) and form in rules.IN_APP)
