"""The one renderer of talk-tracks: a sandbox, an allow-list of syntax, and only documented variables.

The sandbox alone is not enough (it calls methods and multiplies strings), so a template is parsed and refused
on load unless every node of its tree is on the list below: no loops, calls, arithmetic or assignments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import jinja2
from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scrm.errors import BadInput

MAX_CHARS = 4000
MAX_NODES = 200
MAX_DEPTH = 16
#: Numbers written in a template, and numbers given to it.
MAX_NUMBER, MAX_VALUE = 10**9, 10**15
#: Values longer than this are cut, so that a customer's nickname cannot fill the screen.
MAX_VALUE_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A fact a template may use. The table in scripts_library/README.md repeats these lines."""

    label: str
    example: str | int


VARIABLES: Mapping[str, Variable] = {
    "household.name": Variable(label="家庭称呼", example="子涵家"),
    "member.name": Variable(label="客户称呼", example="子涵妈妈"),
    "member.role": Variable(label="客户在家里的角色", example="购买人"),
    "child.name": Variable(label="孩子称呼", example="子涵"),
    "child.grade": Variable(label="孩子年级", example="三年级"),
    "course.name": Variable(label="课程名称", example="英语绘本二级班"),
    "course.price_fen": Variable(label="课程价格（分）", example=498000),
    "course.lessons": Variable(label="课时数", example=48),
    "course.lessons_left": Variable(label="剩余课时", example=6),
    "course.schedule": Variable(label="上课时间", example="周六上午 9:30"),
    "trial.time": Variable(label="试听时间", example="周六下午 3 点"),
    "trial.place": Variable(label="试听地点", example="中山路校区 302 教室"),
    "teacher.name": Variable(label="老师称呼", example="周老师"),
    "rep.name": Variable(label="顾问姓名", example="李敏"),
    "rep.title": Variable(label="顾问职务", example="课程顾问"),
    "company.name": Variable(label="公司名称", example="小橡树"),
    "client.name": Variable(label="客户单位", example="明德机械"),
    "opportunity.product": Variable(label="产品名称", example="3号楼1201室"),
    "opportunity.price_fen": Variable(label="正价（分）", example=268000000),
    "opportunity.kind": Variable(label="这一单的类型", example="续费"),
    "promise.discount": Variable(label="已答应的折扣", example="8.5 折"),
    "promise.price_fen": Variable(label="已答应的价格（分）", example=398000),
    "promise.gift": Variable(label="已答应送的东西", example="两节体验课"),
    "promise.until": Variable(label="答应的截止日期", example="11月23日"),
    "coupon.name": Variable(label="优惠券名称", example="老学员续费券"),
    "coupon.value_fen": Variable(label="优惠券金额（分）", example=30000),
    "coupon.until": Variable(label="优惠券截止日期", example="11月30日"),
    "visit.time": Variable(label="到访时间", example="周六上午 10 点"),
    "visit.place": Variable(label="到访地点", example="营销中心（江畔路 88 号）"),
    "date.tomorrow": Variable(label="明天的日期", example="11月22日"),
    "date.weekend": Variable(label="这个周末的日期", example="11月21日、22日"),
    "date.month_end": Variable(label="这个月最后一天", example="11月30日"),
    "today": Variable(label="今天的日期", example="11月21日"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of rendered text; the card underlines variables and marks the missing ones."""

    text: str
    kind: Literal["plain", "variable", "missing", "hit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    parts: tuple[Part, ...]
    text: str
    #: Variables the text needs and the context lacks, in order of use; not empty = do not send as is.
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Text that passed the allow-list, compiled."""

    source: str
    #: Documented variables it uses, sorted.
    names: tuple[str, ...]
    compiled: jinja2.Template


# Brackets around what a variable gave, from the private use area; values and templates cannot contain them.
_OPEN, _LACK, _CLOSE = "\ue000", "\ue001", "\ue002"
_MARKS = re.compile(f"[{_OPEN}{_LACK}{_CLOSE}]")
_SPANS = re.compile(f"([{_OPEN}{_LACK}])(.*?){_CLOSE}", re.DOTALL)


class _Missing(StrictUndefined):
    """A documented variable without a value: noted when used, never silently blank."""

    __slots__ = ("_path", "_used")

    def __init__(self, path: str, used: dict[str, None]) -> None:
        super().__init__(name=path)
        self._path = path
        self._used = used

    def note(self) -> str:
        self._used[self._path] = None
        return f"【{VARIABLES[self._path].label}】"

    def _false(self, _other: object = None) -> bool:
        self.note()
        return False

    # Every comparison with it is false, `!=` too: nothing is claimed from a fact we do not have.
    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _false  # type: ignore[assignment]
    __hash__ = object.__hash__  # type: ignore[assignment]


def _finish(value: object) -> str:
    """What an expression gave, in brackets that `render` cuts at."""
    if isinstance(value, _Missing):
        return f"{_LACK}{value.note()}{_CLOSE}"
    text = _MARKS.sub("", str(value))
    return f"{_OPEN}{text}{_CLOSE}" if text else ""


def _default(value: object, instead: object = "") -> object:
    return instead if isinstance(value, Undefined) else value


def _trim(value: object) -> object:
    return value if isinstance(value, Undefined) else str(value).strip()


def _round(value: object, digits: int = 0) -> object:
    if isinstance(value, Undefined):
        return value
    return round(_number(value, "round"), digits) if digits else round(_number(value, "round"))


def _yuan(value: object) -> object:
    """Money: 498000 fen as 4,980; 498050 as 4,980.50."""
    if isinstance(value, Undefined):
        return value
    yuan, fen = divmod(round(_number(value, "yuan")), 100)
    return f"{yuan:,}.{fen:02}" if fen else f"{yuan:,}"


def _number(value: object, name: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"话术里的 {name} 只能用在数字上，实际是“{str(value)[:20]}”，请检查变量")
    return value


#: Name -> what it does; the table in scripts_library/README.md repeats these lines.
FILTERS: Mapping[str, str] = {
    "default": "没有值时用括号里的文字代替",
    "trim": "去掉前后空格",
    "round": "四舍五入成整数；括号里可写小数位数 1 到 4",
    "yuan": "把“分”写成元，如 498000 写成 4,980",
}


def _environment() -> ImmutableSandboxedEnvironment:
    # Plain text goes to a chat window; the page that shows it escapes it, so autoescape would double up here.
    env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=_finish)
    env.globals.clear()
    env.filters = {"default": _default, "trim": _trim, "round": _round, "yuan": _yuan}
    env.tests = {"defined": env.tests["defined"]}
    return env


_ENV = _environment()
_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Filter,
    nodes.Test,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
)
_WORDS = {
    nodes.For: "循环",
    nodes.Call: "函数调用",
    nodes.Getitem: "方括号取值",
    nodes.Getattr: "多级取值",
    nodes.Assign: "赋值 set",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Macro: "宏 macro",
    nodes.BinExpr: "算式",
    nodes.UnaryExpr: "算式",
}
_COMPARISONS = ("eq", "ne", "lt", "lteq", "gt", "gteq")


