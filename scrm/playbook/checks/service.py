"""Checks at work: rules made ready, verdicts with tokens, clearances, findings written down and closed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from scrm.db import Conn
from scrm.errors import BadInput, Conflict
from scrm.playbook.checks import rules
from scrm.playbook.checks.lines import Line
from scrm.playbook.checks.packs import FOLDER, prove, read_rules
from scrm.playbook.checks.rules import Book, Claim, Cleared, Ground, Objection, Verdict, judge
from scrm.playbook.checks.store import clearances, findings, own
from scrm.playbook.checks.store.clearances import Clearance
from scrm.playbook.checks.store.findings import Finding
from scrm.playbook.checks.store.own import Own
from scrm.playbook.checks.values import Rule
from scrm.playbook.checks.words import Scanner
from scrm.playbook.scripts import USUAL_TRADES
from scrm.push.rules import Decision
from scrm.seal import Vault, new_id
from scrm.shapes import from_json, load, to_json
from scrm.staff import store as staff

#: So long the rep may say what the leader let pass.
CLEARED = timedelta(hours=2)
#: A request nobody answered is shown so long.
ASKED = timedelta(days=1)
_REASON, _TEXT = 200, 4000
NO_REASON = "请写明为什么要这样说，200 个字以内。"
NO_ANSWER = "请写一句理由，200 个字以内。"
NOT_NEEDED = "这段话没有被拦下，可以直接发。"
TOO_LONG = "内容太长了，请缩短到 4000 个字以内。"
ANSWERED = "这条申请已经有人处理过了。"
GONE = "没有这条记录，或者不归你的小组。"
CLOSED = "这条发现已经处理过了。"
CLOSED_RULE = "这条规则刚刚被别人改过，请刷新后再试。"
APART = "已确认不是同一家，这条发现不再成立。"
SENTENCES = (CLOSED_RULE, APART, NO_REASON, NO_ANSWER, NOT_NEEDED, TOO_LONG, ANSWERED, GONE, CLOSED)


# -- rules -------------------------------------------------------------------------------------------------
async def book(conn: Conn, library: Path) -> Book:
    """The rules of this tenant's trades and its own, as they hold now."""
    trades = await own.trades(conn) or USUAL_TRADES
    mine = tuple(sorted((o.code, o.version, to_json(o.content)) for o in await own.live(conn)))
    return _book(library, _state(library), frozenset(trades), mine)


def _state(library: Path) -> tuple[tuple[str, int, int], ...]:
    files = ((p.as_posix(), p.stat()) for p in sorted((library / FOLDER).glob("*.yaml")))
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in files)


@lru_cache(maxsize=8)
def _packs(
    library: Path, _stands: tuple[tuple[str, int, int], ...], trades: frozenset[str]
) -> tuple[Rule, ...]:
    return read_rules(library, trades)


@lru_cache(maxsize=16)
def _book(
    library: Path,
    stands: tuple[tuple[str, int, int], ...],
    trades: frozenset[str],
    mine: tuple[tuple[str, int, bytes], ...],
) -> Book:
    found = {rule.id: rule for rule in _packs(library, stands, trades)}
    found |= {rule.id: rule for _, _, content in mine for rule in [_rule(content)]}
    stamp = hashlib.sha256(repr((stands, sorted(trades), mine)).encode()).hexdigest()[:16]
    return Book(rules=found, scanner=Scanner(found.values()), version=stamp)


def _rule(content: bytes) -> Rule:
    return from_json(Rule, content, where="check_rule")


# -- verdicts ----------------------------------------------------------------------------------------------
def digest(vault: Vault, conversation_id: int, text: str) -> bytes:
    """These words in this conversation; white space at the ends and line ends do not matter."""
    return vault.blind("draft", str(conversation_id), text.replace("\r\n", "\n").strip())


