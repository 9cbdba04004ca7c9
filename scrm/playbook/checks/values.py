"""A rule about words, and where it was hit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: block: must not be sent; warn: the rep reads why and decides; note: worth a look afterwards.
Level = Literal["block", "warn", "note"]
LEVELS: Mapping[Level, str] = {"block": "不能发", "warn": "发之前看一眼", "note": "记一笔"}

_ID = re.compile(r"[a-z][a-z0-9]*\.[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What the rule must find, and what it must leave alone; run as tests."""

    hits: tuple[str, ...]
    misses: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.hits or not self.misses:
            raise ValueError("hits 和 misses 各写至少一句")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Words and patterns that mean the same trouble."""

    id: str
    level: Level
    title: str
    #: The law or the house rule behind it, in a sentence for the rep.
    why: str
    words: tuple[str, ...] = ()
    #: RE2, read in lower case.
    patterns: tuple[str, ...] = ()
    #: Phrases in which a word is harmless: 第一次, 最好吃饭前.
    unless: tuple[str, ...] = ()
    #: Word -> what to say instead.
    rewrite: Mapping[str, str] = field(default_factory=dict)
    examples: Examples
    #: Also find it spaced out, taken apart or spelled by sound; without a word: when the rule blocks.
    fuzzy: bool | None = None
    #: 不承诺保本 is no promise; an insult stays one in whatever sentence.
    deniable: bool = True

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id “{self.id}” 要写成 ad.absolute 的样子")
        if not self.title.strip() or not self.why.strip():
            raise ValueError("title 和 why 不能为空")
        if not self.words and not self.patterns:
            raise ValueError("words 和 patterns 至少写一个")
        if any(not each.strip() for each in (*self.words, *self.patterns, *self.unless)):
            raise ValueError("words、patterns 和 unless 里不能有空行")
        strange = [word for word in self.rewrite if word not in self.words]
        if strange:
            raise ValueError(f"rewrite 里的“{strange[0]}”不在 words 里，请改一致")

    @property
    def disguised(self) -> bool:
        """Whether disguises of its words are looked through."""
        return self.level == "block" if self.fuzzy is None else self.fuzzy


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Characters [start, end) of a text offend a rule."""

    rule_id: str
    level: Level
    start: int
    end: int
    matched: str
    #: What to say instead, when known.
    rewrite: str | None = None
