"""Scripts as YAML: read from what somebody uploads, written as the folder has them, one zip of all."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scrm.errors import BadInput
from scrm.playbook.library.values import content_of
from scrm.playbook.scripts import Script, prove
from scrm.shapes import load, to_yaml, yaml_of

#: Longer than all the scripts of a trade.
LONGEST = 1024 * 1024
MOST = 1000
#: Zip knows no earlier time; a file is the same whenever it is made.
_DAY = (1980, 1, 1, 0, 0, 0)
TOO_LONG = "文件太大，最多 1 MB。"
TOO_MANY = "一次最多导入 1000 条话术，请分成几个文件。"
EMPTY = "文件里没有话术。"
NOT_UTF8 = "文件不是 UTF-8 编码，请另存为 UTF-8 后再上传。"
SENTENCES = (TOO_LONG, TOO_MANY, EMPTY, NOT_UTF8)


def read(text: str, *, where: str) -> tuple[Script, ...]:
    """The scripts of one YAML file, each proved. Raises `BadInput` naming the script at fault."""
    if len(text.encode()) > LONGEST:
        raise BadInput(TOO_LONG)
    data = yaml_of(text, where=where)
    if not data:
        raise BadInput(EMPTY)
    if isinstance(data, list) and len(data) > MOST:
        raise BadInput(TOO_MANY)
    found = load(tuple[Script, ...], data, where=where)
    seen: set[str] = set()
    for script in found:
        if script.id in seen:
            raise BadInput(f"{where}: {script.id}: 这个 id 在文件里写了两次，请改成不一样的")
        seen.add(script.id)
        prove(script, where=where)
    return found


def written(scripts: Iterable[Script]) -> str:
    """As a file of the folder: `read` gives the same scripts again."""
    return "\n".join(to_yaml([plain(script)]) for script in scripts)


def plain(script: Script) -> dict[str, Any]:
    """One script as an entry of a file, its text last but for the examples."""
    content = content_of(script)
    tail = {name: content.pop(name) for name in ("text", "examples")}
    return {"id": script.id, "version": script.version, **content, **tail}


def zipped(folder: Path, scripts: Mapping[str, Sequence[Script]]) -> bytes:
    """All scripts by trade as the folder has them: a file nobody changed is the same to the byte."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for trade, mine in sorted(scripts.items()):
            for name, content in _files(folder, trade, mine):
                archive.writestr(zipfile.ZipInfo(name, _DAY), content)
    return made.getvalue()


def _files(folder: Path, trade: str, scripts: Sequence[Script]) -> Iterable[tuple[str, str]]:
    left = {script.id: script for script in scripts}
    for path in sorted((folder / trade).glob("*.yaml")) if trade else []:
        text = path.read_text("utf-8")
        data = yaml_of(text, where=path.name)
        if not _are_scripts(data):
            continue
        known = load(tuple[Script, ...], data, where=path.name)
        kept = [left.pop(one.id) for one in known if one.id in left]
        if kept:
            yield f"{trade}/{path.name}", text if kept == list(known) else written(kept)
    by_stage: dict[str, list[Script]] = {}
    for script in left.values():
        by_stage.setdefault(script.stage, []).append(script)
    for stage, own in sorted(by_stage.items()):
        yield f"{trade or 'own'}/own-{stage}.yaml", written(own)


def _are_scripts(data: object) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "text" in data[0]
