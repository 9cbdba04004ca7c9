"""The durable inbox: everything a channel told us is committed here, once, before the channel is answered."""

from scrm.inbox.claims import claim, mark, own, own_shards, put_back
from scrm.inbox.intake import Arrival, Inbox, Moved, add_ours, cursor_of
from scrm.inbox.rows import BULK, NORMAL, URGENT, Item, Stage
from scrm.inbox.upkeep import Entry, counts, oldest, page, replay

__all__ = [
    "BULK",
    "NORMAL",
    "URGENT",
    "Arrival",
    "Entry",
    "Inbox",
    "Item",
    "Moved",
    "Stage",
    "add_ours",
    "claim",
    "counts",
    "cursor_of",
    "mark",
    "oldest",
    "own",
    "own_shards",
    "page",
    "put_back",
    "replay",
]
