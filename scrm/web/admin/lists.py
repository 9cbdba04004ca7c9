"""`/admin/connectors/{account}/import`: a list as a file, looked at first, then taken in; never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web
from aiohttp.web_request import FileField

from scrm import lists
from scrm.accounts.service import Plugged
from scrm.contract import Imports
from scrm.db import utcnow
from scrm.errors import BadInput
from scrm.ledger.store import audit
from scrm.lists import Line, Taken
from scrm.web.admin import views as v
from scrm.web.admin.cards import plugged_of, say
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page

#: Some 20,000 lines; longer lists go in by `scrm import calls`, which also keeps the bad lines.
LARGEST = 2 * 1024 * 1024
_BAD_SHOWN = 50


async def show(request: web.Request) -> web.Response:
    return _page(request, _importing(request))


async def take(request: web.Request) -> web.Response:
    """Read the file that was sent; `what=check` looks at it and keeps nothing."""
    found, who, plugged = house(request), actor(request), _importing(request)
    form = await form_of(request)
    keep = form.get("what") != "check"
    taken, bad = Taken(), list[Line]()
    try:
        await _read(request, plugged, _content(form.get("file")), taken, bad, keep=keep)
    except BadInput as wrong:
        return _page(request, plugged, fault=say(request, wrong.sentence))
    if keep:
        async with found.db.begin(who.tenant_id) as conn:
            subject = f"account:{plugged.account.account_id}"
            await audit(conn, who.label, "list.imported", now=utcnow(), subject=subject)
    return _page(request, plugged, result=_result(request, taken, bad, kept=keep))


async def _read(
    request: web.Request, plugged: Plugged, content: bytes, taken: Taken, bad: list[Line], *, keep: bool
) -> None:
    """Batch by batch. Raises `BadInput` when it is no list at all."""
    found = house(request)
    assert isinstance(plugged.plug, Imports)
    for batch in lists.batches(lists.read(lists.text_of(content))):
        ctx = found.context(plugged, utcnow())
        wrong = await lists.take(found.inbox if keep else None, plugged.plug, ctx, batch, taken)
        bad += wrong[: _BAD_SHOWN - len(bad)]
        await asyncio.sleep(0)  # a long list must not keep everybody else waiting


def _content(file: object) -> bytes:
    if not isinstance(file, FileField) or not file.filename:
        raise BadInput("请选择一个文件。")
    content = file.file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise BadInput("文件超过 2 MB，请拆开，或在服务器上用 scrm import calls 导入。")
    return content


def _importing(request: web.Request) -> Plugged:
    """Raises `BadInput` for an account that takes no lists."""
    plugged = plugged_of(request)
    if not isinstance(plugged.plug, Imports):
        raise BadInput("这个账号的渠道不能导入列表。")
    return plugged


def _result(request: web.Request, taken: Taken, bad: Sequence[Line], *, kept: bool) -> v.Imported:
    return v.Imported(
        kept=kept,
        lines=taken.lines,
        good=taken.lines - taken.bad,
        fresh=taken.fresh,
        known=taken.known,
        bad=taken.bad,
        faults=tuple((one.number, say(request, one.problem)) for one in bad),
    )


def _page(
    request: web.Request, plugged: Plugged, *, result: v.Imported | None = None, fault: str = ""
) -> web.Response:
    account = plugged.account
    view = v.ImportView(slug=account.slug, name=account.name or account.slug, result=result, fault=fault)
    return page(request, "admin/import.html", status=400 if fault else 200, view=view)
