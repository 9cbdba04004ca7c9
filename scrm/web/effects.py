"""`/admin/scripts/effect`: what became of scripts, who does better of two versions, what harms or is dead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.desk.stages import STAGES
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.playbook.effect import report, service, store
from scrm.playbook.effect.report import Line
from scrm.playbook.effect.rules import Share, Standing
from scrm.playbook.effect.store import trials
from scrm.playbook.effect.store.trials import Trial
from scrm.playbook.library import service as shelves
from scrm.playbook.library.values import Editor
from scrm.playbook.service import Library
from scrm.staff.rules import Policy
from scrm.web.admin.cards import say
from scrm.web.cards import Tag, Tone
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other
from scrm.web.routes import Route

BASE = "/admin/scripts/effect"
ROLES: Mapping[str, str] = {
    "registrant": "登记人",
    "buyer": "购买人",
    "payer": "付款人",
    "user": "使用人",
    "signatory": "签约人",
}
GOALS: Mapping[str, str] = {"reply": "2 小时内回复", "stage": "7 天内推进阶段", "deal": "30 天内成交"}
FLAGS: Mapping[str, tuple[str, Tone]] = {"harmful": ("拉低回复", "bad"), "dead": ("很久没人用", "warn")}
ANY, BETTER, OPEN = "未知", "第 {n} 版更好", "还看不出差别"
NO_VERSION = "版本号要填数字。"
NOT_PASSED = "没有第 {n} 版，或者它还没有发布过，不能给客户看。"
SENTENCES = (
    *ROLES.values(),
    *GOALS.values(),
    *(words for words, _ in FLAGS.values()),
    ANY,
    BETTER,
    OPEN,
    NO_VERSION,
    NOT_PASSED,
)
_SHOWN, _HEIGHT, _STEP = 200, 20, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share as people read it, with the interval it lies in; "" = nothing was counted."""

    text: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    code: str
    title: str
    #: Stage and role, where the line is about one.
    where: str
    shown: int
    sent: int
    taken: Rate
    #: How far from the words suggested, of those edited: 0 to 100 %.
    edited: str
    replied: Rate
    moved: Rate
    dealt: Rate
    unfit: int
    tag: Tag | None
    #: Points of a line of 12 weeks, and what it says.
    spark: str
    spoken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    id: str
    title: str
    goal: str
    running: bool
    since: datetime
    a: str
    b: str
    of_a: Rate
    of_b: Rate
    verdict: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectView:
    rows: tuple[Row, ...]
    trials: tuple[TrialRow, ...] = ()
    stages: tuple[tuple[str, str], ...] = ()
    roles: tuple[tuple[str, str], ...] = ()
    goals: tuple[tuple[str, str], ...] = ()
    stage: str = ""
    role: str = ""
    #: The one script whose stages and roles are told apart.
    code: str = ""
    title: str = ""
    more: bool = False


async def show(request: web.Request) -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    stage, role, code = (request.query.get(name, "")[:100] for name in ("stage", "role", "script"))
    async with found.db.read(who.tenant_id) as conn:
        library = await shelves.load(conn, found.library, now=now)
        days = await store.days(conn, since=report.since(now), script_id=code)
        fits = [d for d in days if stage in ("", d.stage) and role in ("", d.role)]
        made = report.lines(fits, now=now, parts=bool(code))
        view = EffectView(
            rows=tuple(_row(request, library, line) for line in made[:_SHOWN]),
            trials=await _trials(request, conn, library, code, now),
            stages=tuple((key, say(request, name)) for key, name in STAGES.items()),
            roles=tuple((key, say(request, name)) for key, name in ROLES.items()),
            goals=tuple((key, say(request, name)) for key, name in GOALS.items()),
            stage=stage,
            role=role,
            code=code,
            title=_title(library, code),
            more=len(made) > _SHOWN,
        )
    return page(request, "shelf/effect.html", view=view)


def _title(library: Library, code: str) -> str:
    script = library.get(code)
    return script.title if script is not None else code


