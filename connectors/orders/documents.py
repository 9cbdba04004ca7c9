"""The documents an order system sends: orders, refunds, contracts, lessons, the catalog. Fen, and zones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from connectors.kit.shapes import read
from scrm.errors import Untranslatable

Id = Annotated[str, Meta(min_length=1, max_length=64, description="你方系统里的编号")]
Name = Annotated[str, Meta(max_length=200)]
Fen = Annotated[int, Meta(ge=0, le=10**13, description="金额，单位分")]
At = Annotated[datetime, Meta(tz=True, description="RFC 3339，带时区")]
Version = Annotated[int, Meta(ge=0, le=2**53, description="同一编号的第几版；大的取代小的，先到后到都一样")]

#: Times that can be told in every time zone.
_FIRST, _LAST = 1970, 9000


class Party(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody of an order: at least one way to know who."""

    app_user: Annotated[str, Meta(max_length=128, description="App 或网站的用户编号")] = ""
    phone: Annotated[str, Meta(max_length=32)] = ""
    unionid: Annotated[str, Meta(max_length=64, description="微信 UnionID")] = ""
    external_userid: Annotated[str, Meta(max_length=64, description="企业微信客户")] = ""
    name: Name = ""


class Learner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom it is for: the child who learns, the person insured. `id` is the order system's own."""

    id: Id
    name: Name = ""


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    product: Id
    name: Name = ""
    quantity: Annotated[int, Meta(ge=1, le=10**6)] = 1
    amount: Fen


class Coupon(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Id
    amount: Fen = 0


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="order"):
    """An order as it is now; send it again with a higher `version` whenever it changes."""

    id: Id
    version: Version = 0
    at: At
    status: Literal["created", "paid", "delivered", "closed", "cancelled"]
    business_line: Annotated[str, Meta(max_length=64, description="业务线：新签、续费、转介绍……")] = ""
    buyer: Party
    payer: Party | None = None
    learner: Learner | None = None
    referrer: Annotated[Party | None, Meta(description="介绍人：记为介绍人，不算家人")] = None
    items: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=200)]
    coupon: Coupon | None = None
    total: Annotated[int, Meta(ge=0, le=10**13, description="应付，分；已减去优惠")]
    paid: Fen = 0

    def key(self) -> str:
        return self.id

    def lane(self) -> str:
        return f"order:{self.id}"


class Signatory(Party, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who signed; `relation` says what they are to the first who did."""

    id_card: Annotated[str, Meta(max_length=32, description="身份证号，只以摘要保存")] = ""
    relation: Annotated[
        Literal["", "spouse", "parent", "child", "sibling", "relative", "other"],
        Meta(description="与第一位签约人的关系；other（如担保人）不算家人"),
    ] = ""


class Contract(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="contract"):
    """A contract as it is now: who signed it, for whom."""

    id: Id
    version: Version = 0
    at: At
    status: Literal["signed", "changed", "cancelled"]
    business_line: Annotated[str, Meta(max_length=64)] = ""
    title: Name = ""
    order: Annotated[str, Meta(max_length=64, description="对应的订单编号")] = ""
    signatories: Annotated[tuple[Signatory, ...], Meta(min_length=1, max_length=8)]
    learner: Learner | None = None
    total: Fen = 0

    def key(self) -> str:
        return self.id

    def lane(self) -> str:
        return f"contract:{self.id}"


class Lesson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="lesson"):
    """A lesson of one learner: who came, whose account it is booked on."""

    id: Id
    version: Version = 0
    at: At
    status: Literal["attended", "late", "absent", "cancelled"]
    course: Annotated[str, Meta(max_length=64, description="课程或班级的编号")] = ""
    name: Name = ""
    learner: Learner
    account: Annotated[Party | None, Meta(description="约课所用的账号，通常是家长的")] = None

    def key(self) -> str:
        return self.id

    def lane(self) -> str:
        return f"learner:{self.learner.id}"


class Refund(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="refund"):
    """Money given back for an order."""

    id: Id
    version: Version = 0
    order: Id
    at: At
    status: Literal["requested", "done", "refused"]
    amount: Fen
    reason: Name = ""
    buyer: Party

    def key(self) -> str:
        return self.id

    def lane(self) -> str:
        return f"order:{self.order}"


class Product(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="product"):
    """Something that is sold."""

    id: Id
    version: Version = 0
    at: At
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    business_line: Annotated[str, Meta(max_length=64)] = ""
    unit: Annotated[str, Meta(max_length=16, description="节、次、套、年……")] = ""
    on_sale: bool = True

    def key(self) -> str:
        return self.id

    def lane(self) -> str:
        return f"product:{self.id}"


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="price"):
    """What a product costs on one price list, from a time until a time (none = until further notice)."""

    id: Id
    version: Version = 0
    at: At
    product: Id
    amount: Fen
    starts: At
    ends: At | None = None
    price_list: Annotated[str, Meta(max_length=64, description="价目表，如 标准、双十一")] = "标准"

    def key(self) -> str:
        return self.id

    def lane(self) -> str:
        return f"product:{self.product}"


Anything = Order | Refund | Product | Price | Contract | Lesson


def one(payload: bytes) -> Anything:
    """One document. Raises `Untranslatable` that says where and what."""
    found: Anything = read(Anything, payload)  # type: ignore[arg-type]
    for name in ("at", "starts", "ends"):
        at: datetime | None = getattr(found, name, None)
        # Some write the end of all time for "until further notice"; nothing happens or begins then.
        if at is not None and not (_FIRST <= at.year <= _LAST or (name == "ends" and at.year > _LAST)):
            raise Untranslatable(f"内容不符合格式：$.{name}：时间应在 {_FIRST} 年到 {_LAST} 年之间。")
    return found
