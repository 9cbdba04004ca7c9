"""The gate every word passes on its way out: checked here, whoever asks and whatever their page believed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from scrm import outbox
from scrm.db import Conn
from scrm.errors import ScrmError
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.rules import Ground, Verdict
from scrm.playbook.checks.service import Draft
from scrm.playbook.templates import VARIABLES
from scrm.push import service as push
from scrm.staff.rules import Actor
from scrm.timeline.rules import Talk
from scrm.web.house import House

NOT_YET = "发送前检查没有通过：{why}"
READ_FIRST = "发之前请先看一眼：{why}"
SENTENCES = (NOT_YET, READ_FIRST)
_GAP = re.compile("【([^【】\n]{1,20})】")
_LABELS = frozenset(v.label for v in VARIABLES.values())


class Objected(ScrmError):
    """The check has something to say; nothing was sent."""

    status = 422

    def __init__(self, verdict: Verdict, text: str) -> None:
        why = "；".join(f"{h.title.sentence}（{h.rule}）" for h in verdict.offends)
        super().__init__((NOT_YET if verdict.level == "block" else READ_FIRST).format(why=why))
        self.verdict = verdict
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What the sender brings: the token of a verdict, or their word that they have read it."""

    token: str = ""
    confirmed: bool = False


def gaps(text: str) -> tuple[str, ...]:
    """Placeholders of templates that nobody filled in."""
    return tuple(dict.fromkeys(f"【{m[1]}】" for m in _GAP.finditer(text) if m[1] in _LABELS))


def words_of(word: push.Word) -> str:
    """All a customer would read of it."""
    card = (word.card.title, word.card.description) if word.card else ()
    return "\n".join(part for part in (word.text, *card) if part.strip())


async def ground_of(conn: Conn, found: House, who: Actor, talk: Talk, *, now: datetime) -> Ground:
    return await found.drafts.of_node(conn, talk.node_id, role=who.role, now=now)


async def look(conn: Conn, found: House, who: Actor, talk: Talk, text: str, *, now: datetime) -> Verdict:
    """The verdict on these words, with all the page wants to say about the way out."""
    ground = await ground_of(conn, found, who, talk, now=now)
    passed = await checks.cleared(conn, talk.conversation_id, now=now)
    ask = push.ask_of(push.Word(key="", text=text))
    decision = await push.decide(conn, found.directory.by_id, [talk], ask, manners=found.manners, now=now)
    return checks.check(
        conn.vault, draft_of(who, talk, text), ground, decision=decision, passed=passed, now=now
    )


def draft_of(who: Actor, talk: Talk, text: str) -> Draft:
    return Draft(text=text, conversation_id=talk.conversation_id, staff_id=who.staff_id, missing=gaps(text))


async def demand(
    conn: Conn, found: House, who: Actor, talk: Talk, word: push.Word, leave: Leave, *, now: datetime
) -> None:
    """Raises `Objected`. What was said under this key before is not asked about again."""
    text = words_of(word)
    if not text or await outbox.by_key(conn, f"{word.key}:0") is not None:
        return
    ground = await ground_of(conn, found, who, talk, now=now)
    passed = await checks.cleared(conn, talk.conversation_id, now=now)
    draft = draft_of(who, talk, text)
    verdict = checks.check(conn.vault, draft, ground, passed=passed, now=now)
    if verdict.level == "block":
        raise Objected(verdict, text)
    told = leave.confirmed or checks.proven(conn.vault, draft, ground, leave.token, now=now)
    if verdict.level == "warn" and not told:
        raise Objected(verdict, text)
