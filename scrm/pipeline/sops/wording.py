"""What a step says to this household in which words, and whether it may be said now by ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, cast

from scrm import situations
from scrm.accounts.service import Directory
from scrm.contract import PushKind
from scrm.db import Conn
from scrm.desk.manners import Manners
from scrm.identity import service as identity
from scrm.pipeline.drafts import Drafts
from scrm.pipeline.sops.around import Around
from scrm.playbook.checks.rules import judge
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.scripts import Enclosed
from scrm.playbook.service import Library
from scrm.playbook.sops.values import Message
from scrm.playbook.templates import VARIABLES, Rendered, admit, render
from scrm.push import looking
from scrm.push.content import Content
from scrm.push.rules import Ask, Decision

UNKNOWN = "话术库里没有“{script}”，请补上或者自己写。"
MISSING = "缺少{names}，请补上再发。"
OTHER_CHANNEL = "这条话术不在这个渠道使用，请看过再发。"
#: What the title of a text of its own is cut to.
_TITLE = 16
CHECKED = "发送前检查：{why}"
NO_FILE = "附件不在了，请看过再发。"
OTHER_FILE = "有附件是这个渠道发不了的，请看过再发。"
SENTENCES = (UNKNOWN, MISSING, OTHER_CHANNEL, CHECKED, NO_FILE, OTHER_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The words for this household; `by_hand` says why a colleague must look at them first."""

    text: str = ""
    title: str = ""
    missing: tuple[str, ...] = ()
    by_hand: str = ""
    #: What goes out after the words.
    files: tuple[Enclosed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class May:
    """Whether it may be said: `mute` = not at all, `by_hand` = not by ourselves, `at` = not before."""

    mute: str = ""
    by_hand: str = ""
    at: datetime | None = None


class Hands(Protocol):
    """What a push goes out with."""

    @property
    def directory(self) -> Directory: ...

    @property
    def manners(self) -> Manners: ...


def worded(library: Library, message: Message, around: Around, *, now: datetime) -> Said:
    """In the words of the library or of its own; what is missing is asked of a colleague."""
    facts = situations.facts(around.situation, now) if around.situation else {}
    return told(library, message, facts, around.situation.channel if around.situation else "")


def told(library: Library, message: Message, facts: Mapping[str, object], channel: str) -> Said:
    """The same for whomever these facts are true of."""
    if not message.script:
        return _said(render(admit(message.text), facts), message.text.replace("\n", " ")[:_TITLE])
    script = library.get(message.script)
    if script is None:
        return Said(title=message.script, by_hand=UNKNOWN.format(script=message.script))
    made = replace(_said(library.rendered(script.id, facts), script.title), files=script.files)
    if script.channels and channel not in script.channels and not made.by_hand:
        return replace(made, by_hand=OTHER_CHANNEL)
    return made


def _said(rendered: Rendered, title: str) -> Said:
    names = "、".join(VARIABLES[path].label for path in rendered.missing)
    return Said(
        text=rendered.text,
        title=title,
        missing=rendered.missing,
        by_hand=MISSING.format(names=names) if names else "",
    )


async def may(conn: Conn, hands: Hands, around: Around, said: Said, *, now: datetime) -> May:
    """By push's own decision, as it will be asked once more when it goes out."""
    assert around.talk is not None
    # Counted and said by one at a time: two runs must not both be the last one allowed.
    home = min(await identity.family(conn, around.family[0])) if around.family else around.node_id
    await conn.lock(f"reach:{home}")
    files = await enclosures.of_script(conn, said.files)
    if len(files) < len(said.files):
        return May(by_hand=NO_FILE)
    kinds = tuple(cast(PushKind, one.form) for one in files)
    ask = Ask(content=Content(kind="text", text=said.text or "…", files=kinds), purpose="sop")
    found = await looking.decide(
        conn, hands.directory.by_id, [around.talk], ask, manners=hands.manners, now=now
    )
    if len([piece for piece in found.pieces if piece.file is not None]) < len(files) and found.sends:
        return May(by_hand=OTHER_FILE)
    return judged(found, said)


async def objection(conn: Conn, drafts: Drafts, around: Around, said: Said, *, now: datetime) -> str:
    """What a rep would be told before sending it: then one of them decides; "" = nothing."""
    ground = await drafts.of_home(conn, around.nodes, role="rep", now=now)
    found = judge(said.text, ground, now=now)
    if found.level == "ok":
        return ""
    return CHECKED.format(why=found.hits[0].why.sentence if found.hits else found.level)


def judged(found: Decision, said: Said) -> May:
    if found.code == "consent":
        return May(mute=found.why)
    if said.by_hand:
        return May(by_hand=said.by_hand)
    if not found.sends:
        return May(by_hand=found.why)
    return May(at=found.wait_until)
