"""The script library: talk-tracks as files, checked on load, each version guarded by a content hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from scrm.desk.stages import Stage
from scrm.errors import BadInput
from scrm.playbook.templates import admit, render
from scrm.shapes import from_json, load, read_yaml, to_json

Role = Literal["any", "registrant", "buyer", "user"]
Delivery = Literal["auto", "confirm", "hint"]
#: id -> version -> sha256 of the content that version stands for.
Hashes = dict[str, dict[str, str]]

#: First-level folder of the library -> the trade it serves. A tenant works with one pack or several.
TRADES: Mapping[str, str] = {
    "education": "教育培训",
    "housing": "房产",
    "auto": "汽车",
    "insurance": "保险理财",
    "platform": "商家平台",
    "b2b": "企业服务",
}
#: The packs of a tenant that has chosen none.
USUAL_TRADES = ("education",)
HASHES = "hashes.json"
#: Other YAML that lives in the library: word packs, ready SOPs, rules of hearing.
_BESIDE = frozenset({"compliance", "sops", "intents.yaml"})
_DIGEST = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[a-z][a-z0-9]*\.[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the text must become for one customer; run as a test."""

    given: Mapping[str, Any]
    expect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosed:
    """A picture or file that goes out after the words, by what it is called and the digest of both."""

    name: str
    digest: str

    def __post_init__(self) -> None:
        if not self.name.strip() or not _DIGEST.fullmatch(self.digest):
            raise ValueError("files 里要写 name 和 digest，照抄导出的文件")


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
    #: What goes out after the text, in this order.
    files: tuple[Enclosed, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id “{self.id}” 要写成 edu.price-objection 的样子")
        if self.version < 1:
            raise ValueError("version 从 1 开始")
        if not self.title.strip() or not self.examples:
            raise ValueError("title 不能为空，examples 至少一条")
        if any(not word.strip() for word in (*self.triggers, *self.says)):
            raise ValueError("triggers 和 says 里不能有空行")
        if len({one.digest for one in self.files}) < len(self.files):
            raise ValueError("files 里同一个附件写了两次")


def read_packs(folder: Path) -> dict[str, tuple[Script, ...]]:
    """The scripts of every trade that has a folder, in the order of `TRADES`."""
    return {trade: read_library(folder, (trade,)) for trade in TRADES if (folder / trade).is_dir()}


def read_library(folder: Path, trades: Collection[str] = ()) -> tuple[Script, ...]:
    """Every script under `folder`, or of these trades alone, sorted by id, its template admitted and its
    examples true.

    Raises `BadInput` naming the file and the script at fault.
    """
    return tuple(script for script, _ in read_placed(folder, trades))


def read_placed(folder: Path, trades: Collection[str] = ()) -> tuple[tuple[Script, str], ...]:
    """The same, each with its trade; "" where the first folder is none."""
    found: dict[str, tuple[Script, str]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        inside = path.relative_to(folder)
        if _BESIDE & set(inside.parts) or (trades and inside.parts[0] not in trades):
            continue
        where = inside.as_posix()
        for script in load(tuple[Script, ...], read_yaml(path), where=where):
            if script.id in found:
                raise BadInput(f"{where}: {script.id}: 这个 id 已经用过，请换一个")
            prove(script, where=where)
            found[script.id] = script, inside.parts[0] if inside.parts[0] in TRADES else ""
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
