"""What customers' own words say about families: a small grammar over segmented text. Pure."""

from scrm.identity.statements.grammar import heard
from scrm.identity.statements.nicknames import Nickname, nickname
from scrm.identity.statements.values import FAMILY, RELATIONS, Relation, Statement, Target

__all__ = ["FAMILY", "RELATIONS", "Nickname", "Relation", "Statement", "Target", "heard", "nickname"]
