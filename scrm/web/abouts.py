"""What the card of a customer shows of what the vendor knows: remark, tags, source, groups."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TagView:
    id: str
    name: str
    group: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowView:
    """One member's own word on the customer."""

    who: str
    mine: bool
    remark: str
    description: str
    tags: tuple[str, ...]
    #: How and by which contact way they came.
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    name: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutView:
    cid: str
    follows: tuple[FollowView, ...]
    groups: tuple[GroupView, ...] = ()
    #: The reader's own remark, when they may change it.
    remark: str | None = None
    description: str = ""
    #: Every tag of the company, when the reader may set them.
    choice: tuple[TagView, ...] = ()
    #: Fresh idempotency keys of the two forms.
    keys: tuple[str, str] = ("", "")
