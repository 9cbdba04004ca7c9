"""`make soak`: what is too long for every change, then all of tests/chaos again and again with other seeds.

SOAK_MIN bounds the run; SEED starts it at the seed that failed. The first failure ends it and stays on disk.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("tests/chaos")
#: Where a failed round leaves its ledgers, logs and databases.
KEPT = ROOT / "var" / "soak"


def minutes() -> float:
    """How long a soak may take, all in all."""
    return float(os.environ.get("SOAK_MIN", "85"))


def passed(seed: int, paths: Sequence[str]) -> bool:
    """One run of these tests with one seed; its folder goes when it passed."""
    folder = KEPT / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    # No limit for each test: one of them leaves the database away for longer than that.
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-x", "-o", "faulthandler_timeout=0"]
    command += [f"--basetemp={folder / 'tests'}", *paths]
    sys.stdout.write(f"== SEED={seed} {' '.join(paths)}\n")
    sys.stdout.flush()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"SEED": str(seed)}, check=False)
    if done.returncode == 0:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"== failed: replay with SEED={seed}; ledgers and logs are in {folder}\n")
    return done.returncode == 0


def main() -> int:
    began = time.monotonic()
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 31))
    long = sys.argv[1:] or [str(path) for path in sorted((ROOT / HERE).glob("soak_*.py"))]
    rounds, good = 1, passed(seed, long)
    while good and time.monotonic() - began < minutes() * 60:
        seed, rounds = seed + 1, rounds + 1
        good = passed(seed, [str(HERE)])
    sys.stdout.write(f"== {rounds} rounds in {(time.monotonic() - began) / 60:.0f} min\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
