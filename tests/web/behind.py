"""What is behind the doors: one customer of `rep`, and something of every kind that belongs to them."""

from __future__ import annotations

from scrm import works
from scrm.app import TENANT
from scrm.contract import Handle, Media
from scrm.db import utcnow
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks.service import Wanted
from scrm.identity import proposals, reworking, store
from scrm.identity import service as identity
from scrm.identity.service import Sighting
from scrm.identity.survivorship import service as survivorship
from scrm.ownership import service as ownership
from scrm.ownership.store import deals, pool
from scrm.ownership.store import handover as handovers
from scrm.playbook.checks.store import clearances, findings
from scrm.playbook.checks.store.findings import Finding
from scrm.playbook.effect import service as effect
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.enclosures.rules import admitted
from scrm.playbook.promises import store as promises
from scrm.push import store as media
from scrm.seal import new_id
from tests.playbook.enclosures import PNG
from tests.web.office import Office


async def customer_of_rep(desk: Office) -> dict[str, str]:
    """What fills the braces: a conversation that `rep` answered, and its person."""
    await desk.hear("oa-a", "oCustomerOfRep00000000000001", "你们的课多少钱？")
    cid = await desk.cid("oa-a")
    assert (await desk.push("rep", cid, "您好，我来介绍")).status == 201
    persons = (await desk.api("GET", "/persons", token="machine-admin")).json()["items"]
    await desk.ask("POST", "/catalog/products", who="admin", data={"code": "p1", "name": "课"})
    node_id, picture = await desk.node_of(cid), Media(name="a.png", mime="image/png", content=b"\x89PNG")
    async with desk.service.house.db.begin(TENANT) as conn:
        media_id = await media.add_media(conn, picture, node_id, now=utcnow())
    return {
        "{account}": "oa-a",
        "{tail:.+}": "x",
        "{name}": "none.js",
        "{code}": "p1",
        "{cid}": cid,
        "{chat}": await desk.group("wrGroup", "家长群", ours="RepUser", customers={"wmOne": "家长"}),
        "{mid}": desk.public("media", media_id),
        "{deal}": await deal_of(desk, node_id),
        "{entry}": await pooled_of(desk, node_id),
        "{handover}": await handover_of(desk),
        "{proposal}": await proposal_of(desk, node_id),
        "{job}": await job_of(desk),
        "{correction}": await correction_of(desk, node_id),
        "{task}": await task_of(desk, node_id),
        "{promise}": await promise_of(desk, cid),
        "{alert}": await alert_of(desk, cid),
        "{batch}": await batch_of(desk),
        "{trial}": await trial_of(desk),
        "{version}": "1",
        "{script}": "edu.price-objection",
        "{sop}": "edu.new-7-days",
        "{number}": "1",
        "{file}": await file_of(desk),
        "{id}": persons[0]["id"],
    }


async def trial_of(desk: Office) -> str:
    """Two versions of a script side by side."""
    async with desk.service.house.db.begin(TENANT) as conn:
        one = await effect.begin(conn, "edu.x", 1, 2, "reply", by=None, now=utcnow())
    return desk.public("trial", one.trial_id)


async def file_of(desk: Office) -> str:
    """What goes out with a talk-track."""
    async with desk.service.house.db.begin(TENANT) as conn:
        named = await enclosures.keep(conn, [admitted("a.png", PNG)], author_id=None, now=utcnow())
        (one,) = await enclosures.of_script(conn, named)
    return desk.public("media", one.media_id)


async def batch_of(desk: Office) -> str:
    """A batch of coupons."""
    form = {"code": "EARLY", "name": "早鸟券", "value": "300", "ends": "2099-01-01T00:00"}
    await desk.ask("POST", "/mkt/coupons", who="marketing", data=form)
    items = (await desk.api("GET", "/coupons", token="machine-admin")).json()["items"]
    return str(items[0]["id"])


async def deal_of(desk: Office, node_id: int) -> str:
    """A deal of this customer, judged: the company's own."""
    ident = new_id()
    one = deals.Kept(
        deal_id=ident, source="order", account_id=1, number="D1", line="", node_id=node_id, payer_id=None,
        learner_id=None, event_id=1, at=utcnow(), amount=100, policy_version=1,
    )  # fmt: skip
    async with desk.service.house.db.begin(TENANT) as conn:
        await deals.put(conn, one)
        await ownership.judge(conn, one, "deal", now=utcnow())
    return desk.public("deal", ident)


