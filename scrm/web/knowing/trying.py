"""What another policy would do: in its table at once, in the data when the work has gone through it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

from aiohttp import web

from scrm.db import Conn
from scrm.identity import looking
from scrm.identity import store as identity
from scrm.identity.explain import catalogue
from scrm.identity.looking import Described
from scrm.identity.reworking import HOMES, Found
from scrm.identity.rules.policy import Kind, Policy
from scrm.staff.rules import masked
from scrm.web.admin.cards import say
from scrm.web.house import actor
from scrm.web.knowing import views as v
from scrm.web.knowing import working
from scrm.web.views import Tone
from scrm.works import Work

OPS = {
    "merge": "合并",
    "split": "拆分",
    "home_merge": "家庭合并",
    "home_split": "家庭拆开",
    "home_move": "家庭成员变动",
    "recycled": "号码换了主人",
    "generic_on": "变为通用值",
    "generic_off": "不再是通用值",
    "hold": "新的冲突搁置",
    "release": "不再搁置",
    "join": "标识合成一个人",
    "rename": "人的编号变化",
}
_TONES: dict[str, Tone] = {
    "merge": "house", "home_merge": "house", "split": "warn", "home_split": "warn", "generic_on": "warn",
}  # fmt: skip
_FIELDS = {
    "title": "名称",
    "strength": "可信度",
    "merge": "能否合并",
    "place": "不是人",
    "exclusive": "每人最多",
    "max_persons": "最多几个人共用",
    "max_names": "最多几个名字",
    "max_reps": "最多几位同事见过",
    "epoch_gap_days": "静默多少天可能换主",
    "blocked": "屏蔽的值",
    "normalise": "写法统一",
}
_LIMITS = {
    "person_cap": "一个人最多多少标识",
    "household_cap": "一家最多几个人",
    "device_uses": "共用设备几次算一家",
    "device_persons": "一台设备最多连几个人",
}
#: Identifiers of one example that are opened.
_SHOWN = 6


def limits(request: web.Request, policy: Policy) -> tuple[tuple[str, int], ...]:
    return tuple((say(request, title), getattr(policy, name)) for name, title in _LIMITS.items())


def differences(request: web.Request, before: Policy, after: Policy) -> tuple[str, ...]:
    """What is different in the table, in sentences."""
    lines = []
    for name, title in _LIMITS.items():
        if getattr(before, name) != getattr(after, name):
            values = {"what": say(request, title), "a": getattr(before, name), "b": getattr(after, name)}
            lines.append(say(request, "{what}：{a} 改为 {b}", **values))
    for name in sorted({*before.kinds, *after.kinds}):
        old, new = before.kinds.get(name), after.kinds.get(name)
        if old is None or new is None:
            text = "新增标识“{kind}”" if old is None else "去掉标识“{kind}”：以后只保存，不作判断"
            lines.append(say(request, text, kind=_title(old or new, name)))
        else:
            lines += _changed(request, old, new)
    for rule in sorted({*before.rules, *after.rules}):
        if before.rules.get(rule) != after.rules.get(rule):
            a, b = (p.rules.get(rule, "—") for p in (before, after))
            lines.append(say(request, "{what}：{a} 改为 {b}", what=rule, a=a, b=b))
    return tuple(lines)


def _title(kind: Kind | None, name: str) -> str:
    return kind.title if kind and kind.title else name


def _changed(request: web.Request, old: Kind, new: Kind) -> list[str]:
    found = []
    for f in fields(Kind):
        a, b = getattr(old, f.name), getattr(new, f.name)
        if a != b:
            values = {"kind": _title(new, new.name), "what": say(request, _FIELDS.get(f.name, f.name))}
            values |= {"a": _word(request, a), "b": _word(request, b)}
            found.append(say(request, "{kind} · {what}：{a} 改为 {b}", **values))
    return found


def _word(request: web.Request, value: object) -> str:
    if isinstance(value, bool):
        return say(request, "是" if value else "否")
    if isinstance(value, tuple):
        return say(request, "{n} 条", n=len(value))
    return str(value)


# -- of a dry run ------------------------------------------------------------------------------------------
async def shown(request: web.Request, conn: Conn, work: Work) -> v.DryRun:
    """As far as it has come; values only as masked as an admin sees them."""
    found = Found.of(work.place)
    wanted = {n for op, sides in found.examples if op not in HOMES for side in sides for n in side}
    persons = {p for op, sides in found.examples if op in HOMES for side in sides for p in side}
    owned = await identity.nodes_of(conn, persons) if persons else {}
    first = {p: min(n for n, mine in owned.items() if mine == p) for p in set(owned.values())}
    known = await looking.described(conn, sorted({*wanted, *first.values()})[:200])
    return v.DryRun(
        job=working.shown(request, work, conn),
        counts=tuple((say(request, OPS.get(op, op)), n) for op, n in found.counts.most_common()),
        examples=tuple(_example(request, op, sides, known, first) for op, sides in found.examples),
    )


def _example(
    request: web.Request,
    op: str,
    sides: list[list[int]],
    known: dict[int, Described],
    first: dict[int, int],
) -> v.Example:
    if op in HOMES:
        sides = [[first[p] for p in side if p in first] for side in sides]
    texts = [_nodes(request, side, known) for side in sides if side]
    text = " ｜ ".join(t for t in texts if t) or say(request, "此前各自一家")
    return v.Example(what=say(request, OPS.get(op, op)), tone=_TONES.get(op, ""), text=text)


def _nodes(request: web.Request, ids: Collection[int], known: dict[int, Described]) -> str:
    who = actor(request)
    parts = []
    for n in list(ids)[:_SHOWN]:
        one = known.get(n)
        if one is not None:
            kind = say(request, catalogue.KINDS.get(one.dot.kind, one.dot.kind))
            parts.append(f"{kind} {masked(who, (one.value or '').removeprefix('+86'))}")
    return "、".join(parts)
