"""Which events are claims, and what they say: the policy's `events` applied to one event. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scrm.ownership.rules.policy import Policy, Source

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an event says of a claim; "" where it does not."""

    source: Source
    claimant: str = ""
    phone: str = ""
    name: str = ""
    line: str = ""
    token: str = ""
    device: str = ""


def candidates(policy: Policy, kind: str, direction: str) -> list[Source]:
    """What events of this kind may be; most are nothing."""
    return [s for s in policy.events if _is(s, kind) and s.direction in ("", direction)]


def _is(source: Source, kind: str) -> bool:
    if source.event.endswith("*"):
        return kind.startswith(source.event[:-1])
    return kind == source.event


def needs_body(sources: Sequence[Source]) -> bool:
    return any(s.where or s.claimant or s.phone for s in sources)


def read(sources: Sequence[Source], body: Mapping[str, Any]) -> Said | None:
    """By the first source whose conditions all hold."""
    for source in sources:
        if all(_at(body, path) in wanted.split("|") for path, wanted in source.where.items()):
            fields = ("claimant", "phone", "name", "line", "token", "device")
            paths = {name: getattr(source, name) for name in fields}
            return Said(source=source, **{n: _at(body, path) if path else "" for n, path in paths.items()})
    return None


def _at(body: Mapping[str, Any], path: str) -> str:
    """The text at a dotted path; "" when there is none."""
    found: Any = body
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found).strip()[:_LONGEST] if isinstance(found, str | int) else ""


def referrer(body: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Kind, scope and value of whom an order names as the one who sent the customer."""
    others = body.get("others")
    named = others.get("referrer") if isinstance(others, Mapping) else None
    if (
        not isinstance(named, list)
        or len(named) != 3
        or not all(isinstance(t, str) and t for t in named[::2])
    ):
        return None
    return named[0], str(named[1]), named[2]
