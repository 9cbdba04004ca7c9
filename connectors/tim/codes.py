"""Tencent IM's error codes and what they mean for us.

Source: cloud.tencent.com/document/product/269/1671 and the tables of the single APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from connectors.kit.errcodes import Action, Meaning, refuse
from scrm.errors import Unknown

_ROWS: tuple[tuple[tuple[int, ...], Action, str], ...] = (
    (
        (10002, 20004, 20005, 60008, 60014, 70169, 70500, 90992, 90994, 90995, 91000),
        Action.RETRY,
        "即时通信平台繁忙，稍后自动重试。",
    ),
    ((10023, 60007, 60011, 60018, 60019), Action.QUOTA, "即时通信接口调用过于频繁，一分钟后自动重试。"),
    ((70001,), Action.CONFIG, "UserSig 已过期：请核对服务器时钟。"),
    (
        (60004, 60005, 70002, 70003, 70005, 70009, 70013, 70014, 70016, 70050),
        Action.CONFIG,
        "UserSig 校验失败：请核对 SDKAppID、管理员账号与密钥。",
    ),
    (
        (60006, 60012, 70020),
        Action.CONFIG,
        "SDKAppID 无效，或与接口地址的地区不一致：请核对 SDKAppID 与 api_base。",
    ),
    ((60010, 90009), Action.CONFIG, "账号不是 App 管理员：请在控制台把它设为管理员。"),
    ((60016, 60017, 60020), Action.CONFIG, "应用已停用或套餐到期：请在控制台处理。"),
    ((60021,), Action.CONFIG, "服务器 IP 不在白名单：请在控制台加入本机出口 IP。"),
    ((20001, 20003, 70107, 90012), Action.DENIED, "客户的账号没有导入即时通信，无法发送。"),
    ((20006, 10016), Action.DENIED, "消息被业务后台的“发消息之前回调”拒绝。"),
    ((20007,), Action.DENIED, "客户已把发送者拉黑。"),
    ((20009, 20010, 20011), Action.DENIED, "与客户不是好友，平台不允许发送。"),
    ((20012, 10017), Action.DENIED, "发送者被禁言。"),
    ((70051,), Action.DENIED, "账号已被平台拉黑。"),
    ((10007,), Action.DENIED, "发送者不在这个群里，或没有权限。"),
    ((10010, 10015), Action.DENIED, "群不存在或已解散。"),
    ((80001,), Action.DEAD, "内容被平台判定为违规，请修改后重发。"),
    ((80002, 93000, 90018), Action.DEAD, "内容太长，请缩短后重发。"),
    (
        (10004, 60002, 60003, 60015, 90001, 90002, 90003, 90005, 90007, 90008, 90010, 90026, 90031),
        Action.DEAD,
        "平台认为参数有误。",
    ),
)
#: What a code means beyond the one push, where its action does not say so.
_EFFECTS: Mapping[int, str] = MappingProxyType({20007: "opted_out", 10010: "session_ended"})
TABLE: Mapping[int, Meaning] = MappingProxyType(
    {
        code: Meaning(action=action, sentence=words, effect=_EFFECTS.get(code))
        for codes, action, words in _ROWS
        for code in codes
    }
)


def raise_for(answer: Mapping[str, Any], *, sent: bool) -> None:
    """Nothing when the platform agreed; else `NotSent`, `Rejected`, or `Unknown` when it does not say."""
    code = answer.get("ErrorCode")
    if not isinstance(code, int) or isinstance(code, bool):
        if sent or "ErrorCode" in answer:
            raise Unknown
        return
    if code:
        strange = f"即时通信平台拒绝了请求（错误码 {code}）。"
        refuse(TABLE.get(code) or Meaning(action=Action.DEAD, sentence=strange, effect=""), code)
