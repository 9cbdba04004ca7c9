"""Scoring pairs with Splink on DuckDB, inside this process. Needs the extra `match`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from math import log2
from typing import Any

from scrm.errors import BadConfig
from scrm.identity.match.model import COMPARISONS, Cls, Model

_LIBRARIES = ("duckdb", "pyarrow", "splink")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one comparison adds, in bits."""

    field: str
    level: str
    bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Two persons with the waterfall that leads to `bits` (prior included)."""

    a: int
    b: int
    bits: float
    probability: float
    parts: tuple[Part, ...]


def bits(probability: float) -> float:
    """Odds as a weight."""
    return log2(probability / (1 - probability))


def installed() -> bool:
    return all(find_spec(name) for name in _LIBRARIES)


def demand() -> None:
    """Raises `BadConfig` with what to install when the extra is missing."""
    if not installed():
        raise BadConfig("批量推荐需要额外组件，请先安装：pip install 'scrm[match]'")


def score(
    table: Mapping[str, list[Any]], model: Model, *, least_bits: float, threads: int = 4
) -> list[Scored]:
    """Pairs of the model's blocks above a weight, heaviest first. Blocking: for a thread."""
    demand()
    duckdb, arrow, splink = (import_module(name) for name in _LIBRARIES)
    # Splink speaks of its progress in the log.
    logging.getLogger("splink").setLevel(logging.ERROR)
    con = duckdb.connect(":memory:", config={"threads": threads})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = splink.DuckDBAPI(con).register(_arrow(arrow, table), table_name="persons")
            linker = splink.Linker(records, dict(model.settings), log_level=None)
            found = linker.inference.predict(threshold_match_weight=least_bits, warning_mode="never")
            rows = found.as_pyarrow_table().select(_wanted(found, model.cls)).to_pylist()
    finally:
        con.close()
    scored = [_scored(row, model.cls) for row in rows]
    return sorted(scored, key=lambda s: (-s.bits, s.a, s.b))


def _arrow(arrow: Any, table: Mapping[str, list[Any]]) -> Any:
    """Typed by hand: a column in which nobody said anything has no type of its own."""
    special = {"unique_id": arrow.int64(), "learner": arrow.bool_()}
    flat = {"name", "rare", "nick", "surname", "gender", "household"}
    types = {
        field: special.get(field) or (arrow.string() if field in flat else arrow.list_(arrow.string()))
        for field in table
    }
    return arrow.table({field: arrow.array(values, types[field]) for field, values in table.items()})


def _wanted(found: Any, cls: Cls) -> list[str]:
    """The columns of the waterfall: the compared lists themselves are long."""
    names = [column.unquote().name for column in found.columns]
    wanted = {f"{p}_{c.name}" for c in COMPARISONS[cls] for p in ("gamma", "mw", "mw_tf_adj")}
    wanted |= {"unique_id_l", "unique_id_r", "match_weight", "match_probability"}
    return [name for name in names if name in wanted]


def _scored(row: Mapping[str, Any], cls: Cls) -> Scored:
    a, b = sorted((row["unique_id_l"], row["unique_id_r"]))
    return Scored(
        a=a,
        b=b,
        bits=row["match_weight"],
        probability=row["match_probability"],
        parts=tuple(_parts(row, cls)),
    )


def _parts(row: Mapping[str, Any], cls: Cls) -> Sequence[Part]:
    found = []
    for comparison in COMPARISONS[cls]:
        gamma = row[f"gamma_{comparison.name}"]
        if gamma is None or gamma < 0:
            continue
        # Splink counts from the last level up.
        level = comparison.levels[len(comparison.levels) - 1 - gamma]
        bits = row[f"mw_{comparison.name}"] + (row.get(f"mw_tf_adj_{comparison.name}") or 0.0)
        found.append(Part(field=comparison.name, level=level.name, bits=bits))
    return found
