"""One leg of a call: which call it belongs to, who rang whom, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, Self

from connectors.freeswitch.bodies import plain
from connectors.kit.calls import Report, agents, whole_s
from connectors.kit.people import e164
from scrm.contract import Account
from scrm.errors import Untranslatable

_ID = re.compile(r"[0-9A-Za-z_.@:-]{1,128}")
_EXTENSION = re.compile(r"[0-9]{2,6}")
#: Set on a leg that another leg called.
_ORIGINS = ("originating_leg_uuid", "originator")

#: What the switch does by itself with a caller.
_MACHINES = frozenset(
    {"callcenter", "fifo", "ivr", "playback", "play_and_get_digits", "read", "sleep", "voicemail", "hangup"}
)
CAUSES: Mapping[str, str] = MappingProxyType(
    {
        "NORMAL_CLEARING": "正常挂断",
        "ORIGINATOR_CANCEL": "主叫挂断",
        "NO_ANSWER": "无人接听",
        "NO_USER_RESPONSE": "无人接听",
        "ALLOTTED_TIMEOUT": "超时未接",
        "PROGRESS_TIMEOUT": "超时未接",
        "RECOVERY_ON_TIMER_EXPIRE": "超时未接",
        "USER_BUSY": "对方忙",
        "CALL_REJECTED": "对方拒接",
        "LOSE_RACE": "其他同事已接",
        "PICKED_OFF": "其他同事已接",
        "UNALLOCATED_NUMBER": "空号",
        "INVALID_NUMBER_FORMAT": "号码有误",
        "NUMBER_CHANGED": "号码已更换",
        "SUBSCRIBER_ABSENT": "关机或不在服务区",
        "USER_NOT_REGISTERED": "分机没有登录",
        "DESTINATION_OUT_OF_ORDER": "对方线路故障",
        "NETWORK_OUT_OF_ORDER": "线路故障",
        "NORMAL_TEMPORARY_FAILURE": "线路故障",
        "NORMAL_CIRCUIT_CONGESTION": "线路繁忙",
        "SWITCH_CONGESTION": "线路繁忙",
        "OUTGOING_CALL_BARRED": "号码禁止呼出",
        "INCOMING_CALL_BARRED": "号码禁止呼入",
        "ATTENDED_TRANSFER": "已转接",
        "BLIND_TRANSFER": "已转接",
        "MEDIA_TIMEOUT": "通话中断",
        "MANAGER_REQUEST": "被系统挂断",
        "SYSTEM_SHUTDOWN": "电话系统重启",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    uuid: str
    #: Ids of the call it belongs to, surest first.
    names: tuple[str, ...]
    #: It was made by another leg of the same call.
    second: bool
    values: Mapping[str, str]
    profile: Mapping[str, Any]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Raises `Untranslatable` for a record without a usable uuid."""
        given = record.get("variables")
        values = {k: plain(v) for k, v in given.items()} if isinstance(given, dict) else {}
        profile = _profile(record)
        uuid = _ident(values.get("uuid")) or _ident(profile.get("uuid"))
        if not uuid:
            raise Untranslatable("话单里没有 variables.uuid。")
        names, second = _names(uuid, values, profile)
        return cls(uuid=uuid, names=names, second=second, values=values, profile=profile)


