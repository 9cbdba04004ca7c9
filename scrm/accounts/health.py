"""How each account is doing, as cards, `scrm check` and `/metrics` tell it: read at the moment of asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from scrm import facts, inbox, jobs, outbox, works
from scrm.accounts import store
from scrm.accounts.pulse import SLOT, Beat, slot_of
from scrm.accounts.service import Plugged
from scrm.contract import Lists
from scrm.db import Conn

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
#: Rows that wait longer than this want somebody's attention.
LATE = timedelta(minutes=5)
#: So many refused calls in an hour look like a wrong token, key or clock.
REFUSALS = 20
#: What failed so often does not mend itself soon.
STUBBORN = 3
#: A stream that is so far behind may lose what the platform keeps for days only; as in config/default.toml.
BEHIND = timedelta(hours=12)
_SLOTS = HOUR // SLOT
_ALARMS = 20

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an alarm says; facts of kind `alarm` whose body has a `sentence`."""

    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The platform takes no more for a while; facts of kind `quota` whose body has `until`."""

    sentence: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """What can be known about completeness: the last full count, and holes in numbered streams."""

    #: Said by the platform, given by it, of those never seen before; None = never counted.
    asked: int | None = None
    got: int = 0
    missing: int = 0
    counted_at: datetime | None = None
    #: Holes the platform's own numbering shows (facts of kind `gap`).
    holes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    plugged: Plugged
    #: The last new thing; the last call of any good kind, also one that only checked the address.
    last_at: datetime | None = None
    reached_at: datetime | None = None
    waiting: int = 0
    #: How long the oldest of them has been waiting.
    lag: timedelta = timedelta()
    #: New rows in each five minutes of the last hour, oldest first.
    rate: tuple[int, ...] = (0,) * _SLOTS
    refused_1h: int = 0
    #: Of the last 24 hours: not understood, not sent, refused.
    errors: int = 0
    quarantined: int = 0
    unsent: int = 0
    unclear: int = 0
    cursors: tuple[inbox.Cursor, ...] = ()
    #: How far the slowest stream is behind the platform; None = nobody can know.
    behind: timedelta | None = None
    #: How far behind each stream is whose place is known, and those that are too far, the furthest first.
    lags: tuple[inbox.Lag, ...] = ()
    late: tuple[inbox.Lag, ...] = ()
    #: When the platform's token we hold runs out; None = none was fetched.
    token_until: datetime | None = None
    alarms: tuple[Told, ...] = ()
    #: What we ask the platform for that does not work and is tried again.
    failing: tuple[jobs.Failing, ...] = ()
    #: What is left of what the platform allows, by its own names.
    quotas: Mapping[str, str] = field(default_factory=dict)
    #: A quota that is used up, until then.
    holds: tuple[Hold, ...] = ()
    gaps: Gaps = Gaps()

    @property
    def received_1h(self) -> int:
        return sum(self.rate)

    def level(self) -> Level:
        stuck = any(job.attempts >= STUBBORN for job in self.failing)
        if self.alarms or stuck or (self.lag > LATE and self.plugged.state == "running"):
            return "bad"
        if self.late or self.holds or self.quarantined or self.unclear or self.refused_1h >= REFUSALS:
            return "warn"
        return "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was read for all accounts at once."""

    beats: Mapping[int, list[Beat]]
    backlog: Mapping[int, inbox.Backlog]
    broken: Mapping[int, Mapping[str, int]]
    quarantined: Mapping[int, int]
    recent: Mapping[int, int]
    cursors: Mapping[int, list[inbox.Cursor]]
    failing: Mapping[int, list[jobs.Failing]]
    lags: Mapping[int, Sequence[inbox.Lag]]
    #: From here on a stream is late.
    alarm: timedelta