async def pooled_of(desk: Office, node_id: int) -> str:
    """Somebody in the public pool of every team."""
    one = pool.fresh(node_id=node_id, from_id=None, team_id=None, state="in", rule="idle", level="new",
                     facts={"level": "新", "days": "9", "limit": "7"}, fell_at=utcnow())  # fmt: skip
    async with desk.service.house.db.begin(TENANT) as conn:
        assert await pool.add(conn, one)
    return desk.public("pool", one.entry_id)


async def handover_of(desk: Office) -> str:
    """A hand-over inside team A."""
    people = desk.staff_ids
    async with desk.service.house.db.begin(TENANT) as conn:
        one = await handovers.add(
            conn, from_id=people["rep"], to_id=people["peer"], by_id=None, sort="onjob", now=utcnow()
        )
    return desk.public("handover", one.handover_id)


async def promise_of(desk: Office, cid: str) -> str:
    """What this customer was promised."""
    assert (await desk.push("rep", cid, "课程给您 9 折")).status == 201
    await desk.quiet()
    async with desk.service.house.db.read(TENANT) as conn:
        (row,) = await promises.of_nodes(conn, [await desk.node_of(cid)])
    return desk.public("promise", row.promise_id)


async def alert_of(desk: Office, cid: str) -> str:
    """Words of the rep's that wait for their leader; and some that the leader handed to compliance."""
    data = {"text": "我们保证提分", "why": "家长要看协议"}
    assert (await desk.ask("POST", f"/s/c/{cid}/clearance", who="rep", data=data)).status == 303
    async with desk.service.house.db.begin(TENANT) as conn:
        (asked,) = await clearances.page(conn, team_ids=None, state="asked", before=None, limit=2)
        made = Finding(
            finding_id=new_id(), key="k", kind="words", rule="edu.guarantee", level="block", event_id=1,
            conversation_id=asked.conversation_id, node_id=asked.node_id, staff_id=asked.staff_id,
            team_id=asked.team_id, promise_id=None, facts={}, state="handed", at=utcnow(),
        )  # fmt: skip
        await findings.add(conn, [made])
    return desk.public("finding", made.finding_id)


async def proposal_of(desk: Office, node_id: int) -> str:
    """A question about this customer."""
    one = Handle(kind="app_user", scope="app", value="somebody-else")
    async with desk.service.house.db.begin(TENANT) as conn:
        now = utcnow()
        met = await identity.resolve(conn, [Sighting(event_id=1, at=now, key="k", handles=(one,))], now)
        (other,) = met.nodes.values()
        why = ["都提到孩子"]
        assert await proposals.suggest(conn, other, node_id, "same_person", why, source="online", now=now)
        (one,) = await proposals.queue(conn, now=utcnow())
    return desk.public("proposal", one.proposal_id)


async def task_of(desk: Office, node_id: int) -> str:
    """Something `rep` has to do for this customer."""
    rep = desk.staff_ids["rep"]
    one = Wanted(key="t", kind="other", title="整理资料", why="", source="manual", node_id=node_id,
                 staff_id=rep, due_at=utcnow())  # fmt: skip
    async with desk.service.house.db.begin(TENANT) as conn:
        (made,) = await tasks.put(conn, [one], now=utcnow())
    return desk.public("task", made.task_id)


async def correction_of(desk: Office, node_id: int) -> str:
    """What a colleague knows better about this customer."""
    async with desk.service.house.db.begin(TENANT) as conn:
        (one,) = (await store.persons_of(conn, [node_id])).values()
        ident = await survivorship.correct(conn, one, "city", "杭州", by="x", staff_id=None, now=utcnow())
    return desk.public("correction", ident)


async def job_of(desk: Office) -> str:
    """Something that was taken back in bulk."""
    async with desk.service.house.db.begin(TENANT) as conn:
        which = {"which": {"rule": "x"}, "why": "试"}
        ident = await works.start(conn, reworking.REVERT, which, now=utcnow())
    return desk.public("job", ident)
