"""Installations to back up and to restore into."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests import services
from tests.backups.premises import Premises
from tests.conftest import NewUrl


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield
    structlog.configure(**before)
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)


@pytest.fixture
def premises(
    engine_name: str,
    new_url: NewUrl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Premises:
    """An installation of the engine under test, with rows in it."""
    url = "" if engine_name == "sqlite" else new_url(services.migrated)
    made = Premises(folder=tmp_path / "first", database_url=url, patch=monkeypatch, capsys=capsys)
    made.run("keys", "new")
    made.fill()
    return made


@pytest.fixture
def elsewhere(premises: Premises, engine_name: str, new_url: NewUrl, tmp_path: Path) -> Premises:
    """Another machine: the same master key, an empty database of the same engine."""
    url = "" if engine_name == "sqlite" else new_url(None)
    return moved_in(premises, tmp_path / "second", url)


def moved_in(premises: Premises, folder: Path, url: str) -> Premises:
    folder.mkdir(mode=0o700)
    made = Premises(folder=folder, database_url=url, patch=premises.patch, capsys=premises.capsys)
    made.key.write_bytes(premises.key.read_bytes())
    made.key.chmod(0o600)
    return made
