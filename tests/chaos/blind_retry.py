"""A wrong server on purpose: it believes that the vendor drops repeats, so it sends again what is unclear."""

from __future__ import annotations

import connectors.wechat_oa
from scrm.cli import main

if __name__ == "__main__":
    connectors.wechat_oa.IDEMPOTENT = True
    main()
