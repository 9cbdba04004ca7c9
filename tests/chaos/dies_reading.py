"""A server that is gone at a named moment of reading a stream; also a wrong one: the cursor before the rows.

`DIE_AT` is `<moment>:<page>`: `asked` (the page is there, nothing stored), `between` (only of the wrong
server: the cursor is stored, its rows are not) or `stored`. `CURSOR_FIRST` makes it the wrong server.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import datetime
from itertools import count

from scrm.cli import main
from scrm.contract import Account, Raw
from scrm.inbox import Inbox, Moved

MOMENT, _, PAGE = os.environ.get("DIE_AT", "never:0").partition(":")
WRONG = "CURSOR_FIRST" in os.environ

_pages = count(1)
_accept = Inbox.accept


def _die_if(moment: str, page: int) -> None:
    if (moment, page) == (MOMENT, int(PAGE)):
        os.kill(os.getpid(), signal.SIGKILL)


async def _accept_or_die(
    self: Inbox,
    account: Account,
    raws: Sequence[Raw],
    *,
    received_at: datetime,
    bulk: bool = False,
    moved: Moved | None = None,
) -> int:
    page = next(_pages) if bulk and raws else 0
    _die_if("asked", page)
    if WRONG and page:
        await _accept(self, account, (), received_at=received_at, bulk=bulk, moved=moved)
        _die_if("between", page)
        moved = None
    new = await _accept(self, account, raws, received_at=received_at, bulk=bulk, moved=moved)
    _die_if("stored", page)
    return new


if __name__ == "__main__":
    Inbox.accept = _accept_or_die  # type: ignore[method-assign]
    main()
