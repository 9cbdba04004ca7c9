"""Whom a run concerns, and what is true of them now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scrm import situations
from scrm.accounts.service import Directory
from scrm.db import Conn
from scrm.identity import service as identity
from scrm.identity import store as nodes
from scrm.playbook.situation import Situation
from scrm.playbook.sops.rules import Facts
from scrm.playbook.sops.store import dates
from scrm.sales.opportunities import store as opportunities
from scrm.sales.tags import store as tags
from scrm.timeline.rules import Talk
from scrm.timeline.store import conversations

#: Where nothing was ever opened, everything is still to begin.
FIRST = "first-contact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """A household as a run meets it; `situation` is None when nobody of them ever talked with us."""

    node_id: int
    #: Of every member.
    nodes: tuple[int, ...]
    family: tuple[int, ...]
    talks: tuple[Talk, ...] = ()
    talk: Talk | None = None
    situation: Situation | None = None

    @property
    def account_id(self) -> int:
        return self.talk.account_id if self.talk else 0


async def look(
    conn: Conn,
    directory: Directory,
    node_id: int,
    *,
    conversation_id: int | None = None,
    company: str = "",
    now: datetime,
) -> Around | None:
    """The household of this address today; None when the customer is not there any more."""
    if not await nodes.kinds(conn, [node_id]):
        return None
    person = (await nodes.persons_of(conn, [node_id])).get(node_id)
    home = await identity.household(conn, person) if person else None
    theirs = sorted({node_id, *(home.owners if home else ())})
    found = await conversations.of_nodes(conn, theirs)
    talks = tuple(t for t in found if directory.plug_of(t.account_id) is not None)
    around = Around(
        node_id=node_id, nodes=tuple(theirs), family=tuple(home.members if home else ()), talks=talks
    )
    talk = _talk(talks, node_id, conversation_id)
    if talk is None:
        return around
    return await through(conn, directory, around, talk, company=company, now=now)


def _talk(talks: Sequence[Talk], node_id: int, conversation_id: int | None) -> Talk | None:
    """The one it began in, else the latest with the same person, else with anybody of the household."""
    order = sorted(talks, key=lambda t: (t.conversation_id != conversation_id, t.node_id != node_id))
    return order[0] if order else None


async def through(
    conn: Conn, directory: Directory, around: Around, talk: Talk, *, company: str, now: datetime
) -> Around:
    """The same household, spoken to in this conversation."""
    channel = directory.by_id(talk.account_id).account.channel
    situation = await situations.of(conn, talk, channel=channel, company=company, now=now)
    return Around(
        node_id=around.node_id,
        nodes=around.nodes,
        family=around.family,
        talks=around.talks,
        talk=talk,
        situation=situation,
    )


async def facts(conn: Conn, around: Around) -> Facts:
    """What is true of the household, for conditions."""
    known, talk = around.situation, around.talk
    return Facts(
        stage=await _stage(conn, around),
        role=known.role if known else "",
        tags=known.tags if known else frozenset(await tags.of_nodes(conn, around.nodes)),
        channel=known.channel if known and talk else "",
        product=known.sale.product_code if known and known.sale else "",
        last_in_at=max((t.last_in_at for t in around.talks if t.last_in_at), default=None),
        bought_at=await dates.bought_at(conn, around.nodes),
    )


async def _stage(conn: Conn, around: Around) -> str:
    if around.situation is not None and around.situation.stage:
        return around.situation.stage
    sales = await opportunities.of_nodes(conn, around.nodes)
    return next((s.stage for s in sales if s.state == "open"), "") if sales else FIRST


def of_role(around: Around, role: str) -> Talk | None:
    """The latest conversation with whoever of the household plays this part; None = nobody does."""
    members = around.situation.members if around.situation else ()
    theirs = {m.node_id for m in members if m.role == role and m.node_id}
    return next((t for t in around.talks if t.node_id in theirs), None)
