"""Decisions of identity. Pure: which nodes found persons, which person a component is, whose name shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.contract import Handle

#: Addresses of places, not of persons: a chat, a customer-service account.
_PLACES = frozenset({"kf_account", "wecom_chat", "wechat_channel", "tim_group", "hotline", "wecom_tag"})
#: Whose word on a name counts more; unknown kinds come last.
_NAME_ORDER = ("wecom_external", "wechat_openid", "wechat_unionid")


#: Persons one household may have: more are no family but a shared telephone.
FAMILY = 8
#: (kind, scope, value): what makes two handles the same identifier.
Address = tuple[str, str, str]


def address(handle: Handle) -> Address:
    return (handle.kind, handle.scope, handle.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One identifier as identity needs it: no value, only what decides."""

    node_id: int
    kind: str
    birth_id: int
    first_at: datetime
    first_key: str
    named: bool = False
    person_id: int | None = None

    @property
    def order(self) -> tuple[datetime, str]:
        """Canonical-first: by when it happened, then by source key. Independent of arrival order."""
        return (self.first_at, self.first_key)


def is_person(kind: str) -> bool:
    return kind not in _PLACES


def person_of(component: Iterable[Node]) -> int:
    """A component's person is the one its canonical-first node founded."""
    return min(component, key=lambda n: (n.order, n.birth_id)).birth_id


def name_node(component: Sequence[Node]) -> int | None:
    """The node whose name a person shows; None when no channel named anyone."""
    named = [n for n in component if n.named]
    if not named:
        return None
    rank = {kind: i for i, kind in enumerate(_NAME_ORDER)}
    return min(named, key=lambda n: (rank.get(n.kind, len(rank)), n.order, n.node_id)).node_id


def components(nodes: Iterable[int], links: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Connected groups of nodes."""
    group = {n: {n} for n in nodes}
    for a, b in links:
        ga, gb = group.setdefault(a, {a}), group.setdefault(b, {b})
        if ga is not gb:
            small, large = sorted((ga, gb), key=len)
            large |= small
            group |= dict.fromkeys(small, large)
    unique = {id(g): g for g in group.values()}
    return list(unique.values())
