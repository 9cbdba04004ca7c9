"""Documents as envelopes: who bought, who paid, who learns, what it came to, and the record itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from msgspec import json

from connectors.kit import people
from connectors.kit.profiles import union_links
from connectors.orders.documents import Anything, Learner, Order, Party, Price, Product, Refund, one
from scrm.contract import Context, Envelope, Handle, Link, Part, Raw

_STATUS = {
    "created": "下单",
    "paid": "已付款",
    "delivered": "已交付",
    "closed": "订单完成",
    "cancelled": "订单取消",
}
_REFUND = {"requested": "申请退款", "done": "已退款", "refused": "退款被拒"}


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """Raises `Untranslatable` that names the field at fault."""
    known = one(raw.payload)
    if isinstance(known, Order):
        return [_order(ctx, known)]
    if isinstance(known, Refund):
        return [_refund(ctx, known)]
    return [_catalog(known)]


def _order(ctx: Context, order: Order) -> Envelope:
    handles, links = _party(ctx, order.buyer, "actor")
    buyer = handles[0] if handles else None
    payer, learner = _payer(ctx, order), _learner(ctx, order.learner)
    for rule, others in (("order_payer", payer[0]), ("order_learner", learner)):
        handles += others
        # Who pays or learns is of the buyer's family, and never for that reason the same person.
        if buyer and others:
            links.append(Link(a=buyer, b=others[0], rule=rule, strength=80, kind="same_household"))
    return Envelope(
        kind=f"event.order.{order.status}",
        direction="none",
        at=order.at.astimezone(UTC),
        handles=tuple(handles),
        text=f"{_STATUS[order.status]}：{_items(order)} · {yuan(order.total)}",
        body={"order": _plain(order), **_addresses(payer[0], learner)},
        links=(*links, *payer[1]),
    )


def _addresses(payer: list[Handle], learner: list[Handle]) -> dict[str, Any]:
    """Who else is in it, so that the record names the same nodes as the timeline."""
    firsts = {"payer": next(iter(payer), None), "learner": next(iter(learner), None)}
    return {"others": {who: [h.kind, h.scope, h.value] for who, h in firsts.items() if h is not None}}


def _refund(ctx: Context, refund: Refund) -> Envelope:
    handles, links = _party(ctx, refund.buyer, "actor")
    reason = f"（{refund.reason}）" if refund.reason else ""
    return Envelope(
        kind=f"event.refund.{refund.status}",
        direction="none",
        at=refund.at.astimezone(UTC),
        handles=tuple(handles),
        text=f"{_REFUND[refund.status]}：{yuan(refund.amount)} · 订单 {refund.order}{reason}",
        body={"refund": _plain(refund)},
        links=tuple(links),
    )


def _catalog(known: Product | Price) -> Envelope:
    name = "product" if isinstance(known, Product) else "price"
    return Envelope(
        kind=f"event.catalog.{name}",
        direction="none",
        at=known.at.astimezone(UTC),
        text=known.name if isinstance(known, Product) else f"{known.price_list} {yuan(known.amount)}",
        body={name: _plain(known)},
        quiet=True,
    )


def _party(ctx: Context, party: Party, part: Part) -> tuple[list[Handle], list[Link]]:
    """Every address of one person, the surest first, and why they are one."""
    account, found = ctx.account, []
    if party.app_user:
        found.append((people.app_user(account, party.app_user, part=part, name=party.name), 0, ""))
    if party.external_userid and account.get("corp_id"):
        contact = Handle(
            kind="wecom_external", scope=account.get("corp_id"), value=party.external_userid, part=part
        )
        found.append((contact, 80, "order_contact"))
    if party.unionid:
        union = union_links(account, Handle(kind="", scope="", value=""), party.unionid)[0][1]
        known = Handle(kind=union.kind, scope=union.scope, value=union.value, part=part)
        found.append((known, 85, "order_unionid"))
    if phone := people.phone(party.phone, part=part, name=party.name):
        found.append((phone, 60, "order_phone"))
    links = [Link(a=found[0][0], b=h, rule=rule, strength=strength) for h, strength, rule in found[1:]]
    return [handle for handle, _, _ in found], links


def _payer(ctx: Context, order: Order) -> tuple[list[Handle], list[Link]]:
    """Somebody else's addresses; a payer who is the buyer adds nothing."""
    if order.payer is None:
        return [], []
    handles, links = _party(ctx, order.payer, "other")
    mine = {(h.kind, h.scope, h.value) for h in _party(ctx, order.buyer, "actor")[0]}
    return ([], []) if any((h.kind, h.scope, h.value) in mine for h in handles) else (handles, links)


def _learner(ctx: Context, learner: Learner | None) -> list[Handle]:
    if learner is None:
        return []
    scope = people.users_of(ctx.account)
    return [Handle(kind="learner", scope=scope, value=learner.id, part="about", name=learner.name)]


def _items(order: Order) -> str:
    shown = [f"{i.name or i.product} × {i.quantity}" for i in order.items[:3]]
    rest = f" 等 {len(order.items)} 项" if len(order.items) > 3 else ""
    return "、".join(shown) + rest


def _plain(known: Anything) -> dict[str, Any]:
    body: dict[str, Any] = json.decode(json.encode(known))
    return body


def yuan(fen: int) -> str:
    """`¥3,980` or `¥3,980.50`."""
    whole, rest = divmod(fen, 100)
    return f"¥{whole:,}" + (f".{rest:02}" if rest else "")
