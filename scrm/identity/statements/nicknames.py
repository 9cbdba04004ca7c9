"""Names people give themselves on WeChat: 子涵妈妈, 朵朵爸, 王子涵家长."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import rjieba

from scrm.identity.statements.lexicon import OF_CHILD, WORDS
from scrm.identity.statements.values import Relation
from scrm.identity.statements.words import is_name

_KIN = ("FATHER", "MOTHER", "GRAND", "GUARDIAN")
_SUFFIXES = tuple(sorted((w for w, c in WORDS.items() if c in _KIN and w != "爷"), key=len, reverse=True))
_LONGEST = 16
#: People put a flower, a class or a telephone number behind it.
_TRIM = " \t·.-_~～|｜()（）[]【】❤♥🌸🌻🌈💕0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nickname:
    """Whose what: `child` as written, `relation` of the bearer to the child."""

    child: str
    relation: Relation
    kin: str


def nickname(name: str) -> Nickname | None:
    """What a name says about its bearer's family; None for nearly all."""
    bare = name.strip(_TRIM)
    if not 2 < len(bare) <= _LONGEST or not bare.endswith(_SUFFIXES):
        return None
    return _read(bare)


@lru_cache(maxsize=1024)
def _read(bare: str) -> Nickname | None:
    for kin in _SUFFIXES:
        if bare.endswith(kin) and len(bare) > len(kin):
            child = bare[: -len(kin)].removesuffix("的").strip(_TRIM)
            tags = [tag for _, tag in rjieba.tag(child)]
            if not is_name(child, tags) or child in WORDS:
                return None
            return Nickname(child=child, relation=OF_CHILD[WORDS[kin]], kin=kin)
    return None
