"""The catalog's page: marketing changes it, everybody reads it, wrong input is said in a sentence."""

from __future__ import annotations

import pytest

from tests.web.office import Office, Page

PRODUCT = {"code": "math-3", "name": "三年级数学春季班", "unit": "期", "on_sale": "on"}


async def test_marketing_adds_a_product_with_prices_and_a_rep_reads_what_holds_now(desk: Office) -> None:
    assert (await desk.ask("POST", "/catalog/products", who="marketing", data=PRODUCT)).status == 303
    for price in (
        {"price_list": "标准", "amount": "4,280", "starts": "2026-01-01T00:00"},
        {"price_list": "标准", "amount": "3980.50", "starts": "2026-06-01T00:00"},
        {"price_list": "标准", "amount": "9999", "starts": "2099-01-01T00:00"},
    ):
        answer = await desk.ask("POST", "/catalog/math-3/prices", who="marketing", data=price)
        assert answer.status == 303

    shown = Page((await desk.ask("GET", "/catalog", who="rep")).text)
    (listed,) = (await desk.api("GET", "/products", token="rep")).json()["items"]

    assert "三年级数学春季班" in shown.text
    assert "¥3,980.50" in shown.text
    assert "form" not in {tag for tag, attrs in shown.elements if "/catalog" in attrs.get("action", "")}
    assert [(p["amount"], p["current"]) for p in listed["prices"]] == [
        (999_900, False),
        (398_050, True),
        (428_000, False),
    ]


@pytest.mark.parametrize(
    ("path", "form", "sentence"),
    [
        ("/catalog/products", PRODUCT | {"code": "数学"}, "编号只能用"),
        ("/catalog/products", PRODUCT | {"name": " "}, "请填写商品名称"),
        ("/catalog/none/prices", {"amount": "1"}, "没有这个商品"),
        ("/catalog/math-3/prices", {"amount": "面议"}, "价格看不懂"),
        ("/catalog/math-3/prices", {"amount": "1", "starts": "昨天"}, "时间看不懂"),
        (
            "/catalog/math-3/prices",
            {"amount": "1", "starts": "2026-02-01T00:00", "ends": "2026-01-01T00:00"},
            "失效时间要在生效时间之后",
        ),
    ],
)
async def test_what_cannot_be_taken_is_said_on_the_page(
    desk: Office, path: str, form: dict[str, str], sentence: str
) -> None:
    await desk.ask("POST", "/catalog/products", who="admin", data=PRODUCT)

    answer = await desk.ask("POST", path, who="admin", data=form)

    assert answer.status in (400, 404)
    assert sentence in Page(answer.text).text


async def test_a_rep_changes_nothing(desk: Office) -> None:
    answer = await desk.ask("POST", "/catalog/products", who="rep", data=PRODUCT)

    assert answer.status == 403
    assert (await desk.api("GET", "/products", token="rep")).json()["items"] == []
