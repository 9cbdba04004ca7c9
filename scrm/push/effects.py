"""What a platform's refusal means beyond the one push: windows, sessions, relations, consent, alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scrm import facts, outbox
from scrm.db import Conn
from scrm.ledger.consent import store as consents
from scrm.ledger.consent.store import Said
from scrm.push.store import SHUTS
from scrm.staff import store as staff
from scrm.timeline import hands
from scrm.timeline.store import conversations, events

#: What is wrong with an account, one fact per code, until something goes out again.
ALARM: Final = "alarm"
#: Said after what is wrong, where somebody's seat may be the reason.
WHOSE: Final = "（涉及成员：{members}）"
#: What the platform takes no more of, one fact per code, over by itself when its time has come.
QUOTA: Final = "quota"
#: The vocabulary of `NotSent.effect` and `Rejected.effect`; a connector without a table says it as `code`.
EFFECTS: Mapping[str, str] = {
    "no_relation": "客户已不是好友或已取消关注：会话结束",
    "opted_out": "客户拒收：记入退订",
    "out_of_window": "回复时限已过或条数用完：客户再说话前不再调用",
    "quota": "平台接口用量已到上限：这个账号的发送一起等",
    "content": "内容不被接受：只这一条作废",
    "config": "账号设置有误：在账号上报警",
    "permission": "缺少权限或席位：在账号上报警",
    "session_human": "人工在接待：接口不再代发",
    "session_ended": "会话已结束：客户再说话前不再代发",
}
_SESSIONS = {"session_human": "human", "session_ended": "ended", "no_relation": "ended"}
_ALARMS = ("config", "permission")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the platform said no to, and how."""

    row: outbox.Sending
    channel: str
    effect: str
    code: str
    sentence: str
    #: For a quota: when the platform takes calls again.
    until: datetime | None = None


def effect_of(effect: str, code: str) -> str:
    """One of `EFFECTS`, or "" for a refusal that means nothing beyond its push."""
    return effect if effect in EFFECTS else code if code in EFFECTS else ""


async def apply(conn: Conn, told: Refusal, *, now: datetime) -> None:
    """Write down what follows from it. A closed window needs no more than the refused row itself."""
    row = told.row
    if told.effect in _SESSIONS:
        await conversations.set_session(conn, row.conversation_id, _SESSIONS[told.effect])
    if told.effect == "no_relation":
        await _end(conn, row.conversation_id, now=now)
    if told.effect == "opted_out":
        await consents.add(conn, _refused(told, now), now=now)
    if told.effect in _ALARMS:
        said = told.sentence + await _whose(conn, row)
        await alarm(conn, row.account_id, told.effect, told.code, said, now=now)
    if told.effect == "quota" and told.until is not None:
        await outbox.hold(conn, row.account_id, until=told.until, now=now)
        await _used_up(conn, told, told.until, now=now)


async def _end(conn: Conn, conversation_id: int, *, now: datetime) -> None:
    talk = await conversations.of_id(conn, conversation_id)
    if talk is not None and talk.state != "closed":
        held = await conversations.hold(conn, [talk.node_id])
        mine = next((t for t in held if t.conversation_id == conversation_id), talk)
        await hands.close(conn, mine, now=now)


def _refused(told: Refusal, now: datetime) -> Said:
    row = told.row
    return Said(
        key=f"vendor:{row.outbox_id}",
        node_id=row.node_id,
        purpose="all",
        channel=told.channel,
        state="withdrawn",
        source="vendor",
        reason=told.sentence,
        event_id=row.event_id,
        at=now,
    )


async def _used_up(conn: Conn, told: Refusal, until: datetime, *, now: datetime) -> None:
    """Said on the account until the platform takes calls again; a shorter wait never hides a longer one."""
    key = told.code or "unnamed"
    known = await facts.get(conn, told.row.account_id, QUOTA, key)
    if known is not None and str(known.body.get("until", "")) >= until.isoformat():
        return
    await facts.put_all(
        conn,
        [
            facts.Said(
                account_id=told.row.account_id,
                kind=QUOTA,
                key=key,
                body={"code": told.code, "sentence": told.sentence, "until": until.isoformat()},
                rank=int(now.timestamp() * 1_000_000),
                at=now,
            )
        ],
    )


# -- alarms ------------------------------------------------------------------------------------------------
async def alarm(conn: Conn, account_id: int, effect: str, code: str, sentence: str, *, now: datetime) -> None:
    """Say on the account what somebody has to repair, if this effect is of that kind."""
    if effect in _ALARMS:
        await facts.put_all(conn, [_alarm(account_id, code, sentence, now=now)])


async def _whose(conn: Conn, row: outbox.Sending) -> str:
    """Of which member of ours the push was, or whose conversation it is in."""
    said = (await events.by_ids(conn, [row.event_id]))[:1]
    talk = await conversations.of_id(conn, row.conversation_id)
    ident = (said[0].staff_id if said else None) or (talk.rep_id if talk else None)
    member = (await staff.members(conn, [ident])).get(ident) if ident else None
    return WHOSE.format(members=member.name) if member else ""


def _alarm(account_id: int, code: str, sentence: str, *, now: datetime, gone: bool = False) -> facts.Said:
    rank = int(now.timestamp() * 1_000_000)
    body = {"code": code, "sentence": sentence}
    return facts.Said(
        account_id=account_id, kind=ALARM, key=code or "unnamed", body=body, rank=rank, at=now, gone=gone
    )


async def cleared(conn: Conn, account_id: int, *, now: datetime) -> None:
    """Something went out: what was wrong with the account is not any more."""
    known = await facts.page(conn, account_id, ALARM, limit=50)
    over = [
        _alarm(account_id, k.key, str(k.body.get("sentence", "")), now=now, gone=True)
        for k in known
        if k.at < now
    ]
    await facts.put_all(conn, over)


def quota_wait(attempts: int) -> timedelta:
    """A breach of a minute's limit blocks for a minute, of an hour's for an hour: that it is after two."""
    return timedelta(hours=1) if attempts >= 2 else timedelta(seconds=60)


__all__ = [
    "ALARM",
    "EFFECTS",
    "QUOTA",
    "SHUTS",
    "WHOSE",
    "Refusal",
    "alarm",
    "apply",
    "cleared",
    "effect_of",
    "quota_wait",
]
