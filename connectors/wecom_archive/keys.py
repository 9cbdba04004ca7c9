"""The private keys of an account by version, and what they open: old messages need old keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scrm.contract import Account
from scrm.errors import Rejected

Keys = Mapping[int, RSAPrivateKey]

#: `version: 3`, then the key as the tool wrote it; a form may have turned its line ends into blanks.
_KEY = re.compile(
    r"version\s*[:：=]\s*(\d{1,9})\s*-----BEGIN ((?:RSA )?PRIVATE KEY)-----(.*?)-----END \2-----", re.S | re.I
)
_BLANK = re.compile(r"\s")


@lru_cache(maxsize=16)
def parsed(text: str) -> Keys:
    """Every key of the setting by its version. Raises `Rejected` with what is wrong with it."""
    keys: dict[int, RSAPrivateKey] = {}
    text = text.replace("\\r", "").replace("\\n", "\n")
    rest = _KEY.sub("", text).strip()
    for version, label, body in _KEY.findall(text):
        keys[int(version)] = _key(int(version), label.upper(), _BLANK.sub("", body))
    if not keys:
        raise Rejected("私钥无法识别：每把私钥前要有一行 version: 版本号。", code="keys")
    if rest:
        raise Rejected("私钥里有多余的内容：请检查每把私钥的 BEGIN、END 与 version 行。", code="keys")
    return MappingProxyType(keys)


def _key(version: int, label: str, body: str) -> RSAPrivateKey:
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    pem = f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as bad:
        raise Rejected(f"版本 {version} 的私钥无法读取，请重新粘贴。", code="keys") from bad
    if not isinstance(key, RSAPrivateKey):
        raise Rejected(f"版本 {version} 的私钥不是 RSA 私钥。", code="keys")
    return key


def unlock(key: RSAPrivateKey, sealed: bytes) -> bytes:
    """The random key of one message. Raises `ValueError` when it was sealed for another key."""
    return key.decrypt(sealed, padding.PKCS1v15())


def means(account: Account, version: object) -> str:
    """What a sealed message of this version would be opened with now: the same text, the same result."""
    key = parsed(account.get("private_keys")).get(version) if isinstance(version, int) else None
    public = key.public_key().public_numbers().n if key else 0
    return hashlib.sha256(f"{public}\n{account.get('library')}".encode()).hexdigest()[:16]
