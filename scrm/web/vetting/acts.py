"""`/s/c/{cid}/check` and around it: the live check, the words behind a promise, asking the leader."""

from __future__ import annotations

import secrets

from aiohttp import web
from aiohttp.web_request import FileField

from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.pipeline.drafts import household
from scrm.playbook.checks import lines
from scrm.playbook.checks import service as checks
from scrm.playbook.checks.lines import Line
from scrm.playbook.checks.store import clearances
from scrm.playbook.promises import service as promises
from scrm.playbook.promises import store as ledger
from scrm.playbook.situation import Kept
from scrm.staff import store as staff
from scrm.staff.rules import Policy, scope
from scrm.timeline.rules import Talk
from scrm.timeline.seeing import sees
from scrm.web.cards import AskView, CheckView, WordsView
from scrm.web.house import actor, house
from scrm.web.pages import form_of, inside, locale, page, see_other, talk_of, wants_fragment
from scrm.web.reading import Reading
from scrm.web.routes import Handler, Route
from scrm.web.vetting.evidence import around
from scrm.web.vetting.gate import Objected, look
from scrm.web.vetting.present import PROMISED, PROMISED_UNTIL, check_of
from scrm.web.vetting.taking import answers_for

ASKED = "已请主管放行，主管处理后这里会变绿。"
SENTENCES = (ASKED,)
_AROUND = 5
#: What people say to each other; what they did besides are not their words.
_SAID = "message."
Form = dict[str, str | FileField]


async def check(request: web.Request) -> web.Response:
    """The verdict on a text, for the box it is written in and for the sheet before sending."""
    form = await form_of(request)
    view = await _checked(request, _text(form), form)
    brief = "brief" in form and wants_fragment(request)
    name = "brief" if brief else "check" if wants_fragment(request) else "check_page"
    return page(request, f"vetting/{name}.html", check=view)


async def objected(request: web.Request, error: Objected, form: Form) -> web.Response:
    """Nothing was sent: why, and what can be done about it."""
    view = await _checked(request, error.text, form)
    name = "check" if wants_fragment(request) else "check_page"
    return page(request, f"vetting/{name}.html", status=Objected.status, check=view)