@lru_cache(maxsize=4096)
def admit(source: str) -> Template:
    """Compile `source`, once per text (so once per version of a script, and never wrong when two tenants edit
    the same one). Raises `BadInput` with a sentence for the author when it does anything not allowed.
    """
    if len(source) > MAX_CHARS:
        raise BadInput(f"话术有 {len(source)} 个字，最多 {MAX_CHARS} 个，请缩短")
    if _MARKS.search(source):
        raise BadInput("话术里有不可见的特殊字符，请删掉后重新输入")
    try:
        tree = _ENV.parse(source)
    except RecursionError:
        raise BadInput("话术里的括号嵌套太深，请简化") from None
    except jinja2.TemplateSyntaxError as error:
        raise BadInput(f"话术第 {error.lineno} 行写法有误（{error.message}），请检查花括号") from None
    names = _inspect(tree)
    return Template(source=source, names=tuple(sorted(names)), compiled=_ENV.from_string(tree))


def render(template: Template, context: Mapping[str, object]) -> Rendered:
    """The text for one customer. `context` is nested dicts by the names in `VARIABLES`; others are ignored.

    Absent, None and blank values count as missing: the text then shows 【名称】 in their place.
    """
    used: dict[str, None] = {}
    out = template.compiled.render(_facts(template.names, context, used))
    parts = _parts(out)
    return Rendered(parts=parts, text="".join(part.text for part in parts), missing=tuple(used))


def sample() -> dict[str, Any]:
    """A context with every documented variable, for previews."""
    facts: dict[str, Any] = {}
    for name, variable in VARIABLES.items():
        _put(facts, name, variable.example)
    return facts


