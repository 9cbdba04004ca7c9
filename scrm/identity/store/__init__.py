"""SQL of nodes, evidence and the persons projected from them."""

from scrm.identity.store.evidence import evidence_of
from scrm.identity.store.households import households_of, members
from scrm.identity.store.nodes import (
    Known,
    New,
    by_id,
    by_value_key,
    handles,
    kinds,
    value_key,
)
from scrm.identity.store.persons import (
    Interval,
    Shown,
    intervals,
    names,
    nodes_of,
    page,
    person_now,
    persons_of,
    shown,
)

__all__ = [
    "Interval",
    "Known",
    "New",
    "Shown",
    "by_id",
    "by_value_key",
    "evidence_of",
    "handles",
    "households_of",
    "intervals",
    "kinds",
    "members",
    "names",
    "nodes_of",
    "page",
    "person_now",
    "persons_of",
    "shown",
    "value_key",
]
