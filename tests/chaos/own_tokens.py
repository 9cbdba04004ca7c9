"""A wrong server on purpose: each process keeps vendor tokens of its own."""

from __future__ import annotations

from connectors.kit.tokens import MemoryTokens
from scrm.cli import main
from scrm.tokens import SharedTokens

if __name__ == "__main__":
    kept: dict[int, MemoryTokens] = {}
    setattr(SharedTokens, "of", lambda _self, tenant_id: kept.setdefault(tenant_id, MemoryTokens()))  # noqa: B010
    main()
