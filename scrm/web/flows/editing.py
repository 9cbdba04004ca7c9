"""The editor's page: an SOP as it stands on the sheet, in fields and in sentences, with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from scrm.db import Conn, utcnow
from scrm.desk.calendar import rules as calendar
from scrm.ledger.store import Entry, about
from scrm.playbook.library.samples import SAMPLES
from scrm.playbook.sops import files
from scrm.playbook.sops.files import Wrong
from scrm.playbook.sops.store import runs
from scrm.playbook.sops.store import versions as store
from scrm.playbook.sops.store.versions import Head, Version
from scrm.playbook.sops.values import Plan
from scrm.shapes import to_yaml
from scrm.staff import store as staff
from scrm.staff.rules import scope
from scrm.timeline.store import conversations
from scrm.web.cards import Tag, Tone
from scrm.web.flows import views as v
from scrm.web.flows import words
from scrm.web.flows.room import BASE, Room, Stock, choices, speaker
from scrm.web.flows.sheet import MarkLine, Sheet, StartLine
from scrm.web.flows.words import Speaker
from scrm.web.reading import Reading

STATES: Mapping[str, tuple[str, Tone]] = {
    "draft": ("草稿", "warn"),
    "live": ("在用", "ok"),
    "retired": ("用过的", ""),
}
SOURCES: Mapping[str, str] = {"file": "文件", "page": "网页", "import": "导入"}
DEEDS: Mapping[str, str] = {
    "sop.draft": "存了草稿",
    "sop.publish.keep": "发布，在走的不动",
    "sop.publish.migrate": "发布，在走的一起换",
    "sop.on": "打开",
    "sop.off": "暂停",
    "sop.end": "结束，停下所有在走的",
    "sop.stop": "停下一家",
}
OPEN, OFF, UNPUBLISHED = "开着", "没打开", "还没发布"
BY_FILE, BY_MACHINE, OF_VERSION = "随版本发布", "接口", "{what}（第 {n} 版）"
WHERE = "第 {n} 步：{words}"
SENTENCES = (OPEN, OFF, UNPUBLISHED)
#: How long back deeds are shown, and how many; how many conversations can be chosen from.
_BACK, _DEEDS, _TALKS = timedelta(days=90), 30, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What stands on the page besides the sheet."""

    #: The step whose fields are shown.
    open: str = ""
    days: int = 30
    family: str = ""
    tried: v.Tried | None = None
    fault: str = ""
    saved: str = ""


async def editor(conn: Conn, room: Room, sheet: Sheet, have: Stock, at: Page) -> v.EditorView:
    plan = sheet.plan
    told = speaker(room, have, sheet.trade, plan)
    wrong = [*sheet.faults, *files.problems(plan, have.scripts)]
    odd = _odd(room, plan, have)
    steps = _steps(room, sheet, told, wrong, odd, at.open)
    targets = tuple((s.step.id, f"{s.n}. {s.name} · {s.said[:24]}") for s in steps)
    return v.EditorView(
        form=_form(sheet),
        head=await _head(conn, room, sheet),
        starts=tuple(_start(room, told, line) for line in sheet.starts),
        goal=tuple(_mark(room, told, line) for line in sheet.goal),
        stop=tuple(_mark(room, told, line) for line in sheet.stop),
        steps=steps,
        choices=choices(room, have, sheet.trade, targets),
        reading=_reading(room, plan, told, steps, wrong, odd),
        yaml=to_yaml([files.plain(plan)]),
        families=await families(conn, room),
        family=at.family,
        days=at.days,
        tried=at.tried,
        may_run=room.runs,
        fault=at.fault,
        saved=at.saved,
    )


def _odd(room: Room, plan: Plan, have: Stock) -> list[Wrong]:
    quiet = calendar.quiet(room.house.manners.quiet_hours)
    try:
        return files.warnings(plan, quiet, have.coupons)
    except ValueError:  # a clock that is none is a problem already
        return []


def _form(sheet: Sheet) -> v.Form:
    return v.Form(**{name: getattr(sheet, name) for name in v.Form.__slots__})


def _start(room: Room, told: Speaker, line: StartLine) -> v.LineView:
    name = room.say(words.START_KINDS[line.kind])
    return v.LineView(kind=line.kind, name=name, said=told.start(line.value), value=line.value)


def _mark(room: Room, told: Speaker, line: MarkLine) -> v.LineView:
    name = room.say(words.MARK_KINDS[line.kind])
    return v.LineView(kind=line.kind, name=name, said=told.mark(line.value), value=line.value)


