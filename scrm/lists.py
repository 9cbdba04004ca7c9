"""Lists somebody hands us as a file: what is good goes in, what is bad is told by its line number."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

from scrm.contract import Account, Context, Imports, Raw
from scrm.errors import BadInput
from scrm.inbox import Inbox

AT_ONCE = 500
_CHUNK = 1 << 20
_COLUMNS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the list; `problem` says why it cannot be read."""

    number: int
    cells: tuple[str, ...] = ()
    row: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(slots=True, kw_only=True)
class Taken:
    """How it stands: lines seen, taken in for the first time, had before, and those with a problem."""

    lines: int = 0
    fresh: int = 0
    known: int = 0
    bad: int = 0


def lines_of(path: Path) -> Iterator[Line]:
    """Lines under the headings of the first, UTF-8 or GB18030, with commas, semicolons or tabs.

    Raises `BadInput` when the file has no headings at all.
    """
    with path.open(encoding=encoding_of(path), errors="replace", newline="") as text:
        yield from read(text)


def text_of(content: bytes) -> TextIO:
    """A list that is wholly here: UTF-8 when all of it is, else GB18030."""
    try:
        return io.StringIO(content.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError:
        return io.StringIO(content.decode("gb18030", errors="replace"), newline="")


def read(text: TextIO) -> Iterator[Line]:
    """The same of an open text."""
    first = text.readline().lstrip("\ufeff")
    marks = {mark: first.count(mark) for mark in ",;\t"}
    mark = max(marks, key=lambda one: marks[one])
    headings = [h.strip() for h in next(csv.reader([first], delimiter=mark), [])]
    if len([h for h in headings if h]) < 2 or len(headings) > _COLUMNS:
        raise BadInput("第一行应是列名，用逗号、分号或制表符分开。")
    rows = csv.reader(text, delimiter=mark)
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield Line(number=rows.line_num + 1, problem="这一行的格式不对，读不出来。")
            continue
        if any(cell.strip() for cell in cells):
            yield _line(rows.line_num + 1, headings, tuple(cells))


def _line(number: int, headings: Sequence[str], cells: tuple[str, ...]) -> Line:
    if len(cells) > len(headings) and any(cell.strip() for cell in cells[len(headings) :]):
        return Line(number=number, cells=cells, problem=f"有 {len(cells)} 列，列名只有 {len(headings)} 个。")
    row = {h: cell for h, cell in zip(headings, cells, strict=False) if h}
    return Line(number=number, cells=cells, row=row)


def encoding_of(path: Path) -> str:
    """UTF-8 when all of it is, else what Chinese spreadsheets write."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "gb18030"
    return "utf-8-sig"


async def take(
    inbox: Inbox | None, plug: Imports, ctx: Context, lines: Sequence[Line], taken: Taken
) -> list[Line]:
    """Put a batch into the inbox (None: only look), counted in `taken`; the lines that have a problem.

    The same line again is the same row: handing in a list twice adds nothing.
    """
    raws: list[Raw] = []
    bad: list[Line] = []
    for one in lines:
        problem = one.problem
        if not problem:
            try:
                raws.append(plug.line(ctx, one.row))
            except BadInput as wrong:
                problem = wrong.sentence
        if problem:
            bad.append(Line(number=one.number, cells=one.cells, problem=problem))
    fresh = await _stored(inbox, ctx.account, raws, ctx) if inbox else 0
    taken.lines += len(lines)
    taken.fresh += fresh
    taken.known += len(raws) - fresh if inbox else 0
    taken.bad += len(bad)
    return bad


async def _stored(inbox: Inbox, account: Account, raws: Sequence[Raw], ctx: Context) -> int:
    return await inbox.accept(account, raws, received_at=ctx.now, bulk=True)


def batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, AT_ONCE)):
        yield batch
