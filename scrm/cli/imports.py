"""`scrm import calls FILE --account SLUG`: a list somebody exported; may be run again, adds nothing twice."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from scrm import lists
from scrm.accounts.service import Plugged
from scrm.app import TENANT, running
from scrm.cli.line import Commands, add, say
from scrm.contract import Imports
from scrm.db import utcnow
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.lists import Line, Taken
from scrm.settings import Settings
from scrm.web.house import House

_SAY_EVERY_S = 2.0
_SHOWN = 20
#: What makes a spreadsheet compute instead of show.
_FORMULA = frozenset("=+-@\t\r")
_NUMBER = re.compile(r"[+-][0-9 ()-]+")


async def calls(args: argparse.Namespace, configured: Settings) -> int:
    """0 when every line went in, 1 when some have a problem; those are in the rejects file."""
    path = _file(args.file)
    async with running(configured, work=False) as service:
        house = service.house
        plugged = house.directory.by_slug(args.account)
        rejects = Path(args.rejects) if args.rejects else path.with_suffix(".rejects.csv")
        taken = await _take(path, rejects, plugged, house, keep=not args.check)
        if not args.check:
            async with house.db.begin(TENANT) as conn:
                subject = f"account:{plugged.account.account_id}"
                await audit(conn, "cli", "list.imported", now=utcnow(), subject=subject)
    _report(taken, rejects, check=args.check)
    return 1 if taken.bad else 0


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"没有这个文件：{path}")
    return path


async def _take(path: Path, rejects: Path, plugged: Plugged, house: House, *, keep: bool) -> Taken:
    plug = plugged.plug
    if not isinstance(plug, Imports):
        raise BadInput(f"账号 {plugged.account.slug} 的渠道不能导入列表。")
    taken, said = Taken(), monotonic()
    with _rejected(rejects) as write:
        for batch in lists.batches(lists.lines_of(path)):
            ctx = house.context(plugged, utcnow())
            for bad in await lists.take(house.inbox if keep else None, plug, ctx, batch, taken):
                write(bad)
                if taken.bad <= _SHOWN:
                    say(f"第 {bad.number} 行：{bad.problem}", error=True)
            if monotonic() - said >= _SAY_EVERY_S:
                said = monotonic()
                say(f"已读 {taken.lines} 行，新增 {taken.fresh}，已有 {taken.known}，有问题 {taken.bad}")
    return taken


@contextmanager
def _rejected(path: Path) -> Iterator[Any]:
    """The rejects file; it is there only when something was rejected."""
    made: list[Any] = []

    def write(bad: Line) -> None:
        if not made:
            path.touch(mode=0o600)  # customers' numbers are in it
            file = path.open("w", encoding="utf-8-sig", newline="")
            made.extend((file, csv.writer(file)))
            made[1].writerow(["行号", "原因", "原文"])
        made[1].writerow([bad.number, bad.problem, *map(harmless, bad.cells)])

    try:
        yield write
    finally:
        if made:
            made[0].close()


def harmless(cell: str) -> str:
    """The cell so that a spreadsheet takes it for text; telephone numbers stay as they are."""
    return f"'{cell}" if cell[:1] in _FORMULA and not _NUMBER.fullmatch(cell) else cell


def _report(taken: Taken, rejects: Path, *, check: bool) -> None:
    if check:
        say(f"检查了 {taken.lines} 行，{taken.bad} 行有问题；没有导入任何内容。")
    else:
        say(f"读了 {taken.lines} 行：新增 {taken.fresh}，已有 {taken.known}，有问题 {taken.bad}。")
    if taken.bad:
        print(f"有问题的行在 {rejects}", file=sys.stderr, flush=True)


def commands(to: Commands) -> None:
    one = add(to, "import", calls, "Take in a list somebody exported; running it again adds nothing twice")
    one.add_argument("kind", choices=["calls"], help="what the lines are")
    one.add_argument("file", metavar="FILE", help="CSV in UTF-8 or GB18030, headings in the first line")
    one.add_argument("--account", required=True, metavar="SLUG", help="the account the calls went over")
    one.add_argument("--rejects", metavar="FILE", help="where bad lines go (default: FILE.rejects.csv)")
    one.add_argument("--check", action="store_true", help="only read the file and say what is wrong")
