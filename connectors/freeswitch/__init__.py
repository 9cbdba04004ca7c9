"""FreeSWITCH (`mod_json_cdr`): a record of each leg after a call; the legs of a call become one event."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.freeswitch.bodies import opened, packed
from connectors.freeswitch.legs import Leg, report
from connectors.kit.basic import basic
from connectors.kit.callback import digest, lane
from connectors.kit.calls import NEEDS as CALL_NEEDS
from connectors.kit.calls import agents, envelope, recording
from connectors.kit.http import under
from scrm.contract import Call, Context, Envelope, Finding, Media, Need, Raw, Receipt, Severity
from scrm.errors import Refused, Untranslatable

__all__ = ["BODY_MAX", "ICON", "NEEDS", "TITLE", "media", "probe", "receive", "translate"]

TITLE = "FreeSWITCH 电话"
ICON = "ph"
NEEDS = (
    Need(
        name="secret",
        help="mod_json_cdr 的 cred 里的密码，建议 32 位随机字母和数字",
        secret=True,
        pattern=r"^[\x21-\x39\x3b-\x7e]{1,128}$",
    ),
    *CALL_NEEDS,
)
#: A leg that went through a long dialplan lists every step of it.
BODY_MAX = 1024 * 1024


def receive(ctx: Context, call: Call) -> Receipt:
    """One leg. Raises `Refused`. FreeSWITCH asks for any 2xx and keeps in a file what we did not take."""
    if call.method != "POST":
        raise Refused("只接受 POST。")
    basic(ctx, call)
    payload = packed(call)
    try:
        leg = Leg.of(opened(payload))
    except Untranslatable:  # kept all the same: it is tried once and then only lies in a file over there
        return Receipt(raws=(Raw(source_key=digest(payload), lane="-", payload=payload),))
    return Receipt(raws=(Raw(source_key=f"leg:{leg.uuid}", lane=lane(leg.names[0]), payload=payload),))


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """A stored leg. Raises `Untranslatable`."""
    return [envelope(ctx.account, report(ctx.account, Leg.of(opened(raw.payload))))]


async def media(ctx: Context, ref: str) -> Media:
    """The recording a leg names."""
    return await recording(ctx, ref)


async def probe(ctx: Context) -> Sequence[Finding]:
    """What can be said without calling anybody."""
    account, found = ctx.account, []
    if len(account.get("secret")) < 16:
        found.append(
            Finding(severity=Severity.WARN, sentence="secret 太短，容易被猜到：请换成 32 位随机文字。")
        )
    base = account.get("recordings_base")
    if not base:
        found.append(
            Finding(severity=Severity.WARN, sentence="没有填写 recordings_base：录音是文件路径时取不回来。")
        )
    elif not under(f"{base}/x", base):
        found.append(Finding(severity=Severity.ERROR, sentence="recordings_base 不是完整的网址。"))
    else:
        found.append(Finding(severity=Severity.OK, sentence=f"录音从 {base} 下载。"))
    found.append(Finding(severity=Severity.OK, sentence=f"登记了 {len(agents(account))} 个分机。"))
    return found
