"""Settings: config/default.toml, then a file, then `SCRM_*` of the environment; where shipped files lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scrm import shapes
from scrm.errors import BadConfig, BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One running service. Every field is explained in config/default.toml."""

    data_dir: str
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    host: str
    port: int
    public_url: str
    tenant: str
    company: str
    master_key_file: str
    master_key: str = field(repr=False)
    scripts_dir: str
    trades: str
    review_scripts: bool
    log_level: str
    inbox_pending: int
    spool_max_rows: int
    reserve_mb: int
    connections: int
    connections_per_address: int
    settle_rows: int
    max_attempts: int
    media_max_mb: int
    effect_max_age_s: int
    lag_alarm_h: int
    asr_url: str
    asr_key: str = field(repr=False)
    return_wait_s: int
    opportunity_opens: str
    auto_answers: str
    promise_floor: str
    promise_max_off: str
    promise_gifts: str
    promise_guarantees: bool
    propose_hour: int
    quiet_hours: str
    business_hours: str
    marketing_per_day: int
    marketing_per_month: int
    marketing_household_per_day: int
    marketing_household_per_month: int
    sop_per_day: int
    sop_per_month: int
    sop_household_per_day: int
    sop_household_per_month: int
    session_h: int
    secure_cookies: bool
    dev_pages: bool
    accounts: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def sqlite_path(self) -> Path:
        return Path(self.data_dir) / "scrm.db"

    @property
    def db_url(self) -> str:
        return self.database_url or f"sqlite:///{self.sqlite_path}"

    @property
    def embedded(self) -> bool:
        """SQLite: one process owns the file."""
        return self.db_url.startswith("sqlite")

    @property
    def key_path(self) -> Path:
        return Path(self.master_key_file) if self.master_key_file else Path(self.data_dir) / "master.key"

    @property
    def url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def library(self) -> Path:
        return Path(self.scripts_dir) if self.scripts_dir else shipped("scripts_library")


def shipped(name: str) -> Path:
    """A folder that ships with scrm: beside the package in a checkout, inside it in a wheel."""
    here = Path(__file__).resolve().parent
    beside = here.parent / name
    return beside if beside.exists() else here / "_data" / name


def load(path: Path | None = None, env: Mapping[str, str] | None = None, **over: object) -> Settings:
    """Raises `BadConfig` naming the file and the field. `over` wins over everything (command-line flags)."""
    source = os.environ if env is None else env
    values = _read(shipped("config") / "default.toml")
    if path is not None:
        values |= _read(path)
    values |= _from_env(source)
    values |= {name: value for name, value in over.items() if value is not None}
    try:
        return shapes.load(Settings, values, where=str(path or "config"))
    except BadInput as wrong:
        raise BadConfig(wrong.sentence) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return shapes.read_toml(path)
    except (OSError, BadInput) as wrong:
        raise BadConfig(f"{path}: 读不出配置：{wrong}") from None


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    known = {f.name: f for f in fields(Settings) if f.name != "accounts"}
    found: dict[str, Any] = {}
    for name, spec in known.items():
        text = env.get(f"SCRM_{name.upper()}")
        if text is not None:
            found[name] = _typed(name, str(spec.type), text)
    return found


def _typed(name: str, kind: str, text: str) -> object:
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            raise BadConfig(f"SCRM_{name.upper()} 应为整数，现在是 {text!r}") from None
    if kind == "bool":
        return text.lower() in {"1", "true", "yes", "on"}
    return text
