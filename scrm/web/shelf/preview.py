"""What is typed in the editor, tried: the card it makes, what the rules say, whether examples come out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from scrm.desk.stages import name as stage_name
from scrm.errors import BadInput
from scrm.playbook.checks.rules import Book
from scrm.playbook.checks.values import Hit
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.library import service
from scrm.playbook.library.samples import SAMPLES, example, labels
from scrm.playbook.library.service import Wanted
from scrm.playbook.library.values import Version, content_of, script_of
from scrm.playbook.scripts import Script
from scrm.playbook.templates import admit, render
from scrm.shapes import to_yaml, yaml_of
from scrm.web.render import ZONE
from scrm.web.shelf import views as v
from scrm.web.shelf.room import Room, scan_of

NO_CODE = "请写编号，如 edu.price-objection。"
BAD_DATE = "时间看不懂，请重新选择。"
NO_TEXT = "还没有写要发的话。"
SENTENCES = (NO_CODE, BAD_DATE, NO_TEXT, *(name for name, _ in SAMPLES.values()))
_WORDS = re.compile(r"[\n,，、]+")
Fields = Mapping[str, str | web.FileField]


def typed(form: Fields) -> v.Form:
    """The fields as they came, cut where nobody would write more."""

    def field(name: str, most: int) -> str:
        return str(form.get(name, "")).replace("\r\n", "\n")[:most]

    return v.Form(
        code=field("code", 100).strip(),
        title=field("title", 100).strip(),
        trade=field("trade", 20),
        stage=field("stage", 20),
        role=field("role", 20),
        delivery=field("delivery", 20),
        channels=field("channels", 300),
        fallback="fallback" in form,
        triggers=field("triggers", 8000),
        says=field("says", 8000),
        text=field("text", 8000),
        examples=field("examples", 40_000),
        note=field("note", 200).strip(),
        starts_at=field("starts_at", 30),
        expires_at=field("expires_at", 30),
    )


def content(form: v.Form) -> dict[str, Any]:
    """As a file would write it; without examples one is made. Raises `BadInput`."""
    if not form.text.strip():
        raise BadInput(NO_TEXT)
    written = yaml_of(form.examples, where="examples") if form.examples.strip() else None
    return {
        "title": form.title,
        "stage": form.stage,
        "role": form.role,
        "delivery": form.delivery,
        "triggers": _words(form.triggers),
        "says": [line.strip() for line in form.says.split("\n") if line.strip()],
        "text": form.text.strip(),
        "examples": written or [example(form.text.strip())],
        "channels": _words(form.channels),
        "fallback": form.fallback,
        "files": enclosures.written(form.files),
    }


def channels(form: v.Form) -> list[str]:
    """Where it may be used; [] = everywhere."""
    return _words(form.channels)


def _words(text: str) -> list[str]:
    return [word.strip() for word in _WORDS.split(text) if word.strip()]


def wanted(room: Room, form: v.Form, code: str) -> Wanted:
    """Raises `BadInput`."""
    if not code:
        raise BadInput(NO_CODE)
    return Wanted(
        code=code,
        content=content(form),
        trade=form.trade,
        folder=room.folder,
        note=form.note,
        starts_at=_instant(form.starts_at),
        expires_at=_instant(form.expires_at),
    )


def _instant(text: str) -> datetime | None:
    """A browser's date field is local time; ours is Shanghai's."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(BAD_DATE) from None
    if not 2000 <= found.year <= 2100:
        raise BadInput(BAD_DATE)
    return (found if found.tzinfo else found.replace(tzinfo=ZONE)).astimezone(UTC)


def form_of_script(script: Script, trade: str, one: Version | None) -> v.Form:
    """A script in the fields of the editor; `one` = the open version it comes from."""
    known = content_of(script)
    return v.Form(
        code=script.id,
        title=script.title,
        trade=trade,
        stage=script.stage,
        role=script.role,
        delivery=script.delivery,
        channels="、".join(script.channels),
        fallback=script.fallback,
        triggers="、".join(script.triggers),
        says="\n".join(script.says),
        text=script.text,
        examples=to_yaml(known["examples"]),
        note=one.note if one is not None and one.state != "refused" else "",
        files=script.files,
        starts_at=_local(one.starts_at if one else None),
        expires_at=_local(one.expires_at if one else None),
    )


def _local(at: datetime | None) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%dT%H:%M}" if at else ""


# -- trying it ---------------------------------------------------------------------------------------------
def preview(room: Room, form: v.Form, book: Book, trade: str, sample: str = "") -> v.Preview:
    """The card for a family of the samples; whatever is wrong is said, nothing is raised."""
    key = sample if sample in SAMPLES else "whole"
    samples = tuple(v.Choice(key=k, name=room.say(name), on=k == key) for k, (name, _) in SAMPLES.items())
    stage = room.say(stage_name(form.stage, trade))
    try:
        text = form.text.strip()
        rendered = render(admit(text), SAMPLES[key][1])
    except BadInput as wrong:
        return v.Preview(samples=samples, title=form.title, stage=stage, fault=_said(room, wrong))
    fault, script = "", None
    try:
        script = service.proved(script_of(form.code or "new.script", 1, content(form)))
    except BadInput as wrong:
        fault = _said(room, wrong)
    scan = scan_of(book)
    found = service.hits(script, scan) if script else scan(rendered.text)
    return v.Preview(
        samples=samples,
        title=form.title,
        stage=stage,
        parts=rendered.parts,
        missing=labels(rendered.missing),
        fault=fault,
        hits=hits_of(book, found),
        examples=len(script.examples) if script else 0,
        chars=len(rendered.text),
    )


def _said(room: Room, wrong: BadInput) -> str:
    return wrong.sentence if "{" in wrong.sentence else room.say(wrong.sentence)


def hits_of(book: Book, found: Iterable[Hit]) -> tuple[v.RuleHit, ...]:
    """The worst first."""
    order = ("block", "warn", "note")
    return tuple(
        v.RuleHit(
            level=hit.level,
            title=book.rules[hit.rule_id].title,
            matched=hit.matched,
            why=book.rules[hit.rule_id].why,
            rewrite=hit.rewrite or "",
            rule=hit.rule_id,
        )
        for hit in sorted(found, key=lambda h: order.index(h.level))
    )
