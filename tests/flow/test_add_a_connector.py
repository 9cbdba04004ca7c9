"""The how-to's example channel, taken from the page, runs through a whole service; nothing else is edited."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest

import connectors
from scrm.accounts import service as accounts
from scrm.app import TENANT
from scrm.db import utcnow
from scrm.errors import BadConfig
from tests.web.office import Office, office

PAGE = Path(__file__).parents[2] / "docs/how-to/add-a-connector.md"
CHANNEL, SECRET = "doorbell", "ring-ring"


@pytest.fixture
def doorbell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example in a folder of its own that Python looks into for connectors, and gone afterwards."""
    (example,) = re.findall(r"```python\n(.+?)```", PAGE.read_text("utf-8"), re.S)
    folder = tmp_path / "mine" / CHANNEL
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(example, "utf-8")
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(folder.parent)])
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop(f"connectors.{CHANNEL}", None)
    vars(connectors).pop(CHANNEL, None)


async def plugged_in(desk: Office) -> None:
    house = desk.service.house
    async with house.db.begin(TENANT) as conn:
        given = {"slug": "front-door", "channel": CHANNEL, "secret": SECRET}
        await accounts.add(conn, given, now=utcnow())
    async with house.db.read(TENANT) as conn:
        await house.directory.load(conn)


async def ring(desk: Office, ident: str, says: str, *, secret: str = SECRET) -> int:
    said = {"id": ident, "who": "anna", "says": says, "at": int(time())}
    headers = {"X-Doorbell-Secret": secret}
    return (await desk.bare("POST", "/hooks/front-door", json=said, headers=headers)).status


def test_the_example_is_about_thirty_lines(doorbell: Path) -> None:
    written = (doorbell / "__init__.py").read_text("utf-8").splitlines()

    assert len([line for line in written if line.strip()]) <= 30


@pytest.mark.usefixtures("doorbell")
async def test_what_the_example_hears_is_on_the_timeline_once(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        await plugged_in(desk)

        statuses = [
            await ring(desk, "7", "在吗"),
            await ring(desk, "7", "在吗"),
            await ring(desk, "8", "开门"),
        ]
        refused = await ring(desk, "9", "让我进去", secret="wrong")
        await desk.quiet()

        found = await desk.api("GET", "/events?account=front-door", token="machine-admin")
        talks = await desk.api("GET", "/conversations", token="machine-admin")

    assert (statuses, refused) == ([200, 200, 200], 403)
    assert sorted(e["text"] for e in found.json()["items"]) == ["在吗", "开门"]
    assert [t["account"] for t in talks.json()["items"]] == ["front-door"]


@pytest.mark.usefixtures("doorbell")
async def test_a_misspelt_setting_of_the_example_is_named(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.service.house.db.begin(TENANT) as conn:
        given = {"slug": "front-door", "channel": CHANNEL, "secrett": SECRET}
        with pytest.raises(BadConfig, match="secrett"):
            await accounts.add(conn, given, now=utcnow())
