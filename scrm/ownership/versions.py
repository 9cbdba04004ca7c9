"""The policy in force, and every one there has been: each deal keeps the version it was first judged by."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from scrm.db import Conn
from scrm.errors import BadInput, NotFound
from scrm.ledger.store import audit
from scrm.ownership import policies
from scrm.ownership.rules.policy import Policy
from scrm.ownership.store import versions as store
from scrm.settings import shipped

_read = lru_cache(maxsize=64)(policies.from_json)


async def current(conn: Conn) -> Policy:
    """The newest version, or that of the release while there is none."""
    body = await store.body_of(conn)
    return _read(body) if body else policies.shipped(shipped("config"))


async def of(conn: Conn, version: int) -> Policy:
    """Raises `NotFound`."""
    body = await store.body_of(conn, version)
    if body is not None:
        return _read(body)
    release = policies.shipped(shipped("config"))
    if release.version != version:
        raise NotFound("没有这个版本的判客规则。")
    return release


async def pin(conn: Conn, policy: Policy, *, now: datetime) -> None:
    """Keep what a deal is judged by, so that a later release with another file changes nothing."""
    if await store.body_of(conn, policy.version) is None:
        await store.put(conn, policy.version, policies.as_json(policy), at=now, note="随版本发布")


async def save(
    conn: Conn, data: object, *, actor: str, actor_id: int | None, note: str, now: datetime
) -> Policy:
    """A new version, in force from now on for new deals. Raises `BadInput` saying where it is wrong."""
    before = await current(conn)
    await pin(conn, before, now=now)
    if not isinstance(data, dict):
        raise BadInput("ownership: 应为一组“键: 值”")
    policy = policies.parse({**data, "version": before.version + 1}, where="ownership")
    if not await store.put(
        conn, policy.version, policies.as_json(policy), at=now, actor_id=actor_id, note=note
    ):
        raise BadInput("别人刚刚也保存了规则，请刷新后再改。")
    await audit(conn, actor, "ownership.policy", now=now, subject=f"ownership_policy:{policy.version}")
    return policy