async def _checked(request: web.Request, text: str, form: Form) -> CheckView:
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.read(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        made = await look(conn, found, who, talk, text, now=now)
        again = await look(conn, found, who, talk, made.rewrite, now=now) if made.rewrite else None
        asked, answer = await _asked(conn, talk, text)
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        image = form.get("image")
        return check_of(
            made,
            text,
            cid=request.match_info["cid"],
            say=desk.say,
            rewrite_token=again.token if again else "",
            key=str(form.get("key", "")) or secrets.token_hex(12),
            suggestion=str(form.get("suggestion", "")),
            seen=str(form.get("seen", "")),
            files=str(form.get("files", "")),
            image=isinstance(image, FileField) and bool(image.filename),
            asked=asked,
            answer=answer,
            may_ask=made.level == "block" and who.staff_id is not None and asked != "asked",
        )


async def _asked(conn: Conn, talk: Talk, text: str) -> tuple[str, str]:
    """How a leader was asked about these words, and what they said."""
    mark = checks.digest(conn.vault, talk.conversation_id, text)
    known = await clearances.of_talk(conn, talk.conversation_id, since=utcnow() - checks.ASKED)
    one = next((c for c in known if c.digest == mark), None)
    return (one.state, one.answer) if one is not None and one.state in ("asked", "refused") else ("", "")


def _text(form: Form) -> str:
    return str(form.get("text", "")).replace("\r\n", "\n")


# -- asking the leader -------------------------------------------------------------------------------------
async def asking(request: web.Request) -> web.Response:
    """The form: what to say, and why."""
    found, who = house(request), actor(request)
    text = request.query.get("text", "")
    async with found.db.read(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        desk = Reading(house=found, conn=conn, actor=who, now=utcnow())
        made = await look(conn, found, who, talk, text, now=utcnow())
        about = request.query.get("promise", "")
        kept = await _promise(desk, talk, about) if about else None
        view = AskView(
            cid=request.match_info["cid"],
            text=text,
            check=check_of(made, text, cid=request.match_info["cid"], say=desk.say),
            line=promise_line(kept[1]).said(desk.say) if kept else "",
        )
    return page(request, "vetting/ask.html" if wants_fragment(request) else "vetting/ask_page.html", ask=view)


async def ask(request: web.Request) -> web.Response:
    found, who, form, now = house(request), actor(request), await form_of(request), utcnow()
    async with found.db.begin(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        text = _text(form)
        made = await look(conn, found, who, talk, text, now=now)
        from_gate = checks.Draft(text=text, conversation_id=talk.conversation_id, staff_id=who.staff_id)
        team_id = who.team_id if who.team_id is not None else talk.team_id
        one = await checks.ask(
            conn,
            from_gate,
            made,
            node_id=talk.node_id,
            team_id=team_id,
            why=str(form.get("why", "")),
            now=now,
        )
        subject = f"conversation:{talk.conversation_id}"
        await audit(conn, who.label, "clearance.asked", now=now, subject=subject)
        changes = [Change(topic=f"team:{team_id or 0}", ident=one.clearance_id, version=1)]
        conn.after_commit(lambda: found.live.publish(who.tenant_id, changes))
    if wants_fragment(request):
        sentence = found.renderer.say(locale(who), ASKED)
        return page(request, "vetting/asked.html", sentence=sentence)
    back = request.headers.get("Referer", "").partition(request.host)[2]
    here = f"/s/c/{request.match_info['cid']}"
    return see_other(here if "/clearance" in back or "/send" in back else inside(back, here))


# -- what was said -----------------------------------------------------------------------------------------
async def words(request: web.Request) -> web.Response:
    """The words behind a promise, if the reader may see that customer; else the facts only."""
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.read(who.tenant_id) as conn:
        talk = await talk_of(conn, request)
        desk = Reading(house=found, conn=conn, actor=who, now=now)
        row, kept = await _promise(desk, talk, request.match_info["promise"])
        line = promise_line(kept).said(desk.say)
        may = row.event_id is not None and await sees(conn, scope(who), row.node_id)
        said = await around(desk, row.event_id or 0, _AROUND) if may else ()
        decides = who.role == "lead" and row.state == "live" and await answers_for(conn, who, row)
    view = WordsView(
        cid=request.match_info["cid"],
        line=line,
        said=said,
        hidden=not may,
        promise=request.match_info["promise"] if decides else "",
        kind=row.kind,
    )
    return page(
        request, "vetting/words.html" if wants_fragment(request) else "vetting/words_page.html", words=view
    )


async def _promise(desk: Reading, talk: Talk, public: str) -> tuple[ledger.Row, Kept]:
    """A promise to this family, with who gave it to whom and where. Raises `NotFound`."""
    conn = desk.conn
    row = await ledger.get(conn, conn.vault.private("promise", public))
    if row is None or row.node_id not in await household(conn, talk.node_id):
        raise NotFound(promises.GONE)
    said_by = await staff.members(conn, [row.staff_id] if row.staff_id else [])
    kept = promises.kept_of(
        row,
        by=said_by[row.staff_id].name if row.staff_id in said_by else "",
        to=(await desk.names([row.node_id]))[row.node_id],
        channel=desk.house.drafts.title_of(row.account_id),
    )
    return row, kept


def promise_line(kept: Kept) -> Line:
    values: dict[str, str | int | Line] = {
        "when": lines.moment(kept.made_at),
        "by": kept.by or Line(why="同事"),
        "channel": Line(why=kept.channel or "其他渠道"),
        "to": kept.to or Line(why="这家人"),
        "promised": lines.money(kept),
    }
    if kept.until_at is None:
        return Line(why=PROMISED, values=values)
    return Line(why=PROMISED_UNTIL, values={**values, "until": lines.last_day(kept.until_at)})


def _route(method: str, path: str, handler: Handler) -> Route:
    return Route(method=method, path=f"/s/c/{{cid}}{path}", handler=handler, policy=Policy.TALK)


ROUTES = (
    _route("POST", "/check", check),
    _route("GET", "/clearance", asking),
    _route("POST", "/clearance", ask),
    _route("GET", "/promises/{promise}", words),
)
