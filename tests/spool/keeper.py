"""A process that takes callbacks while its database is down, and says which it has acknowledged.

Run as `python keeper.py FOLDER URL ACCOUNT_ID [hasty]`; `hasty` answers first and stores afterwards.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from scrm.contract import Account, Raw
from scrm.db import Database, utcnow
from scrm.seal import Vault
from scrm.spool.host import spooling
from scrm.spool.intake import SpooledInbox


async def keep(folder: Path, url: str, account_id: int, *, hasty: bool) -> None:
    vault = Vault(bytes(range(32)))
    shop = Account(tenant_id=1, account_id=account_id, slug="shop", channel="testing", name="店")
    main = await Database.open(url, vault)
    async with spooling(folder, main, pending=5000, max_rows=10**6) as spool:
        inbox = SpooledInbox(main, pending=5000, stored=lambda: None, spool=spool)
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)

        async def client(number: int) -> None:
            for n in range(10**6):
                key = f"{number}-{n}"
                if hasty:
                    say(f"acked {key}")
                    # In step, all twenty would be stored at once, and a kill just then shows nothing.
                    await asyncio.sleep(0.01 + 0.002 * number)
                await inbox.accept(
                    shop, [Raw(source_key=key, lane=str(number), payload=b"x")], received_at=utcnow()
                )
                if not hasty:
                    say(f"acked {key}")

        await asyncio.gather(*(client(number) for number in range(20)))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), hasty="hasty" in sys.argv))