def _row(request: web.Request, library: Library, line: Line) -> Row:
    word, tone = FLAGS.get(line.flag, ("", ""))
    where = [STAGES.get(line.stage, ""), ROLES.get(line.role, "")] if line.stage or line.role else []
    return Row(
        code=line.script_id,
        title=_title(library, line.script_id),
        where=" · ".join(say(request, w or ANY) for w in where),
        shown=line.shown,
        sent=line.used + line.edited,
        taken=_rate(line.taken),
        edited=f"{line.distance / 10:.0f}%" if line.edited else "",
        replied=_rate(line.replied),
        moved=_rate(line.moved),
        dealt=_rate(line.dealt),
        unfit=line.unfit,
        tag=Tag(text=say(request, word), tone=tone) if word else None,
        spark=_spark(line.weeks),
        spoken="、".join(map(str, line.weeks)),
    )


def _rate(one: Share) -> Rate:
    if not one.of:
        return Rate()
    return Rate(
        text=f"{100 * one.value:.0f}%",
        hint=f"{100 * one.low:.0f}–{100 * one.high:.0f}% · {one.hits}/{one.of}",
    )


def _spark(weeks: Sequence[int]) -> str:
    most = max(weeks, default=0) or 1
    return " ".join(f"{_STEP * n},{_HEIGHT - round(_HEIGHT * w / most)}" for n, w in enumerate(weeks))


async def _trials(
    request: web.Request, conn: Conn, library: Library, code: str, now: datetime
) -> tuple[TrialRow, ...]:
    listed = await trials.page(conn, code=code, limit=20)
    return tuple(
        [
            _trial(request, conn, one, _title(library, one.code), await service.stands(conn, one, now=now))
            for one in listed
        ]
    )


def _trial(request: web.Request, conn: Conn, one: Trial, title: str, standing: Standing) -> TrialRow:
    better = one.verdict or standing.verdict
    number = {"a": one.version_a, "b": one.version_b}.get(better)
    return TrialRow(
        id=conn.vault.public("trial", one.trial_id),
        title=title,
        goal=say(request, GOALS[one.goal]),
        running=one.state == "running",
        since=one.started_at,
        a=str(one.version_a),
        b=str(one.version_b),
        of_a=_rate(standing.a),
        of_b=_rate(standing.b),
        verdict=say(request, BETTER, n=number) if number is not None else say(request, OPEN),
        evidence=f"{min(standing.evidence, 9999):.1f}",
    )


async def begin(request: web.Request) -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    form = {k: str(v) for k, v in (await form_of(request)).items()}
    code, a, b = form.get("script", ""), _version(form.get("a", "")), _version(form.get("b", ""))
    async with found.db.begin(who.tenant_id) as conn:
        editor = Editor(role=who.role, staff_id=who.staff_id, team_id=who.team_id)
        passed = (await shelves.standing(conn, found.library, code, editor, now=now)).passed
        for number in (a, b):
            if number not in passed:
                raise BadInput(NOT_PASSED.format(n=number))
        one = await service.begin(conn, code, a, b, form.get("goal", ""), by=who.staff_id, now=now)
        await audit(conn, who.label, "trial.begun", now=now, subject=f"script:{one.code}")
    return see_other(f"{BASE}?script={code}")


def _version(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise BadInput(NO_VERSION)
    return int(text)


async def stop(request: web.Request) -> web.Response:
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.begin(who.tenant_id) as conn:
        ident = conn.vault.private("trial", request.match_info["trial"])
        await service.stop(conn, ident, now=now)
        await audit(conn, who.label, "trial.stopped", now=now, subject=f"trial:{ident}")
    return see_other(BASE)


ROUTES = (
    Route(method="GET", path=BASE, handler=show, policy=Policy.SCRIPTS),
    Route(method="POST", path=BASE, handler=begin, policy=Policy.SCRIPTS),
    Route(method="POST", path=BASE + "/{trial}/stop", handler=stop, policy=Policy.SCRIPTS),
)
