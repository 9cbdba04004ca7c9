"""What the vendors' error codes mean for us: try again, fix the set-up, or give up - and a sentence why.

Judged by `errcode` alone; `errmsg` changes without notice. Source: WeCom path 90313, OA return codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NoReturn

from scrm.errors import NotSent, Rejected, Unknown


class Action(StrEnum):
    #: The vendor is busy: again after a few seconds.
    RETRY = "retry"
    #: The access token is bad: one new token, then it counts as `retry`.
    REFRESH = "refresh"
    #: A quota is used up: again after a minute.
    QUOTA = "quota"
    #: Somebody must repair the set-up.
    CONFIG = "config"
    #: The reply window is closed or used up; the customer has to write first.
    WINDOW = "window"
    #: The conversation is not ours to answer now.
    SESSION = "session"
    #: A person or right is missing; nothing to repair by waiting.
    DENIED = "denied"
    #: The request can never succeed.
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    action: Action
    sentence: str
    #: What it means for us beyond this call (`NotSent.effect`); None = what its action usually means.
    effect: str | None = None

    @property
    def consequence(self) -> str:
        return _USUALLY.get(self.action, "") if self.effect is None else self.effect


#: What follows from an action unless `_EFFECTS` knows better.
_USUALLY: Mapping[Action, str] = MappingProxyType(
    {
        Action.QUOTA: "quota",
        Action.CONFIG: "config",
        Action.WINDOW: "out_of_window",
        Action.DEAD: "content",
    }
)
_EFFECTS: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys((84061, 43004), "no_relation"),
        **dict.fromkeys((48002, 43108, 43109), "opted_out"),
        **dict.fromkeys((60011, 60111, 81013, 84074, 84083, 84084, 701008), "permission"),
        **dict.fromkeys((95011, 95012, 43107), "config"),
        95013: "session_ended",
        95018: "session_human",
        # A welcome that comes too late says nothing about the window for talk.
        **dict.fromkeys((41050, 41051), ""),
        # Not what a push asks for: group sends, cursors, the archive.
        **dict.fromkeys((45028, 95007, 301052), ""),
    }
)


_WAIT_S: Mapping[Action, float] = MappingProxyType(
    {Action.RETRY: 2.0, Action.REFRESH: 60.0, Action.QUOTA: 60.0}
)

#: Busy: three times with growing waits, says the platform, and then no more.
_RETRIES: Mapping[int, int] = MappingProxyType({-1: 3})

_ROWS: tuple[tuple[tuple[int, ...], Action, str], ...] = (
    ((-1,), Action.RETRY, "平台繁忙，稍后自动重试。"),
    ((6000,), Action.RETRY, "平台数据版本冲突，稍后自动重试。"),
    ((45033,), Action.RETRY, "接口并发过高，稍后自动重试。"),
    ((41096,), Action.RETRY, "欢迎语正在发送，稍后自动重试。"),
    ((40014, 42001), Action.REFRESH, "访问令牌已失效，正在换新；若反复出现请核对 Secret 是否被重置。"),
    ((45009, 45011), Action.QUOTA, "平台接口调用已达上限，一分钟后自动重试。"),
    ((40001,), Action.CONFIG, "Secret 不正确：请到后台重新复制并更新账号设置。"),
    ((40013,), Action.CONFIG, "AppID 或 CorpID 不正确：请核对账号设置。"),
    ((40125,), Action.CONFIG, "AppSecret 不正确：请到公众平台重置后更新账号设置。"),
    ((40164, 60020), Action.CONFIG, "服务器 IP 不在白名单：请到后台把本机出口 IP 加入可信 IP。"),
    ((41002, 41004), Action.CONFIG, "缺少 AppID 或 Secret：请补全账号设置。"),
    ((48001,), Action.CONFIG, "账号没有这个接口的权限：请确认已认证并开通。"),
    ((301053,), Action.CONFIG, "会话内容存档未开启：请到管理后台开启。"),
    ((81017,), Action.CONFIG, "可见范围内的成员太多，须按成员分批查询。"),
    ((91040,), Action.CONFIG, "票据类型有误：请核对应用与企业设置。"),
    ((45015,), Action.WINDOW, "已超过 48 小时回复时限，需客户先发消息。"),
    ((95002,), Action.WINDOW, "已超过 48 小时回复时限，需客户先发消息。"),
    ((45047,), Action.WINDOW, "客户未回复前的下发条数已用完，需客户先发消息。"),
    ((95001,), Action.WINDOW, "客户未回复前最多发 5 条，需客户先发消息。"),
    ((41050,), Action.WINDOW, "欢迎语已过期：须在添加后 20 秒内发送。"),
    ((41051,), Action.WINDOW, "已与客户开始聊天，无需再发欢迎语。"),
    ((95007,), Action.DEAD, "消息拉取凭证已过期。"),
    ((95011, 95012), Action.SESSION, "客服账号的接待方式不允许通过接口收发：请在客服设置中改为 API 接待。"),
    ((95013,), Action.SESSION, "会话已结束，需客户再次发起咨询。"),
    ((95016,), Action.SESSION, "会话状态不能这样变更，可能刚被其他人接待。"),
    ((95018,), Action.SESSION, "会话当前状态不允许通过接口发送，请到企业微信里回复。"),
    ((40093,), Action.REFRESH, "网页票据已失效，正在换新。"),
    ((40029, 42003, 40163), Action.DENIED, "登录凭证无效或已使用，请重新登录。"),
    ((40003,), Action.DENIED, "客户的 OpenID 无效：可能不属于这个公众号。"),
    ((40096,), Action.DENIED, "客户标识无效：可能不属于这个企业。"),
    ((43004,), Action.DENIED, "客户未关注公众号，无法发送。"),
    ((43101,), Action.DENIED, "客户没有订阅这类消息，或订阅次数已用完。"),
    ((43107,), Action.DENIED, "账号的订阅消息能力已被平台限制。"),
    ((43108, 43109), Action.DENIED, "客户拒收这类消息。"),
    ((45028,), Action.QUOTA, "群发配额已用完，稍后自动重试。"),
    ((45026,), Action.CONFIG, "消息模板数量已达上限：请在后台删除不用的模板。"),
    ((40037,), Action.DEAD, "消息模板不存在：请核对模板 ID。"),
    ((47003,), Action.DEAD, "模板内容不符合要求：请核对每一项的名字和长度。"),
    ((41030,), Action.DEAD, "小程序页面不存在：请核对页面路径。"),
    ((45065,), Action.DEAD, "平台认为这条群发已经提交过。"),
    ((48002,), Action.DENIED, "客户拒收消息，或接口没有权限。"),
    ((60011, 60111, 81013), Action.DENIED, "成员不在应用可见范围内：请在后台调整可见范围。"),
    ((84061,), Action.DENIED, "与客户已不是好友关系。"),
    ((84071,), Action.DENIED, "客户联系凭证无效或已使用。"),
    ((84074,), Action.DENIED, "应用没有客户联系权限：请在后台开启。"),
    ((84083,), Action.DENIED, "该成员不是客户联系的服务人员：请在后台配置。"),
    ((84084,), Action.DENIED, "该成员不是这位客户的跟进人。"),
    ((40097,), Action.DENIED, "该成员还没有离职，请使用在职继承。"),
    ((40098,), Action.DENIED, "接替成员尚未实名认证。"),
    ((40099,), Action.DENIED, "接替成员的客户数已达上限。"),
    ((40100, 40129), Action.DENIED, "该客户正在转接中，请等结果出来再试。"),
    ((40128,), Action.DENIED, "客户转接过于频繁：90 天内每位客户最多转接 2 次。"),
    ((90500,), Action.DENIED, "群主还没有离职，请使用在职群转接。"),
    ((90501,), Action.DENIED, "这个群不是客户群。"),
    ((90507, 90508), Action.DENIED, "群主或接替成员没有客户群的使用权限。"),
    ((41048,), Action.DENIED, "没有符合条件的客户可以群发。"),
    ((41063,), Action.RETRY, "群发任务正在下发，稍后自动重试。"),
    ((41093,), Action.DEAD, "群发任务已经取消。"),
    ((40068,), Action.DEAD, "标签不存在，可能已被删除。"),
    ((40071,), Action.DEAD, "同名的标签已经存在。"),
    ((40050, 49008), Action.DEAD, "客户群不存在，或已经解散。"),
    ((41053,), Action.DENIED, "客户未同意会话存档。"),
    ((701008,), Action.DENIED, "成员的接口许可未激活。"),
    ((40008, 40058, 40063, 44002, 44004, 45002, 47001), Action.DEAD, "内容或参数有误，请修改后重发。"),
    (
        (40004, 40005, 40006, 40007, 40009),
        Action.DEAD,
        "图片或文件的格式、大小或有效期不符合要求，请更换后重发。",
    ),
    ((40201, 87014), Action.DEAD, "内容被平台判定为违规，请修改后重发。"),
    ((90207,), Action.DEAD, "小程序 AppID 无效。"),
    ((301052,), Action.DEAD, "会话内容存档已过期。"),
    ((301059, 301060), Action.DEAD, "平台认为参数有误。"),
)

#: errcode -> what it means.
TABLE: Mapping[int, Meaning] = MappingProxyType(
    {
        code: Meaning(action=action, sentence=words, effect=_EFFECTS.get(code))
        for codes, action, words in _ROWS
        for code in codes
    }
)
#: Where vendors mean different things by one number: 48002 is a customer's refusal for an Official Account.
_OWN: Mapping[tuple[str, int], Meaning] = MappingProxyType(
    {
        ("wecom", 48002): Meaning(
            action=Action.DENIED,
            sentence="应用没有这个接口的权限：请在企业微信后台核对应用的权限与可见范围。",
            effect="permission",
        )
    }
)


def code_of(answer: Mapping[str, Any]) -> int | None:
    """The `errcode` of an answer; None when there is none that can be read."""
    try:
        return int(answer["errcode"])
    except (KeyError, TypeError, ValueError):
        return None


def meaning(code: int, vendor: str = "") -> Meaning:
    """What to do about a code; one we do not know is final, because the vendor did refuse."""
    found = _OWN.get((vendor, code)) or TABLE.get(code)
    return found or Meaning(action=Action.DEAD, sentence=f"平台拒绝了请求（错误码 {code}）。", effect="")


def raise_for(answer: Mapping[str, Any], *, sent: bool, vendor: str = "") -> None:
    """Nothing when the vendor agreed; else `NotSent` (may be tried again) or `Rejected` (for good).

    `sent`: the call delivers something, so an answer without `errcode` is no answer: `Unknown`.
    """
    code = code_of(answer)
    if code == 0 or (code is None and not sent and "errcode" not in answer):
        return
    if code is None:
        raise Unknown
    refuse(meaning(code, vendor), code)


def refuse(found: Meaning, code: int) -> NoReturn:
    """Raises `NotSent` with the time to wait, or `Rejected`."""
    if found.action in _WAIT_S:
        raise NotSent(
            found.sentence,
            retry_after_s=_WAIT_S[found.action],
            code=str(code),
            effect=found.consequence,
            retries=_RETRIES.get(code),
        )
    raise Rejected(found.sentence, code=str(code), effect=found.consequence)
