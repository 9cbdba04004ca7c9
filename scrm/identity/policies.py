"""The shipped policy of identity, read from `config/identity.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from scrm.errors import BadInput
from scrm.identity.rules.policy import Kind, Policy
from scrm.shapes import load, read_yaml

FILE = "identity.yaml"


def read(path: Path) -> Policy:
    """The policy in a file. Raises `BadInput` saying where it is wrong."""
    return parse(read_yaml(path), where=str(path))


def parse(data: Any, *, where: str) -> Policy:
    """Plain values as a policy: each kind knows its name, and every pattern can be tried."""
    kinds = data.get("kinds") if isinstance(data, Mapping) else None
    if isinstance(kinds, Mapping):
        named = {k: {"name": k, **v} if isinstance(v, Mapping) else v for k, v in kinds.items()}
        data = {**data, "kinds": named}
    policy = load(Policy, data, where=where)
    for kind in policy.kinds.values():
        _check(kind, where)
    return policy


def _check(kind: Kind, where: str) -> None:
    for pattern in kind.blocked:
        try:
            re.compile(pattern)
        except re.error as error:
            raise BadInput(
                f"{where}: kinds.{kind.name}.blocked: “{pattern}”不是正确的正则表达式（{error}）"
            ) from None
    if not 0 <= kind.strength <= 100:
        raise BadInput(f"{where}: kinds.{kind.name}.strength: 应在 0 到 100 之间")


@lru_cache(maxsize=4)
def shipped(folder: Path) -> Policy:
    """The policy of the release in this folder of configuration files."""
    return read(folder / FILE)
