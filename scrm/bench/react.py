"""React: rules and suggestions, in messages a second of one worker, and of several on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from time import perf_counter
from types import ModuleType

from scrm.app import TENANT
from scrm.bench.crew import crew
from scrm.bench.ground import Figures, talk
from scrm.bench.site import Site, pipeline, service, site, store
from scrm.pipeline import advising, doing, promising, selling
from scrm.pipeline.sops import notices

ROWS = 5_000
#: On PostgreSQL: so many processes over one backlog.
CREWS = (1, 2, 4)
#: What the playbook adds to a reaction: opportunities, tasks, SOPs, promises, and what became of suggestions.
_STEPS: tuple[tuple[ModuleType, str], ...] = (
    (selling, "heed"),
    (doing, "heed"),
    (notices, "heed"),
    (promising, "kept"),
    (promising, "heed"),
    (advising, "heed"),
)


async def run(rows: int = ROWS, *, database: str = "", crews: Sequence[int] = CREWS) -> Figures:
    """Suggestions ranked and stored for every message; and settle and react of one worker together."""
    async with site(database) as place:
        settled, reacted = await _alone(place, rows)
    async with site(database) as place:
        _, without = await _alone(place, rows, playbook=False)
    figures: Figures = {
        "rows": rows,
        "react_rows_s": round(rows / reacted),
        "react_us_a_row": round(reacted / rows * 1e6, 1),
        "react_without_playbook_rows_s": round(rows / without),
        "to_without_playbook": round(without / reacted, 2),
        "settle_and_react_rows_s": round(rows / (settled + reacted)),
    }
    for size in crews if database else ():
        async with site(database) as place:
            await _fill(place, rows)
            first = await crew(place, "settle", size, rows)
            then = await crew(place, "react", size, rows)
            figures[f"react_{size}_processes_s"] = round(then.rate)
            figures[f"settle_and_react_{size}_processes_s"] = round(rows / (first.seconds + then.seconds))
    return figures | {"bound_rows_s": 500, "ratio": round(rows / reacted / 500, 2), "bar": 1.0}


async def _fill(place: Site, rows: int) -> None:
    async with service(place) as one:
        await store(one, [said.raw for said in talk(rows, people=max(1, rows // 10))])


@contextmanager
def _without() -> Iterator[None]:
    """The same reactions, and none of the playbook's steps."""
    had = [(module, name, getattr(module, name)) for module, name in _STEPS]
    for module, name, _ in had:
        setattr(module, name, _pass)
    try:
        yield
    finally:
        for module, name, step in had:
            setattr(module, name, step)


async def _pass(*_: object, **__: object) -> tuple[()]:
    return ()


async def _alone(place: Site, rows: int, *, playbook: bool = True) -> tuple[float, float]:
    """Seconds one worker takes to settle, and to react, in this process."""
    await _fill(place, rows)
    async with service(place) as one:
        line, moved, began = pipeline(one), 0, perf_counter()
        while moved < rows:
            moved += await line.settle(TENANT)
        settled, moved = perf_counter(), 0
        with nullcontext() if playbook else _without():
            while moved < rows:
                moved += await line.react(TENANT)
        return settled - began, perf_counter() - settled
