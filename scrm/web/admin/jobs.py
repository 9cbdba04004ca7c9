"""`/admin/jobs`: long works with their progress, which survives the page."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from scrm import works
from scrm.accounts.service import Directory
from scrm.db import utcnow
from scrm.errors import Conflict, NotFound
from scrm.ledger.store import audit
from scrm.seal import Vault
from scrm.web.admin import views as v
from scrm.web.admin.cards import say
from scrm.web.house import actor, house
from scrm.web.pages import form_of, page, see_other

PAGE = 30


def _titles(request: web.Request) -> Mapping[str, str]:
    return {
        "sync": say(request, "全量同步"),
        "replay": say(request, "重新处理"),
        "import": say(request, "导入"),
        "reindex": say(request, "重建搜索"),
        "identity_dry_run": say(request, "身份规则预演"),
        "identity_resolve": say(request, "按新规则重新判断身份"),
        "identity_stats": say(request, "统计标识"),
        "identity_revert": say(request, "批量撤回依据"),
        "identity_reinstate": say(request, "恢复撤回的依据"),
    }


def row(request: web.Request, work: works.Work, vault: Vault, directory: Directory) -> v.JobRow:
    plugs = {p.account.account_id: p.account.name for p in directory.all(actor(request).tenant_id)}
    return v.JobRow(
        id=vault.public("job", work.job_id),
        title=_titles(request).get(work.kind, work.kind),
        account=plugs.get(work.account_id or 0, ""),
        state=work.state,
        done=work.done,
        total=work.total,
        fresh=work.fresh,
        failed=work.failed,
        error=say(request, work.error) if work.error and "{" not in work.error else work.error,
        created_at=work.created_at,
        updated_at=work.updated_at,
    )


async def jobs(request: web.Request) -> web.Response:
    found = house(request)
    async with found.db.read(actor(request).tenant_id) as conn:
        cursor = request.query.get("before", "")
        before = conn.vault.private("job", cursor) if cursor else None
        known = await works.page(conn, before=before, limit=PAGE + 1)
        rows = tuple(row(request, w, conn.vault, found.directory) for w in known[:PAGE])
    view = v.JobsView(rows=rows, before=rows[-1].id if len(known) > PAGE else "")
    return page(request, "admin/jobs.html", view=view)


async def order(request: web.Request) -> web.Response:
    """Pause, resume or cancel one."""
    found, who, now = house(request), actor(request), utcnow()
    what = str((await form_of(request)).get("what", ""))
    async with found.db.begin(who.tenant_id) as conn:
        ident = conn.vault.private("job", request.match_info["id"])
        if await works.get(conn, ident) is None:
            raise NotFound("没有这个任务。")
        if await works.order(conn, ident, what, now=now) is None:
            raise Conflict("这个任务的状态刚刚变了，请刷新后再看。")
        await audit(conn, who.label, f"job.{what}", now=now, subject=f"job:{ident}")
        conn.after_commit(found.wake_due)
    return see_other("/admin/jobs")
