"""What is in force, who may change it, and which number a new version gets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scrm.errors import BadInput
from scrm.playbook.library.values import OUT, Editor, Folder, Placed, Reader, Version
from scrm.playbook.scripts import Script
from scrm.playbook.templates import admit

_MICRO = timedelta(microseconds=1)
#: Those who write for the whole company, and those who look at what they wrote.
_WRITERS = frozenset({"admin", "marketing"})
_REVIEWERS = frozenset({"admin", "lead"})

NOT_YOURS = "这个文件夹里的话术不归你改。"
OWN_WORK = "自己写的要请别人审核：请主管或者另一位管理员来发布。"
NOT_REVIEWER = "公司话术由主管或者管理员审核发布。"
NO_REASON = "请写一句为什么退回，作者照着改。"
TAKEN = "这一版已经有人处理过了，请刷新后再看。"
BACKWARDS = "到期时间要晚于生效时间。"
OVER = "到期时间已经过了。"
SENTENCES = (NOT_YOURS, OWN_WORK, NOT_REVIEWER, NO_REASON, TAKEN, BACKWARDS, OVER)


# -- who ---------------------------------------------------------------------------------------------------
def may_edit(who: Editor, folder: Folder, *, team_id: int | None, owner_id: int | None) -> bool:
    if folder == "personal":
        return who.staff_id is not None and who.staff_id == owner_id
    if folder == "team":
        return who.role == "lead" and who.team_id is not None and who.team_id == team_id
    return who.role in _WRITERS


def may_see(who: Editor, one: Placed) -> bool:
    """A person's own folder is theirs alone; a team's is for its members."""
    if one.folder == "personal":
        return who.staff_id is not None and who.staff_id == one.owner_id
    return one.folder == "company" or (who.team_id is not None and who.team_id == one.team_id)


def offered_to(one: Placed, reader: Reader | None) -> bool:
    """Whether it may be suggested to this rep."""
    if one.folder == "company":
        return True
    if reader is None:
        return False
    mine, whose = (
        (reader.staff_id, one.owner_id) if one.folder == "personal" else (reader.team_id, one.team_id)
    )
    return mine is not None and mine == whose


def needs_review(folder: Folder, *, review: bool) -> bool:
    """A person's and a team's own scripts go through the checks alone."""
    return review and folder == "company"


def objection(who: Editor, one: Placed, author_id: int | None, *, review: bool) -> str:
    """Why this person may not publish that author's version; "" = they may."""
    if not needs_review(one.folder, review=review):
        fine = may_edit(who, one.folder, team_id=one.team_id, owner_id=one.owner_id)
        return "" if fine else NOT_YOURS
    if who.role not in _REVIEWERS:
        return NOT_REVIEWER
    return OWN_WORK if who.staff_id == author_id else ""


# -- which -------------------------------------------------------------------------------------------------
def number(file_version: int, newest: int) -> int:
    """Of a new version: above all there ever was, in the folder and here."""
    return max(file_version, newest) + 1


def holds(one: Version, now: datetime) -> bool:
    """Published, begun and not over."""
    begun = one.starts_at is None or one.starts_at <= now
    return one.state == "live" and begun and (one.expires_at is None or now < one.expires_at)


def in_force(versions: Iterable[Version], now: datetime) -> Version | None:
    """The newest that holds; when it expires, the one below it holds again."""
    return max((v for v in versions if holds(v, now)), key=lambda v: v.version, default=None)


def replaced(new: Version, live: Iterable[Version], now: datetime) -> list[int]:
    """The published versions that nobody will need again once `new` is: it holds at once and for good."""
    for_good = new.expires_at is None and (new.starts_at is None or new.starts_at <= now)
    return [v.version for v in live if for_good and v.version != new.version]


def window_fault(starts_at: datetime | None, expires_at: datetime | None, now: datetime) -> str:
    if expires_at is None:
        return ""
    if expires_at <= now:
        return OVER
    return BACKWARDS if starts_at is not None and expires_at <= starts_at else ""


def behind(file: Script | None, versions: Sequence[Version], digest: str) -> bool:
    """The folder brought a newer version than the one people here have been working on.

    `digest`: of the file's content. What says the same as the file is not behind it.
    """
    working = [v for v in versions if v.state in ("live", "review", "draft")]
    if file is None or not working:
        return False
    newest = max(working, key=lambda v: v.version)
    return file.version > newest.base and digest != newest.digest


# -- the shelf ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What a tenant works with now, and until when that stays so by itself."""

    scripts: tuple[Script, ...]
    #: Of the scripts that are not everybody's: where they stand.
    owned: Mapping[str, Placed]
    until: datetime | None


def overlay(
    files: Mapping[str, tuple[Script, str]],
    trades: Collection[str],
    placed: Mapping[str, Placed],
    live: Mapping[str, Sequence[Version]],
    now: datetime,
) -> Shelf:
    """The files of these trades with what is in force here laid over them."""
    found = {code: script for code, (script, trade) in files.items() if trade in ("", *trades)}
    for code, place in placed.items():
        if place.live_version == OUT or place.trade not in ("", *trades):
            found.pop(code, None)
        elif (script := _sound(in_force(live.get(code, ()), now))) is not None:
            found[code] = script
    return Shelf(
        scripts=tuple(found[code] for code in sorted(found)),
        owned={c: p for c, p in placed.items() if p.folder != "company" and c in found},
        until=edge([v for versions in live.values() for v in versions], now),
    )


def _sound(version: Version | None) -> Script | None:
    """None also for what an older release let pass and this one does not: the file's serves meanwhile."""
    try:
        script = version.script if version is not None else None
        if script is not None:
            admit(script.text)
    except BadInput:
        return None
    return script


def edge(live: Iterable[Version], now: datetime) -> datetime | None:
    """When the next version begins or ends."""
    edges = (at for v in live if v.state == "live" for at in (v.starts_at, v.expires_at))
    return min((at for at in edges if at is not None and at > now), default=None)


def tick(before: datetime | None, now: datetime) -> datetime:
    """The time of a change, later than every change before it whatever the clocks say."""
    return now if before is None or now > before else before + _MICRO
