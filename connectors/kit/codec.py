"""Signature and encryption of WeChat and WeCom callbacks.

Source: developer.work.weixin.qq.com/document/path/90968.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from scrm.errors import BadConfig, Refused

#: The vendors pad PKCS#7 to 32 bytes although the AES block is 16.
BLOCK = 32
_SALT = 16
_HEAD = _SALT + 4
#: No vendor sends more than 64 KiB; base64 of it and some air.
_LONGEST = 128 * 1024


def _bytes(text: str) -> bytes:
    # A query string may carry lone surrogates; they can never match a real signature.
    return text.encode("utf-8", "replace")


def _sha1_of_sorted(*parts: str) -> str:
    # Byte-wise order, which is what the vendors' libraries do.
    return hashlib.sha1(b"".join(sorted(map(_bytes, parts))), usedforsecurity=False).hexdigest()


def same(a: str, b: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(_bytes(a), _bytes(b))


def plain_signature(token: str, timestamp: str, nonce: str) -> str:
    """The `signature` of Official Account URLs. It does not cover the body."""
    return _sha1_of_sorted(token, timestamp, nonce)


def verify_plain(token: str, query: Mapping[str, str]) -> None:
    """Raises `Refused` unless `signature` fits `timestamp` and `nonce`."""
    signature, timestamp, nonce = (query.get(k, "") for k in ("signature", "timestamp", "nonce"))
    if not (signature and timestamp and same(signature, plain_signature(token, timestamp, nonce))):
        raise Refused("签名不符：请核对后台填写的 Token 是否与这里一致。")


def fresh(timestamp: str, received_at: datetime, max_age_s: int) -> None:
    """Raises `Refused` when `timestamp` (seconds) is over `max_age_s` away, past or future; 0 = any age."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Refused("回调的 timestamp 不是秒数。")
    if max_age_s and abs(received_at.timestamp() - int(timestamp)) > max_age_s:
        raise Refused("回调已过期或时间超前：请核对服务器时钟，或调整 max_age_s。")


class Codec:
    """Signs, opens and seals the messages of one account."""

    __slots__ = ("_key", "_receive_ids", "_token")

    def __init__(self, token: str, aes_key: str, receive_ids: frozenset[str]) -> None:
        self._token = token
        self._receive_ids = receive_ids
        self._key = _decode_key(aes_key)

    def signature(self, timestamp: str, nonce: str, encrypt: str) -> str:
        return _sha1_of_sorted(self._token, timestamp, nonce, encrypt)

    def verify(self, query: Mapping[str, str], encrypt: str) -> None:
        """Raises `Refused` unless `msg_signature` covers timestamp, nonce and ciphertext."""
        given, timestamp, nonce = (query.get(k, "") for k in ("msg_signature", "timestamp", "nonce"))
        if not (given and timestamp and encrypt and same(given, self.signature(timestamp, nonce, encrypt))):
            raise Refused("签名不符：请核对后台填写的 Token 是否与这里一致。")

    def decrypt(self, encrypt: str) -> bytes:
        """The message inside. Raises `Refused` for anything that is not ours."""
        return self.open(encrypt)[0]

    def open(self, encrypt: str) -> tuple[bytes, str]:
        """The message and which of our receive ids it was sealed for. Raises `Refused`."""
        plain = _unpad(self._decipher(_unbase64(encrypt)))
        if len(plain) < _HEAD:
            raise Refused("密文过短。")
        (length,) = struct.unpack_from(">I", plain, _SALT)
        end = _HEAD + length
        if end > len(plain):
            raise Refused("密文中的长度字段有误。")
        return plain[_HEAD:end], self._receiver(plain[end:])

    def encrypt(self, plain: bytes, *, receive_id: str, salt: bytes) -> str:
        """Base64 ciphertext; `salt` is 16 random bytes."""
        if len(salt) != _SALT:
            raise ValueError("salt must be 16 bytes")
        packed = salt + struct.pack(">I", len(plain)) + plain + receive_id.encode()
        pad = BLOCK - len(packed) % BLOCK
        worker = self._cipher().encryptor()
        sealed = worker.update(packed + bytes([pad]) * pad) + worker.finalize()
        return base64.b64encode(sealed).decode("ascii")

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16]))

    def _decipher(self, sealed: bytes) -> bytes:
        worker = self._cipher().decryptor()
        return worker.update(sealed) + worker.finalize()

    def _receiver(self, given: bytes) -> str:
        # Every candidate is compared, so the time tells nothing about which one came close.
        matches = [known for known in sorted(self._receive_ids) if hmac.compare_digest(known.encode(), given)]
        if not matches:
            raise Refused("这条消息不是发给本账号的：请核对 AppID、CorpID 或 SuiteID。")
        return matches[0]


def _decode_key(aes_key: str) -> bytes:
    # Lenient about the spare bits of the last character: the published sample keys have them set.
    try:
        key = base64.b64decode(aes_key + "=")
    except (binascii.Error, ValueError):
        key = b""
    if len(aes_key) != 43 or len(key) != 32:
        raise BadConfig("EncodingAESKey 应为 43 个字母或数字，请从后台重新复制。")
    return key


def _unbase64(encrypt: str) -> bytes:
    if len(encrypt) > _LONGEST:
        raise Refused("密文过长。")
    try:
        sealed = base64.b64decode(encrypt, validate=True)
    except (binascii.Error, ValueError) as broken:
        raise Refused("密文不是 Base64。") from broken
    if not sealed or len(sealed) % BLOCK:
        raise Refused("密文长度有误。")
    return sealed


def _unpad(padded: bytes) -> bytes:
    pad = padded[-1]
    if not 1 <= pad <= BLOCK or not hmac.compare_digest(padded[-pad:], bytes([pad]) * pad):
        raise Refused("无法解密：请核对 EncodingAESKey。")
    return padded[:-pad]
