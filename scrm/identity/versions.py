"""The kind policy in force: a version an admin wrote, else what ships; every transaction asks anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from scrm.db import Conn
from scrm.identity import policies
from scrm.identity.rules.policy import Policy
from scrm.identity.store import policies as versions
from scrm.settings import shipped


async def current(conn: Conn) -> Policy:
    """What decides now."""
    found = await versions.current(conn)
    return _of_release() if found is None else _parsed(*found)


@lru_cache(maxsize=1)
def _of_release() -> Policy:
    return policies.shipped(shipped("config"))


@lru_cache(maxsize=16)
def _parsed(version: int, body: str) -> Policy:
    return replace(policies.parse(json.loads(body), where=f"identity_policy {version}"), version=version)


async def adopt(conn: Conn, data: Mapping[str, Any], *, by: int | None, note: str, now: datetime) -> Policy:
    """A new version in force from here on; what is projected follows with `rebuild`. Raises `BadInput`."""
    policies.parse(dict(data), where="identity.yaml")
    await conn.lock("identity")
    version = (await current(conn)).version + 1
    body = json.dumps({**data, "version": version}, ensure_ascii=False, sort_keys=True)
    one = versions.Version(version=version, at=now, actor_id=by, note=note, body=body)
    await versions.add(conn, one)
    return await current(conn)
