"""The merge sheet: who it may be, what speaks for and against it, what follows, and who may decide."""

from __future__ import annotations

from dataclasses import dataclass

from scrm.accounts.service import Directory
from scrm.identity import preview as previews
from scrm.identity import proposals
from scrm.identity import service as families
from scrm.identity.explain import service as explain
from scrm.identity.match.sentences import Reason
from scrm.identity.preview import Preview
from scrm.identity.proposals import Proposal
from scrm.identity.service import Household
from scrm.identity.store import persons
from scrm.ownership import service as ownership
from scrm.ownership.rules.booking import Ruled
from scrm.ownership.rules.values import Ruling, claimant
from scrm.sales import store as orders
from scrm.staff import store as staff
from scrm.staff.rules import scope
from scrm.timeline.rules import Talk
from scrm.timeline.seeing import sees_family
from scrm.timeline.store import conversations
from scrm.web import lines
from scrm.web.api.owning import Names
from scrm.web.explaining import teller
from scrm.web.family import rules
from scrm.web.family.kinfolk import answers_for, path_of
from scrm.web.kinship import Argument, MatchView
from scrm.web.reading import Reading
from scrm.web.render import ZONE

#: By what is asked: title, the question in full, what "no" is called.
QUESTIONS: dict[str, tuple[str, str, str]] = {
    "same_household": (
        "可能是同一家庭",
        "问的是：是不是一家人。合并后仍是两个人，只是归到同一个家庭。",
        "不是同一家",
    ),
    "same_person": (
        "可能是同一个人",
        "问的是：是不是同一个人。合并后两边的账号都属于这一个人。",
        "不是同一个人",
    ),
}
STOPPED: dict[str, str] = {
    "cap": "合起来的人数或标识超过上限，系统不会采用。请先核对家庭里现有的成员。",
    "not_same": "有人说过不是，系统不会采用。请先在家庭页撤销那条判断。",
    "": "和现有的证据冲突，系统不会采用。请先核对两边的标识。",
}
#: Blocks that say nothing beyond what the sheet is about.
_SILENT = frozenset({"nothing", "weak", "withdrawn"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Both households, and the conversations of each."""

    ours: Household
    theirs: Household
    our_talks: list[Talk]
    their_talks: list[Talk]
    #: The reader may see the other side.
    seen: bool


async def match(desk: Reading, home: Household, asked: str, back: str) -> MatchView:
    """The candidate asked for, or the likeliest; an empty view when nothing waits."""
    here = path_of(desk, home)
    found = await proposals.open_for(desk.conn, home.members, now=desk.now)
    public = {desk.conn.vault.public("proposal", p.proposal_id): p for p in found}
    one = public.get(asked) or (None if asked else next(iter(found), None))
    if one is None:
        return MatchView(home=here, back=back, more=len(found))
    rest = [key for key, p in public.items() if p is not one]
    return await _match(desk, home, one, here=here, back=back, rest=rest)


async def _match(
    desk: Reading, home: Household, one: Proposal, *, here: str, back: str, rest: list[str]
) -> MatchView:
    mine = one.person_a if one.person_a in home.members else one.person_b
    other = one.other(home.members)
    assert mine is not None
    assert other is not None
    sides = await _sides(desk, home, other)
    title, question, refuse = QUESTIONS[one.cls]
    effect = await previews.preview(desk.conn, mine, other, one.cls, pair=(one.node_a, one.node_b))
    shown = await _names(desk, [mine, other])
    return MatchView(
        home=here,
        back=back,
        id=desk.conn.vault.public("proposal", one.proposal_id),
        title=desk.say(title),
        question=desk.say(question),
        refuse=desk.say(refuse),
        name=shown[other] if sides.seen else rules.hidden(shown[other]),
        ours=shown[mine],
        subline=await _subline(desk, sides, other),
        percent=one.percent,
        arguments=(*_reasons(desk, one, seen=sides.seen), *await _against(desk, one, sides, mine, other)),
        consequences=await _consequences(desk, one, effect, [mine, other], sides),
        may=await may_decide(desk, one),
        stopped=desk.say(STOPPED.get(effect.stopped, STOPPED[""])) if effect.stopped else "",
        asked=await _asked(desk, one),
        more=len(rest),
        following=rest[0] if rest else "",
    )


async def may_decide(desk: Reading, one: Proposal) -> bool:
    """Whether both sides are the reader's own, so that nobody else is passed over."""
    nodes: set[int] = set()
    for person in (one.person_a, one.person_b):
        if person is not None:
            nodes |= set((await families.household(desk.conn, person)).owners)
    return await answers_for(desk, sorted(nodes))


async def _sides(desk: Reading, home: Household, other: int) -> _Sides:
    theirs = await families.household(desk.conn, other)
    return _Sides(
        ours=home,
        theirs=theirs,
        our_talks=await conversations.of_nodes(desk.conn, list(home.owners)),
        their_talks=await conversations.of_nodes(desk.conn, list(theirs.owners)),
        seen=await sees_family(desk.conn, scope(desk.actor), other),
    )


async def _names(desk: Reading, person_ids: list[int]) -> dict[int, str]:
    family = {p: await persons.intervals(desk.conn, p) for p in person_ids}
    found = await lines.members_of(desk, family)
    return {p: found[p].name if p in found else desk.say("客户") for p in person_ids}


async def _subline(desk: Reading, sides: _Sides, other: int) -> str:
    reps = await _reps(desk, sides.their_talks)
    rows = await persons.rows_of(desk.conn, [other])
    if reps == [desk.say("我")]:
        parts = [desk.say("我在跟进")]
    else:
        parts = [desk.say("{name} 在跟进", name="、".join(reps)) if reps else desk.say("还没有人跟进")]
    if other in rows:
        parts.append(desk.say("首次接触 {day}", day=f"{rows[other].first_at.astimezone(ZONE):%Y-%m-%d}"))
    parts += [desk.say(t) for t in _channels(desk.house.directory, sides.their_talks)]
    return " · ".join(parts)


def _channels(directory: Directory, talks: list[Talk]) -> list[str]:
    return list(dict.fromkeys(directory.by_id(t.account_id).title for t in talks))[:2]


async def _reps(desk: Reading, talks: list[Talk]) -> list[str]:
    known = await staff.members(desk.conn, sorted({t.rep_id for t in talks if t.rep_id}))
    return [
        desk.say("我") if ident == desk.actor.staff_id else member.name
        for ident, member in sorted(known.items())
    ]


# -- arguments ---------------------------------------------------------------------------------------------
def _reasons(desk: Reading, one: Proposal, *, seen: bool) -> list[Argument]:
    return [_argument(desk, r, seen=seen) for r in one.reasons]


def _argument(desk: Reading, reason: Reason, *, seen: bool) -> Argument:
    values = reason.values if seen else {k: _veiled(k, v) for k, v in reason.values.items()}
    word = desk.say(rules.STRENGTHS[reason.strength])
    return Argument(text=desk.say(reason.text, **values), strength=reason.strength, word=word)


def _veiled(key: str, value: str) -> str:
    """Digits are shortened already; names of somebody else's customer are not for everybody."""
    return value if key in ("tails", "mask") else rules.hidden(value)


async def _against(desk: Reading, one: Proposal, sides: _Sides, mine: int, other: int) -> list[Argument]:
    """What the proposal does not know: other reps, and evidence that keeps them apart."""
    ours, theirs = await _reps(desk, sides.our_talks), await _reps(desk, sides.their_talks)
    said = []
    if ours and theirs and set(ours) != set(theirs):
        said.append(
            desk.say(
                "跟进人不同：这边是{ours}，那边是{theirs}", ours="、".join(ours), theirs="、".join(theirs)
            )
        )
    if one.cls == "same_person":
        why = await explain.why(desk.conn, explain.person(mine), explain.person(other))
        told = teller(desk.house, desk.actor, why.known, now=desk.now)
        said += [told.block(b) for b in why.blocks if b.reason not in _SILENT][:3] if sides.seen else []
    word = desk.say(rules.STRENGTHS["against"])
    return [Argument(text=text, strength="against", word=word) for text in said]


# -- consequences ------------------------------------------------------------------------------------------
async def _consequences(
    desk: Reading, one: Proposal, effect: Preview, pair: list[int], sides: _Sides
) -> tuple[str, ...]:
    everybody = {p for home in effect.homes_after.values() for p in home}
    if one.cls == "same_person":
        said = [desk.say("两边的时间线合成一条，共 {n} 条记录；谁跟进哪个会话不变。", n=effect.all.events)]
    else:
        said = [
            desk.say("家里会有 {n} 人，时间线可以合在一起看；谁跟进哪个会话不变。", n=max(len(everybody), 2))
        ]
    said += await _money(desk, pair)
    said += await _coupons(desk, sides)
    said.append(desk.say("30 天内可以在这里撤销，之后在家庭页撤销。"))
    return tuple(said)


async def _coupons(desk: Reading, sides: _Sides) -> list[str]:
    """The same coupon on both sides was used twice by what would be one family."""
    ours, theirs = [await orders.coupons(desk.conn, home.owners) for home in (sides.ours, sides.theirs)]
    both = "、".join(sorted(ours & theirs)[:3])
    return [desk.say("两边都用过优惠券 {codes}，合并后是一家用了两次。", codes=both)] if both else []


async def _money(desk: Reading, pair: list[int]) -> list[str]:
    """What would become of deals that are made."""
    found = await ownership.preview(desk.conn, pair, now=desk.now)
    if not found:
        return [desk.say("已有成交的归属和佣金不变。")]
    who = [s.by for e in found for r in (e.before, e.after) if r is not None for s in r.shares]
    names = await Names.of(desk.conn, who)
    said = []
    for e in found[:3]:
        before, after = _winners(desk, names, e.before), _winners(desk, names, e.after)
        text = (
            "成交 {number} 的佣金会从{before}改归{after}。"
            if e.at_once
            else "成交 {number} 的佣金可能从{before}改归{after}，要等主管判客。"
        )
        said.append(desk.say(text, number=e.deal.number, before=before, after=after))
    return said


def _winners(desk: Reading, names: Names, ruling: Ruled | Ruling | None) -> str:
    if ruling is None:
        return desk.say("未判定")
    return "、".join(desk.say(names.name(claimant(s.by.label).label)) for s in ruling.shares)


async def _asked(desk: Reading, one: Proposal) -> str:
    if one.asked_by is None:
        return ""
    known = await staff.members(desk.conn, [one.asked_by])
    name = known[one.asked_by].name if one.asked_by in known else desk.say("同事")
    return desk.say("{name}已经申请合并，正等主管或合规同事确认。", name=name)
