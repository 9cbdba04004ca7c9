"""`/households/{id}` as one person may see it: picture, members, identifiers, evidence, history, money."""

from __future__ import annotations

from scrm.identity import proposals
from scrm.identity.kin import titles
from scrm.identity.service import Household
from scrm.identity.survivorship import service as survivorship
from scrm.web.family.graph import anchor, picture
from scrm.web.family.kinfolk import Folk, answers_for, folk, path_of, role_of
from scrm.web.family.members import door_of, members
from scrm.web.family.owning import owning
from scrm.web.family.proofs import proofs
from scrm.web.family.rules import Tie
from scrm.web.kinship import HouseholdView, Picture
from scrm.web.pages import topic
from scrm.web.reading import Reading
from scrm.web.render import ZONE


async def household(desk: Reading, home: Household) -> HouseholdView:
    known = await folk(desk, home)
    may = await answers_for(desk, sorted(home.owners))
    lower = await proofs(desk, known, may=may)
    waiting = await proposals.open_for(desk.conn, home.members, now=desk.now)
    return HouseholdView(
        home=path_of(desk, home),
        title=desk.say("{name}一家", name=known.people[0].name) if known.people else desk.say("家庭"),
        subline=desk.say("{n} 人 · {m} 个标识", n=len(known.people), m=len(lower.nodes)),
        members=await members(desk, known, fields=True),
        picture=drawn(desk, known),
        nodes=lower.nodes,
        proofs=lower.proofs,
        unshown=lower.unshown,
        history=lower.history,
        stories=lower.stories,
        owning=await owning(desk, known),
        waiting=len(waiting),
        consent=await _consent(desk, home),
        talk=door_of(desk, known),
        topics=tuple(sorted(topic(desk.conn.vault, "node", n) for n in home.owners)),
    )


def drawn(desk: Reading, known: Folk) -> Picture:
    names = {p.person_id: p.word or p.name for p in known.people}
    roles = {p.person_id: role_of(desk, p) or (p.name if p.word else "") for p in known.people}
    ties = [(t, _label(desk, known, t)) for t in known.ties if t.a in names and t.b in names]
    full = known.names
    told = [_told(desk, full, t, label) for t, label in ties]
    tied = {anchor(list(names), known.ties)} | {p for t, _ in ties for p in (t.a, t.b)}
    told += [desk.say("{name}：同一家，还没有说明关系", name=full[p]) for p in names if p not in tied]
    return picture(names, roles, ties, loose=desk.say("同户"), told=told)


def _label(desk: Reading, known: Folk, tie: Tie) -> str:
    """What the one is to the other: 妈妈 where a name tells which parent."""
    word = next((p.word for p in known.people if p.person_id == tie.a), "")
    if tie.type in ("parent", "guardian") and word:
        return word
    return desk.say(titles.RELATIONS.get(tie.type, titles.RELATIONS["other"]))


def _told(desk: Reading, names: dict[int, str], tie: Tie, label: str) -> str:
    return desk.say("{a}是{b}的{relation}", a=names[tie.a], b=names[tie.b], relation=label)


async def _consent(desk: Reading, home: Household) -> str:
    """One no is everybody's."""
    held = await survivorship.consent_of(desk.conn, home.members)
    if held is None:
        return ""
    day = f"{held.at.astimezone(ZONE):%Y-%m-%d}"
    if held.state == "withdrawn":
        return desk.say("家里有人在 {day} 退订了营销，对全家都不再发送。", day=day)
    return desk.say("家里在 {day} 同意接收营销。", day=day)
