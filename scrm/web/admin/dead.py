"""`/admin/dead`, `/admin/unsent`: what was not understood or not sent; seen masked, mended, done again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from aiohttp import web

from scrm import inbox, outbox, works
from scrm.db import Conn, utcnow
from scrm.errors import BadInput, Conflict
from scrm.inbox import masking, mending
from scrm.ledger.store import audit
from scrm.live import Change
from scrm.timeline.store import conversations
from scrm.web.admin import views as v
from scrm.web.admin.cards import say
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other

PAGE = 50
#: What is sent once more must go out soon: nobody wants yesterday's answer tomorrow.
AGAIN_FOR = timedelta(minutes=15)


def _names(request: web.Request) -> Mapping[int, str]:
    known = house(request).directory.all(actor(request).tenant_id)
    return {p.account.account_id: p.account.name or p.account.slug for p in known}


def _stage(request: web.Request, stage: str) -> str:
    words = {
        "translate": say(request, "解析"),
        "settle": say(request, "写入时间线"),
        "react": say(request, "生成建议"),
    }
    return words.get(stage, stage)


def _row(request: web.Request, one: mending.Class) -> v.DeadRow:
    return v.DeadRow(
        id=one.key,
        account=_names(request).get(one.account_id, ""),
        stage=_stage(request, one.stage),
        error=say(request, one.error) if "{" not in one.error else one.error,
        first_at=one.first_at,
        last_at=one.last_at,
        rows=one.rows,
    )


# -- dead letters, by what is wrong with them --------------------------------------------------------------
async def classes(request: web.Request) -> web.Response:
    async with house(request).db.read(actor(request).tenant_id) as conn:
        known = await mending.classes(conn)
    return page(
        request, "admin/dead.html", view=v.DeadView(rows=tuple(_row(request, c) for c in known[:200]))
    )


async def one_class(request: web.Request) -> web.Response:
    async with house(request).db.read(actor(request).tenant_id) as conn:
        one = await mending.class_of(conn, request.match_info["id"])
        cursor = request.query.get("before", "")
        before = conn.vault.private("letter", cursor) if cursor else None
        known = await mending.letters(conn, one, before=before, limit=PAGE + 1)
        rows = tuple(
            v.LetterRow(
                id=conn.vault.public("letter", k.inbox_id),
                received_at=k.received_at,
                attempts=k.attempts,
                error=k.error,
            )
            for k in known[:PAGE]
        )
    view = v.ClassView(row=_row(request, one), letters=rows, before=rows[-1].id if len(known) > PAGE else "")
    return page(request, "admin/class.html", view=view)


async def replay_class(request: web.Request) -> web.Response:
    """A job: its progress is on its own page."""
    found, who, now = house(request), actor(request), utcnow()
    async with found.db.begin(who.tenant_id) as conn:
        one = await mending.class_of(conn, request.match_info["id"])
        job = await works.start(
            conn, "replay", {"class": one.key}, total=one.rows, staff_id=who.staff_id, now=now
        )
        await audit(conn, who.label, "inbox.replayed", now=now, subject=f"job:{job}", fields=[one.stage])
        conn.after_commit(found.wake_due)
    return see_other("/admin/jobs")


async def discard_class(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    why = str((await form_of(request)).get("why", ""))
    async with found.db.begin(who.tenant_id) as conn:
        one = await mending.class_of(conn, request.match_info["id"])
        await mending.discard_class(conn, one, why)
        subject = f"account:{one.account_id}"
        await audit(conn, who.label, "inbox.discarded", now=utcnow(), subject=subject, fields=["note"])
    return see_other("/admin/dead")


# -- one letter --------------------------------------------------------------------------------------------
async def letter(request: web.Request) -> web.Response:
    return await _letter(request)


async def _letter(request: web.Request, fault: str = "") -> web.Response:
    """Looking at a payload is written down, although nothing of a customer is shown."""
    found, who = house(request), actor(request)
    async with found.db.begin(who.tenant_id) as conn:
        ident = conn.vault.private("letter", request.match_info["id"])
        one = await mending.letter(conn, ident)
        await audit(conn, who.label, "inbox.read", now=utcnow(), subject=f"inbox:{ident}")
    view = v.LetterView(
        id=request.match_info["id"],
        account=_names(request).get(one.account_id, ""),
        state=one.state,
        stage=_stage(request, one.stage),
        error=one.error,
        note=one.note,
        mended=one.mended,
        received_at=one.received_at,
        attempts=one.attempts,
        fields=None if one.fields is None else tuple(_field(request, f) for f in one.fields),
        fault=fault,
    )
    return page(request, "admin/letter.html", status=400 if fault else 200, one=view)


def _field(request: web.Request, field: masking.Shown) -> v.FieldRow:
    hidden = {
        "text": say(request, "文字，{n} 个字", n=field.size),
        "number": say(request, "数字，{n} 位", n=field.size),
        "flag": say(request, "是或否"),
        "empty": say(request, "空"),
    }
    return v.FieldRow(
        number=field.number,
        pointer=field.pointer,
        shown=field.plain or hidden[field.kind],
        plain=bool(field.plain),
    )


async def mend(request: web.Request) -> web.Response:
    """Replace one value and process the row again; what the channel said is kept beside it."""
    found, who = house(request), actor(request)
    form = await form_of(request)
    number, value = str(form.get("field", "")), str(form.get("value", ""))
    try:
        if not (number.isascii() and number.isdecimal() and len(number) < 6):
            raise BadInput("请选择要改的一项。")
        async with found.db.begin(who.tenant_id) as conn:
            ident = conn.vault.private("letter", request.match_info["id"])
            pointer = await mending.mend(conn, ident, int(number), value)
            subject = f"inbox:{ident}"
            await audit(conn, who.label, "inbox.mended", now=utcnow(), subject=subject, fields=[pointer])
            conn.after_commit(found.inbox.stored)
    except BadInput as wrong:
        return await _letter(request, say(request, wrong.sentence))
    return see_other("/admin/dead?mended=1")


async def replay(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    async with found.db.begin(who.tenant_id) as conn:
        ident = conn.vault.private("letter", request.match_info["id"])
        if not await inbox.replay(conn, inbox_ids=[ident]):
            raise Conflict("这条消息已经重新处理了。")
        await audit(conn, who.label, "inbox.replayed", now=utcnow(), subject=f"inbox:{ident}")
        conn.after_commit(found.inbox.stored)
    return see_other("/admin/dead")


async def discard(request: web.Request) -> web.Response:
    found, who = house(request), actor(request)
    why = str((await form_of(request)).get("why", ""))
    try:
        async with found.db.begin(who.tenant_id) as conn:
            ident = conn.vault.private("letter", request.match_info["id"])
            await mending.letter(conn, ident)
            if not await mending.discard(conn, [ident], why):
                raise Conflict("这条消息已经重新处理了。")
            subject = f"inbox:{ident}"
            await audit(conn, who.label, "inbox.discarded", now=utcnow(), subject=subject, fields=["note"])
    except BadInput as wrong:
        return await _letter(request, say(request, wrong.sentence))
    return see_other("/admin/dead")


# -- what did not go out -----------------------------------------------------------------------------------
async def unsent(request: web.Request) -> web.Response:
    """Never the words: an admin does not read what is said to customers."""
    state: Literal["dead", "unknown"] = "unknown" if request.query.get("state") == "unknown" else "dead"
    names = _names(request)
    async with house(request).db.read(actor(request).tenant_id) as conn:
        cursor = request.query.get("before", "")
        before = conn.vault.private("push", cursor) if cursor else None
        known = await outbox.page(conn, state=state, before=before, limit=PAGE + 1)
        counts = await outbox.counts(conn)
        rows = tuple(_unsent(request, conn, names, one) for one in known[:PAGE])
    view = v.UnsentView(
        state=state, rows=rows, counts=counts, before=rows[-1].id if len(known) > PAGE else ""
    )
    return page(request, "admin/unsent.html", view=view)


def _unsent(request: web.Request, conn: Conn, names: Mapping[int, str], one: outbox.Delivery) -> v.UnsentRow:
    return v.UnsentRow(
        id=conn.vault.public("push", one.outbox_id),
        account=names.get(one.account_id, ""),
        kind=one.kind,
        state=one.state,
        error=say(request, one.error) if one.error and "{" not in one.error else one.error,
        code=one.code,
        created_at=one.created_at,
        again=one.state == "dead" and one.kind != "welcome",
    )


async def judge(request: web.Request) -> web.Response:
    """Send once more what certainly did not arrive, or say what became of what nobody knew."""
    found, who, now = house(request), actor(request), utcnow()
    ident = found.db.vault.private("push", request.match_info["id"])
    what = str((await form_of(request)).get("what", ""))
    if what not in ("again", "sent", "lost"):
        raise BadInput("没有这种操作。")
    async with found.db.begin(who.tenant_id) as conn:
        if what == "again":
            one = await outbox.again(conn, ident, until=now + AGAIN_FOR, now=now)
        else:
            one = await outbox.judge(conn, ident, delivered=what == "sent", now=now)
        if one is None:
            raise Conflict("这条发送的状态刚刚变了，请刷新后再看。")
        await audit(conn, who.label, f"push.{what}", now=now, subject=f"push:{ident}")
        await _told(conn, request, one)
    return see_other("/admin/unsent" + ("" if what == "again" else "?state=unknown"))


async def _told(conn: Conn, request: web.Request, one: outbox.Delivery) -> None:
    """Open screens show what became of it."""
    found = house(request)
    talk = await conversations.of_id(conn, one.conversation_id)
    if talk is not None:
        changes = [Change(topic=f"node:{talk.node_id}", ident=one.event_id, version=90)]
        conn.after_commit(lambda: found.live.publish(conn.tenant_id, changes))
    conn.after_commit(found.wake_send)
