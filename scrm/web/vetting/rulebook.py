"""`/admin/rules`: what may not be said, by pack; rules of one's own, tried on the past before they hold."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Conflict
from scrm.ledger.store import audit
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import Book
from scrm.playbook.checks.store import own
from scrm.playbook.checks.store.own import Own
from scrm.playbook.checks.values import LEVELS, Rule
from scrm.playbook.checks.words import Scanner
from scrm.shapes import load
from scrm.staff.rules import Policy
from scrm.timeline.store import events
from scrm.web.admin.cards import say
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other
from scrm.web.routes import Route

WHAT = "请选择要做什么。"
SENTENCES = (WHAT,)
#: How far a rule is tried on the past, on how many of our messages at the most, and what is shown of it.
_BACK, _MOST, _CHUNK, _SAMPLES, _AROUND = timedelta(days=30), 5000, 500, 8, 12
_FIELDS = ("title", "id", "level", "why", "words", "patterns", "unless", "rewrite", "hits", "misses")
_APART = re.compile(r"[\n、,，;；]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    id: str
    level: str
    title: str
    why: str
    words: tuple[str, ...]
    more: int
    patterns: tuple[str, ...]
    #: 0 = shipped; else the version of an own one.
    version: int = 0
    draft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a rule would have hit: (before, hit, after) of some of our own messages."""

    hits: int
    looked: int
    samples: tuple[tuple[str, str, str], ...]
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesView:
    packs: tuple[tuple[str, tuple[RuleRow, ...]], ...]
    mine: tuple[RuleRow, ...] = ()
    levels: Mapping[str, str]
    given: Mapping[str, str]
    fault: str = ""
    saved: bool = False
    tested: str = ""
    found: tuple[tuple[str, str, str], ...] = ()
    tried: Tried | None = None


async def show(request: web.Request) -> web.Response:
    return await _shown(request)


async def _shown(
    request: web.Request,
    *,
    given: Mapping[str, str] | None = None,
    fault: str = "",
    tested: str = "",
    tried: Tried | None = None,
) -> web.Response:
    found = house(request)
    levels = {str(k): say(request, v) for k, v in LEVELS.items()}
    async with found.db.read(actor(request).tenant_id) as conn:
        book, mine = await checks.book(conn, found.drafts.library), await own.every(conn)
    codes = {o.code for o in mine if o.state == "live"}
    packs: dict[str, list[RuleRow]] = {}
    for rule in book.rules.values():
        if rule.id not in codes:
            packs.setdefault(rule.id.partition(".")[0], []).append(_row(rule))
    view = RulesView(
        packs=tuple((name, tuple(rows)) for name, rows in sorted(packs.items())),
        mine=tuple(_own(o) for o in mine),
        levels=levels,
        given={**dict.fromkeys(_FIELDS, ""), **(given or {})},
        fault=fault,
        saved="saved" in request.query,
        tested=tested,
        found=_hits(book, tested, levels) if tested else (),
        tried=tried,
    )
    return page(request, "vetting/rules.html", status=400 if fault else 200, view=view)


def _row(rule: Rule, *, version: int = 0, draft: bool = False) -> RuleRow:
    return RuleRow(
        id=rule.id,
        level=rule.level,
        title=rule.title,
        why=rule.why,
        words=rule.words[:12],
        more=max(0, len(rule.words) - 12),
        patterns=rule.patterns,
        version=version,
        draft=draft,
    )


def _own(one: Own) -> RuleRow:
    return _row(_rule(one.content), version=one.version, draft=one.state == "draft")


def _rule(content: Mapping[str, object]) -> Rule:
    return load(Rule, dict(content), where="规则")


