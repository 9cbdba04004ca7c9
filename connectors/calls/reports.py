"""Reports of calls, read through the account's mapping."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as Fields
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

from connectors.calls.mappings import LISTED, LISTS, STATES, Lookup, Mapping, mapping_of, read, sources
from connectors.kit.callback import digest, lane
from connectors.kit.calls import Report, Stage, envelope, whole_s
from connectors.kit.xml import clean, shallow
from scrm.contract import Account, Call, Context, Envelope, Raw
from scrm.errors import BadConfig, Untranslatable

_MOST = 1000
#: No platform nests so deep.
_DEEPEST = 20
#: No state, but perhaps somebody's number: errors are kept in the clear.
_MANY = re.compile(r"[0-9]{5,}")
_LONGEST_ID = 256
_FAR = 32503680000


def raws(account: Account, call: Call, mapping: Mapping) -> tuple[Raw, ...]:
    """Each report as a row of its own; what cannot be read is one row that waits for somebody."""
    query, headers = dict(call.query), {n: v for n in _named(mapping) if (v := call.headers.get(n))}
    reports = _reports(call.body, mapping)
    if reports is None:
        return (Raw(source_key=digest(call.body), lane="-", payload=call.body),)
    at = int(call.received_at.timestamp())
    found = []
    for n, report in enumerate(reports):
        pushed = _text(_first(mapping.push_id, report, query, headers))
        key = digest(_json([report, query]))
        if pushed:
            key = f"push:{pushed}" if len(reports) == 1 else f"push:{pushed}:{n}"
        found.append(raw_of(account, mapping, report, query, key=key, at=at))
    return tuple(found)


def raw_of(
    account: Account,
    mapping: Mapping,
    report: Fields[str, Any],
    query: Fields[str, str],
    *,
    key: str,
    at: int,
) -> Raw:
    """A row; its lane is the call, so that its reports are read one after the other."""
    del account
    ident = _text(_value(mapping.fields["call_id"], report, query))[:_LONGEST_ID]
    ringing = _state(mapping, report, query) == "ringing"
    payload = _json({"at": at, "query": query, "report": report})
    return Raw(source_key=key, lane=lane(ident), payload=payload, urgent=ringing)


def _named(mapping: Mapping) -> list[str]:
    return [path[1:] for path in mapping.push_id if path.startswith("@")]


def _reports(body: bytes, mapping: Mapping) -> list[dict[str, Any]] | None:
    """None when the body is not what the mapping says."""
    try:
        if mapping.body == "form":
            found: Any = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=500))
        else:
            found = json.loads(body.decode("utf-8-sig"), strict=False, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    if not shallow(found, _DEEPEST):
        return None
    found = clean(found)  # what names a call becomes a key
    if isinstance(mapping.many, str) and mapping.many and isinstance(found, dict):
        found = found.get(mapping.many)
    many = found if isinstance(found, list) else [found]
    fits = 0 < len(many) <= _MOST and all(isinstance(one, dict) for one in many)
    return many if fits else None


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """A stored report. Raises `Untranslatable`."""
    try:
        mapping = read(LISTS) if raw.source_key.startswith(LISTED) else mapping_of(ctx.account)
        stored = json.loads(raw.payload)
        report, query, at = dict(stored["report"]), dict(stored["query"]), int(stored["at"])
        received = datetime.fromtimestamp(at, UTC)
    except BadConfig as wrong:
        raise Untranslatable(wrong.sentence) from wrong
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError, OSError) as broken:
        raise Untranslatable("通话报告无法读取：内容不是设置的格式。") from broken
    reading = _Reading(mapping, report, query)
    if reading.state == "ignored":
        text = "收到一条暂不认识的话务报告"
        return [Envelope(kind="event.unknown", direction="none", at=received, text=text, body=report)]
    return [envelope(ctx.account, reading.report(received))]


class _Reading:
    """One report through one mapping."""

    def __init__(self, mapping: Mapping, report: Fields[str, Any], query: Fields[str, str]) -> None:
        self._mapping, self._report, self._query = mapping, report, query
        self.state = _state(mapping, report, query)

    def report(self, received: datetime) -> Report:
        """Raises `Untranslatable` without a call id, or for a state we do not know."""
        ident = self.text("call_id")
        if not ident or len(ident) > _LONGEST_ID:
            raise Untranslatable("通话报告里没有通话编号（call_id）。")
        if self.state not in STATES:
            shown = _MANY.sub("…", self.state[:40])
            raise Untranslatable(f"通话报告的状态“{shown}”不认识：请在 mapping 的 state.values 里写明。")
        started, answered, ended = (self.time(n) for n in ("started_at", "answered_at", "ended_at"))
        talk_s = _between(answered, ended) if answered and ended else whole_s(self.text("talk_s"))
        direction = self.text("direction")
        base = Report(
            names=(ident,),
            stage=cast(Stage, self.state),
            at=started or self.time("at") or answered or ended or received,
            direction=cast(Literal["in", "out", ""], direction if direction in ("in", "out") else ""),
            caller=self.text("caller"),
            callee=self.text("callee"),
            line=self.text("line"),
            agent=self.text("agent"),
            agent_name=self.text("agent_name"),
            talk_s=talk_s,
            duration_s=_between(started, ended) if started and ended else whole_s(self.text("duration_s")),
            started_at=started.isoformat() if started else "",
            result=self.text("result"),
            recording=self.text("recording"),
            recording_s=whole_s(self.text("recording_s")) or 0,
            more=self._more(),
        )
        given = self.text("answered").lower()
        if given:
            return replace(base, answered=given in ("1", "true", "yes", "y", "是"))
        # Taken and dropped within a second is taken all the same.
        return replace(base, answered=True) if answered else base

    def text(self, name: str) -> str:
        lookup = self._mapping.fields.get(name)
        return _text(_value(lookup, self._report, self._query)) if lookup else ""

    def time(self, name: str) -> datetime | None:
        return moment(self.text(name), self._mapping)

    def _more(self) -> dict[str, Any]:
        found = ((path, _look(path, self._report, self._query)) for path in self._mapping.more)
        return {path: value for path, value in found if value not in (None, "", [], {})}


def _state(mapping: Mapping, report: Fields[str, Any], query: Fields[str, str]) -> str:
    return _text(_value(mapping.fields["state"], report, query))


def _value(lookup: Lookup, report: Fields[str, Any], query: Fields[str, str]) -> Any:
    for path, word in lookup.has.items():
        if _text(_look(path, report, query)):
            return word
    found = _text(_first(sources(lookup), report, query, {}))
    return lookup.values.get(found, found) or lookup.default


def _first(
    paths: Sequence[str], report: Fields[str, Any], query: Fields[str, str], headers: Fields[str, str]
) -> Any:
    for path in paths:
        found = headers.get(path[1:]) if path.startswith("@") else _look(path, report, query)
        if _text(found):
            return found
    return ""


def _look(path: str, report: Fields[str, Any], query: Fields[str, str]) -> Any:
    if path.startswith("?"):
        return query.get(path[1:], "")
    here: Any = report
    for step in path.split("."):
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list) and step.isdigit() and int(step[:4]) < len(here):
            here = here[int(step[:4])]
        else:
            return None
    return here


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() if isinstance(value, str | int | float) else ""


def moment(text: str, mapping: Mapping) -> datetime | None:
    """Seconds or milliseconds of an epoch, ISO 8601, or local time; None for nothing and for zero."""
    try:
        if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 20:
            number = float(text)
            number = number / 1000 if number > 1e11 else number
            return datetime.fromtimestamp(number, UTC) if 0 < number < _FAR else None
        found = datetime.fromisoformat(text.replace("/", "-"))
        local = found if found.tzinfo else found.replace(tzinfo=mapping.zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _between(start: datetime, end: datetime) -> int:
    return max(int((end - start).total_seconds()), 0)


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
