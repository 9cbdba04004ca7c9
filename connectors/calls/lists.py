"""One line of a call list somebody exported, as a report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as Fields
from typing import Any

from connectors.calls.mappings import LISTED, LISTS, Mapping, read
from connectors.calls.reports import moment, raw_of
from connectors.kit.people import e164
from scrm.contract import Context, Raw
from scrm.errors import BadInput


def line(ctx: Context, row: Fields[str, str]) -> Raw:
    """One line by its headings. Raises `BadInput` saying what is wrong with it.

    The same line again is the same row; a line with a call id joins what was reported of that call.
    """
    mapping = read(LISTS)
    report: dict[str, Any] = {_heading(k): v.strip() for k, v in row.items() if k and v and v.strip()}
    found = {name: _of(mapping, name, report) for name in ("caller", "callee", "started_at", "call_id")}
    if not e164(found["caller"]) and not e164(found["callee"]):
        raise BadInput("没有可用的电话号码：主叫、被叫都不是完整的号码。")
    if moment(found["started_at"], mapping) is None:
        raise BadInput("没有可用的开始时间：应像 2026-03-02 09:30:00。")
    content = json.dumps(report, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")
    key = hashlib.sha256(content).hexdigest()
    report.setdefault("通话编号", found["call_id"] or key[:32])
    at = int(ctx.now.timestamp())
    return raw_of(ctx.account, mapping, report, {}, key=f"{LISTED}{key}", at=at)


def _heading(text: str) -> str:
    return text.strip().strip("\ufeff")


def _of(mapping: Mapping, name: str, report: Fields[str, Any]) -> str:
    lookup = mapping.fields[name]
    paths = [lookup.source] if isinstance(lookup.source, str) else lookup.source
    return next((str(report[path]) for path in paths if report.get(path)), "")
