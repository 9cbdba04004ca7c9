"""The callback codec against two independent implementations, published traps and forgers."""

from __future__ import annotations

import base64
import os
import string
import struct
import warnings
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.codec import Codec, fresh, plain_signature, verify_plain
from scrm.errors import BadConfig, Refused
from tests.connectors.support import AES_KEY, APP_ID, NOW, TOKEN

with warnings.catch_warnings():
    # Other people's modules, imported as they are.
    warnings.simplefilter("ignore")
    from wechatpy.crypto import WeChatCrypto  # type: ignore[import-untyped]
    from wechatpy.utils import WeChatSigner  # type: ignore[import-untyped]
    from werobot.crypto import MessageCrypt  # type: ignore[import-untyped]

#: As in the platform's own samples: the last character has bits set that no key byte uses.
SPARE_BITS_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
CODEC = Codec(TOKEN, AES_KEY, frozenset({APP_ID}))
KEYS = st.text(string.ascii_letters + string.digits, min_size=43, max_size=43)
WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=32)


def sealed(plain: bytes, key: str = AES_KEY) -> str:
    """Any padded plaintext under the key, right or wrong."""
    secret = base64.b64decode(key + "=")
    worker = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).encryptor()
    return base64.b64encode(worker.update(plain) + worker.finalize()).decode()


def padded(plain: bytes) -> bytes:
    pad = 32 - len(plain) % 32
    return plain + bytes([pad]) * pad


def packed(message: bytes, receive_id: bytes, *, length: int | None = None) -> bytes:
    return b"s" * 16 + struct.pack(">I", len(message) if length is None else length) + message + receive_id


@given(key=KEYS, token=WORDS, app_id=WORDS, text=st.text(max_size=300))
def test_what_we_seal_wechatpy_and_werobot_open(key: str, token: str, app_id: str, text: str) -> None:
    codec = Codec(token, key, frozenset({app_id}))
    sealed_text = codec.encrypt(text.encode(), receive_id=app_id, salt=os.urandom(16))
    signature = codec.signature("1772415000", "n0nce", sealed_text)
    envelope = f"<xml><Encrypt><![CDATA[{sealed_text}]]></Encrypt></xml>"

    by_wechatpy = WeChatCrypto(token, key, app_id).decrypt_message(envelope, signature, "1772415000", "n0nce")
    by_werobot = MessageCrypt(token, key, app_id).decrypt_message(
        "1772415000", "n0nce", signature, sealed_text
    )

    assert by_wechatpy == text
    assert by_werobot == text.encode()


@given(key=KEYS, token=WORDS, app_id=WORDS, text=st.text(alphabet=string.printable, max_size=300))
def test_what_wechatpy_and_werobot_seal_we_open(key: str, token: str, app_id: str, text: str) -> None:
    codec = Codec(token, key, frozenset({app_id}))
    by_werobot = MessageCrypt(token, key, app_id).prp_crypto.encrypt(text, app_id).decode()
    by_wechatpy = WeChatCrypto(token, key, app_id).encrypt_message(text, "n0nce", "1772415000")
    sealed_text = by_wechatpy.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    signature = by_wechatpy.split("<MsgSignature><![CDATA[")[1].split("]]>")[0]

    codec.verify({"msg_signature": signature, "timestamp": "1772415000", "nonce": "n0nce"}, sealed_text)

    assert codec.decrypt(sealed_text) == text.encode()
    assert codec.decrypt(by_werobot) == text.encode()


@given(parts=st.lists(st.text(max_size=40), min_size=3, max_size=3))
def test_signatures_agree_with_wechatpy(parts: list[str]) -> None:
    signer = WeChatSigner()
    signer.add_data(TOKEN, *parts)

    assert Codec(TOKEN, AES_KEY, frozenset()).signature(*parts) == signer.signature


@pytest.mark.parametrize("size", range(0, 66))
def test_every_length_of_padding_survives(size: int) -> None:
    sealed_text = CODEC.encrypt(b"x" * size, receive_id=APP_ID, salt=b"0" * 16)

    assert len(base64.b64decode(sealed_text)) % 32 == 0
    assert CODEC.decrypt(sealed_text) == b"x" * size


def test_a_key_with_spare_bits_is_read_as_the_platform_reads_it() -> None:
    ours = Codec(TOKEN, SPARE_BITS_KEY, frozenset({APP_ID}))
    theirs = WeChatCrypto(TOKEN, SPARE_BITS_KEY, APP_ID).encrypt_message("<xml/>", "n", "1")

    assert ours.decrypt(theirs.split("<Encrypt><![CDATA[")[1].split("]]>")[0]) == b"<xml/>"


