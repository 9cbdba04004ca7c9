"""`/lead/alerts`: words that wait for leave, and what was said and should not have been; decided in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Conflict, NotFound
from scrm.identity.rules.reasons import kept
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.store import clearances, findings
from scrm.playbook.checks.store.clearances import Clearance
from scrm.playbook.checks.store.findings import Finding
from scrm.playbook.promises import store as ledger
from scrm.staff import store as staff
from scrm.staff.rules import Actor, Policy, scope
from scrm.timeline.store import conversations, events
from scrm.timeline.store.events import Stored
from scrm.web.cards import Utterance
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other, topic, wants_fragment
from scrm.web.reading import Reading
from scrm.web.routes import Route
from scrm.web.vetting.evidence import around
from scrm.web.views import Tone

PAGE = 30
WHAT = "请选择怎样处理。"
VALID, FALSE, COACHED, HANDED = "成立", "误报", "已辅导", "上报合规"
NOTED = "{what}：{note}"
SENTENCES = (WHAT, VALID, FALSE, COACHED, HANDED, NOTED)
_CLOSING = {"valid": VALID, "false": FALSE, "coach": COACHED}
_TONES: dict[str, Tone] = {"block": "bad", "warn": "warn"}
_STATES = {"asked": "等主管处理", "granted": "已放行", "refused": "没有放行"}
TABS = ("asked", "findings", "handed", "closed")
_OF_TAB = {"findings": "open", "handed": "handed", "closed": "closed"}
#: So many messages before and after.
REACH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One thing to decide, or what was decided about it."""

    id: str
    at: datetime
    #: clearance | finding
    sort: str
    rep: str
    customer: str
    title: str
    tone: Tone
    #: The words, as far as the reader may see them.
    text: str
    whys: tuple[str, ...]
    asked: str = ""
    state: str = ""
    open: bool = True
    note: str = ""
    href: str = ""
    #: What was said before and after.
    evidence: str = ""
    #: The promise it broke, to be taken back or put right if it should not stand, and its kind.
    promise: str = ""
    kind: str = ""
    #: May be handed to compliance.
    hands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsView:
    tab: str
    rows: tuple[AlertRow, ...] = ()
    before: str = ""
    topics: tuple[str, ...] = ()
    #: Where it is decided: a leader's page, or that of compliance.
    path: str = "/lead/alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """What was said around a finding; without leave to read the conversation, the words alone."""

    back: str
    title: str
    said: tuple[Utterance, ...] = ()
    #: Only the words themselves: the rest is not this reader's to see.
    alone: bool = False


async def listed(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    tab = request.query.get("tab", "asked")
    tab = tab if tab in TABS else "asked"
    cursor = request.query.get("before", "")
    async with found.db.read(who.tenant_id) as conn:
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        if tab == "asked":
            before = conn.vault.private("clearance", cursor) if cursor else None
            asked = await clearances.page(
                conn, team_ids=teams(who), state="asked", before=before, limit=PAGE + 1
            )
            rows = await _clearances(desk, asked[:PAGE])
            last = conn.vault.public("clearance", asked[PAGE - 1].clearance_id) if len(asked) > PAGE else ""
        else:
            before = conn.vault.private("finding", cursor) if cursor else None
            told = await findings.page(
                conn, team_ids=teams(who), state=_OF_TAB[tab], before=before, limit=PAGE + 1
            )
            rows = await finding_rows(desk, told[:PAGE])
            last = conn.vault.public("finding", told[PAGE - 1].finding_id) if len(told) > PAGE else ""
        topics = (topic(conn.vault, "team", who.team_id or 0),)
    return page(
        request, "vetting/alerts.html", view=AlertsView(tab=tab, rows=rows, before=last, topics=topics)
    )


def teams(who: Actor) -> list[int | None]:
    """Whose words a leader answers for: the own team's."""
    return [who.team_id]


async def _clearances(desk: Reading, found: Sequence[Clearance]) -> tuple[AlertRow, ...]:
    names = await desk.names([c.node_id for c in found])
    reps = await staff.members(desk.conn, [c.staff_id for c in found])
    return tuple(
        AlertRow(
            id=desk.conn.vault.public("clearance", c.clearance_id),
            at=c.asked_at,
            sort="clearance",
            rep=reps[c.staff_id].name if c.staff_id in reps else "",
            customer=names[c.node_id],
            title=desk.say(_STATES[c.state]),
            tone="warn",
            text=c.text,
            whys=tuple(f"{title}：{why}（{rule}）" for rule, title, why in c.hits),
            asked=c.why,
            open=c.state == "asked",
            note=c.answer,
            href=f"/inbox/{desk.conn.vault.public('conversation', c.conversation_id)}",
        )
        for c in found
    )