def _steps(
    room: Room, sheet: Sheet, told: Speaker, wrong: Sequence[Wrong], odd: Sequence[Wrong], open_: str
) -> tuple[v.StepView, ...]:
    def about_it(found: Sequence[Wrong], ident: str) -> tuple[str, ...]:
        return tuple(room.say(one.text, **one.values) for one in found if one.step == ident)

    return tuple(
        v.StepView(
            n=n,
            kind=line.kind,
            name=room.say(words.STEP_KINDS[line.kind]),
            icon=words.ICONS[line.kind],
            said=told.step(line.step),
            step=line.step,
            faults=(faults := about_it(wrong, line.step.id)),
            warnings=about_it(odd, line.step.id),
            open=bool(faults) or line.step.id == open_,
        )
        for n, line in enumerate(sheet.steps, 1)
    )


def _reading(
    room: Room,
    plan: Plan,
    told: Speaker,
    steps: Sequence[v.StepView],
    wrong: Sequence[Wrong],
    odd: Sequence[Wrong],
) -> v.Reading:
    def note(one: Wrong) -> v.Note:
        said = room.say(one.text, **one.values)
        n = told.numbers.get(one.step)
        return (
            v.Note(text=room.say(WHERE, n=n, words=said), href=f"#s-{one.step}") if n else v.Note(text=said)
        )

    return v.Reading(
        starts=tuple(told.start(one) for one in plan.starts),
        when=told.when(plan.when),
        goal=tuple(told.mark(one) for one in plan.goal),
        stop=tuple(told.mark(one) for one in plan.stop),
        steps=tuple((s.icon, s.name, s.said) for s in steps),
        faults=tuple(note(one) for one in wrong),
        warnings=tuple(note(one) for one in odd),
    )


async def families(conn: Conn, room: Room) -> v.Options:
    """Those that are not there, and those this reader talks with."""
    made = tuple((f"sample:{key}", room.say(name)) for key, (name, _) in SAMPLES.items())
    mine = scope(room.who)
    if mine.rep_id is None:
        return made
    talks = [talk for talk, _ in await conversations.queue(conn, mine, "all", now=utcnow(), limit=_TALKS)]
    desk = Reading(house=room.house, conn=conn, actor=room.who, now=utcnow())
    names = await desk.names([t.node_id for t in talks])
    return (
        *((f"talk:{desk.cid(t)}", f"{names[t.node_id]} · {desk.channel(t.account_id).name}") for t in talks),
        *made,
    )


# -- what is there already ---------------------------------------------------------------------------------
def state_of(room: Room, head: Head) -> Tag:
    if not head.live_version:
        return Tag(text=room.say(UNPUBLISHED))
    on = head.state == "on"
    return Tag(text=room.say(OPEN if on else OFF), tone="ok" if on else "")


async def _head(conn: Conn, room: Room, sheet: Sheet) -> v.Head | None:
    head = await store.head(conn, sheet.code) if sheet.version else None
    if head is None:
        return None
    known = await store.versions(conn, head.code)
    counted = (await runs.counts(conn)).get(head.code, {})
    going = {number: n for (number, state), n in counted.items() if state == "running"}
    since = utcnow() - _BACK
    deeds = await about(conn, f"sop:{head.code}", since=since, limit=_DEEDS)
    names = await _names(conn, known, deeds)
    return v.Head(
        base=f"{BASE}/{head.code}",
        state=state_of(room, head),
        on=head.state == "on",
        live=head.live_version,
        shown=sheet.version,
        running=sum(going.values()),
        versions=tuple(_version(room, one, known, names, going, sheet.version) for one in known),
        deeds=tuple(_deed(room, one, names) for one in deeds),
    )


async def _names(conn: Conn, known: Sequence[Version], deeds: Sequence[Entry]) -> dict[int, str]:
    ids = {one.author_id for one in known if one.author_id} | {_staff(one) for one in deeds} - {0}
    return {i: m.name for i, m in (await staff.members(conn, sorted(ids))).items()} if ids else {}


def _staff(entry: Entry) -> int:
    kind, _, ident = entry.actor.partition(":")
    return int(ident) if kind == "staff" and ident.isdecimal() else 0


def _version(
    room: Room,
    one: Version,
    known: Sequence[Version],
    names: Mapping[int, str],
    going: Mapping[int, int],
    shown: int,
) -> v.VersionRow:
    state, tone = STATES[one.state]
    usual = BY_FILE if one.source == "file" else BY_MACHINE
    return v.VersionRow(
        version=one.version,
        state=room.say(state),
        tone=tone,
        who=names.get(one.author_id or 0) or room.say(usual),
        source=room.say(SOURCES.get(one.source, one.source)),
        note=one.note,
        created_at=one.created_at,
        published_at=one.published_at,
        running=going.get(one.version, 0),
        before=max((o.version for o in known if o.version < one.version), default=0),
        shown=one.version == shown,
    )


def _deed(room: Room, entry: Entry, names: Mapping[int, str]) -> v.Deed:
    what = room.say(DEEDS.get(entry.action, entry.action))
    _, _, number = entry.subject.partition("@")
    if number:
        what = room.say(OF_VERSION, what=what, n=number)
    return v.Deed(at=entry.at, who=names.get(_staff(entry)) or room.say(BY_MACHINE), what=what)
