"""The two models, one person and one family, as data: what is compared, how it weighs, which pairs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Literal

from scrm.identity.match.records import Record, alludes, given, near
from scrm.shapes import to_json

Cls = Literal["same_person", "same_household"]
#: Raise with every change of fields, levels or their m: weights of different versions do not compare.
VERSION = 1
#: A device or address of more persons than this brings no two of them together.
SHARED = 6
#: A full name is looked up on its own only when it is this rare; with the same rep always.
_RARE = 60
#: Pairs of the same class per person that we expect to be missing: more than there are, for those there are
#: make their own names look common. Set so that the figure shown is the share that turned out right.
_MISSING = {"same_person": 1.0, "same_household": 1.0}
_LEAST = 1e-9
#: What is only a part of another field is compared wherever that was said.
_ASKED = {"near": "phones", "private": "devices"}
#: Pairs below this are not proposed: two in three for one person, a coin toss for a family.
LEAST_BITS: Mapping[Cls, float] = {"same_person": 1.0, "same_household": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One outcome of a comparison. `m`: how often pairs that belong together show it."""

    name: str
    sql: str
    m: float
    #: Of how many pairs that do not belong together it holds, by its field; "" = what is left.
    field: str = ""
    tf: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    name: str
    null: str
    levels: tuple[Level, ...]


def _any(field: str) -> str:
    return f"list_has_any({field}_l, {field}_r)"


def _empty(*fields: str) -> str:
    sides = (" AND ".join(f"len({f}_{side}) = 0" for f in fields) for side in "lr")
    return " OR ".join(f"({side})" for side in sides)


