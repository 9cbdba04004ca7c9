"""What we may ask WeCom to do: contact ways, tags, remarks, group sends, transfers, ids of unionids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from connectors.wecom.deeds import customers, ids, sends, tags, transfers, ways
from scrm.contract import Context, Deed, Done
from scrm.errors import Rejected

_Do = Callable[[Context, Mapping[str, Any]], Awaitable[Done]]
_Outcome = Callable[[Context, str, Mapping[str, Any]], Awaitable[Done]]

_ROOMS = (customers, tags, ways, sends, transfers, ids)
DEEDS: tuple[Deed, ...] = tuple(deed for room in _ROOMS for deed in room.DEEDS)
_DO: Mapping[str, _Do] = MappingProxyType({kind: act for room in _ROOMS for kind, act in room.DO.items()})
_OUTCOME: Mapping[str, _Outcome] = MappingProxyType({**sends.OUTCOME, **transfers.OUTCOME})


async def do(ctx: Context, deed: str, fields: Mapping[str, Any]) -> Done:
    """Ask once. What the vendor would refuse is refused here, before it is asked."""
    if deed not in _DO:
        raise Rejected("企业微信没有这项操作。", code="unsupported")
    return await _DO[deed](ctx, fields)


async def outcome(ctx: Context, deed: str, item: str, fields: Mapping[str, Any]) -> Done:
    """What became of it by now; a deed without a later outcome is done."""
    if deed not in _OUTCOME:
        return Done(item=item)
    return await _OUTCOME[deed](ctx, item, fields)
