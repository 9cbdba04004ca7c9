"""The script library: talk-tracks as files, checked on load, each version guarded by a content hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from scrm.errors import BadInput
from scrm.playbook.templates import admit, render
from scrm.shapes import from_json, load, read_yaml, to_json

Stage = Literal[
    "first-contact", "needs", "trial", "quotation", "objection", "closing", "renewal", "referral", "recall"
]
Role = Literal["any", "registrant", "buyer", "user"]
Delivery = Literal["auto", "confirm", "hint"]
#: id -> version -> sha256 of the content that version stands for.
Hashes = dict[str, dict[str, str]]

STAGES: Mapping[str, str] = {
    "first-contact": "初次接触",
    "needs": "了解需求",
    "trial": "试听体验",
    "quotation": "报价方案",
    "objection": "顾虑解答",
    "closing": "报名成交",
    "renewal": "续费",
    "referral": "转介绍",
    "recall": "唤回",
}
HASHES = "hashes.json"
_ID = re.compile(r"[a-z][a-z0-9]*\.[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the text must become for one customer; run as a test."""

    given: Mapping[str, Any]
    expect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One talk-track, one version."""

    id: str
    version: int
    title: str
    stage: Stage
    role: Role
    #: auto: the bot answers; confirm: the rep taps; hint: advice to the rep, never sent.
    delivery: Delivery
    triggers: tuple[str, ...]
    text: str
    examples: tuple[Example, ...]
    #: What customers say when this is the answer.
    says: tuple[str, ...] = ()
    #: Channels it may be used on; () = all.
    channels: tuple[str, ...] = ()
    #: Also offered when nobody understood what the customer said.
    fallback: bool = False

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id “{self.id}” 要写成 edu.price-objection 的样子")
        if self.version < 1:
            raise ValueError("version 从 1 开始")
        if not self.title.strip() or not self.examples:
            raise ValueError("title 不能为空，examples 至少一条")
        if any(not word.strip() for word in (*self.triggers, *self.says)):
            raise ValueError("triggers 和 says 里不能有空行")


def read_library(folder: Path) -> tuple[Script, ...]:
    """Every script under `folder`, sorted by id, its template admitted and its examples true.

    Raises `BadInput` naming the file and the script at fault.
    """
    found: dict[str, Script] = {}
    for path in sorted(folder.rglob("*.yaml")):
        where = path.relative_to(folder).as_posix()
        for script in load(tuple[Script, ...], read_yaml(path), where=where):
            if script.id in found:
                raise BadInput(f"{where}: {script.id}: 这个 id 已经用过，请换一个")
            prove(script, where=where)
            found[script.id] = script
    return tuple(found[key] for key in sorted(found))


def prove(script: Script, *, where: str) -> None:
    """Raises `BadInput` when the template is refused or an example does not come out as expected."""
    try:
        template = admit(script.text)
        results = [render(template, example.given) for example in script.examples]
    except BadInput as error:
        raise BadInput(f"{where}: {script.id}: {error.sentence}") from None
    for number, (example, result) in enumerate(zip(script.examples, results, strict=True), start=1):
        if result.missing:
            lacking = "、".join(result.missing)
            raise BadInput(f"{where}: {script.id}: 例子 {number} 没有给 {lacking}，请在 given 里补上")
        if result.text != example.expect:
            raise BadInput(
                f"{where}: {script.id}: 例子 {number} 得到“{result.text}”，"
                f"expect 写的是“{example.expect}”，请改一致"
            )


def content_hash(script: Script) -> str:
    """sha256 of everything that changes what is offered or said; examples and defaults do not count."""
    content = {
        each.name: value
        for each in fields(script)
        if each.name not in ("version", "examples")
        and (value := getattr(script, each.name)) != (None if each.default is MISSING else each.default)
    }
    return hashlib.sha256(to_json(content)).hexdigest()


def read_hashes(folder: Path) -> Hashes:
    path = folder / HASHES
    return from_json(Hashes, path.read_bytes(), where=HASHES) if path.exists() else {}


def unguarded(scripts: Iterable[Script], hashes: Hashes) -> tuple[str, ...]:
    """A sentence for each script whose content, version and recorded hash do not agree."""
    sentences = []
    for script in scripts:
        known = hashes.get(script.id, {})
        recorded = known.get(str(script.version))
        latest = max((int(version) for version in known), default=0)
        if script.version < latest:
            sentences.append(
                f"{script.id}: 版本 {script.version} 比用过的版本 {latest} 还小，请改成 {latest + 1}"
            )
        elif recorded is None:
            sentences.append(f"{script.id}: 版本 {script.version} 还没有登记，请运行 stamp")
        elif recorded != content_hash(script):
            sentences.append(f"{script.id}: 内容改了但版本还是 {script.version}，请改成 {latest + 1}")
    return tuple(sentences)


def stamp(folder: Path) -> tuple[str, ...]:
    """Record the new versions of `folder` in its hashes.json; `id@version` of each, sorted.

    A recorded version is never rewritten: raises `BadInput` when its content changed or the number fell.
    """
    hashes = read_hashes(folder)
    fresh = []
    scripts = read_library(folder)
    for script in scripts:
        versions = hashes.setdefault(script.id, {})
        if not versions or script.version > max(map(int, versions)):
            versions[str(script.version)] = content_hash(script)
            fresh.append(f"{script.id}@{script.version}")
    wrong = unguarded(scripts, hashes)
    if wrong:
        raise BadInput(f"{HASHES}: " + "；".join(wrong))
    lines = (f"  {to_json(key).decode()}: {to_json(hashes[key]).decode()}" for key in sorted(hashes))
    (folder / HASHES).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return tuple(fresh)
