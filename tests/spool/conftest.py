"""A PostgreSQL that the spool's tests may stop, freeze and kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.services import Missing, Postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Of the module alone, and durable: what it says is committed survives."""
    try:
        made = services.postgres(durable=True)
    except Missing as why:
        pytest.skip(str(why))
    with made:
        yield made
