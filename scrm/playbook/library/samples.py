"""Families that are not there: what a preview fills a talk-track with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scrm.playbook.templates import VARIABLES, admit, render, sample

#: What is always known: who we are, and what day it is.
_ALWAYS = ("rep", "company", "today", "date")
_RARE: Mapping[str, Any] = {k: v for k, v in sample().items() if k in (*_ALWAYS, "member")}
#: Key -> what the family is like, and what is known of it.
SAMPLES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "whole": ("子涵家：资料齐全，有承诺有券", sample()),
    "new": ("刚加上的客户：只知道称呼", _RARE),
    "nobody": ("还没报名字的客户", {k: v for k, v in _RARE.items() if k != "member"}),
}


def labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Variables as people call them."""
    return tuple(VARIABLES[name].label for name in names)


def example(text: str) -> dict[str, Any]:
    """An example of this text for the whole family, of the variables it names. Raises `BadInput`."""
    template, known = admit(text), sample()
    given: dict[str, Any] = {}
    for name in template.names:
        root, _, leaf = name.partition(".")
        if leaf:
            given.setdefault(root, {})[leaf] = known[root][leaf]
        else:
            given[root] = known[root]
    return {"given": given, "expect": render(template, given).text}
