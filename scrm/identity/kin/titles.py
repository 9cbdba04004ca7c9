"""What parts and relations are called, and by what they are known when nobody wrote why."""

from __future__ import annotations

from collections.abc import Mapping

ROLES: Mapping[str, str] = {
    "registrant": "注册人",
    "decision_maker": "决策人",
    "buyer": "购买人",
    "payer": "付款人",
    "user": "使用人",
    "referrer": "介绍人",
    "signatory": "签约人",
}
#: What the one is to the other.
RELATIONS: Mapping[str, str] = {
    "spouse": "配偶",
    "parent": "父母",
    "child": "子女",
    "grandparent": "祖父母",
    "grandchild": "孙辈",
    "guardian": "监护人",
    "sibling": "兄弟姐妹",
    "helper": "帮手",
    "other": "家人",
    "referrer": "由人介绍",
}
#: By who said so, then by where it stands.
REASONS: Mapping[str, str] = {
    "rep": "同事确认",
    "admin": "管理员确认",
    "lead": "家里最早注册的人",
    "order": "订单里写明",
    "contract": "合同里写明",
    "course": "上课记录",
}
OLDEST_ACCOUNT = "家里最早的账号"
