"""Effect in a tenant's life: suggestions taken, passed by, answered; counts made, two versions compared."""

from __future__ import annotations

from datetime import timedelta

from scrm.db import Conn, utcnow
from scrm.playbook import store as suggestions
from scrm.playbook.effect import service, store
from scrm.playbook.effect.service import Reached, Sent
from scrm.playbook.effect.store import trials
from scrm.playbook.ranking import Suggestion
from scrm.playbook.store import Made
from scrm.staff import store as staff_store
from tests.ground import talk_of

CODE = "edu.price"
SAID = "这是建议过的一句完整的话"


async def as_measured(conn: Conn) -> None:
    now, talk = utcnow(), await talk_of(conn, "anna")
    me = (await staff_store.all_members(conn))[0].staff_id
    ranked = [Suggestion(script_id=c, version=1, score=1.0, reason="") for c in (CODE, "edu.value", "edu.no")]
    made = Made(conversation_id=talk.conversation_id, event_id=9, ranked=ranked, node_id=talk.node_id)
    await suggestions.save_all(conn, [made], now=now)
    known = {o.script_id: o for o in await suggestions.latest(conn, talk.conversation_id)}
    assert await suggestions.mark_unfit(conn, known["edu.no"].suggestion_id, staff_id=me)
    at = now + timedelta(seconds=1)
    sent = Sent(event_id=99, conversation_id=talk.conversation_id, at=at, text=SAID, staff_id=me)
    await service.heed(conn, [sent], lambda o: SAID if o.script_id == CODE else "别的")
    later = at + timedelta(minutes=1)
    told = [
        Reached(goal=g, nodes=[talk.node_id], at=later, event_id=None) for g in ("reply", "stage", "deal")
    ]
    assert await service.reached(conn, told)
    await store.run_out(conn, after=0, before=now, limit=9)
    assert await service.recount(conn, now=later)
    trial = await service.begin(conn, CODE, 1, 2, "reply", by=me, now=now)
    await service.stop(conn, trial.trial_id, now=later)


async def behind(conn: Conn, node_id: int, conversation_id: int) -> list[object]:
    """What these names lead to."""
    now = utcnow()
    since, until = now - timedelta(days=9), now + timedelta(days=9)
    listed = await trials.page(conn)
    return [
        await store.at_stake(conn, [conversation_id], since=since),
        await store.sent_to(conn, [node_id], since=since, until=until),
        await store.days(conn, since=since),
        await store.cells(conn),
        listed,
    ]
