"""What a talk-track may name of a household, from where it stands."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from scrm.desk.calendar.rules import ZONE
from scrm.playbook.promises.conflicts import best
from scrm.playbook.situation import Situation

_FOLD = 10_000
_ROLES = {"registrant": "登记人", "buyer": "购买人", "payer": "付款人", "user": "使用人"}


def facts(one: Situation, now: datetime) -> dict[str, dict[str, object] | str]:
    """What a talk-track may name; what is not known is left out, so that the card can say so."""
    today = now.astimezone(ZONE).date()
    made: dict[str, dict[str, object] | str] = {
        "household": {"name": f"{one.child.name}家" if one.child and one.child.name else ""},
        "member": {"name": one.speaker.name, "role": _ROLES.get(one.role, "")} if one.speaker else {},
        "child": {"name": one.child.name, "grade": one.child.grade} if one.child else {},
        "rep": {"name": one.rep.name, "title": one.rep.title} if one.rep else {},
        "company": {"name": one.company},
        "course": _course(one),
        "opportunity": _sold(one),
        "promise": _quoted(one),
        "coupon": _coupon(one),
        "today": day(today),
        "date": _dates(today),
    }
    return {name: _known(value) for name, value in made.items() if _known(value)}


def _known(value: dict[str, object] | str) -> dict[str, object] | str:
    return {k: v for k, v in value.items() if v not in ("", None)} if isinstance(value, dict) else value


def _dates(today: date) -> dict[str, object]:
    """The weekend that comes, or the one it is."""
    saturday = today - timedelta(days=1) if today.weekday() == 6 else today + timedelta(5 - today.weekday())
    sunday = saturday + timedelta(days=1)
    same = saturday.month == sunday.month
    next_month = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    return {
        "tomorrow": day(today + timedelta(days=1)),
        "weekend": f"{day(saturday)}、{f'{sunday.day}日' if same else day(sunday)}",
        "month_end": day(next_month - timedelta(days=1)),
    }


def _course(one: Situation) -> dict[str, object]:
    """What an education pack calls its product."""
    if one.sale is None or one.trade not in ("", "education"):
        return {}
    return {"name": one.sale.product, "price_fen": one.sale.list_fen}


def _sold(one: Situation) -> dict[str, object]:
    sale = one.sale
    if sale is None:
        return {}
    return {"product": sale.product, "price_fen": sale.list_fen, "kind": sale.kind}


def _quoted(one: Situation) -> dict[str, object]:
    """The best promise about money, and a promised gift."""
    money = best(one.promises, one.sale.list_fen if one.sale else None)
    gift = next((k.text for k in one.promises if k.kind == "gift"), "")
    until = money.until_at if money is not None else None
    return {
        "discount": zhe(money.share) if money is not None and money.share is not None else "",
        "price_fen": money.fen if money is not None and money.kind == "price" else None,
        "gift": gift,
        "until": last_day(until) if until else "",
    }


def _coupon(one: Situation) -> dict[str, object]:
    if not one.coupons:
        return {}
    held = one.coupons[0]
    until = held.until_at
    return {"name": held.name, "value_fen": held.fen, "until": last_day(until) if until else ""}


def last_day(until: datetime) -> str:
    """The last day on which it still holds."""
    return day((until - timedelta(seconds=1)).astimezone(ZONE).date())


def day(one: date) -> str:
    return f"{one.month}月{one.day}日"


def zhe(share: int) -> str:
    """A share in ten-thousandths as people say it: 8500 is 8.5 折."""
    return f"{share / (_FOLD // 10):g} 折"
