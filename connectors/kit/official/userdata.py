"""What a mini-program hands over sealed with the session key of a login: AES-128-CBC."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from scrm.errors import Refused

_BLOCK = 16


def open_user_data(session_key: str, iv: str, sealed: str, app_id: str) -> dict[str, Any]:
    """The fields inside. Raises `Refused` when the keys do not fit, or it was sealed for another app."""
    key, start, content = (_unbase64(text) for text in (session_key, iv, sealed))
    if len(key) != _BLOCK or len(start) != _BLOCK or not content or len(content) % _BLOCK:
        raise Refused("加密数据的长度不对：请核对 session_key、iv 与 data。")
    worker = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
    plain = worker.update(content) + worker.finalize()
    pad = plain[-1]
    if not 1 <= pad <= _BLOCK or plain[-pad:] != bytes([pad]) * pad:
        raise Refused("加密数据无法解开：session_key 可能已经更新，请用最近一次登录的。")
    try:
        fields = json.loads(plain[:-pad])
        owner = fields["watermark"]["appid"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("加密数据无法解开：session_key 可能已经更新，请用最近一次登录的。") from None
    if owner != app_id:
        raise Refused("加密数据不属于这个小程序。")
    return dict(fields)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("加密数据不是 Base64。") from None
