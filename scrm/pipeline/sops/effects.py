"""What a step does: say it, ask a colleague, give a coupon, put on a tag, move the sale; each by its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from scrm.campaigns.coupons import service as coupons
from scrm.campaigns.coupons import store as batches
from scrm.desk.tasks import service as tasks
from scrm.desk.tasks import store as board
from scrm.desk.tasks.rules import Kind
from scrm.desk.tasks.service import Wanted
from scrm.errors import BadInput, Conflict, NotFound
from scrm.live import Change
from scrm.pipeline.sops.around import Around
from scrm.pipeline.sops.turns import Turn
from scrm.playbook.enclosures import service as enclosures
from scrm.playbook.sops.rules import Move, at_work
from scrm.playbook.sops.service import Did
from scrm.playbook.sops.values import Step
from scrm.push import service as push
from scrm.sales.opportunities import service as opportunities
from scrm.sales.opportunities.rules import Move as Stage
from scrm.sales.opportunities.service import By
from scrm.sales.tags import service as tags

#: What a colleague must say is due after so many hours of work; a task leaves the board a day after its time.
_CONFIRM_H, _GRACE = 4.0, timedelta(days=1)

NO_SALE = "没有进行中的商机。"
NO_BATCH = "没有编号为“{code}”的券。"
ASKS = "流程“{title}”：{why}"
SAYS, GIVES = "发消息：{title}", "推券：{title}"
SENTENCES = (NO_SALE, NO_BATCH, ASKS, SAYS, GIVES)


async def do(turn: Turn, move: Move) -> Did:
    """Raises nothing that a second try could not mend: what cannot be done is written down as such."""
    around = turn.around
    if move.state == "skipped" or around is None:
        return Did()
    try:
        match move.kind:
            case "message":
                return await (_say(turn, around) if move.state == "done" else _confirm(turn, around, move))
            case "task":
                return await ask_of(turn, move.step)
            case "coupon":
                return await _give(turn, around, move.step)
            case "tag":
                return await _tag(turn, around, move.step)
            case "stage":
                return await _stage(turn, around, move.step)
            case _:
                return Did()
    except (BadInput, Conflict, NotFound) as error:
        return Did(failed=error.sentence)


async def _say(turn: Turn, around: Around) -> Did:
    talk = around.talk
    assert talk is not None
    said = await push.say(
        turn.conn,
        turn.means.directory.by_id(talk.account_id),
        talk,
        push.Word(
            key=turn.key,
            text=turn.said.text,
            files=await enclosures.of_script(turn.conn, turn.said.files),
            purpose="sop",
            # Whatever holds it up on its way out: what is late is not said any more.
            deadline_at=turn.now + timedelta(hours=turn.plan.late_hours),
        ),
        manners=turn.means.manners,
        now=turn.now,
    )
    turn.came.sent = turn.came.noted = True
    turn.came.changes.append(Change(topic=f"node:{talk.node_id}", ident=said.event_ids[0], version=1))
    return Did(event_id=said.event_ids[0], spoke=True)


# -- by a colleague ----------------------------------------------------------------------------------------
async def ask_of(turn: Turn, step: Step) -> Did:
    """A task of the plan."""
    one = step.task
    if one is None or turn.around is None:
        return Did()
    return await _ask(
        turn,
        turn.around,
        kind=one.kind,
        title=one.title,
        why=turn.plan.about or turn.plan.title,
        hours=one.due_hours,
        action={"script": one.script} if one.script else {},
        key=turn.key_of(step),
    )


async def _confirm(turn: Turn, around: Around, move: Move) -> Did:
    """Said by a colleague: with one tap, after a look."""
    message, said = move.step.message, turn.said
    script = message.script if message else ""
    action: dict[str, object] = {"script": script, "text": said.text, "missing": list(said.missing)}
    if said.files:
        action["files"] = enclosures.written(said.files)
    did = await _ask(
        turn,
        around,
        kind="material",
        title=SAYS.format(title=said.title),
        why=move.why,
        hours=_CONFIRM_H,
        action=action,
        key=turn.key,
    )
    return replace(did, spoke=True)


async def _ask(
    turn: Turn,
    around: Around,
    *,
    kind: Kind,
    title: str,
    why: str,
    hours: float,
    action: Mapping[str, object],
    key: str,
) -> Did:
    talk, row = around.talk, turn.row
    due = at_work(turn.calendar, turn.now, timedelta(hours=hours))
    wanted = Wanted(
        key=key,
        kind=kind,
        title=title,
        why=ASKS.format(title=turn.plan.title, why=why),
        source="sop",
        node_id=talk.node_id if talk else row.node_id,
        conversation_id=talk.conversation_id if talk else None,
        staff_id=(talk.rep_id if talk else None) or row.staff_id,
        run_id=row.run_id,
        step=row.step,
        action=action,
        due_at=due,
        expires_at=due + _GRACE,
    )
    fresh = await tasks.put(turn.conn, [wanted], now=turn.now)
    turn.came.changes += tasks.changes(fresh)
    known = fresh or [t for t in await board.of_runs(turn.conn, [row.run_id]) if t.key == key]
    return Did(task_id=known[0].task_id if known else None)


# -- by itself ---------------------------------------------------------------------------------------------
async def _give(turn: Turn, around: Around, step: Step) -> Did:
    assert step.coupon is not None
    batch = await batches.batch_of(turn.conn, step.coupon.batch)
    if batch is None:
        return Did(failed=NO_BATCH.format(code=step.coupon.batch))
    if step.coupon.delivery == "confirm":
        return await _ask(
            turn,
            around,
            kind="coupon",
            title=GIVES.format(title=batch.name),
            why=turn.plan.about or turn.plan.title,
            hours=_CONFIRM_H,
            action={"batch": batch.code},
            key=turn.key,
        )
    one = await coupons.issue(
        turn.conn,
        batch.batch_id,
        turn.row.node_id,
        around.nodes,
        key=turn.key,
        staff_id=None,
        account_id=around.account_id or None,
        now=turn.now,
    )
    turn.came.noted = True
    return Did(coupon_id=one.coupon_id)


async def _tag(turn: Turn, around: Around, step: Step) -> Did:
    assert step.tag is not None
    whom = tags.Whom(node_id=turn.row.node_id, nodes=around.nodes, account_id=around.account_id)
    await tags.change(
        turn.conn,
        whom,
        add=step.tag.add,
        remove=step.tag.remove,
        source="sop",
        key=turn.key,
        now=turn.now,
    )
    turn.came.noted = True
    return Did()


async def _stage(turn: Turn, around: Around, step: Step) -> Did:
    known = await opportunities.of_household(turn.conn, turn.row.node_id)
    sale = next((one for one in known if one.state == "open"), None)
    if sale is None:
        return Did(failed=NO_SALE)
    await opportunities.move(
        turn.conn,
        sale.opportunity_id,
        Stage(stage=step.stage, why=turn.plan.title),
        By(source="sop", event_id=turn.row.event_id),
        key=turn.key,
        account_id=around.account_id,
        now=turn.now,
    )
    turn.came.noted = True
    return Did()
