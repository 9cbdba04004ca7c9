"""Telephone numbers and app users as every channel names them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.people import app_user, e164, phone
from scrm.contract import Handle
from tests.connectors.support import account

ANNA = "+8613800138000"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        # A mobile, as people and systems write it.
        ("13800138000", ANNA),
        (" 138 0013 8000 ", ANNA),
        ("138-0013-8000", ANNA),
        ("138.0013.8000", ANNA),
        ("+86 138 0013 8000", ANNA),
        ("+86-13800138000", ANNA),
        ("＋８６１３８００１３８０００", ANNA),
        ("(+86)13800138000", ANNA),
        ("（86）13800138000", ANNA),
        ("8613800138000", ANNA),
        ("008613800138000", ANNA),
        ("00 86 138 0013 8000", ANNA),
        ("１３８００１３８０００", ANNA),
        ("19912345678", "+8619912345678"),
        # A landline with its area code, two or three digits of it.
        ("010-87654321", "+861087654321"),
        ("(010) 8765 4321", "+861087654321"),
        ("（020）87654321", "+862087654321"),
        ("0571-87654321", "+8657187654321"),
        ("07561234567", "+867561234567"),
        ("+86 10 8765 4321", "+861087654321"),
        ("+86 010 8765 4321", "+861087654321"),
        ("0086 021 8765 4321", "+862187654321"),
        # Other countries say which one they are.
        ("+852 9123 4567", "+85291234567"),
        ("00852 9123 4567", "+85291234567"),
        ("+1 (202) 555-0143", "+12025550143"),
        # Nobody's own number, or none at all.
        ("", ""),
        ("   ", ""),
        ("400-820-8820", ""),
        ("95555", ""),
        ("110", ""),
        ("87654321", ""),
        ("12345678901", ""),
        ("1380013800", ""),
        ("138001380001", ""),
        ("+", ""),
        ("+0 138 0013 8000", ""),
        ("+86", ""),
        ("00", ""),
        ("138****8000", ""),
        ("13800138000转8", ""),
        ("13800138000;13900139000", ""),
        ("13800138000 13900139000", ""),
        ("anonymous", ""),
        ("sip:13800138000@pbx", ""),
        ("壹三八零零一三八零零零", ""),
        ("²³⁴⁵⁶⁷", ""),
    ],
)
def test_a_number_is_one_address_however_it_is_written(written: str, number: str) -> None:
    assert e164(written) == number
    assert phone(written) == (Handle(kind="phone", scope="e164", value=number) if number else None)


@given(st.text() | st.text("0123456789０９²٣+＋()（） .-–—", max_size=40))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = e164(text)

    assert number == "" or re.fullmatch(r"\+[1-9][0-9]{6,14}", number, re.ASCII)
    assert e164(number) == number


def test_a_mobile_and_the_same_with_its_country_are_one_person() -> None:
    assert phone("13800138000", part="other", name="安娜") == Handle(
        kind="phone", scope="e164", value=ANNA, part="other", name="安娜"
    )


def test_sites_that_share_their_members_name_them_alike() -> None:
    site, app = account("webchat", users="school"), account("segment", users="school")
    alone = account("segment")

    assert app_user(site, "u1") == app_user(app, "u1") == Handle(kind="app_user", scope="school", value="u1")
    assert app_user(alone, "u1").scope == "segment-main"
