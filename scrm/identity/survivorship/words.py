"""What fields and their sources are called."""

from __future__ import annotations

from collections.abc import Mapping

#: What each is called on a page.
SOURCES: Mapping[str, str] = {
    "human": "同事更正",
    "contract": "合同",
    "api": "应用资料",
    "order": "订单",
    "note": "销售备注",
    "nickname": "昵称",
}
#: In the order of a page.
FIELDS: Mapping[str, str] = {
    "name": "姓名",
    "gender": "性别",
    "phone": "手机",
    "city": "城市",
    "child": "孩子",
    "grade": "年级",
    "birthday": "生日",
    "tags": "标签",
}
