"""What people decide on the screens of a household; each can be undone, and says so at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Conflict, Forbidden, NotFound
from scrm.identity import decisions, proposals, roles
from scrm.identity import service as families
from scrm.identity import store as identity
from scrm.identity.decisions import Actor, Outcome
from scrm.identity.explain import store as explained
from scrm.identity.match.store import proposals as rows
from scrm.identity.proposals import Proposal
from scrm.ledger.store import audit
from scrm.web.after import follow, tell
from scrm.web.family import rules
from scrm.web.family.correcting import take_back
from scrm.web.family.kinfolk import HIDDEN, answers_for, folk, home_of
from scrm.web.family.members import assign
from scrm.web.family.sheet import may_decide
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, see_other
from scrm.web.reading import Reading
from scrm.web.undone import with_done

_WHY = 200
GONE = "这条推荐已经处理过了，请刷新后再看。"
NOT_YOURS = "那边由别的同事跟进，请点“申请合并”，由主管或合规同事确认。"
TOO_LATE = "已经超过 30 天，不能在这里撤销；请在家庭页撤销对应的证据。"
NOT_YOURS_EITHER = "那边由别的同事跟进，是不是要由主管或合规同事确认。"
NOT_UNDONE = "只有做这个决定的人，或者两边都归他管的主管，才能撤销。"
NO_EVIDENCE = "没有这条证据，或者它刚刚变了，请刷新后再看。"
NOT_ALL = "这家里还有别的同事跟进的客户，请让主管来处理。"
Form = dict[str, str]
#: What was done, and the public id that undoes it.
Done = tuple[str, str]
Verb = Callable[[Reading, Form], Awaitable[Done]]


async def _act(request: web.Request, verb: Verb) -> web.Response:
    """One decision in one transaction; back to where the reader was, with the undo at hand."""
    found, who = house(request), actor(request)
    form = {k: v for k, v in (await form_of(request)).items() if isinstance(v, str)}
    async with found.db.begin(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        kind, ident = await verb(desk, form)
    home = request.match_info.get("id")
    otherwise = f"/households/{home}" if home else "/inbox"
    referer = request.headers.get("Referer", "").partition(request.host)[2]
    return see_other(with_done(inside(form.get("back") or referer, otherwise), kind, ident))


def _by(desk: Reading) -> Actor:
    return Actor(origin="rep", staff_id=desk.actor.staff_id)


def _ident(desk: Reading, kind: str, public: str) -> int:
    """Raises `BadInput` where a form says nothing, `NotFound` for an id we did not make."""
    if not public:
        raise BadInput
    return desk.conn.vault.private(kind, public)


def _why(form: Form) -> str:
    return form.get("why", "").strip()[:_WHY]


# -- candidates --------------------------------------------------------------------------------------------
async def match(request: web.Request) -> web.Response:
    """合并, 申请合并, 不是同一家, 稍后: `do` is merge | ask | apart | later."""

    async def act(desk: Reading, form: Form) -> Done:
        conn = desk.conn
        home = await home_of(desk, request.match_info["id"])
        ident = _ident(desk, "proposal", form.get("proposal", ""))
        open_ones = {p.proposal_id: p for p in await proposals.open_for(conn, home.members)}
        if ident not in open_ones:
            raise Conflict(GONE)
        return await _decided(desk, open_ones[ident], form)

    return await _act(request, act)


async def _decided(desk: Reading, one: Proposal, form: Form) -> Done:
    conn, do, ident = desk.conn, form.get("do", ""), one.proposal_id
    public, family = conn.vault.public("proposal", ident), one.cls == "same_household"
    if do == "later":
        await proposals.later(conn, ident, now=desk.now)
        return "later", ""
    if do == "ask":
        await proposals.ask(conn, ident, by=_by(desk), why=_why(form), now=desk.now)
        await audit(conn, desk.actor.label, "proposal.asked", now=desk.now, subject=f"proposal:{ident}")
        return "asked", ""
    if do == "merge":
        if not await may_decide(desk, one):
            raise Forbidden(NOT_YOURS)
        done = await proposals.accept(conn, ident, by=_by(desk), why=_why(form), now=desk.now)
        await follow(desk.house, conn, done, now=desk.now)
        return "family" if family else "person", public
    if do == "apart":
        if not await may_decide(desk, one):
            raise Forbidden(NOT_YOURS_EITHER)
        done = await proposals.reject(conn, ident, by=_by(desk), why=_why(form), now=desk.now)
        await follow(desk.house, conn, done, now=desk.now)
        await tell(desk.house, conn, {p for p in (one.person_a, one.person_b) if p is not None})
        return "no_family" if family else "no_person", public
    raise BadInput


# -- parts -------------------------------------------------------------------------------------------------
async def role(request: web.Request) -> web.Response:
    """From now on somebody has a part in the family; `undo` takes such a word back."""

    async def act(desk: Reading, form: Form) -> Done:
        home = await home_of(desk, request.match_info["id"])
        if not (form.get("undo") or form.get("member")):
            raise BadInput
        if form.get("undo"):
            await _role_back(desk, form["undo"])
            return "role_back", ""
        known = await folk(desk, home)
        made = await assign(desk, known, form.get("member", ""), form.get("role", ""), _why(form))
        if made is None:
            raise NotFound(HIDDEN)
        subject = f"household:{home.household_id}"
        await audit(desk.conn, desk.actor.label, "role.assigned", now=desk.now, subject=subject)
        await tell(desk.house, desk.conn, set(home.members))
        return "role", desk.conn.vault.public("role", made)

    return await _act(request, act)


async def _role_back(desk: Reading, public: str) -> None:
    row = await roles.take_back(desk.conn, _ident(desk, "role", public), now=desk.now)
    person = (await identity.persons_of(desk.conn, [row.node_id])).get(row.node_id)
    if person is None:
        raise NotFound(HIDDEN)
    home = await home_of(desk, desk.conn.vault.public("person", person))
    await audit(
        desk.conn, desk.actor.label, "role.taken_back", now=desk.now, subject=f"household:{home.household_id}"
    )
    await tell(desk.house, desk.conn, set(home.members))


# -- evidence ----------------------------------------------------------------------------------------------
async def evidence(request: web.Request) -> web.Response:
    """Take a piece of evidence back, or let it stand again: `do` is withdraw | reinstate."""

    async def act(desk: Reading, form: Form) -> Done:
        home = await home_of(desk, request.match_info["id"])
        ident = _ident(desk, "evidence", form.get("evidence", ""))
        if form.get("do") not in ("withdraw", "reinstate"):
            raise BadInput
        do: Literal["withdraw", "reinstate"] = "withdraw" if form["do"] == "withdraw" else "reinstate"
        await _turn(desk, ident, do, _why(form), members=set(home.members))
        return do, desk.conn.vault.public("evidence", ident)

    return await _act(request, act)


async def _turn(
    desk: Reading, ident: int, do: Literal["withdraw", "reinstate"], why: str, *, members: set[int] | None
) -> None:
    """`members`: it must be about one of these; None = about anybody the reader answers for."""
    pieces = await explained.by_ids(desk.conn, [ident])
    if not pieces or pieces[0].active != (do == "withdraw") or pieces[0].cls == "uses":
        raise Conflict(NO_EVIDENCE)
    owners = await explained.owners_ever(desk.conn, [pieces[0].a, pieces[0].b])
    people = {p for mine in owners.values() for p in mine}
    if members is not None and not members & people:
        raise NotFound(NO_EVIDENCE)
    if not await _answers(desk, people):
        raise Forbidden(NOT_ALL)
    verb = decisions.withdraw if do == "withdraw" else decisions.reinstate
    done = await verb(desk.conn, [ident], by=_by(desk), why=why, now=desk.now)
    await follow(desk.house, desk.conn, done, now=desk.now)


async def _answers(desk: Reading, person_ids: set[int]) -> bool:
    """The reader sees one of them, and every conversation of all their families."""
    nodes: set[int] = set()
    for person in sorted(person_ids):
        nodes |= set((await families.household(desk.conn, person)).owners)
    for person in sorted(person_ids):
        try:
            await home_of(desk, desk.conn.vault.public("person", person))
        except NotFound:
            continue
        return await answers_for(desk, sorted(nodes))
    return False


# -- undo --------------------------------------------------------------------------------------------------
async def undo(request: web.Request) -> web.Response:
    """What the last page offered: what: match | role | withdraw | reinstate | correction."""

    async def act(desk: Reading, form: Form) -> Done:
        what, public = form.get("what", ""), form.get("id", "")
        if what == "match":
            await _reopen(desk, _ident(desk, "proposal", public))
        elif what == "role":
            await _role_back(desk, public)
        elif what == "withdraw":
            await _turn(desk, _ident(desk, "evidence", public), "withdraw", "", members=None)
        elif what == "reinstate":
            await _turn(desk, _ident(desk, "evidence", public), "reinstate", "", members=None)
        elif what == "correction":
            await take_back(desk, public)
        else:
            raise BadInput
        return "undone", ""

    return await _act(request, act)


async def _reopen(desk: Reading, ident: int) -> None:
    conn: Conn = desk.conn
    row = await rows.get(conn, ident)
    if row is None:
        raise NotFound(GONE)
    one = await proposals.get(conn, ident)
    mine = row.decided_by is not None and row.decided_by == desk.actor.staff_id
    if not mine and not await _answers(desk, {p for p in (one.person_a, one.person_b) if p is not None}):
        raise Forbidden(NOT_UNDONE)
    if row.decided_at is None or not rules.can_undo(row.decided_at, desk.now):
        raise Conflict(TOO_LATE)
    done = await proposals.reopen(conn, ident, by=_by(desk), why="", now=desk.now)
    await follow(desk.house, conn, done or Outcome(), now=desk.now)
    again = await proposals.get(conn, ident)
    await tell(desk.house, conn, {p for p in (again.person_a, again.person_b) if p is not None})
