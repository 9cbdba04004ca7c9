"""Webhooks of the tenant's own servers: signed over time and body, refused in words otherwise."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.signed import SIGNATURE, TIMESTAMP, signature, verify
from scrm.contract import Call, Context, Http, Tokens
from scrm.errors import Refused
from tests.connectors.support import NOW, account

STAMP, BODY = str(int(NOW.timestamp())), '{"订单": 1}'.encode()


def context(*, secret: str = "s3cret", max_age_s: int = 600) -> Context:
    made = replace(account("orders", max_age_s=max_age_s), secrets={"secret": secret})
    return Context(account=made, http=cast(Http, None), tokens=cast(Tokens, None), now=NOW)


def call(headers: Mapping[str, str], body: bytes = BODY, method: str = "POST") -> Call:
    return Call(method=method, tail="", query={}, headers=headers, body=body, received_at=NOW)


def headers(secret: str = "s3cret", stamp: str = STAMP, body: bytes = BODY) -> dict[str, str]:
    return {TIMESTAMP: stamp, SIGNATURE: signature(secret, stamp, body)}


def test_a_signature_is_what_any_senders_hmac_makes_of_time_and_body() -> None:
    by_hand = hmac.new(b"s3cret", STAMP.encode() + b"." + BODY, hashlib.sha256).hexdigest()

    assert signature("s3cret", STAMP, BODY) == f"sha256={by_hand}"


def test_a_call_signed_with_the_secret_is_let_in() -> None:
    verify(context(), call(headers()))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (call(headers(), method="GET"), "POST"),
        (call({}), "签名不对"),
        (call(headers(secret="other")), "签名不对"),
        (call(headers(), body=BODY + b" "), "签名不对"),
        # The time is signed too: an old call does not become a new one.
        (call(headers() | {TIMESTAMP: str(int(STAMP) + 1)}), "签名不对"),
        # Without the scheme's name it is somebody else's signature.
        (call(headers() | {SIGNATURE: signature("s3cret", STAMP, BODY).removeprefix("sha256=")}), "签名不对"),
        (call(headers() | {SIGNATURE: "sha256=é\udcff"}), "签名不对"),
        (call(headers(stamp=str(int(STAMP) - 601))), "过期"),
        (call(headers(stamp=str(int(STAMP) + 601))), "超前"),
        (call(headers(stamp="昨天")), "timestamp"),
        (call(headers(stamp="")), "timestamp"),
        (call(headers(stamp="9" * 40)), "timestamp"),
    ],
)
def test_any_other_call_is_refused_and_told_why(made: Call, why: str) -> None:
    with pytest.raises(Refused, match=why):
        verify(context(), made)


def test_how_old_a_call_may_be_is_the_accounts_setting() -> None:
    old = call(headers(stamp=str(int(STAMP) - 86_400)))

    verify(context(max_age_s=0), old)
    verify(context(max_age_s=86_400), old)
    with pytest.raises(Refused):
        verify(context(max_age_s=86_399), old)


def test_an_account_without_a_secret_lets_nobody_in() -> None:
    with pytest.raises(Refused, match="secret"):
        verify(context(secret=""), call(headers(secret="")))


@given(stamp=st.text(), given_=st.text(), body=st.binary(max_size=64))
def test_whatever_comes_is_refused_and_nothing_else(stamp: str, given_: str, body: bytes) -> None:
    with pytest.raises(Refused):
        verify(context(), call({TIMESTAMP: stamp, SIGNATURE: given_}, body))


@pytest.mark.parametrize("stamp", ["\udcff", "1\udc80"])
def test_headers_that_are_no_utf8_are_refused_like_any_other(stamp: str) -> None:
    with pytest.raises(Refused):
        verify(context(), call({TIMESTAMP: stamp, SIGNATURE: "x"}))