async def cleared(conn: Conn, conversation_id: int, *, now: datetime) -> Mapping[bytes, Cleared]:
    """What leaders let pass in this conversation, by the words."""
    found = await clearances.of_talk(conn, conversation_id, since=now - CLEARED - ASKED)
    holds = [c for c in found if c.state == "granted" and c.until_at is not None and c.until_at > now]
    by = await staff.members(conn, [c.by_id for c in holds if c.by_id]) if holds else {}
    # Of several about the same words the newest counts.
    return {
        c.digest: Cleared(
            by=by[c.by_id].name if c.by_id in by else "",
            at=c.decided_at or c.asked_at,
            rules=frozenset(hit[0] for hit in c.hits),
        )
        for c in reversed(holds)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What somebody is about to say."""

    text: str
    conversation_id: int
    staff_id: int | None
    missing: tuple[str, ...] = ()


def check(
    vault: Vault,
    draft: Draft,
    ground: Ground,
    *,
    decision: Decision | None = None,
    passed: Mapping[bytes, Cleared] | None = None,
    now: datetime,
) -> Verdict:
    """The verdict with its token. `passed`: what `cleared` says."""
    mark = digest(vault, draft.conversation_id, draft.text)
    by = (passed or {}).get(mark)
    made = judge(draft.text, ground, decision=decision, missing=draft.missing, cleared=by, now=now)
    sign = partial(vault.sign, "check")
    return replace(made, token=rules.token(sign, _claim(mark, draft, ground), made.level, now=now))


def proven(vault: Vault, draft: Draft, ground: Ground, token: str, *, now: datetime) -> bool:
    """Whether this token says that the rep has been told all there is to say about these words."""
    claim = _claim(digest(vault, draft.conversation_id, draft.text), draft, ground)
    return bool(rules.token_valid(partial(vault.sign, "check"), claim, token, now=now))


def _claim(mark: bytes, draft: Draft, ground: Ground) -> Claim:
    return Claim(
        digest=mark.hex(),
        conversation_id=draft.conversation_id,
        staff_id=draft.staff_id,
        rules=ground.book.version,
        promises=ground.version,
    )


# -- clearance ---------------------------------------------------------------------------------------------
async def ask(
    conn: Conn,
    draft: Draft,
    verdict: Verdict,
    *,
    node_id: int,
    team_id: int | None,
    why: str,
    now: datetime,
) -> Clearance:
    """Ask the leader to let these words pass. Raises `BadInput`; `Conflict` when nothing is in the way."""
    reason = _sentence(why, NO_REASON)
    if len(draft.text) > _TEXT:
        raise BadInput(TOO_LONG)
    if verdict.level != "block" or draft.staff_id is None:
        raise Conflict(NOT_NEEDED)
    mark = digest(conn.vault, draft.conversation_id, draft.text)
    for known in await clearances.of_talk(conn, draft.conversation_id, since=now - ASKED):
        if known.digest == mark and known.state == "asked" and known.staff_id == draft.staff_id:
            return known
    one = Clearance(
        clearance_id=new_id(),
        conversation_id=draft.conversation_id,
        node_id=node_id,
        staff_id=draft.staff_id,
        team_id=team_id,
        digest=mark,
        text=draft.text,
        hits=[[hit.rule, hit.title.sentence, hit.why.sentence] for hit in verdict.offends],
        why=reason,
        state="asked",
        by_id=None,
        answer="",
        asked_at=now,
        decided_at=None,
        until_at=None,
    )
    await clearances.add(conn, one)
    return one


async def answer(
    conn: Conn, one: Clearance, *, grant: bool, by: int | None, text: str, now: datetime
) -> Clearance:
    """Raises `BadInput` without a sentence, `Conflict` when it was answered before."""
    said, until = _sentence(text, NO_ANSWER), now + CLEARED if grant else None
    state = "granted" if grant else "refused"
    if not await clearances.decide(conn, one.clearance_id, state, by=by, answer=said, now=now, until=until):
        raise Conflict(ANSWERED)
    return replace(one, state=state, by_id=by, answer=said, decided_at=now, until_at=until)


def _sentence(text: str, otherwise: str) -> str:
    said = text.strip()
    if not said or len(said) > _REASON:
        raise BadInput(otherwise)
    return said


# -- findings ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Uttered:
    """Words that are out already."""

    event_id: int
    conversation_id: int | None
    node_id: int
    staff_id: int | None
    team_id: int | None
    text: str
    at: datetime
    #: We sent it ourselves, after a check: what the rep was warned of and said all the same is no finding.
    checked: bool = False


async def find(
    conn: Conn, said: Uttered, ground: Ground, *, passed: Mapping[bytes, Cleared]
) -> list[Finding]:
    """What should not have been said there; those that are new, each once."""
    mark = digest(conn.vault, said.conversation_id or 0, said.text)
    verdict = judge(said.text, ground, cleared=passed.get(mark), now=said.at)
    found = [_finding(said, hit) for hit in verdict.offends if hit.level == "block" or not said.checked]
    # Words of warning are for whoever writes; afterwards only what is forbidden or about money counts.
    found = [f for f in found if f.kind == "promise" or f.level == "block"]
    new = await findings.add(conn, found)
    known = {f.key for f in found if f.finding_id not in new}
    again = await findings.reopen(conn, known, note=APART)
    return [f for f in found if f.finding_id in new] + await findings.some(conn, again)


def _finding(said: Uttered, hit: Objection) -> Finding:
    about_money = hit.rule.startswith("promise.")
    kept = hit.promise
    return Finding(
        finding_id=new_id(),
        key=f"{hit.rule}:{said.event_id}:{hit.start}",
        kind="promise" if about_money else "words",
        rule=hit.rule,
        level=hit.level,
        event_id=said.event_id,
        conversation_id=said.conversation_id,
        node_id=said.node_id,
        staff_id=said.staff_id,
        team_id=said.team_id,
        promise_id=kept.promise_id if kept is not None and kept.promise_id > 0 else None,
        facts={"title": _plain(hit.title), "why": _plain(hit.why)},
        at=said.at,
    )


def _plain(line: Line) -> dict[str, object]:
    values = {k: _plain(v) if isinstance(v, Line) else v for k, v in line.values.items()}
    return {"why": line.why, "values": values}


def line_of(stored: object) -> Line:
    """A sentence as `_plain` wrote it."""
    if not isinstance(stored, Mapping):
        return Line(why="")
    values = {str(k): line_of(v) if isinstance(v, Mapping) else v for k, v in stored["values"].items()}
    return Line(why=str(stored["why"]), values=values)


async def close_finding(conn: Conn, one: Finding, *, by: int | None, note: str, now: datetime) -> None:
    """Raises `BadInput` without a sentence, `Conflict` when it was closed before."""
    said = "；".join(part for part in (one.note, _sentence(note, NO_ANSWER)) if part)
    if not await findings.close(conn, [one.finding_id], by=by, note=said, now=now):
        raise Conflict(CLOSED)


async def hand_over(conn: Conn, one: Finding, *, note: str) -> None:
    """To compliance, with a sentence. Raises `BadInput`, `Conflict` when it is not open any more."""
    if not await findings.hand(conn, one.finding_id, _sentence(note, NO_ANSWER)):
        raise Conflict(CLOSED)


# -- own rules ---------------------------------------------------------------------------------------------
async def write_rule(conn: Conn, content: Mapping[str, Any], *, by: int | None, now: datetime) -> Own:
    """A draft of a rule, proved by its own examples. Raises `BadInput`."""
    rule = load(Rule, dict(content), where="规则")
    prove(rule, where="规则")
    one = Own(
        code=rule.id,
        version=await own.versions(conn, rule.id) + 1,
        state="draft",
        content=content,
        author_id=by,
        created_at=now,
    )
    await own.put(conn, one)
    return one


async def enable_rule(conn: Conn, code: str, version: int) -> None:
    """From now on it holds, instead of whatever version did. Raises `Conflict`."""
    await own.retire(conn, code)
    if not await own.turn(conn, code, version, before="draft", state="live"):
        raise Conflict(CLOSED_RULE)


async def drop_rule(conn: Conn, code: str, version: int) -> None:
    """Raises `Conflict`."""
    for before in ("live", "draft"):
        if await own.turn(conn, code, version, before=before, state="retired"):
            return
    raise Conflict(CLOSED_RULE)
