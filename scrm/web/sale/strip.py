"""The strip of a sale and the tags of a family, as the customer fragment shows them."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from scrm.desk import stages
from scrm.desk import store as rooms
from scrm.desk.tasks import store as tasks
from scrm.sales.opportunities import rules, store
from scrm.sales.opportunities.rules import Opportunity
from scrm.sales.tags import store as tags
from scrm.timeline.rules import Talk
from scrm.web.reading import Reading
from scrm.web.render import ZONE
from scrm.web.selling import Choice, LabelsView, SaleView
from scrm.web.todo.present import whose

#: A closed sale is shown for so long, then the strip offers a new one.
_SHOWN = timedelta(days=30)
_KNOWN = 30


async def strip(desk: Reading, talk: Talk, home: Sequence[int], *, wanted: str = "") -> SaleView:
    """`home` = every address of the household; `wanted` = the opportunity a chip asked for."""
    found = await shown(desk, home)
    path = f"/s/c/{desk.cid(talk)}/sale"
    if not found:
        return SaleView(href=path)
    public = [desk.conn.vault.public("opportunity", o.opportunity_id) for o in found]
    at = public.index(wanted) if wanted in public else 0
    one = found[at]
    due, tone = await _due(desk, home)
    return SaleView(
        href=f"{path}?o={public[at]}",
        title=title(desk, one),
        amount=one.amount,
        stage=desk.say(stages.name(one.stage, await rooms.trade(desk.conn))),
        part=len(stages.FUNNEL) if one.state == "won" else stages.part(one.stage),
        over=desk.say(rules.STATES[one.state]) if one.state != "open" else "",
        won=one.state == "won",
        due=due if one.state == "open" else "",
        due_tone=tone,
        others=chips(desk, talk, found, public, at),
        twice=any(n > 1 for n in Counter((o.kind, o.business_line) for o in found if is_open(o)).values()),
    )


async def shown(desk: Reading, home: Sequence[int]) -> list[Opportunity]:
    """Open ones first, the one moved last before the others; then those that closed lately."""
    found = await store.of_nodes(desk.conn, home)
    lately = [o for o in found if is_open(o) or (o.closed_at and o.closed_at > desk.now - _SHOWN)]
    return sorted(lately, key=lambda o: not is_open(o))


def is_open(one: Opportunity) -> bool:
    return one.state == "open"


def title(desk: Reading, one: Opportunity) -> str:
    """新购 · 年课"""
    return " · ".join(x for x in (desk.say(rules.KINDS[one.kind]), one.product or one.business_line) if x)


def chips(
    desk: Reading, talk: Talk, found: Sequence[Opportunity], public: Sequence[str], at: int
) -> tuple[Choice, ...]:
    """Nothing to choose from where there is one."""
    if len(found) < 2:
        return ()
    path = f"/s/c/{desk.cid(talk)}/sale"
    return tuple(
        Choice(name=title(desk, one), href=f"{path}?o={ident}", key=ident, on=n == at)
        for n, (one, ident) in enumerate(zip(found, public, strict=True))
    )


async def _due(desk: Reading, home: Sequence[int]) -> tuple[str, str]:
    """The next thing the reader has to do for this family: the first of the tab 待办."""
    of = replace(whose(desk.actor), node_ids=tuple(home))
    board = await tasks.board(desk.conn, of, now=desk.now, limit=1)
    if not board:
        return "", ""
    due, title_ = board[0].due_at, board[0].title
    local, today = due.astimezone(ZONE), desk.now.astimezone(ZONE)
    at = f"{local:%H:%M}" if local.date() == today.date() else f"{local:%m-%d %H:%M}"
    late = due <= desk.now
    words = "{at} 前：{what}" if not late else "已过 {at}：{what}"
    return desk.say(words, at=at, what=title_), "bad" if late else "warn"


async def labels(desk: Reading, talk: Talk, home: Sequence[int]) -> LabelsView:
    has = await tags.of_nodes(desk.conn, home)
    known = await tags.known(desk.conn, limit=_KNOWN)
    return LabelsView(
        cid=desk.cid(talk),
        names=tuple(has),
        known=tuple(name for name in known if name not in has),
        key=secrets.token_hex(12),
    )
