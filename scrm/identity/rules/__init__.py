"""Decisions of identity, pure: which addresses are persons', and whose name a person shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm.contract import Handle

#: Addresses of places, not of persons: a chat, a customer-service account.
_PLACES = frozenset({"kf_account", "wecom_chat", "wechat_channel", "tim_group", "hotline", "wecom_tag"})
#: Whose word on a name counts more; unknown kinds come last.
_NAME_ORDER = ("wecom_external", "wechat_openid", "wechat_unionid")


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


def name_node(component: Sequence[Node]) -> int | None:
    """The node whose name a person shows; None when no channel named anyone."""
    named = [n for n in component if n.named]
    if not named:
        return None
    rank = {kind: i for i, kind in enumerate(_NAME_ORDER)}
    return min(named, key=lambda n: (rank.get(n.kind, len(rank)), n.order, n.node_id)).node_id
