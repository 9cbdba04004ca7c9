"""Whether an account's settings are complete, in sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType

from scrm.contract import Finding, Need, Severity

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
#: Settings that say where secrets are sent, and which; empty = all of them.
_PLACES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "api_base": frozenset(),
        "library": frozenset(),
        "proxy": frozenset({"proxy_password"}),
        "recordings_base": frozenset({"recordings_key"}),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    options: dict[str, str]
    secrets: dict[str, str]


def split(needs: Sequence[Need], given: Mapping[str, object]) -> Split:
    """Secrets apart from the rest, defaults filled in."""
    known = needs
    values = {n.name: str(given.get(n.name) or n.default) for n in known if given.get(n.name) or n.default}
    secret = {n.name for n in known if n.secret}
    return Split(
        options={k: v for k, v in values.items() if k not in secret},
        secrets={k: v for k, v in values.items() if k in secret},
    )


def faults(slug: str, needs: Sequence[Need], given: Mapping[str, object]) -> list[Finding]:
    """What is missing, misshapen or unknown; empty = the account can start."""
    known = {n.name: n for n in needs}
    found = [
        error(f"账号 {slug}：不认识设置“{name}”，可用的有 {'、'.join(known)}。")
        for name in sorted(given.keys() - known)
    ]
    for need in known.values():
        value = str(given.get(need.name) or need.default)
        if need.required and not value:
            found.append(error(f"账号 {slug}：缺少“{need.name}”（{need.help}）。"))
        elif value and need.pattern and not re.fullmatch(need.pattern, value):
            found.append(error(f"账号 {slug}：“{need.name}”的格式不对（{need.help}）。"))
    if not SLUG.fullmatch(slug):
        found.append(error(f"账号 {slug}：slug 只能用小写字母、数字和连字符。"))
    return found


def carried_off(held: Mapping[str, str], given: Mapping[str, str], kept: Set[str]) -> list[Finding]:
    """Secrets nobody may read go to no new place either, unless whoever names it knows them."""
    moved = [name for name in _PLACES if given.get(name) and given[name] != held.get(name, "")]
    if any(kept & _PLACES[name] if _PLACES[name] else kept for name in moved):
        return [error("改了接口、录音或代理的地址：为防止密钥被发到别处，请把密钥也重新填写一遍。")]
    return []


def error(sentence: str) -> Finding:
    return Finding(severity=Severity.ERROR, sentence=sentence)