def _names(uuid: str, values: Mapping[str, str], profile: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The first leg's uuid names the call. Older versions leave `call_uuid` out, or give each leg its own."""
    call, bridge = _ident(values.get("call_uuid")), _ident(values.get("bridge_uuid"))
    origins = [call, *(_ident(values.get(name)) for name in _ORIGINS), _origin(profile)]
    origin = next((o for o in origins if o and o != uuid), "")
    others = [bridge] if bridge and bridge != uuid else []
    if origin:
        return tuple(dict.fromkeys([origin, *others, uuid])), True
    second = bool(others) and values.get("direction") == "outbound" and "originatee" not in profile
    if second:
        return (*others, uuid), True
    if others and not call and not values.get("direction"):
        return tuple(sorted([uuid, *others])), uuid != min(uuid, *others)
    return (uuid, *others), False


def _origin(profile: Mapping[str, Any]) -> str:
    """The leg that made this one, by its caller profile."""
    made_by = profile.get("originator")
    found = made_by.get("originator_caller_profiles") if isinstance(made_by, dict) else None
    first = found[0] if isinstance(found, list) and found else {}
    return _ident(first.get("uuid")) if isinstance(first, dict) else ""


def _profile(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the oldest step: later ones are where the dialplan sent the call."""
    flow = record.get("callflow")
    steps = [s for s in flow if isinstance(s, dict)] if isinstance(flow, list) else []
    found = steps[-1].get("caller_profile") if steps else None
    return found if isinstance(found, dict) else {}


def _ident(value: object) -> str:
    text = plain(value).strip()
    return text if _ID.fullmatch(text) else ""


def report(account: Account, leg: Leg) -> Report:
    """The leg as a report of its call. Raises `Untranslatable` when it has no time."""
    caller = _number(leg, "caller_id_number", "sip_from_user", "effective_caller_id_number", "ani")
    callee = _number(leg, "destination_number", "sip_to_user", "sip_req_user")
    agent = _agent(account, leg, caller, callee)
    talk_s, duration_s = whole_s(leg.values.get("billsec")), whole_s(leg.values.get("duration"))
    cause = leg.values.get("hangup_cause", "")
    taken = bool(talk_s) and not _machine(leg)
    return Report(
        names=leg.names,
        stage="ended",
        at=_began(leg.values),
        direction=_direction(account, leg, caller, callee),
        caller=caller,
        callee=callee,
        line=_line(leg, caller, callee),
        agent=agent,
        agent_name=_said(leg, "agent_name", "cc_agent_name"),
        answered=taken,
        talk_s=talk_s,
        duration_s=duration_s,
        result="在语音菜单或排队时挂断" if talk_s and not taken else CAUSES.get(cause, cause),
        recording=_recording(leg),
        weight=_weight(second=leg.second, taken=taken),
        more={"cause": cause, "queue": _said(leg, "cc_queue")},
    )


def _machine(leg: Leg) -> bool:
    """The switch itself answered, a menu or a queue, and nobody of us ever did."""
    bridged = any(
        leg.values.get(name) for name in ("bridge_uuid", "last_bridge_to", "cc_queue_answered_epoch")
    )
    return not leg.second and not bridged and leg.values.get("last_app", "") in _MACHINES


def _weight(*, second: bool, taken: bool) -> int:
    """A second leg that was taken knows how long they talked; one that only rang knows least."""
    if second:
        return 8 if taken else 2
    return 5


def _said(leg: Leg, *names: str) -> str:
    return next((found for name in names if (found := leg.values.get(name, "").strip())), "")


def _number(leg: Leg, *names: str) -> str:
    """The first of these that the profile or the variables say."""
    for name in names:
        found = plain(leg.profile.get(name)).strip() or leg.values.get(name, "").strip()
        if found:
            return found[:64]
    return ""


def _direction(account: Account, leg: Leg, caller: str, callee: str) -> Literal["in", "out", ""]:
    """`direction` is the leg's: a rep who dials out comes *in* to the switch. Who is outside counts."""
    outside_calls, outside_called = bool(e164(caller)), bool(e164(callee))
    if outside_calls != outside_called and _EXTENSION.fullmatch(callee if outside_calls else caller):
        return "in" if outside_calls else "out"
    given = _said(leg, "call_direction")
    if given in ("inbound", "outbound"):
        return "in" if given == "inbound" else "out"
    # A second leg to a number outside, with nothing known about our lines: we rang somebody.
    rang_out = leg.second and outside_called and callee not in agents(account) and not account.get("lines")
    return "out" if rang_out else ""


def _agent(account: Account, leg: Leg, caller: str, callee: str) -> str:
    """The colleague's extension: named by the queue, else whichever side is one."""
    named = _said(leg, "cc_agent", "agent_id", "dialed_user", "last_sent_callee_id_number")
    known = agents(account)
    named = named.partition("@")[0]
    candidates = [named, callee, caller, _said(leg, "sip_to_user"), _said(leg, "sip_from_user")]
    for one in candidates:
        if one in known or (_EXTENSION.fullmatch(one) and not e164(one)):
            return one
    return ""


def _line(leg: Leg, caller: str, callee: str) -> str:
    """Our own number the customer sees; an extension is no line."""
    named = _said(leg, "line_number", "sip_did_user", "outbound_caller_id_number")
    other = next((n for n in (callee, caller) if n and not e164(n) and re.fullmatch(r"[0-9+]{7,}", n)), "")
    return named or other


def _recording(leg: Leg) -> str:
    return _said(
        leg,
        "record_url",
        "recording_url",
        "record_path",
        "recording_file",
        "record_file",
        "cc_record_filename",
    )


def _began(values: Mapping[str, str]) -> datetime:
    for name, unit in (("start_uepoch", 1_000_000), ("start_epoch", 1), ("end_epoch", 1)):
        text = values.get(name, "")
        if text.isascii() and text.isdigit() and 0 < int(text[:20]) / unit < 32503680000:
            return datetime.fromtimestamp(int(text) / unit, UTC)
    raise Untranslatable("话单里没有开始时间（start_epoch）。")
