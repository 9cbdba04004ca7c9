"""What a sentence can say: who its speaker is to whom, and how that other one can be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

#: What the speaker is to the other one; `referrer`: the other one sent them here, which makes no family.
Relation = Literal[
    "spouse",
    "parent",
    "child",
    "grandparent",
    "grandchild",
    "guardian",
    "sibling",
    "helper",
    "other",
    "referrer",
]
RELATIONS: frozenset[Relation] = frozenset(get_args(Relation))
#: Those that make two persons one household.
FAMILY: frozenset[Relation] = RELATIONS - {"referrer", "helper"}
#: `account`: somebody of the household we are talking with. `card`: whose card was forwarded next to it.
TargetKind = Literal["phone", "child", "account", "card", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The other one: by telephone number, by the child's name, or only by where the words stand."""

    kind: TargetKind
    value: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing a sentence says; `start` and `end` are places in the text."""

    relation: Relation
    target: Target
    #: The word for what the speaker is, as they put it (爸爸); "" = they did not say.
    speaker: str = ""
    #: 0..1
    confidence: float = 1.0
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word with its class; a class of its own for what the grammar does not know: `W`."""

    text: str
    cls: str
    start: int
    #: Part of speech, as the segmenter guesses it.
    tag: str = ""

    @property
    def end(self) -> int:
        return self.start + len(self.text)
