"""What a backup says of itself, whether it may be restored here, and where sealed values stand. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from scrm.errors import BadConfig, BadInput

#: Sealed columns: table -> (columns that name the row, sealed columns), as `seal.close` was told.
SEALED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "account": (("account_id",), ("secrets",)),
    "inbox": (("inbox_id",), ("payload", "payload_before")),
    "outbox": (("outbox_id",), ("payload",)),
    "event": (("event_id",), ("body",)),
    "node": (("node_id",), ("value", "name")),
    "node_name": (("node_id", "name_key"), ("name",)),
    "media": (("media_id",), ("content",)),
    "fact": (("fact_id",), ("body",)),
    "event_media": (("event_id", "n"), ("ref", "transcript")),
    "deed": (("deed_id",), ("fields", "result")),
    "ruling": (("ruling_id",), ("note",)),
    "appeal": (("appeal_id",), ("text", "answer")),
    "handover_customer": (("handover_id", "node_id"), ("brief",)),
    "proposal": (("node_a", "node_b", "class"), ("reasons",)),
    "vendor_token": (("key_hash", "version"), ("token",)),
}
_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many rows a table has and what they add up to."""

    rows: int
    sum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was backed up, when and by which release; kept inside the backup."""

    made_at: datetime
    release: str
    revision: str
    #: The engine it was taken from; it can be restored into either.
    engine: str
    tables: Mapping[str, Tally]

    @property
    def rows(self) -> int:
        return sum(tally.rows for tally in self.tables.values())


@dataclass(slots=True)
class Adding:
    """Adds up a table's rows: each row's SHA-256 as a number, so that engines may order rows as they like."""

    rows: int = 0
    _sum: int = field(default=0, repr=False)

    def add(self, lines: Iterable[bytes]) -> None:
        """Each line is one row, written canonically."""
        for line in lines:
            self._sum += int.from_bytes(hashlib.sha256(line).digest(), "big")
            self.rows += 1

    def tally(self) -> Tally:
        return Tally(rows=self.rows, sum=f"{self._sum % _MODULUS:064x}")


def differences(wanted: Mapping[str, Tally], found: Mapping[str, Tally]) -> list[str]:
    """One sentence for each table that is not what it should be."""
    said = []
    for name in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(name), found.get(name)
        if want is None or have is None:
            said.append(f"表 {name} {'多了' if want is None else '缺了'}")
        elif want.rows != have.rows:
            said.append(f"表 {name} 应有 {want.rows} 行，实际 {have.rows} 行")
        elif want.sum != have.sum:
            said.append(f"表 {name} 的内容被改动过")
    return said


def demand_equal(wanted: Mapping[str, Tally], found: Mapping[str, Tally]) -> None:
    """Raises `BadInput` naming the tables that differ."""
    if wrong := differences(wanted, found):
        raise BadInput(f"备份与原数据不一致：{'；'.join(wrong[:5])}。")


def demand_known(manifest: Manifest, known: Collection[str]) -> None:
    """Raises `BadConfig` for a backup of a release that is newer than this one."""
    if manifest.revision not in known:
        raise BadConfig(
            f"备份来自更新的版本 scrm {manifest.release}（结构 {manifest.revision}），"
            "请先安装那个版本或更新的版本再恢复。"
        )


def demand_empty(filled: Sequence[str]) -> None:
    """Raises `BadConfig` when the database to restore into holds anything."""
    if filled:
        raise BadConfig(
            f"目标数据库里已有数据（{'、'.join(filled[:5])}）。恢复只写入空库，不会覆盖任何东西："
            "请让 SCRM_DATABASE_URL 或 SCRM_DATA_DIR 指向一个空的数据库，再执行 scrm restore。"
        )
