"""The doors: JSON, YAML and TOML become frozen dataclasses, or an error that says where and what to do.

`msgspec` does the typing; what it lets through (keys nobody declared) is refused here.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from scrm.errors import BadInput

T = TypeVar("T")

_TYPES = {
    "str": "文字",
    "int": "整数",
    "float": "数字",
    "bool": "true 或 false",
    "array": "列表",
    "object": "一组“键: 值”",
    "null": "空值",
    "datetime": "带时区的时间",
    "date": "日期",
}
#: What msgspec says, and how we say it. The groups are filled in after `_TYPES`.
_SENTENCES = (
    (re.compile(r"Expected `(.+?)`, got `(.+?)`"), "应为{0}，实际是{1}，请改正"),
    (re.compile(r"Object missing required field `(.+?)`"), "缺少必填项 {0}，请补上"),
    (re.compile(r"Expected `(\w+)` (>=|<=|>|<) ([-\d.]+)"), "应为 {1} {2} 的{0}，请改正"),
    (re.compile(r"Expected `(\w+)` of length (>=|<=) (\d+)"), "{0}的长度应 {1} {2}，请改正"),
    (re.compile(r"Expected `(\w+)` matching regex (.+)"), "应为符合 {1} 的{0}，请改正"),
    (re.compile(r"Invalid enum value (.+)"), "不认识的取值 {0}，请换成说明里列出的值"),
    (
        re.compile(r"Invalid RFC3339 encoded (datetime|date)"),
        "应为{0}，格式如 2026-03-01T09:00:00+08:00，请改正",
    ),
)


#: A key in an index: PostgreSQL takes 2,700 bytes, with the other columns.
_KEY_BYTES = 512
_HALVES = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text without what no database takes: NUL, and halves of characters."""
    return text if text.isascii() and "\x00" not in text else _HALVES.sub("\ufffd", text)


def bounded(key: str) -> str:
    """A key that fits into an index; one that does not is told apart by its hash."""
    plain = storable(key)
    if plain is key and (len(key) <= _KEY_BYTES // 4 or len(key.encode()) <= _KEY_BYTES):
        return key
    return f"{plain[:64]}~{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def load(cls: type[T], data: object, *, where: str) -> T:
    """`data` (what JSON, YAML or TOML gave) as a `cls`.

    Raises `BadInput("<where>: <field path>: <what is wrong, what to do>")`, also for keys that `cls` and the
    dataclasses inside it do not declare.
    """
    try:
        value = msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where}: {_explain(str(error))}") from None
    except RecursionError:
        raise BadInput(f"{where}: 最外层: 嵌套太深，请减少层数") from None
    path = _unknown(value, data, "")
    if path:
        raise BadInput(f"{where}: {path}: 没有这一项，请检查拼写或删掉")
    return value


def from_json(cls: type[T], raw: bytes, *, where: str) -> T:
    """A JSON document as a `cls`; same errors as `load`."""
    try:
        data = msgspec.json.decode(raw)
    except RecursionError:
        raise BadInput(f"{where}: 最外层: 嵌套太深，请减少层数") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: 最外层: 不是合法的 JSON（{error}），请检查格式") from None
    return load(cls, data, where=where)


def to_json(value: object) -> bytes:
    """Compact UTF-8; dataclasses become objects, aware datetimes RFC 3339. Equal values, equal bytes."""
    return msgspec.json.encode(value, order="deterministic")


def read_yaml(path: Path) -> Any:
    """The plain values of one YAML document. Refuses doubled keys and aliases, which hide mistakes."""
    return yaml_of(_text(path), where=str(path))


def yaml_of(text: str, *, where: str) -> Any:
    """The same of a document that is no file."""
    try:
        return yaml.load(text, Loader=_Strict)
    except RecursionError:
        raise BadInput(f"{where}: 最外层: 嵌套太深，请减少层数") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"第 {mark.line + 1} 行" if mark else "最外层"
        raise BadInput(f"{where}: {line}: YAML 写法有误（{error.problem}），请检查缩进和引号") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{where}: 最外层: YAML 读不出来（{error}），请检查文件内容") from None


def to_yaml(data: object) -> str:
    """Plain values as somebody would write them: Chinese as it is, short lists and groups in one line, a text
    of several lines as a block.
    """
    return yaml.dump(
        data, Dumper=_Written, allow_unicode=True, sort_keys=False, default_flow_style=None, width=110
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The plain values of one TOML document."""
    try:
        return tomllib.loads(_text(path))
    except RecursionError:
        raise BadInput(f"{path}: 最外层: 嵌套太深，请减少层数") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: 最外层: TOML 写法有误（{error}），请检查格式") from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: 最外层: 读不了这个文件（{error.strerror}），请检查路径和权限") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: 最外层: 不是 UTF-8 编码，请另存为 UTF-8") from None


class _Strict(yaml.SafeLoader):
    """SafeLoader without aliases (they can blow up) or doubled keys (the last would win silently)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="不支持别名 *", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="键只能是文字", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} 写了两次", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _Written(yaml.SafeDumper):
    """SafeDumper that writes no aliases, and keeps the lines of a text apart."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Written.add_representer(str, _lines)


def _explain(message: str) -> str:
    """msgspec's `... - at `$.a[0].b`` as `a[0].b: ...` in Chinese."""
    what, _, at = message.partition(" - at ")
    path = at.rpartition("`$")[2].strip("`").removeprefix(".").replace("[...]", ".*") or "最外层"
    for pattern, sentence in _SENTENCES:
        found = pattern.match(what)
        if found:
            return f"{path}: " + sentence.format(*(_chinese(word) for word in found.groups()))
    return f"{path}: {what}，请改正"


def _chinese(types: str) -> str:
    return "或".join(_TYPES.get(word, word) for word in types.split(" | "))


def _unknown(value: object, data: object, path: str) -> str:
    """Path of the first key of `data` that `value`'s dataclasses do not declare; "" when there is none."""
    if is_dataclass(value) and isinstance(data, Mapping):
        names = {field.name for field in fields(value)}
        for key in data:
            if key not in names:
                return _join(path, key)
        pairs = [(_join(path, key), getattr(value, key), item) for key, item in data.items()]
    elif isinstance(value, Mapping) and isinstance(data, Mapping):
        # Converted keys may differ from the given ones (numbers), their order does not.
        both = zip(data, value.values(), data.values(), strict=True)
        pairs = [(_join(path, key), inside, item) for key, inside, item in both]
    elif isinstance(value, list | tuple) and isinstance(data, list | tuple):
        pairs = [(f"{path}[{i}]", *both) for i, both in enumerate(zip(value, data, strict=True))]
    else:
        return ""
    return next((found for at, inside, item in pairs if (found := _unknown(inside, item, at))), "")


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def schemas(types: Sequence[Any], *, ref: str) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """JSON Schema of each type, and the components they refer to; `ref` holds `{name}`."""
    return msgspec.json.schema_components(types, ref_template=ref)
