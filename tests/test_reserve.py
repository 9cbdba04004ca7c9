"""The reserve: laid in while there is room, given up when the disk is nearly full."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrm import reserve
from scrm.reserve import Reserve

SIZE = 1 << 20


class Disk:
    """A disk of 1000 whose use a test sets."""

    def __init__(self, used: int) -> None:
        self.used = used

    @property
    def free(self) -> int:
        return 1000 - self.used


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """What the operating system says of the disk."""
    made = Disk(500)
    monkeypatch.setattr(reserve, "disk_usage", lambda _path: made)
    return made


def test_room_is_kept_once_and_takes_its_size(tmp_path: Path, disk: Disk) -> None:
    kept = Reserve(tmp_path, SIZE)

    assert [kept.tend(), kept.tend()] == [0.5, 0.5]

    assert disk.used == 500
    assert kept.path.stat().st_size == SIZE
    assert kept.path.stat().st_blocks * 512 >= SIZE  # no hole: it really takes the room
    assert kept.path.stat().st_mode & 0o077 == 0


def test_a_nearly_full_disk_gets_it_back_and_keeps_it_until_there_is_room(tmp_path: Path, disk: Disk) -> None:
    kept = Reserve(tmp_path, SIZE)
    kept.tend()

    seen = []
    for used in (949, 950, 930, 901, 899):
        disk.used = used
        kept.tend()
        seen.append(kept.path.exists())

    assert seen == [True, False, False, False, True]


@pytest.mark.parametrize(("size", "used"), [(0, 100), (SIZE, 920)])
def test_none_is_laid_in_when_none_is_wanted_or_room_is_short(
    tmp_path: Path, disk: Disk, size: int, used: int
) -> None:
    disk.used = used
    Reserve(tmp_path, size).tend()

    assert list(tmp_path.iterdir()) == []


def test_two_processes_lay_in_one(tmp_path: Path, disk: Disk) -> None:
    for _ in range(2):
        Reserve(tmp_path, SIZE).tend()

    assert [p.name for p in tmp_path.iterdir()] == ["reserve"]
    assert disk.free == 500


def test_the_share_in_use_is_what_the_system_says(tmp_path: Path) -> None:
    assert 0 < Reserve(tmp_path, 0).used <= 1
