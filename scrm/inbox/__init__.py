"""The durable inbox: everything a channel told us is committed here, once, before the channel is answered."""

from scrm.inbox.claims import any_held, claim, hold, mark, own, own_shards, put_back, release
from scrm.inbox.intake import Arrival, Inbox, Moved, add_ours, cursor_of
from scrm.inbox.lags import Lag, following, lags, reached
from scrm.inbox.rows import BULK, NORMAL, URGENT, Item, Stage
from scrm.inbox.upkeep import (
    Backlog,
    Cursor,
    Entry,
    backlog,
    counts,
    cursors,
    is_idle,
    oldest,
    page,
    quarantined,
    replay,
)

__all__ = [
    "BULK",
    "NORMAL",
    "URGENT",
    "Arrival",
    "Backlog",
    "Cursor",
    "Entry",
    "Inbox",
    "Item",
    "Lag",
    "Moved",
    "Stage",
    "add_ours",
    "any_held",
    "backlog",
    "claim",
    "counts",
    "cursor_of",
    "cursors",
    "following",
    "hold",
    "is_idle",
    "lags",
    "mark",
    "oldest",
    "own",
    "own_shards",
    "page",
    "put_back",
    "quarantined",
    "reached",
    "release",
    "replay",
]
