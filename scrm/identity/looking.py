"""Finding an identifier by what somebody typed: its kind and value, in whichever scope it is known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from scrm.contract import Handle
from scrm.db import Conn
from scrm.errors import NotFound
from scrm.identity import store, versions
from scrm.identity.explain import store as explained
from scrm.identity.explain.rules import Dot
from scrm.identity.explain.service import Subject
from scrm.identity.rules import reading
from scrm.identity.rules.reading import Ident


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    dot: Dot
    #: None = it was erased.
    value: str | None
    name: str


async def find(conn: Conn, kind: str, value: str, *, scope: str | None = None) -> list[int]:
    """Nodes of this value, one for each scope that knows it; [] = we never met it."""
    clean = reading.normal(await versions.current(conn), Ident(kind, "", value))
    kind, written = clean.kind, clean.value
    scopes = [scope] if scope is not None else await explained.scopes(conn, kind)
    keys = [store.value_key(conn, Handle(kind=kind, scope=s, value=written)) for s in scopes]
    return sorted(n.node_id for n in (await store.by_value_key(conn, keys)).values())


async def described(conn: Conn, node_ids: Collection[int]) -> dict[int, Described]:
    dots, _ = await explained.dots(conn, node_ids)
    opened = await explained.opened(conn, node_ids)
    return {n: Described(dot=dots[n], value=o.value, name=o.name) for n, o in opened.items()}


async def typed(conn: Conn, text: str) -> Subject:
    """`person:ID`, `node:ID`, `household:ID` with public ids, or `KIND:VALUE`, `KIND:SCOPE:VALUE`.

    Raises `NotFound` for what we never met.
    """
    kind, _, rest = text.partition(":")
    if kind in ("person", "node", "household"):
        return Subject(kind=kind, ident=conn.vault.private(kind, rest))  # type: ignore[arg-type]
    scope, between, value = rest.partition(":")
    found = await find(conn, kind, rest) if not between else await find(conn, kind, value, scope=scope)
    if not found:
        raise NotFound(f"没有见过 {kind} 的这个值。")
    return Subject(kind="node", ident=found[0])


async def anchor(conn: Conn, person_id: int) -> int | None:
    """The identifier that stands for a person in a decision: the surest, then the oldest."""
    policy = await versions.current(conn)
    dots, _ = await explained.dots(conn, await store.nodes_of(conn, [person_id]))
    fit = [d for d in dots.values() if d.state == "active" and not policy.kind(d.kind).place]
    best = min(fit, key=lambda d: (-policy.kind(d.kind).strength, d.first_at, d.node_id), default=None)
    return best.node_id if best else None