def test_an_empty_receive_id_is_possible() -> None:
    robot = Codec(TOKEN, AES_KEY, frozenset({""}))

    assert robot.open(robot.encrypt(b"{}", receive_id="", salt=b"0" * 16)) == (b"{}", "")


@pytest.mark.parametrize(
    "encrypt",
    [
        "",
        "not base64!",
        base64.b64encode(b"x" * 16).decode(),  # half a block
        base64.b64encode(b"x" * 33).decode(),
        sealed(padded(packed(b"hi", b"wx-somebody-else"))),  # not for us
        sealed(padded(packed(b"hi", b""))),
        sealed(padded(packed(b"hi", APP_ID.encode(), length=2**32 - 1))),  # length beyond the end
        sealed(padded(packed(b"hi", APP_ID.encode(), length=3))),  # length eats into the receive id
        sealed(padded(b"short")),  # no room for a length
        sealed(b"\x00" * 32),  # pad 0
        sealed(b"x" * 31 + b"\x21"),  # pad 33
        sealed(packed(b"hi", APP_ID.encode()).ljust(62, b"x") + b"\x01\x02"),  # pad bytes differ
        "A" * 200_000,
    ],
)
def test_a_bad_ciphertext_is_refused(encrypt: str) -> None:
    with pytest.raises(Refused):
        CODEC.decrypt(encrypt)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7), message=st.binary(max_size=100))
def test_a_flipped_bit_breaks_the_signature(at: int, bit: int, message: bytes) -> None:
    good = CODEC.encrypt(message, receive_id=APP_ID, salt=b"0" * 16)
    at %= len(good)
    bad = good[:at] + chr(ord(good[at]) ^ (1 << bit)) + good[at + 1 :]
    query = {"timestamp": "1", "nonce": "n", "msg_signature": CODEC.signature("1", "n", good)}

    CODEC.verify(query, good)
    with pytest.raises(Refused):
        CODEC.verify(query, bad)


@given(encrypt=st.text(max_size=300))
def test_opening_anything_raises_nothing_but_refused(encrypt: str) -> None:
    with pytest.raises(Refused):
        CODEC.decrypt(encrypt)


@given(query=st.dictionaries(st.sampled_from(["msg_signature", "timestamp", "nonce"]), st.text(max_size=50)))
def test_verifying_anything_raises_nothing_but_refused(query: dict[str, str]) -> None:
    with pytest.raises(Refused):
        CODEC.verify(query, "ciphertext")


def test_a_signature_with_lone_surrogates_is_refused() -> None:
    with pytest.raises(Refused):
        CODEC.verify({"msg_signature": "\ud800", "timestamp": "\udfff", "nonce": "n"}, "x")


@pytest.mark.parametrize("key", ["", "short", "x" * 42, "x" * 44, "!" * 43])
def test_a_malformed_key_is_a_configuration_error(key: str) -> None:
    with pytest.raises(BadConfig):
        Codec(TOKEN, key, frozenset({APP_ID}))


def test_the_salt_must_have_its_length() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        CODEC.encrypt(b"", receive_id=APP_ID, salt=b"short")


def test_the_url_signature_is_the_documented_one() -> None:
    signature = plain_signature(TOKEN, "1772415000", "n0nce")
    query = {"signature": signature, "timestamp": "1772415000", "nonce": "n0nce"}

    verify_plain(TOKEN, query)
    for name in query:
        with pytest.raises(Refused):
            verify_plain(TOKEN, {**query, name: query[name] + "0"})
        with pytest.raises(Refused):
            verify_plain(TOKEN, {k: v for k, v in query.items() if k != name})


SECONDS = int(NOW.timestamp())


@pytest.mark.parametrize("away", [0, 600, -600])
def test_a_call_within_the_window_is_fresh(away: int) -> None:
    fresh(str(SECONDS + away), NOW, 600)


@pytest.mark.parametrize("away", [601, -601, 86400 * 365])
def test_a_call_beyond_the_window_is_refused_unless_any_age_is_allowed(away: int) -> None:
    with pytest.raises(Refused):
        fresh(str(SECONDS + away), NOW, 600)

    fresh(str(SECONDS + away), NOW, 0)


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "٣", "1" * 13, "1772415000.5", " 1772415000"])
@pytest.mark.parametrize("max_age_s", [0, 600])
def test_a_timestamp_that_is_no_number_is_refused(timestamp: str, max_age_s: int) -> None:
    with pytest.raises(Refused):
        fresh(timestamp, NOW + timedelta(0), max_age_s)
