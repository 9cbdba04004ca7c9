"""Explanations as sentences, in the reader's language and with the reader's masks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Protocol

from scrm.identity.explain import catalogue
from scrm.identity.explain.rules import Block, Cited, Moment, Opened, Piece

#: So many pieces of evidence go into one summing up.
_TOLD = 4
_SHANGHAI = timezone(timedelta(hours=8))
_OPAQUE = frozenset({"wechat_unionid", "wechat_openid", "wecom_external", "wecom_pending", "wecom_openid"})


class Say(Protocol):
    """A sentence of ours in the reader's language; `text` is its Chinese source with {braces}."""

    def __call__(self, text: str, **values: object) -> str: ...


def in_chinese(text: str, **values: object) -> str:
    return text.format(**values) if values else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything sentences need, fetched at once."""

    opened: Mapping[int, Opened]
    events: Mapping[int, Cited] = field(default_factory=dict)
    #: Names of our own people by id.
    staff: Mapping[int, str] = field(default_factory=dict)
    #: How many people use an identifier.
    users: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """One reader's words."""

    known: Known
    #: An identifier as this reader may see it.
    masked: Callable[[str], str]
    #: What an account is called.
    channel: Callable[[int], str]
    now: datetime
    say: Say = in_chinese

    # -- evidence ------------------------------------------------------------------------------------------
    def piece(self, piece: Piece) -> str:
        """`手机 139****5678 是 会员号 u1001（王女士）在应用里登记的手机（3月2日，官网，规则：登记手机）`"""
        return self._say("cited", said=self.said(piece), source=self.source(piece))

    def said(self, piece: Piece) -> str:
        told = catalogue.told(piece.rule, piece.cls)
        one, other = self._ends(piece, told.about)
        return self.say(
            told.says, **_used(told.says, one=self.node(one), other=self.node(other), who=self.who(piece))
        )

    def source(self, piece: Piece) -> str:
        """When, where, by which rule, how often."""
        cited = self.known.events.get(piece.first_event_id)
        parts = [self.day(cited.at if cited else piece.first_at)]
        parts += [self.channel(cited.account_id)] if cited else []
        parts.append(self._say("rule", rule=self.rule(piece)))
        parts += [self._say("times", n=piece.n)] if piece.n > 1 else []
        return self.say(catalogue.WORDS["separator"]).join(p for p in parts if p)

    def rule(self, piece: Piece) -> str:
        title = catalogue.told(piece.rule, piece.cls).title
        return self.say(title) if title else piece.rule

    def who(self, piece: Piece) -> str:
        return self._staff(piece.actor_id, human=piece.human)

    def _staff(self, staff_id: int | None, *, human: bool = True) -> str:
        if staff_id is None:
            return self._say("colleague" if human else "machine")
        return self.known.staff.get(staff_id) or self._say("colleague")

    def _ends(self, piece: Piece, about: tuple[str, ...]) -> tuple[int, int]:
        """The identifier the sentence is about, then the other."""
        for kind in about:
            for node_id in (piece.a, piece.b):
                found = self.known.opened.get(node_id)
                if found is not None and found.kind == kind:
                    return node_id, piece.other(node_id)
        return piece.a, piece.b

    def node(self, node_id: int) -> str:
        found = self.known.opened.get(node_id)
        kind = self.kind(found.kind if found else "")
        if found is None or found.value is None:
            return self._say("erased", kind=kind)
        if found.name and found.kind in _OPAQUE:  # a long string of letters helps nobody who has a name
            return self._say("only_name", name=found.name, kind=kind)
        value = self.masked(found.value.removeprefix("+86") if found.kind == "phone" else found.value)
        if found.name:
            return self._say("named", kind=kind, value=value, name=found.name)
        return self._say("bare", kind=kind, value=value)

    def kind(self, kind: str) -> str:
        return self.say(catalogue.KINDS.get(kind, kind))

    def day(self, at: datetime) -> str:
        local, today = at.astimezone(_SHANGHAI), self.now.astimezone(_SHANGHAI)
        if local.year == today.year:
            return self._say("day", month=local.month, day=local.day)
        return self._say("day_of_year", year=local.year, month=local.month, day=local.day)

    # -- why not -------------------------------------------------------------------------------------------
    def block(self, block: Block) -> str:
        values: dict[str, object] = {"kind": self.kind(block.kind)}
        if block.nodes:
            values |= {"one": self.node(block.nodes[0]), "n": self.known.users.get(block.nodes[0], 0)}
            values |= {"other": self.node(block.nodes[-1])}
        piece = block.piece
        if piece is not None:
            values |= {"said": self.said(piece), "who": self.who(piece), "why": piece.why}
            values |= {"day": self.day(piece.last_at)}
            if block.reason == "withdrawn":
                who, at = self._staff(piece.retracted_by), piece.retracted_at or piece.last_at
                values |= {"who": who, "day": self.day(at), "why": piece.retracted_why}
        text = catalogue.REASONS[self._reason(block)]
        return self.say(text, **_used(text, **values))

    def _reason(self, block: Block) -> str:
        piece = block.piece
        if block.reason == "said_apart" and piece is not None:
            family = "said_no_family" if piece.cls == "not_same_household" else "said_apart"
            return f"{family}_why" if piece.why else family
        if block.reason == "withdrawn" and piece is not None and piece.retracted_why:
            return "withdrawn_why"
        if block.reason == "conflict" and len(block.nodes) < 2:
            return "conflict_bare"
        if block.reason == "generic" and not self.known.users.get(block.nodes[0] if block.nodes else 0):
            return "generic_bare"
        return block.reason

    def sum_up(
        self, tie: str, steps: Sequence[Piece], blocks: Sequence[Block], *, origin: int | None, pair: bool
    ) -> str:
        """The whole explanation in one or two sentences."""
        if tie == "apart":
            return self.block(blocks[0]) if blocks else self.say(catalogue.REASONS["nothing"])
        if steps:
            said = self.say(catalogue.WORDS["then"]).join(self.piece(p) for p in steps[:_TOLD])
            return f"{said}{self._say('one_home')}" if tie == "household" and pair else said
        if tie == "household":
            return self._say("alone_home")
        return self._say("alone", one=self.node(origin)) if origin is not None else self._say("itself")

    # -- how -----------------------------------------------------------------------------------------------
    def moment(self, moment: Moment) -> str:
        if moment.node_id is not None:
            said = self.say(catalogue.STORY["seen"], one=self.node(moment.node_id))
            return self._say("cited", said=said, source=self.day(moment.at))
        piece = moment.piece
        if piece is None:
            return ""
        name = "withdrawn_why" if moment.what == "withdrawn" and piece.retracted_why else moment.what
        text = catalogue.STORY[name]
        values = _used(text, said=self.said(piece), n=moment.size, why=piece.retracted_why)
        source = self.day(moment.at) if moment.what == "withdrawn" else self.source(piece)
        return self._say("cited", said=self.say(text, **values), source=source)

    def plain(self, word: str, **values: object) -> str:
        """One of the words by its name in the catalogue."""
        return self._say(word, **values)

    def _say(self, word: str, **values: object) -> str:
        return self.say(catalogue.WORDS[word], **values)


def _used(text: str, **values: object) -> dict[str, object]:
    """Those values that the sentence has a place for."""
    return {name: value for name, value in values.items() if f"{{{name}}}" in text}
