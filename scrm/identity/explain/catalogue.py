"""What every rule, kind of identifier and reason is called and says: sentences a sales manager reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A rule in words."""

    #: What the rule is called.
    title: str
    #: What one piece of its evidence says; `{one}` is the identifier of kind `about`, `{other}` the other.
    says: str
    #: Kinds of identifiers that are `{one}`, the first that fits; () = whichever comes first.
    about: tuple[str, ...] = ()


_PHONE = ("phone",)
_UNION = ("wechat_unionid",)

RULES: Mapping[str, Told] = {
    # -- said by a vendor's API ---------------------------------------------------------------------------
    "vendor_api": Told(title="平台接口", says="平台接口确认 {one} 属于 {other}", about=_UNION),
    "wechat.unionid": Told(title="平台接口", says="平台接口确认 {one} 属于 {other}", about=_UNION),
    "wecom_pending": Told(
        title="企业微信转换", says="企业微信把 {one} 转换成了 {other}", about=("wecom_pending",)
    ),
    # -- app and mini-program -----------------------------------------------------------------------------
    "app_login": Told(title="登录", says="{other} 登录了 {one}", about=("app_user",)),
    "app_alias": Told(title="应用里的别名", says="应用说 {one} 和 {other} 是同一个用户", about=("app_user",)),
    "app_bind": Told(title="绑定账号", says="{other} 绑定了 {one}", about=("app_user",)),
    "app_phone": Told(title="登记手机", says="{one} 是 {other} 在应用里登记的手机", about=_PHONE),
    "app_email": Told(title="登记邮箱", says="{one} 是 {other} 在应用里登记的邮箱", about=("email",)),
    "app_unionid": Told(title="微信登录", says="{other} 登录时的微信是 {one}", about=_UNION),
    # -- website ------------------------------------------------------------------------------------------
    "site_login": Told(title="官网登录", says="{other} 在官网登录了 {one}", about=("app_user",)),
    "site_phone": Told(title="官网登记手机", says="{one} 是 {other} 在官网登记的手机", about=_PHONE),
    "site_unionid": Told(title="官网微信", says="{other} 在官网绑定的微信是 {one}", about=_UNION),
    # -- rep's notes --------------------------------------------------------------------------------------
    "wecom_remark_phone": Told(title="备注手机", says="销售把 {one} 记成了 {other} 的手机", about=_PHONE),
    # -- orders -------------------------------------------------------------------------------------------
    "order_contact": Told(
        title="订单联系人", says="订单上 {other} 的企业微信是 {one}", about=("wecom_external",)
    ),
    "order_unionid": Told(title="订单微信", says="订单上 {other} 的微信是 {one}", about=_UNION),
    "order_phone": Told(title="订单手机", says="{one} 是 {other} 在订单上留的手机", about=_PHONE),
    "order_payer": Told(title="代付", says="{one} 替 {other} 付了款"),
    "order_learner": Told(title="学员", says="{one} 是 {other} 买的课的学员", about=("learner",)),
    # -- contracts and lessons ----------------------------------------------------------------------------
    "contract_cosign": Told(title="共同签约", says="{one} 和 {other} 在同一份合同上签了名"),
    "contract_id_card": Told(title="合同证件", says="{other} 签合同时出示了 {one}", about=("id_card",)),
    "contract_learner": Told(title="合同学员", says="{one} 是 {other} 签的合同上的学员", about=("learner",)),
    "lesson_account": Told(title="上课账号", says="{one} 用 {other} 的账号上了课", about=("learner",)),
    # -- said in a chat -----------------------------------------------------------------------------------
    "statement.spouse": Told(title="客户的话", says="聊天里说 {one} 和 {other} 是夫妻"),
    "statement.parent": Told(title="客户的话", says="聊天里说 {one} 和 {other} 是父母和孩子"),
    "statement.child": Told(title="客户的话", says="聊天里说 {one} 和 {other} 是父母和孩子"),
    "statement.grandparent": Told(title="客户的话", says="聊天里说 {one} 和 {other} 是祖孙"),
    "statement.sibling": Told(title="客户的话", says="聊天里说 {one} 和 {other} 是兄弟姐妹"),
    # -- streams that name identifiers only ---------------------------------------------------------------
    "wechat.verified": Told(title="微信确认", says="微信确认 {one} 和 {other} 是同一个人"),
    "register": Told(title="注册手机", says="{one} 是 {other} 注册时填的手机", about=_PHONE),
    "mp_phone": Told(title="授权手机", says="{one} 是 {other} 在小程序授权的手机", about=_PHONE),
    "remark": Told(title="备注手机", says="销售把 {one} 记成了 {other} 的手机", about=_PHONE),
    "contract": Told(title="合同", says="合同上 {other} 写的手机是 {one}", about=_PHONE),
    "order": Told(title="订单手机", says="{one} 是 {other} 在订单上留的手机", about=_PHONE),
    "device.shared": Told(title="共用设备", says="{one} 和 {other} 常用同一台设备"),
    # -- weak ---------------------------------------------------------------------------------------------
    "uses": Told(title="使用设备", says="{other} 用过 {one}", about=("device", "app_anon", "address")),
    "seen_with": Told(title="使用设备", says="{other} 用过 {one}", about=("device", "app_anon", "address")),
    # -- said by a human ----------------------------------------------------------------------------------
    "human.link": Told(title="人工合并", says="{who}说 {one} 和 {other} 是同一个人"),
    "human.apart": Told(title="人工分开", says="{who}说 {one} 和 {other} 不是同一个人"),
    "human.family": Told(title="人工认定家人", says="{who}说 {one} 和 {other} 是一家人"),
    "human.no_family": Told(title="人工排除家人", says="{who}说 {one} 和 {other} 不是一家人"),
    "model.link": Told(title="模型建议", says="模型建议、{who}确认 {one} 和 {other} 是同一个人"),
}
#: For a rule that has no words of its own, by class.
USUAL: Mapping[str, Told] = {
    "same_person": Told(title="", says="{one} 和 {other} 是同一个人"),
    "same_household": Told(title="", says="{one} 和 {other} 是一家人"),
    "not_same_person": Told(title="", says="{one} 和 {other} 不是同一个人"),
    "not_same_household": Told(title="", says="{one} 和 {other} 不是一家人"),
    "uses": Told(title="使用设备", says="{other} 用过 {one}", about=("device", "app_anon", "address")),
}
#: The last part of a rule's name, where every rule that ends so says the same.
ENDINGS: Mapping[str, Told] = {
    "ids": Told(title="同一条记录", says="{one} 和 {other} 写在同一条记录里，说的是同一个人"),
    "account": Told(title="同一个账号", says="{one} 和 {other} 用同一个账号，是一家人"),
    "relation": Told(title="说明是家人", says="记录里说 {one} 和 {other} 是一家人"),
}
#: The first part of a rule's name, where every rule of that family says the same.
FAMILIES: Mapping[str, Told] = {
    "statement": Told(title="客户的话", says="聊天里说 {one} 和 {other} 是一家人"),
    "nickname": Told(title="昵称", says="从昵称看 {one} 和 {other} 是一家人"),
    "card": Told(title="推荐名片", says="{one} 和 {other} 之间转发过名片"),
    "contract": Told(title="合同", says="{one} 和 {other} 写在同一份合同上"),
    "call": Told(title="通话", says="{one} 和 {other} 出现在同一通电话里"),
    "human": Told(title="人工认定", says="{who}把 {one} 和 {other} 联系在一起"),
    "model": Told(title="模型建议", says="模型建议、{who}确认 {one} 和 {other} 是同一个人"),
}
KINDS: Mapping[str, str] = {
    "wechat_unionid": "微信",
    "wechat_openid": "微信账号",
    "wecom_external": "企业微信客户",
    "wecom_pending": "待转换的企业微信客户",
    "wecom_openid": "企业微信账号",
    "id_card": "身份证",
    "learner": "学员号",
    "app_user": "会员号",
    "phone": "手机",
    "email": "邮箱",
    "app_anon": "匿名设备",
    "web_visitor": "网站访客",
    "device": "设备",
    "address": "地址",
    "masked_phone": "隐号手机",
    "broker": "渠道",
    "hotline": "热线",
}
REASONS: Mapping[str, str] = {
    "said_apart": "{who} {day} 说不是同一个人",
    "said_apart_why": "{who} {day} 说不是同一个人：{why}",
    "said_no_family": "{who} {day} 说不是一家人",
    "said_no_family_why": "{who} {day} 说不是一家人：{why}",
    "recycled": "{one} 换过主人，前后不是同一个人",
    "conflict": "两个不同的{kind}（{one}、{other}），所以没有合并",
    "conflict_bare": "会把两个不同的{kind}放到一个人身上，所以没有合并",
    "overruled": "“{said}”这条证据没有采用：有人说过不是同一个人",
    "generic": "{one} 有 {n} 个人用过，只作参考",
    "generic_bare": "{one} 很多人用过，只作参考",
    "capped": "合起来的标识太多，不像一个人，所以没有合并",
    "withdrawn": "“{said}”这条证据 {day} 被{who}撤回",
    "withdrawn_why": "“{said}”这条证据 {day} 被{who}撤回：{why}",
    "one_word": "“{said}”只听说过一次，而两边各是一家人，所以没有并成一家",
    "weak": "两边都用过 {one}，但设备和地址不能证明是同一个人",
    "exclusive": "两边的{kind}不同（{one}、{other}）",
    "nothing": "没有共同的证据",
}
STORY: Mapping[str, str] = {
    "seen": "第一次见到 {one}",
    "joined": "{said}：合成一个人，共 {n} 个标识",
    "confirmed": "{said}：再次印证",
    "apart": "{said}：分开",
    "not_joined": "{said}：没有合并",
    "withdrawn": "撤回：{said}",
    "withdrawn_why": "撤回：{said}（{why}）",
}
WORDS: Mapping[str, str] = {
    "cited": "{said}（{source}）",
    "rule": "规则：{rule}",
    "times": "共 {n} 次",
    "separator": "，",
    "named": "{kind} {value}（{name}）",
    "bare": "{kind} {value}",
    "only_name": "{name}的{kind}",
    "erased": "已清除的{kind}",
    "machine": "系统",
    "colleague": "同事",
    "day": "{month}月{day}日",
    "day_of_year": "{year}年{month}月{day}日",
    "alone": "目前只有一个标识：{one}",
    "alone_home": "目前一家只有一个人",
    "one_home": "。是一家人，但不是同一个人",
    "itself": "是同一个标识",
    "then": "；",
}


def told(rule: str, cls: str) -> Told:
    """A rule in words, also one that nobody has put into words yet."""
    return _found(rule) or USUAL.get(cls, USUAL["same_person"])


def is_told(rule: str) -> bool:
    return _found(rule) is not None


def _found(rule: str) -> Told | None:
    first, _, last = rule.partition(".")
    return RULES.get(rule) or ENDINGS.get(last) or FAMILIES.get(first)