_TITLED = (
    "surname_l = surname_r AND surname_l <> '' AND (name_l IS NULL OR name_r IS NULL)"
    " AND (gender_l = '' OR gender_r = '' OR gender_l = gender_r)"
)
_ALLUDED = "list_has_any(given_l, alludes_r) OR list_has_any(given_r, alludes_l)"
_UNNAMED = (
    "(surname_l = '' AND len(nicknames_l) = 0) OR (surname_r = '' AND len(nicknames_r) = 0)"
    " OR (surname_l = '' AND surname_r <> '' AND len(nicknames_r) = 0)"
    " OR (surname_r = '' AND surname_l <> '' AND len(nicknames_l) = 0)"
)
_NAME = Comparison(
    name="name",
    null=_UNNAMED,
    levels=(
        Level(name="same", sql="name_l = name_r", m=0.66, field="name", tf="name"),
        Level(name="nickname", sql="nick_l = nick_r", m=0.06, field="nick", tf="nick"),
        Level(name="alluded", sql=_ALLUDED, m=0.12, field="given*alludes"),
        Level(name="titled", sql=_TITLED, m=0.10, field="surname"),
        Level(name="other", sql="ELSE", m=0.05),
    ),
)
_PHONE = Comparison(
    name="phone",
    null=_empty("phones", "masks"),
    levels=(
        Level(name="near", sql=_any("near"), m=0.25, field="near"),
        Level(name="masked", sql=_any("masks"), m=0.15, field="masks"),
        Level(name="other", sql="ELSE", m=0.58),
    ),
)
#: What a family shares as a whole counts once, by the strongest: else housemates would look like one person.
_CONTEXT = Comparison(
    name="context",
    null=f"({_empty('devices', 'addresses', 'children', 'reps')}) AND (household_l = '' OR household_r = '')",
    levels=(
        Level(
            name="family", sql="household_l = household_r AND household_l <> ''", m=0.30, field="household"
        ),
        Level(name="device", sql=_any("private"), m=0.10, field="private"),
        Level(name="devices", sql=_any("devices"), m=0.03, field="devices"),
        Level(name="address", sql=_any("addresses"), m=0.07, field="addresses"),
        Level(name="child", sql=_any("children"), m=0.05, field="children"),
        Level(name="rep", sql=_any("reps"), m=0.40, field="reps"),
        Level(name="other", sql="ELSE", m=0.05),
    ),
)
_GENDER = Comparison(
    name="gender",
    null="gender_l = '' OR gender_r = ''",
    levels=(
        Level(name="same", sql="gender_l = gender_r", m=0.99, field="gender"),
        Level(name="other", sql="ELSE", m=0.01),
    ),
)
_PART = Comparison(
    name="part",
    null="learner_l IS NULL OR learner_r IS NULL",
    levels=(
        Level(name="same", sql="learner_l = learner_r", m=0.98, field="learner"),
        Level(name="other", sql="ELSE", m=0.02),
    ),
)
_CHILD = Comparison(
    name="child",
    null=_empty("children"),
    levels=(
        Level(name="same", sql=_any("children"), m=0.85, field="children"),
        Level(name="other", sql="ELSE", m=0.15),
    ),
)
_HOME = Comparison(
    name="home",
    null=_empty("devices", "addresses"),
    levels=(
        Level(name="device", sql=_any("private"), m=0.45, field="private"),
        Level(name="devices", sql=_any("devices"), m=0.003, field="devices"),
        Level(name="address", sql=_any("addresses"), m=0.28, field="addresses"),
        Level(name="other", sql="ELSE", m=0.25),
    ),
)
_REP = Comparison(
    name="rep",
    null=_empty("reps"),
    levels=(
        Level(name="same", sql=_any("reps"), m=0.85, field="reps"),
        Level(name="other", sql="ELSE", m=0.15),
    ),
)
_SURNAME = Comparison(
    name="surname",
    null="surname_l = '' OR surname_r = ''",
    levels=(
        Level(name="same", sql="surname_l = surname_r", m=0.35, field="surname"),
        Level(name="other", sql="ELSE", m=0.65),
    ),
)
COMPARISONS: Mapping[Cls, tuple[Comparison, ...]] = {
    "same_person": (_NAME, _PHONE, _CONTEXT, _GENDER, _PART),
    "same_household": (_CHILD, _HOME, _REP, _SURNAME),
}
#: Which pairs are looked at: an equality, and lists of which one value each must be equal.
_BLOCKS: Mapping[Cls, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "same_person": (
        ("l.near = r.near", ("near",)),
        ("l.rare = r.rare", ()),
        ("l.name = r.name AND l.reps = r.reps", ("reps",)),
        ("l.nick = r.nick AND l.reps = r.reps", ("reps",)),
        ("l.given = r.alludes AND l.reps = r.reps", ("given", "alludes", "reps")),
        ("l.alludes = r.given AND l.reps = r.reps", ("given", "alludes", "reps")),
        ("l.household = r.household AND l.household <> ''", ()),
        ("l.devices = r.devices", ("devices",)),
        ("l.addresses = r.addresses AND l.surname = r.surname", ("addresses",)),
        ("l.masks = r.masks AND l.surname = r.surname", ("masks",)),
    ),
    "same_household": (
        ("l.children = r.children AND l.reps = r.reps", ("children", "reps")),
        ("l.devices = r.devices", ("devices",)),
        ("l.addresses = r.addresses", ("addresses",)),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Settings as Splink takes them, under a name that says everything about its weights."""

    cls: Cls
    version: str
    settings: Mapping[str, Any]


def columns(records: Sequence[Record]) -> dict[str, list[Any]]:
    """The records as a table, and what follows from all of them: what is rare, what is shared by too many."""
    devices, addresses = _counted(records, lambda r: r.devices), _counted(records, lambda r: r.addresses)
    names = Counter(r.names[0] for r in records if r.names)
    nears = [[key for phone in r.phones for key in near(phone)] for r in records]
    #: Three in a row are a block of numbers somebody bought, no slip of the finger.
    keys = Counter(key for one in nears for key in set(one))
    few = {v for v, n in (devices + addresses).items() if n <= SHARED}
    return {
        "unique_id": [r.person_id for r in records],
        "name": [r.names[0] if r.names else None for r in records],
        "rare": [r.names[0] if r.names and names[r.names[0]] <= _RARE else None for r in records],
        "surname": [r.surname for r in records],
        "gender": [r.gender for r in records],
        "nicknames": [list(r.nicknames) for r in records],
        "nick": [r.nicknames[0] if r.nicknames else None for r in records],
        "given": [given(r.names) for r in records],
        "alludes": [alludes(r.nicknames) for r in records],
        "household": [r.household for r in records],
        "children": [list(r.children) for r in records],
        "phones": [list(r.phones) for r in records],
        "near": [[key for key in one if keys[key] == 2] for one in nears],
        "masks": [list(r.masks) for r in records],
        "private": [[d for d in r.devices if devices[d] == 2] for r in records],
        "devices": [[d for d in r.devices if d in few] for r in records],
        "addresses": [[a for a in r.addresses if a in few] for r in records],
        "reps": [list(r.reps) for r in records],
        "learner": [r.learner for r in records],
    }


def _counted(records: Iterable[Record], of: Callable[[Record], Iterable[str]]) -> Counter[str]:
    return Counter(value for r in records for value in set(of(r)))


def chances(table: Mapping[str, list[Any]]) -> dict[str, float]:
    """By field: how likely two persons taken at random agree in it."""
    found = {
        field: _chance(values, table[_ASKED.get(field, field)])
        for field, values in table.items()
        if field != "unique_id"
    }
    return found | {"given*alludes": _crossed(table["given"], table["alludes"])}


def _crossed(ours: Sequence[list[str]], theirs: Sequence[list[str]]) -> float:
    """How likely what one person says of themselves fits another's name by chance."""
    left, right = Counter(v for one in ours for v in one), Counter(v for one in theirs for v in one)
    pairs = sum(1 for one in ours if one) * sum(1 for one in theirs if one)
    return max(_LEAST, 2 * sum(n * right[v] for v, n in left.items()) / max(1, pairs))


def _chance(values: Sequence[Any], asked: Sequence[Any]) -> float:
    """Of all pairs of whom both were asked: how many agree."""
    sets = [set(v) if isinstance(v, list) else {v} - {None, ""} for v in values]
    known = sum(1 for a in asked if a not in (None, "", []))
    met = Counter(value for s in sets for value in s)
    return max(_LEAST, sum(comb(n, 2) for n in met.values()) / max(1, comb(known, 2)))


def fitted(cls: Cls, table: Mapping[str, list[Any]]) -> Model:
    """The model for these records: m as shipped, u as counted; equal records make an equal model."""
    odds = chances(table)
    size = max(2, len(table["unique_id"]))
    settings = {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": min(0.01, 2 * _MISSING[cls] / size),
        "retain_matching_columns": True,
        "retain_intermediate_calculation_columns": True,
        "comparisons": [_compared(c, odds) for c in COMPARISONS[cls]],
        "blocking_rules_to_generate_predictions": [
            {
                "blocking_rule": sql,
                "sql_dialect": "duckdb",
                **({"arrays_to_explode": list(lists)} if lists else {}),
            }
            for sql, lists in _BLOCKS[cls]
        ],
    }
    mark = hashlib.sha256(to_json(settings)).hexdigest()[:10]
    return Model(cls=cls, version=f"{cls.removeprefix('same_')}-{VERSION}-{mark}", settings=settings)


def _compared(comparison: Comparison, odds: Mapping[str, float]) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": comparison.null, "label_for_charts": "null", "is_null_level": True}
    ]
    left = 1.0
    for level in comparison.levels:
        u = max(_LEAST, min(odds[level.field], left * 0.9)) if level.field else left
        left -= u
        one = {
            "sql_condition": level.sql,
            "label_for_charts": level.name,
            "m_probability": level.m,
            "u_probability": u,
        }
        levels.append(one | ({"tf_adjustment_column": level.tf} if level.tf else {}))
    return {"output_column_name": comparison.name, "comparison_levels": levels}