async def healths(
    conn: Conn, plugged: Sequence[Plugged], *, now: datetime, behind: timedelta = BEHIND
) -> list[Health]:
    """One per account, in the order given; streams that are so far `behind` want attention."""
    idents = [p.account.account_id for p in plugged]
    seen = _Seen(
        beats=await store.beats(conn, since=now - DAY),
        backlog=await inbox.backlog(conn),
        broken=await outbox.broken(conn),
        quarantined=await inbox.quarantined(conn),
        recent=await inbox.quarantined(conn, since=now - DAY),
        cursors=await inbox.cursors(conn),
        failing=await jobs.failing(conn),
        lags=_by_account(await inbox.lags(conn, now=await conn.now(), account_ids=idents)),
        alarm=behind,
    )
    return [await _health(conn, p, seen, now=now) for p in plugged]


async def _health(conn: Conn, plugged: Plugged, seen: _Seen, *, now: datetime) -> Health:
    ident = plugged.account.account_id
    beats, waits = seen.beats.get(ident, []), seen.backlog.get(ident)
    hour = [b for b in beats if b.slot > slot_of(now) - HOUR]
    cursors, tokens = seen.cursors.get(ident, []), await facts.page(conn, ident, "token", limit=10)
    lags = tuple(seen.lags.get(ident, ()))
    quotas = await facts.page(conn, ident, "quota", limit=_ALARMS)
    reached = [b.last_at for b in beats if b.received or b.checked] + [c.moved_at for c in cursors]
    return Health(
        plugged=plugged,
        last_at=max((b.last_at for b in beats if b.received), default=None),
        reached_at=max(reached, default=None),
        waiting=waits.waiting if waits else 0,
        lag=max(now - waits.oldest_at, timedelta()) if waits else timedelta(),
        rate=_rate(hour, now),
        refused_1h=sum(b.refused for b in hour),
        errors=seen.recent.get(ident, 0) + sum(b.failed + b.refused for b in beats),
        quarantined=seen.quarantined.get(ident, 0),
        unsent=seen.broken.get(ident, {}).get("dead", 0),
        unclear=seen.broken.get(ident, {}).get("unknown", 0),
        cursors=tuple(cursors),
        behind=max((lag.behind for lag in lags), default=None),
        lags=lags,
        late=tuple(lag for lag in lags if lag.behind >= seen.alarm),
        failing=tuple(seen.failing.get(ident, [])),
        token_until=max((_instant(t.body.get("until")) for t in tokens), default=None),
        alarms=tuple(_told(k) for k in await facts.page(conn, ident, "alarm", limit=_ALARMS)),
        quotas=_quotas(quotas),
        holds=_holds(quotas, now),
        gaps=await _gaps(conn, plugged),
    )


def _rate(hour: Sequence[Beat], now: datetime) -> tuple[int, ...]:
    by_slot = {b.slot: b.received for b in hour}
    last = slot_of(now)
    return tuple(by_slot.get(last - SLOT * back, 0) for back in reversed(range(_SLOTS)))


def _instant(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))


def _told(known: facts.Known) -> Told:
    return Told(sentence=str(known.body.get("sentence") or known.key), at=known.at)


def _quotas(known: Sequence[facts.Known]) -> dict[str, str]:
    return {str(k.body.get("title") or k.key): str(k.body["left"]) for k in known if "left" in k.body}


def _holds(known: Sequence[facts.Known], now: datetime) -> tuple[Hold, ...]:
    used_up = [k for k in known if "until" in k.body]
    held = [Hold(sentence=_told(k).sentence, until=_instant(k.body["until"])) for k in used_up]
    return tuple(h for h in held if h.until > now)


def _by_account(lags: Sequence[inbox.Lag]) -> dict[int, list[inbox.Lag]]:
    found: dict[int, list[inbox.Lag]] = {}
    for lag in lags:
        found.setdefault(lag.account_id, []).append(lag)
    return found


async def _gaps(conn: Conn, plugged: Plugged) -> Gaps:
    ident = plugged.account.account_id
    holes = len(await facts.page(conn, ident, "gap", limit=100))
    if not isinstance(plugged.plug, Lists):
        return Gaps(holes=holes)
    done = await works.page(conn, account_id=ident, kinds=("sync",), states=("done",), limit=1)
    if not done:
        return Gaps(holes=holes)
    last = done[0]
    return Gaps(
        asked=last.total if last.total is not None else last.done,
        got=last.done,
        missing=last.fresh,
        counted_at=last.updated_at,
        holes=holes,
    )