def _inspect(tree: nodes.Template) -> set[str]:
    """Names of the documented variables used; raises `BadInput` at the first node that is not allowed."""
    names: set[str] = set()
    todo: list[tuple[nodes.Node, int]] = [(tree, 0)]
    count = 0
    while todo:
        node, depth = todo.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise BadInput("话术太复杂，请减少条件和变量")
        name = _variable(node)
        if name:
            names.add(name)
            continue
        _check(node)
        todo.extend((child, depth + 1) for child in node.iter_child_nodes())
    return names


def _variable(node: nodes.Node) -> str:
    """The dotted name when this node is a variable, "" when it is something else."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        name = f"{node.node.name}.{node.attr}"
    elif isinstance(node, nodes.Name):
        name = node.name
    else:
        return ""
    if name not in VARIABLES:
        raise BadInput(f"话术第 {node.lineno} 行：没有变量 {name[:60]}，可用的变量见说明")
    return name


def _check(node: nodes.Node) -> None:
    if type(node) not in _ALLOWED or isinstance(node, nodes.Getattr):
        word = next(
            (text for kind, text in _WORDS.items() if issubclass(type(node), kind)), type(node).__name__
        )
        raise BadInput(f"话术第 {node.lineno} 行：不能用{word}，只能用变量、条件和 {'、'.join(FILTERS)}")
    if isinstance(node, nodes.Filter):
        _check_filter(node)
    elif isinstance(node, nodes.Test) and (node.name != "defined" or node.args or node.kwargs):
        raise BadInput(f"话术第 {node.lineno} 行：条件里只能用 is defined，不能用 is {node.name}")
    elif isinstance(node, nodes.Operand) and node.op not in _COMPARISONS:
        raise BadInput(f"话术第 {node.lineno} 行：比较只能用 == != < <= > >=")
    elif isinstance(node, nodes.Const) and not _is_modest(node.value):
        raise BadInput(f"话术第 {node.lineno} 行：写在花括号里的数字或文字太长，请缩短")


def _check_filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS or node.node is None:
        raise BadInput(f"话术第 {node.lineno} 行：没有过滤器 {node.name[:60]}，可用的是 {'、'.join(FILTERS)}")
    values = [arg.value if isinstance(arg, nodes.Const) else None for arg in node.args]
    if node.name == "default":
        fits = len(values) == 1 and isinstance(values[0], str)
    else:
        fits = not values or (node.name == "round" and values in ([1], [2], [3], [4]))
    if not fits or node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise BadInput(f"话术第 {node.lineno} 行：{node.name} 的括号里写法不对，{FILTERS[node.name]}")


def _is_modest(value: Any) -> bool:
    if isinstance(value, int | float):
        return abs(value) <= MAX_NUMBER
    return value is None or len(value) <= MAX_VALUE_CHARS


def _facts(names: tuple[str, ...], context: Mapping[str, object], used: dict[str, None]) -> dict[str, Any]:
    """New plain dicts of the named values and nothing else, so a template reaches no object of ours."""
    facts: dict[str, Any] = {}
    for name in names:
        root, _, leaf = name.partition(".")
        inside = context.get(root)
        if leaf:
            inside = inside.get(leaf) if isinstance(inside, Mapping) else None
        plain = _plain(inside, name)
        _put(facts, name, _Missing(name, used) if plain is None else plain)
    return facts


def _put(facts: dict[str, Any], name: str, value: object) -> None:
    root, _, leaf = name.partition(".")
    if leaf:
        facts.setdefault(root, {})[leaf] = value
    else:
        facts[root] = value


def _plain(value: object, name: str) -> str | int | float | None:
    """The value itself when it is text or a number; None when there is nothing to show."""
    if isinstance(value, int | float) and not -MAX_VALUE <= value <= MAX_VALUE:
        raise BadInput(f"变量 {name} 的数字太大或不是数字，请检查")
    if value is None or isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        raise BadInput(f"变量 {name} 只能是文字或数字，实际是 {type(value).__name__}")
    return str(value[:MAX_VALUE_CHARS]) if value.strip() else None


def _parts(out: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    end = 0
    for span in _SPANS.finditer(out):
        if span.start() > end:
            parts.append(Part(text=out[end : span.start()], kind="plain"))
        parts.append(Part(text=span[2], kind="variable" if span[1] == _OPEN else "missing"))
        end = span.end()
    if end < len(out):
        parts.append(Part(text=out[end:], kind="plain"))
    return tuple(parts)
