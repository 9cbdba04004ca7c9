"""Operations of the API for those who look after channels: accounts, their health and state, long jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from aiohttp import web

from scrm import works
from scrm.accounts import service as accounts
from scrm.accounts.health import Health, healths
from scrm.db import Conn, utcnow
from scrm.errors import NotFound
from scrm.ledger.store import audit
from scrm.seal import Vault
from scrm.staff.rules import Policy
from scrm.web.api import resources as r
from scrm.web.api.endpoint import CURSOR, LIMIT, Act, Endpoint, body_of, limit_of
from scrm.web.house import House, actor, house


async def list_accounts(request: web.Request) -> r.Page[r.Account]:
    found, who = house(request), actor(request)
    async with found.db.read(who.tenant_id) as conn:
        behind = timedelta(hours=found.settings.lag_alarm_h)
        known = await healths(conn, found.directory.all(who.tenant_id), now=utcnow(), behind=behind)
    return r.Page(items=[_account(found, one) for one in known])


def _account(found: House, one: Health) -> r.Account:
    account = one.plugged.account
    return r.Account(
        slug=account.slug,
        channel=account.channel,
        title=one.plugged.title,
        name=account.name,
        callback_url=f"{found.settings.url}/hooks/{account.slug}",
        max_age_s=account.max_age_s,
        options=dict(account.options),
        secrets=sorted(account.secrets),
        state=one.plugged.state,
        health=_health(one),
    )


def _health(one: Health) -> r.AccountHealth:
    return r.AccountHealth(
        level=one.level(),
        last_at=one.last_at,
        waiting=one.waiting,
        lag_s=one.lag.total_seconds(),
        received_1h=one.received_1h,
        errors_24h=one.errors,
        quarantined=one.quarantined,
        unsent=one.unsent,
        unclear=one.unclear,
        token_until=one.token_until,
        alarms=[a.sentence for a in one.alarms] + [j.error for j in one.failing],
        asked=one.gaps.asked,
        got=one.gaps.got,
        missing=one.gaps.missing,
    )


async def order_account(request: web.Request) -> Act:
    """Pause, drain or resume."""
    found, who, wanted = house(request), actor(request), await body_of(request, r.AccountOrder)
    plugged = found.directory.by_slug(request.match_info["account"])
    if plugged.account.tenant_id != who.tenant_id:
        raise NotFound("没有这个账号。")

    async def act(conn: Conn) -> r.AccountState:
        state = await accounts.order(conn, plugged, wanted.order)
        subject = f"account:{plugged.account.account_id}"
        await audit(conn, who.label, f"account.{wanted.order}", now=utcnow(), subject=subject)
        for wake in (found.inbox.stored, found.wake_react, found.wake_send, found.wake_due):
            conn.after_commit(wake)
        return r.AccountState(slug=plugged.account.slug, state=state)

    return act


async def list_jobs(request: web.Request) -> r.Page[r.Job]:
    found, who, limit = house(request), actor(request), limit_of(request)
    slugs = {p.account.account_id: p.account.slug for p in found.directory.all(who.tenant_id)}
    async with found.db.read(who.tenant_id) as conn:
        cursor = request.query.get("cursor", "")
        before = conn.vault.private("job", cursor) if cursor else None
        page = await works.page(conn, before=before, limit=limit + 1)
        items = [_job(conn.vault, slugs, one) for one in page[:limit]]
    return r.Page(items=items, next_cursor=items[-1].id if len(page) > limit else None)


def _job(vault: Vault, slugs: Mapping[int, str], one: works.Work) -> r.Job:
    return r.Job(
        id=vault.public("job", one.job_id),
        kind=one.kind,
        account=slugs.get(one.account_id or 0),
        state=one.state,
        done=one.done,
        total=one.total,
        fresh=one.fresh,
        failed=one.failed,
        error=one.error,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )


ENDPOINTS: Sequence[Endpoint] = (
    Endpoint(
        method="GET",
        path="/accounts",
        summary="Configured accounts and how they do, without their secrets",
        policy=Policy.API_ADMIN,
        answer=r.Page[r.Account],
        handler=list_accounts,
    ),
    Endpoint(
        method="POST",
        path="/accounts/{account}/state",
        summary="Pause, drain or resume an account",
        policy=Policy.API_ADMIN,
        answer=r.AccountState,
        handler=order_account,
        body=r.AccountOrder,
    ),
    Endpoint(
        method="GET",
        path="/jobs",
        summary="Long jobs and their progress, newest first",
        policy=Policy.API_ADMIN,
        answer=r.Page[r.Job],
        handler=list_jobs,
        queries=(LIMIT, CURSOR),
    ),
)
