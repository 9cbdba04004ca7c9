"""Documents as envelopes: who bought, paid, signed and learns, what it came to, and the record itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from msgspec import json

from connectors.kit import people
from connectors.kit.profiles import union_links
from connectors.orders.documents import (
    Anything,
    Contract,
    Learner,
    Lesson,
    Order,
    Party,
    Price,
    Product,
    Refund,
    Signatory,
    one,
)
from scrm.contract import Context, Envelope, Handle, Link, Part, Raw

_STATUS = {
    "created": "下单",
    "paid": "已付款",
    "delivered": "已交付",
    "closed": "订单完成",
    "cancelled": "订单取消",
}
_CONTRACT = {"signed": "签订合同", "changed": "变更合同", "cancelled": "解除合同"}
_LESSON = {"attended": "上课", "late": "迟到", "absent": "缺课", "cancelled": "取消课程"}
#: Region, date of birth, serial, check; without those that stand for "not known".
_ID_CARD = re.compile(r"[1-9]\d{5}(?!19000101)(18|19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])\d{3}[\dX]")
_REFUND = {"requested": "申请退款", "done": "已退款", "refused": "退款被拒"}


def translate(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """Raises `Untranslatable` that names the field at fault."""
    known = one(raw.payload)
    if isinstance(known, Order):
        return [_order(ctx, known)]
    if isinstance(known, Refund):
        return [_refund(ctx, known)]
    if isinstance(known, Contract):
        return [_contract(ctx, known)]
    if isinstance(known, Lesson):
        return [_lesson(ctx, known)]
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
        body={"order": _plain(order), **_addresses(payer[0], learner, _referrer(ctx, order.referrer))},
        links=(*links, *payer[1]),
    )


def _addresses(
    payer: list[Handle], learner: list[Handle], referrer: list[Handle] | None = None
) -> dict[str, Any]:
    """Who else is in it, so that the record names the same nodes as the timeline."""
    named = {"payer": payer, "learner": learner, "referrer": referrer or []}
    return {"others": {who: _address(found[0]) for who, found in named.items() if found}}


def _address(handle: Handle) -> list[str]:
    return [handle.kind, handle.scope, handle.value]


def _referrer(ctx: Context, party: Party | None) -> list[Handle]:
    """Named, but not part of the event: whom somebody sent here is not theirs to see."""
    return _party(ctx, party, "about")[0] if party else []


def _contract(ctx: Context, contract: Contract) -> Envelope:
    """Who signs together is of one family, unless it says otherwise."""
    handles: list[Handle] = []
    links: list[Link] = []
    firsts: list[Handle] = []
    for n, signatory in enumerate(contract.signatories):
        found, why = _signatory(ctx, signatory, "other" if n else "actor")
        if not found:
            continue
        if firsts and signatory.relation != "other":
            links.append(
                Link(a=firsts[0], b=found[0], rule="contract_cosign", strength=85, kind="same_household")
            )
        firsts.append(found[0])
        handles, links = handles + found, links + why
    learner = _learner(ctx, contract.learner)
    if firsts and learner:
        links.append(
            Link(a=firsts[0], b=learner[0], rule="contract_learner", strength=80, kind="same_household")
        )
    others = _addresses([], learner)["others"] | {"signatories": [_address(h) for h in firsts]}
    title = contract.title or contract.id
    total = f" · {yuan(contract.total)}" if contract.total else ""
    return Envelope(
        kind=f"event.contract.{contract.status}",
        direction="none",
        at=contract.at.astimezone(UTC),
        handles=(*handles, *learner),
        text=f"{_CONTRACT[contract.status]}：{title}{total}",
        body={"contract": _without_cards(contract), "others": others},
        links=tuple(links),
    )


def _signatory(ctx: Context, party: Signatory, part: Part) -> tuple[list[Handle], list[Link]]:
    """The addresses of a party; the ID card, where one was shown, is what the contract proves best."""
    handles, links = _party(ctx, party, part)
    number = party.id_card.strip().upper()
    if not _ID_CARD.fullmatch(number):
        return handles, links
    digest = hashlib.sha256(number.encode()).hexdigest()
    card = Handle(kind="id_card", scope="cn", value=digest, part=part, name="" if handles else party.name)
    links += [Link(a=handles[0], b=card, rule="contract_id_card", strength=85)] if handles else []
    return [*handles, card], links


def _without_cards(contract: Contract) -> dict[str, Any]:
    """The numbers of ID cards stay in the sealed original; nobody needs them to read a contract."""
    plain = _plain(contract)
    plain["signatories"] = [{k: v for k, v in one.items() if k != "id_card"} for one in plain["signatories"]]
    return plain


def _lesson(ctx: Context, lesson: Lesson) -> Envelope:
    """The learner acts; the account it was booked on is family."""
    learner = _learner(ctx, lesson.learner)[0]
    actor = Handle(kind=learner.kind, scope=learner.scope, value=learner.value, name=learner.name)
    account, links = _party(ctx, lesson.account, "about") if lesson.account else ([], [])
    if account:
        links.append(Link(a=account[0], b=learner, rule="lesson_account", strength=75, kind="same_household"))
    who = lesson.learner.name or lesson.learner.id
    return Envelope(
        kind=f"event.lesson.{lesson.status}",
        direction="none",
        at=lesson.at.astimezone(UTC),
        handles=(actor, *account),
        text=f"{who}{_LESSON[lesson.status]}：{lesson.name or lesson.course or lesson.id}",
        body={"lesson": _plain(lesson), "others": {"account": _address(account[0])} if account else {}},
        links=tuple(links),
    )


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
