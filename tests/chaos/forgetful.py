"""A wrong server on purpose: what the database does not take is acked all the same, and kept nowhere."""

from __future__ import annotations

from scrm.cli import main
from scrm.inbox import Arrival
from scrm.spool.intake import SpooledInbox


async def _forget(self: SpooledInbox, arrival: Arrival) -> None:  # noqa: ARG001
    arrival.settle(len(arrival.raws))


if __name__ == "__main__":
    SpooledInbox._shelter = _forget  # type: ignore[method-assign]  # noqa: SLF001
    main()
