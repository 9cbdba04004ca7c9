"""What WeCom's API tells when asked, as raws for the inbox: each says what it is an answer about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.kit.profiles import PREFIX as BARE
from connectors.kit.profiles import read_profile
from connectors.kit.xml import at_seconds, clean
from scrm.contract import Raw
from scrm.errors import Refused, Untranslatable

PREFIX = "told:"
#: Answers of a stock are the same raw within a month: a walk that is repeated adds nothing, and what was
#: changed to and fro while nobody told us is put right by the walk of the next month at the latest.
_MONTH = "%Y-%m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    what: str
    at: datetime
    answer: dict[str, Any]

    @property
    def rank(self) -> int:
        """Of what it says: microseconds of when it was asked."""
        return rank_of(self.at)


def rank_of(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def asked(what: str, about: str, answer: Mapping[str, Any], now: datetime, *, lane: str = "") -> Raw:
    """An answer that holds from now on, even when it says again what it said some time ago."""
    return _raw(what, about, answer, now, lane, again=f"{now.timestamp():.3f}")


def listed(what: str, about: str, answer: Mapping[str, Any], now: datetime, *, lane: str = "") -> Raw:
    """One of many in a list: the same raw for as long as the vendor says the same."""
    return _raw(what, about, answer, now, lane, again=f"{now:{_MONTH}}")


def _raw(what: str, about: str, answer: Mapping[str, Any], now: datetime, lane: str, *, again: str) -> Raw:
    name = f"{what}\n{about}\n{again}\n".encode("utf-8", "replace")
    key = hashlib.sha256(name + _json(answer)).hexdigest()
    payload = _json({"what": what, "at": round(now.timestamp(), 3), "answer": answer})
    return Raw(source_key=f"{PREFIX}{key}", lane=lane or about or "-", payload=payload)


def is_told(source_key: str) -> bool:
    return source_key.startswith((PREFIX, BARE))


def read(raw: Raw) -> Told:
    """What was asked, when, and the answer. Raises `Untranslatable`."""
    if raw.source_key.startswith(BARE):
        at, answer = read_profile(raw)
        return Told(what="contact", at=at, answer=answer)
    try:
        stored = json.loads(raw.payload)
        at = datetime.fromtimestamp(float(stored["at"]), UTC)
        return Told(what=str(stored["what"]), at=at, answer=dict(stored["answer"]))
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as broken:
        raise Untranslatable("平台的答复无法读取。") from broken


def rows(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list; anything else in it is left out."""
    found = answer.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def texts(answer: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list; anything else in it is left out."""
    found = answer.get(name)
    return [one for one in found if isinstance(one, str) and one] if isinstance(found, list) else []


def moment(value: object, otherwise: datetime) -> datetime:
    """Seconds as the vendor writes them; `otherwise` when it writes something else."""
    try:
        return at_seconds(value)
    except Refused:
        return otherwise


def _json(value: Any) -> bytes:
    return json.dumps(clean(value), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