def _hits(book: Book, text: str, levels: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """(level, words, title) of everything the rules say about a text."""
    return tuple(
        (levels[hit.level], hit.matched, f"{book.rules[hit.rule_id].title}（{hit.rule_id}）")
        for hit in book.scanner.scan(text)
    )


async def order(request: web.Request) -> web.Response:
    """Test a text, write a draft, try it on the past, let it hold, take it out."""
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    what, code = form.get("do", ""), form.get("code", "")
    if what == "test":
        return await _shown(request, tested=form.get("text", "")[:4000])
    try:
        if what == "try":
            return await _shown(request, tried=await _tried(request, code, _version(form), now=now))
        async with found.db.begin(who.tenant_id) as conn:
            if what == "save":
                made = await checks.write_rule(conn, content_of(form), by=who.staff_id, now=now)
                code = made.code
            elif what == "enable":
                await checks.enable_rule(conn, code, _version(form))
            elif what == "drop":
                await checks.drop_rule(conn, code, _version(form))
            else:
                raise BadInput(WHAT)
            await audit(conn, who.label, f"rule.{what}", now=now, subject=f"rule:{code}")
    except (BadInput, Conflict) as wrong:
        return await _shown(request, given=form, fault=wrong.sentence)
    return see_other("/admin/rules?saved=1")


def _version(form: Mapping[str, str]) -> int:
    text = form.get("version", "")
    return int(text) if text.isdigit() and len(text) < 9 else 0


def content_of(form: Mapping[str, str]) -> dict[str, object]:
    """A rule as a pack would write it, of what stands in the form."""
    words = _several(form.get("words", ""))
    patterns = [line.strip() for line in form.get("patterns", "").splitlines() if line.strip()]
    title = form.get("title", "").strip()
    stamp = hashlib.sha256(repr((title, words, patterns)).encode()).hexdigest()[:8]
    pairs = [line.split("=", 1) for line in form.get("rewrite", "").splitlines() if "=" in line]
    return {
        "id": form.get("id", "").strip() or f"own.{stamp}",
        "level": form.get("level", "warn"),
        "title": title,
        "why": form.get("why", "").strip(),
        "words": words,
        "patterns": patterns,
        "unless": _several(form.get("unless", "")),
        "rewrite": {word.strip(): instead.strip() for word, instead in pairs},
        "examples": {"hits": _lines(form.get("hits", "")), "misses": _lines(form.get("misses", ""))},
    }


def _several(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in _APART.split(text) if part.strip()))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


# -- the past ----------------------------------------------------------------------------------------------
async def _tried(request: web.Request, code: str, version: int, *, now: datetime) -> Tried:
    """What one version would have hit in our messages of the last 30 days. Raises `Conflict`."""
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        one = next((o for o in await own.every(conn) if (o.code, o.version) == (code, version)), None)
        if one is None:
            raise Conflict(checks.CLOSED_RULE)
        ids = [p.account.account_id for p in found.directory.all(who.tenant_id)]
        return await backtest(conn, _rule(one.content), ids, now=now)


async def backtest(conn: Conn, rule: Rule, account_ids: Sequence[int], *, now: datetime) -> Tried:
    scanner = Scanner([rule])
    hits, looked, before = 0, 0, None
    samples: list[tuple[str, str, str]] = []
    while looked < _MOST:
        some = await events.of_account(conn, account_ids, before=before, limit=_CHUNK)
        for e in some:
            if e.direction != "out" or not e.kind.startswith("message.") or e.recalled_at is not None:
                continue
            if e.at < now - _BACK:
                return Tried(hits=hits, looked=looked, samples=tuple(samples), code=rule.id)
            looked += 1
            if not (seen := scanner.scan(e.text)):
                continue
            hits += 1
            if len(samples) < _SAMPLES:
                at, to = seen[0].start, seen[0].end
                samples.append((e.text[max(0, at - _AROUND) : at], e.text[at:to], e.text[to : to + _AROUND]))
        if len(some) < _CHUNK:
            break
        before = some[-1].place
        await asyncio.sleep(0)  # others are served, too
    return Tried(hits=hits, looked=looked, samples=tuple(samples), code=rule.id)


ROUTES = (
    Route(method="GET", path="/admin/rules", handler=show, policy=Policy.ADMIN),
    Route(method="POST", path="/admin/rules", handler=order, policy=Policy.ADMIN),
)