async def finding_rows(
    desk: Reading, found: Sequence[Finding], *, path: str = "/lead/alerts"
) -> tuple[AlertRow, ...]:
    """A case before compliance is decided there and nowhere else."""
    leads = path == "/lead/alerts"
    names = await desk.names([f.node_id for f in found if f.node_id])
    reps = await staff.members(desk.conn, [f.staff_id for f in found if f.staff_id])
    told = {e.event_id: e for e in await events.by_ids(desk.conn, [f.event_id for f in found if f.event_id])}
    open_ = await conversations.visible_ids(
        desk.conn, scope(desk.actor), {f.conversation_id for f in found if f.conversation_id}
    )
    kinds = {p.promise_id: p.kind for p in await ledger.some(desk.conn, {f.promise_id or 0 for f in found})}
    return tuple(
        AlertRow(
            id=desk.conn.vault.public("finding", f.finding_id),
            at=f.at,
            sort="finding",
            rep=reps[f.staff_id].name if f.staff_id in reps else desk.say("系统"),
            customer=names.get(f.node_id or 0, ""),
            title=_said(f, "title", desk.say),
            tone=_TONES.get(f.level, ""),
            text=_shown(desk, told.get(f.event_id or 0)),
            whys=(f"{_said(f, 'why', desk.say)}（{f.rule}）",),
            open=f.state == ("open" if leads else "handed"),
            hands=leads,
            evidence=f"{path}/{desk.conn.vault.public('finding', f.finding_id)}" if f.event_id else "",
            note=f.note,
            href=f"/inbox/{desk.conn.vault.public('conversation', f.conversation_id)}"
            if f.conversation_id in open_
            else "",
            promise=desk.conn.vault.public("promise", f.promise_id) if f.promise_id and leads else "",
            kind=kinds.get(f.promise_id or 0, ""),
        )
        for f in found
    )


def _shown(desk: Reading, event: Stored | None) -> str:
    """Whoever may not read what was taken back does not read it here."""
    return kept(event.text) if event is not None and desk.may_read(event) else ""


def _said(one: Finding, name: str, say: Callable[..., str]) -> str:
    return checks.line_of(one.facts.get(name)).said(say)


# -- what was said around it -------------------------------------------------------------------------------
async def evidence(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        one = await _theirs(conn, who, request.match_info["alert"])
        ids = [one.conversation_id] if one.conversation_id else []
        seen = await conversations.visible_ids(conn, scope(who), ids)
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        view = await shown(desk, one, reach=REACH if seen else 0, back="/lead/alerts?tab=findings")
    return page(request, template(request), evidence=view)


def template(request: web.Request) -> str:
    return "vetting/evidence.html" if wants_fragment(request) else "vetting/evidence_page.html"


async def shown(desk: Reading, one: Finding, *, reach: int, back: str) -> EvidenceView:
    return EvidenceView(
        back=back,
        title=_said(one, "title", desk.say),
        said=await around(desk, one.event_id or 0, reach),
        alone=not reach,
    )


# -- deciding ----------------------------------------------------------------------------------------------
async def decide(request: web.Request) -> web.Response:
    """Let words pass or not, or say what a finding is; each with a sentence, each written down."""
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    what, note = form.get("do", ""), form.get("note", "")
    async with found.db.begin(who.tenant_id) as conn:
        if what in ("grant", "refuse"):
            one = await _mine(conn, who, request.match_info["alert"])
            made = await checks.answer(conn, one, grant=what == "grant", by=who.staff_id, text=note, now=now)
            await audit(
                conn,
                who.label,
                f"clearance.{made.state}",
                now=now,
                subject=f"conversation:{one.conversation_id}",
            )
            changes = [Change(topic=f"node:{one.node_id}", ident=one.clearance_id, version=2)]
        else:
            told = await _theirs(conn, who, request.match_info["alert"])
            if told.state == "handed":
                raise Conflict(checks.CLOSED)
            changes = await settled(conn, who, told, what, note, hands=True, now=now)
        changes.append(Change(topic=f"team:{who.team_id or 0}", ident=now.microsecond, version=2))
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    return see_other("/lead/alerts" if what in ("grant", "refuse") else "/lead/alerts?tab=findings")


async def settled(
    conn: Conn, who: Actor, told: Finding, what: str, note: str, *, hands: bool, now: datetime
) -> list[Change]:
    """Closed, or handed to compliance; who must look again. Raises `BadInput` or `Conflict`."""
    if what in _CLOSING:
        await checks.close_finding(conn, told, by=who.staff_id, note=_noted(_CLOSING[what], note), now=now)
    elif what == "hand" and hands:
        await checks.hand_over(conn, told, note=_noted(HANDED, note))
    else:
        raise BadInput(WHAT)
    subject = f"conversation:{told.conversation_id}"
    await audit(conn, who.label, f"finding.{what}", now=now, subject=subject)
    return [Change(topic=f"node:{told.node_id}", ident=told.finding_id, version=2)]


def _noted(what: str, note: str) -> str:
    """ "" stays: a note is demanded."""
    return NOTED.format(what=what, note=note.strip()) if note.strip() else ""


async def _mine(conn: Conn, who: Actor, public: str) -> Clearance:
    one = await clearances.get(conn, conn.vault.private("clearance", public))
    if one is None or one.team_id not in teams(who):
        raise NotFound(checks.GONE)
    return one


async def _theirs(conn: Conn, who: Actor, public: str) -> Finding:
    one = await findings.get(conn, conn.vault.private("finding", public))
    if one is None or one.team_id not in teams(who):
        raise NotFound(checks.GONE)
    return one


ROUTES = (
    Route(method="GET", path="/lead/alerts", handler=listed, policy=Policy.LEAD),
    Route(method="GET", path="/lead/alerts/{alert}", handler=evidence, policy=Policy.LEAD),
    Route(method="POST", path="/lead/alerts/{alert}", handler=decide, policy=Policy.LEAD),
)
