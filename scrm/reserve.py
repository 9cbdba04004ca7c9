"""A file that is only there to be removed: on a full disk it gives operators room to act."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from shutil import disk_usage

import structlog

log = structlog.get_logger()

#: Of the disk in use: the reserve is given up at the first, and laid in again below the second.
FULL, ROOMY = 0.95, 0.90
_LOOK_S = 30.0


class Reserve:
    """`data_dir/reserve`, of so many bytes; 0 = none is kept."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size

    @property
    def path(self) -> Path:
        return self._folder / "reserve"

    @property
    def used(self) -> float:
        """The share of the disk in use, as `df` counts."""
        disk = disk_usage(self._folder)
        return disk.used / ((disk.used + disk.free) or 1)

    def tend(self) -> float:
        """Give it up when the disk is nearly full, lay it in when there is room; the share in use before."""
        used = self.used
        if used >= FULL:
            if self.path.exists():
                self.path.unlink()
                log.error("disk nearly full: the reserve was given up, make room now", used=round(used, 3))
        elif self._size and used < ROOMY and not self.path.exists():
            self._lay_in()
        return used

    def _lay_in(self) -> None:
        with suppress(FileExistsError):
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._size)
            except OSError:
                self.path.unlink()
            finally:
                os.close(handle)

    async def watch(self) -> None:
        """Look for ever. The first look comes late: a command that ends soon lays in nothing."""
        while True:
            await asyncio.sleep(_LOOK_S)
            with suppress(OSError):
                used = await asyncio.to_thread(self.tend)
                if used >= FULL:
                    log.error("disk nearly full: callbacks will soon be refused", used=round(used, 3))
