"""Mini-program messages and events in our words: service, notices, orders, deliveries, payments.

Source: developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from connectors.kit.official import words
from connectors.kit.official.fields import Fields, Words, always, detailed, inner, many, part, said
from connectors.kit.official.reading import Dialect, read
from connectors.miniprogram import login
from scrm.contract import Context, Envelope, Raw


def _path(fields: Fields) -> str:
    """The last step of a parcel."""
    steps = [one for one in many(fields.get("Actions")) if isinstance(one, dict)]
    last = inner(steps[-1], "ActionMsg") if steps else ""
    return f"快递有新进展：{last}" if last else "快递有新进展"


_RIDES: Mapping[str, str] = MappingProxyType(
    {
        "101": "等待配送员接单",
        "102": "配送员已接单",
        "103": "配送已取消",
        "201": "配送员已到店",
        "202": "配送中",
        "203": "配送已取消",
        "301": "配送中",
        "302": "已送达",
        "303": "配送异常",
        "304": "配送异常",
        "305": "已送达",
    }
)


def _ride(fields: Fields) -> str:
    told = inner(fields, "action_msg") or _RIDES.get(inner(fields, "order_status"), "")
    return f"同城配送：{told}" if told else "同城配送有新进展"


def _order(sentence: str) -> Words:
    return detailed(sentence, "order_info", "order_id")


def _complaint(fields: Fields) -> str:
    name = said(fields, "product_name")
    return f"对订单发起了投诉：{name}" if name else "对订单发起了投诉"


def _paid(fields: Fields) -> str:
    number = inner(fields, "OutTradeNo")
    return f"在小程序里完成了支付，订单号 {number}" if number else "在小程序里完成了支付"


def _safety(fields: Fields) -> str:
    risky = inner(part(fields, "result"), "suggest") == "risky" or said(fields, "isrisky") == "1"
    return "发布的内容被平台判定为违规" if risky else "发布的内容已通过平台检查"


_ORDERS: Mapping[str, tuple[str, Words]] = {
    "channels_ec_order_new": ("event.shop.ordered", _order("在视频号小店下单")),
    "channels_ec_order_pay": ("event.shop.paid", _order("在视频号小店付款")),
    "channels_ec_order_cancel": ("event.shop.cancelled", _order("取消了视频号小店的订单")),
    "channels_ec_order_deliver": ("event.shop.delivered", _order("视频号小店的订单已发货")),
    "channels_ec_order_confirm": ("event.shop.received", _order("确认收到了视频号小店的订单")),
    "channels_ec_order_settle": ("event.shop.settled", _order("视频号小店的订单已结算")),
    "channels_ec_aftersale_update": (
        "event.shop.aftersale",
        detailed("视频号小店的售后有进展", "finder_shop_aftersale_status_update", "status"),
    ),
    "aftersale_new_order": ("event.aftersale.opened", always("申请了售后")),
    "aftersale_update_order": ("event.aftersale.changed", always("修改了售后申请")),
    "aftersale_user_cancel": ("event.aftersale.cancelled", always("取消了售后申请")),
    "aftersale_user_modify_return_info": ("event.aftersale.returned", always("填写了退货物流")),
    "aftersale_wait_merchant_confirm_receipt": ("event.aftersale.waiting", always("退货在等我们确认收货")),
    "aftersale_merchant_handle_refund_overdue": ("event.aftersale.overdue", always("退款处理已超时")),
    "aftersale_complaint_update_order_state": ("event.complaint.changed", always("售后纠纷有进展")),
    "complaint_notify": ("event.complaint.changed", always("交易纠纷有进展")),
    "complaint callback": ("event.complaint.opened", _complaint),
    "complaint_callback": ("event.complaint.opened", _complaint),
    "wxa_comment_bad_score": ("event.comment.bad", always("给订单打了差评")),
    "open_product_receive_coupon": ("event.coupon.taken", always("领取了优惠券")),
}
_DELIVERIES: Mapping[str, tuple[str, Words]] = {
    "add_express_path": ("event.express.moved", _path),
    "update_waybill_status": ("event.ride.changed", _ride),
}
_PAYMENTS: Mapping[str, tuple[str, Words]] = {
    "xpay_goods_deliver_notify": ("event.pay.goods", _paid),
    "xpay_coin_pay_notify": ("event.pay.coins", _paid),
    "xpay_refund_notify": ("event.pay.refunded", always("虚拟支付的退款已完成")),
    "wxa_media_check": ("event.content.checked", _safety),
}
EVENTS: Mapping[str, tuple[str, Words]] = MappingProxyType(
    {**words.EVENTS, **_ORDERS, **_DELIVERIES, **_PAYMENTS}
)
_DIALECT = Dialect(
    events=EVENTS,
    acts=(
        "event.tempsession.",
        "event.shop.ordered",
        "event.shop.paid",
        "event.aftersale.opened",
        "event.complaint.opened",
        "event.pay.goods",
        "event.pay.coins",
    ),
)


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """One stored callback or login as envelopes. Raises `Untranslatable`."""
    if raw.source_key.startswith(login.PREFIX):
        return [login.understood(ctx, raw)]
    return read(ctx, raw, _DIALECT)
