"""What colleagues write as a reason keeps no whole number of anybody."""

from __future__ import annotations

import pytest

from scrm.identity.rules.reasons import kept


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("她说 13912345678 是她妈妈的", "她说 139****5678 是她妈妈的"),
        ("电话139-1234-5678，微信同号", "电话139****5678，微信同号"),
        ("+86 139 1234 5678", "139****5678"),
        ("008613912345678", "139****5678"),
        ("座机 0571-87654321", "座机 057****4321"),
        ("身份证33010219900307123X一样", "身份证330****123X一样"),
        ("英国 +442079460000", "英国 442****0000"),
        ("tel13912345678", "tel139****5678"),
    ],
)
def test_of_a_number_the_first_three_and_last_four_are_kept(written: str, stored: str) -> None:
    assert kept(written) == stored


@pytest.mark.parametrize(
    "written",
    [
        "",
        "孩子爸爸",
        "2026-11-22 10:30 到访",
        "订单 202611220001234",
        "押金 12,800 元",
        "批量撤回 #13912345678",
        "139****5678",
    ],
)
def test_what_is_no_number_of_anybody_stays(written: str) -> None:
    assert kept(written) == written
