"""The pages of the library: tree and overview, one script with its history, two versions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from aiohttp import web

from scrm.db import Conn, utcnow
from scrm.desk.stages import STAGES
from scrm.errors import NotFound
from scrm.playbook.checks.rules import Book
from scrm.playbook.library import importing, rules, service, store
from scrm.playbook.library.diff import Piece, diff
from scrm.playbook.library.importing import differing
from scrm.playbook.library.service import Standing
from scrm.playbook.library.values import FOLDERS, OUT, Version, content_of
from scrm.playbook.scripts import TRADES, Script
from scrm.playbook.templates import FILTERS, VARIABLES
from scrm.shapes import to_yaml
from scrm.staff import store as staff
from scrm.web.pages import page
from scrm.web.shelf import enclosing
from scrm.web.shelf import views as v
from scrm.web.shelf.preview import channels, form_of_script, hits_of, preview
from scrm.web.shelf.room import (
    DELIVERIES,
    OFFICE,
    ROLES,
    Room,
    choices,
    room_of,
    scan_of,
    state_mark,
    trade_choices,
    tree,
)

#: What a field of a script is called.
FIELDS: Mapping[str, str] = {
    "title": "标题",
    "stage": "阶段",
    "role": "对谁说",
    "delivery": "怎么发",
    "triggers": "触发词",
    "says": "客户怎么说",
    "text": "要发的话",
    "examples": "例子",
    "channels": "渠道",
    "fallback": "没听懂时也推荐",
    "files": "附件",
}
SOURCES: Mapping[str, str] = {"file": "文件", "page": "网页", "import": "导入", "api": "接口"}
SAVED: Mapping[str, str] = {
    "draft": "草稿已存下，客户那边还看不到。",
    "review": "已提交，等别人审核。",
    "live": "已发布，新的建议从现在起用它。",
    "refused": "已退回给作者。",
    "out": "已下架，不再推荐。",
    "back": "已恢复成文件里的版本。",
    "packs": "行业已更新。",
    "taken": "已导入。",
    "kept": "已记下：继续用我们的。",
}
SENTENCES = (*FIELDS.values(), *SOURCES.values(), *SAVED.values())
_BY_FILE = "随版本发布"


async def home(request: web.Request) -> web.Response:
    return await shown(room_of(request))


async def shown(room: Room, fault: str = "") -> web.Response:
    now = utcnow()
    async with room.house.db.read(room.tenant_id) as conn:
        mine = await service.trades(conn)
        view = v.HomeView(
            tree=await tree(conn, room, mine, now=now),
            waiting=await _waiting(conn, room) if room.base == OFFICE else (),
            news=await _news(conn, room, now) if room.base == OFFICE else (),
            packs=tuple(
                v.Choice(key=key, name=room.say(name), on=key in mine) for key, name in TRADES.items()
            ),
            may_write=room.base != OFFICE or room.runs or room.who.role == "lead",
            may_run=room.runs,
            personal=room.base != OFFICE,
            fault=fault,
            saved=_saved(room),
        )
    return page(room.request, "shelf/home.html", status=400 if fault else 200, view=view)


def _saved(room: Room) -> str:
    text = SAVED.get(room.request.query.get("saved", ""))
    return room.say(text) if text else ""


async def _waiting(conn: Conn, room: Room) -> tuple[v.Waiting, ...]:
    found = await store.waiting(conn)
    names = await _names(conn, found)
    return tuple(
        v.Waiting(
            title=str(one.content.get("title", one.code)),
            href=f"{room.base}/{one.code}#decide",
            who=names.get(one.author_id or 0, room.say("接口")),
            at=one.created_at,
        )
        for one in found
    )


async def _news(conn: Conn, room: Room, now: datetime) -> tuple[v.News, ...]:
    return tuple(
        v.News(
            code=row.script.id,
            title=row.script.title,
            version=row.script.version,
            pieces=row.pieces,
            fields=named(room, row.fields),
            mine=room.runs,
        )
        for row in await importing.news(conn, room.shelves, now=now)
    )


def named(room: Room, fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(room.say(FIELDS.get(name, name)) for name in fields)


async def _names(conn: Conn, versions: Sequence[Version]) -> dict[int, str]:
    ids = {i for one in versions for i in (one.author_id, one.reviewer_id) if i}
    return {i: m.name for i, m in (await staff.members(conn, sorted(ids))).items()} if ids else {}


# -- one script --------------------------------------------------------------------------------------------
async def new(request: web.Request) -> web.Response:
    room = room_of(request)
    form = v.Form(stage=request.query.get("stage", "first-contact"), trade=request.query.get("trade", ""))
    return await editor(room, form, new=True)


async def one(request: web.Request) -> web.Response:
    return await editor(room_of(request), None, code=request.match_info["script"])


async def editor(
    room: Room, form: v.Form | None, *, code: str = "", new: bool = False, fault: str = ""
) -> web.Response:
    """The editor with what was typed, or with the script as it is worked on."""
    now = utcnow()
    async with room.house.db.read(room.tenant_id) as conn:
        mine, book = await service.trades(conn), await room.book(conn)
        found = None if new else await service.standing(conn, room.shelves, code, room.who, now=now)
        if form is None:
            form = _form(found)
        told = preview(room, form, book, found.placed.trade if found else form.trade)
        enclosed = await enclosing.shown(conn, room, form.files, channels(form))
        view = v.EditorView(
            tree=await tree(conn, room, mine, current=code, now=now),
            form=form,
            preview=replace(told, files=enclosed),
            action=f"{room.base}/{code}" if found else room.base,
            new=new,
            mine=found.mine if found else True,
            folder=room.say(FOLDERS[found.placed.folder if found else room.folder]),
            state=_state(room, found),
            at_once=not rules.needs_review(found.placed.folder if found else room.folder, review=room.review),
            out=found is not None and found.placed.live_version == OUT,
            has_file=found is not None and found.file is not None and bool(found.versions),
            versions=await _history(conn, room, found, now) if found else (),
            deciding=await _deciding(conn, room, found, book) if found else None,
            stages=choices(room, STAGES, form.stage),
            roles=choices(room, ROLES, form.role),
            deliveries=choices(room, DELIVERIES, form.delivery),
            trades=trade_choices(room, mine, form.trade),
            variables=tuple((name, room.say(var.label)) for name, var in VARIABLES.items()),
            filters=tuple((name, room.say(text)) for name, text in FILTERS.items()),
            fault=fault,
            saved=_saved(room),
        )
    return page(room.request, "shelf/editor.html", status=400 if fault else 200, view=view)


def _form(found: Standing | None) -> v.Form:
    script = found.working if found else None
    if found is None or script is None:
        raise NotFound(service.NO_SCRIPT)
    newest = found.newest
    open_one = newest if newest is not None and newest.state in ("draft", "review", "refused") else None
    return form_of_script(script, found.placed.trade, open_one)


def _state(room: Room, found: Standing | None) -> v.Mark | None:
    if found is None:
        return None
    if found.placed.live_version == OUT:
        return v.Mark(text=room.say("已下架"), tone="bad")
    newest = found.newest
    return state_mark(room, newest.state) if newest else v.Mark(text=room.say("文件里的版本"))


async def _history(conn: Conn, room: Room, found: Standing, now: datetime) -> tuple[v.VersionRow, ...]:
    names = await _names(conn, found.versions)
    force = rules.in_force(found.versions, now)
    numbers = [one.version for one in found.versions]
    file = found.file
    if file is not None and file.version not in numbers:
        numbers.append(file.version)
    rows = []
    for one in found.versions:
        mark = state_mark(room, one.state)
        rows.append(
            v.VersionRow(
                version=one.version,
                state=mark.text,
                tone=mark.tone,
                at=one.created_at,
                who=names.get(one.author_id or 0, room.say("接口")),
                by=names.get(one.reviewer_id or 0, ""),
                note=one.note,
                source=room.say(SOURCES[one.source]),
                starts_at=one.starts_at,
                expires_at=one.expires_at,
                current=force is not None and force.version == one.version,
                before=max((n for n in numbers if n < one.version), default=0),
            )
        )
    if file is not None:
        used = force is None and found.placed.live_version != OUT
        state = room.say("文件里的版本")
        who = room.say(_BY_FILE)
        row = v.VersionRow(version=file.version, state=state, tone="", at=None, who=who, current=used)
        rows.append(row)
    return tuple(rows)


async def _deciding(conn: Conn, room: Room, found: Standing, book: Book) -> v.Deciding | None:
    one = next((version for version in found.versions if version.state == "review"), None)
    if one is None:
        return None
    names, script = await _names(conn, [one]), one.script
    here = found.current
    fault = rules.objection(room.who, found.placed, one.author_id, review=room.review)
    return v.Deciding(
        version=one.version,
        who=names.get(one.author_id or 0, room.say("接口")),
        note=one.note,
        at=one.created_at,
        pieces=diff(here.text if here else "", script.text),
        fields=named(room, differing(here, script)) if here else (),
        hits=hits_of(book, service.hits(script, scan_of(book))),
        fault=room.say(fault) if fault else "",
    )


# -- two versions ------------------------------------------------------------------------------------------
async def compare(request: web.Request) -> web.Response:
    """Side by side, by words."""
    room, code = room_of(request), request.match_info["script"]
    async with room.house.db.read(room.tenant_id) as conn:
        found = await service.standing(conn, room.shelves, code, room.who, now=utcnow())
        numbers = sorted(
            {o.version for o in found.versions} | ({found.file.version} if found.file else set())
        )
        a, b = _two(request, numbers)
        old = await service.version(conn, room.shelves, code, a)
        young = await service.version(conn, room.shelves, code, b)
    view = v.DiffView(
        base=room.base,
        code=code,
        title=young.title,
        a=a,
        b=b,
        pieces=_pieces(old, young),
        fields=tuple(
            (room.say(FIELDS.get(name, name)), _written(old, name), _written(young, name))
            for name in differing(old, young)
        ),
        versions=tuple(numbers),
    )
    return page(request, "shelf/compare.html", view=view)


def _two(request: web.Request, numbers: Sequence[int]) -> tuple[int, int]:
    """What the address asks for, else the two newest."""
    asked = [request.query.get(name, "") for name in ("a", "b")]
    found = [int(text) for text in asked if text.isdecimal() and len(text) < 9]
    if len(found) == 2:
        return found[0], found[1]
    return (numbers[-2] if len(numbers) > 1 else numbers[-1]), numbers[-1]


def _pieces(old: Script, young: Script) -> tuple[Piece, ...]:
    return diff(old.text, young.text)


def _written(script: Script, name: str) -> str:
    if name == "files":
        return "、".join(one.name for one in script.files)
    value = content_of(script).get(name, "")
    return value if isinstance(value, str) else to_yaml(value).strip()
