"""The policy of ownership, read from `config/ownership.yaml` or from a version somebody saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from scrm.errors import BadInput
from scrm.ownership.rules.policy import Policy, Pooling, Preset
from scrm.ownership.rules.values import KINDS, WHOLE
from scrm.shapes import load, read_yaml, to_json

FILE = "ownership.yaml"


def read(path: Path) -> Policy:
    """The policy in a file. Raises `BadInput` saying where it is wrong."""
    return parse(read_yaml(path), where=str(path))


def parse(data: Any, *, where: str) -> Policy:
    """Plain values as a policy that can decide every deal."""
    policy = load(Policy, data, where=where)
    for line, name in {"default": policy.default, **policy.lines}.items():
        if name not in policy.presets:
            raise BadInput(f"{where}: lines.{line}: 没有“{name}”这套规则，请在 presets 里添加或改名")
    for name, preset in policy.presets.items():
        _check(preset, f"{where}: presets.{name}")
    _check_pool(policy.pool, f"{where}: pool")
    return policy


def _check_pool(pool: Pooling, where: str) -> None:
    days = [pool.warn_days, pool.cool_days, pool.rest_days]
    days += [d for one in pool.levels for d in (one.idle_days, one.picked_days)]
    if min([*days, pool.capacity, pool.takes_a_day, pool.views_a_day]) < 0:
        raise BadInput(f"{where}: 天数和上限不能是负数")
    if len({one.level for one in pool.levels}) != len(pool.levels):
        raise BadInput(f"{where}.levels: 每个级别只写一次")


def _check(preset: Preset, where: str) -> None:
    split = preset.split
    if split.referral_bp + split.closer_bp > WHOLE or not 0 <= split.tie_bp <= WHOLE:
        raise BadInput(f"{where}.split: 各项比例合计不能超过 {WHOLE}（万分比）")
    if min(split.referral_bp, split.closer_bp, preset.commission_bp) < 0 or preset.commission_bp > WHOLE:
        raise BadInput(f"{where}: 比例应在 0 到 {WHOLE} 之间（万分比）")
    if any(days < 0 for days in preset.windows.values()):
        raise BadInput(f"{where}.windows: 保护天数不能是负数")
    must = {"report_deal": (), "report_visit_deal": ("report", "visit"), "visit_deal": ("visit",)}
    for kind in must[preset.mode]:
        if not preset.windows.get(kind):  # type: ignore[call-overload]
            raise BadInput(f"{where}.windows: 这种模式要写明{KINDS[kind]}的保护天数（{kind}）")  # type: ignore[index]


def from_json(body: str) -> Policy:
    """A version as it was saved."""
    return parse(json.loads(body), where="ownership")


def as_json(policy: Policy) -> str:
    return to_json(policy).decode()


def plain(policy: Policy) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(as_json(policy))
    return found


@lru_cache(maxsize=4)
def shipped(folder: Path) -> Policy:
    """The policy of the release in this folder of configuration files."""
    return read(folder / FILE)
