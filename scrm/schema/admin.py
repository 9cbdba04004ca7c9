"""Tables of looking after channels: how busy each account is."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, table

pulse = table(
    "pulse",
    ident("account_id"),
    #: start of five minutes
    instant("slot"),
    *(
        sa.Column(name, sa.Integer, nullable=False, server_default="0")
        #: new rows; pushes that arrived, that did not; calls that were refused, that only checked the address
        for name in ("received", "sent", "failed", "refused", "checked")
    ),
    instant("last_at"),
    key=["account_id", "slot"],
)
