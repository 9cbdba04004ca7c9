"""The steps every encrypted callback shares: envelope, signature, freshness, plaintext, source key."""

from __future__ import annotations

import hashlib
from typing import Any

from connectors.kit import xml
from connectors.kit.codec import Codec, fresh
from scrm.contract import Call, Context, Receipt
from scrm.errors import Refused, Unreadable


def echo(ctx: Context, call: Call, receive_ids: frozenset[str]) -> Receipt:
    """The answer to WeCom's URL verification: the decrypted `echostr`, byte for byte."""
    return Receipt(body=unseal(ctx, call, call.query.get("echostr", ""), receive_ids)[0])


def opened(ctx: Context, call: Call, receive_ids: frozenset[str]) -> tuple[bytes, str]:
    """The decrypted body of a POST and the id it was sealed for. Raises `Refused`."""
    if call.method != "POST":
        raise Refused("只接受 GET 与 POST。")
    return unseal(ctx, call, ciphertext(xml.parse(call.body)), receive_ids)


def ciphertext(envelope: dict[str, Any]) -> str:
    """The `Encrypt` of an envelope. Raises `Unreadable` when it has none."""
    # Robots write it in lower case.
    return xml.text(envelope, "Encrypt" if "Encrypt" in envelope else "encrypt")


def unseal(ctx: Context, call: Call, encrypt: str, receive_ids: frozenset[str]) -> tuple[bytes, str]:
    """Verify, check the age, decrypt: in this order, so that nobody can probe the decryption."""
    codec = Codec(ctx.account.get("token"), ctx.account.get("aes_key"), receive_ids)
    codec.verify(call.query, encrypt)
    fresh(call.query.get("timestamp", ""), call.received_at, ctx.account.max_age_s)
    return codec.open(encrypt)


def peek(payload: bytes) -> dict[str, Any]:
    """The fields of a verified payload, as far as they can be read.

    What we cannot read is stored all the same: the vendor would try twice more and then drop it for good.
    """
    try:
        return xml.parse(payload)
    except Unreadable:
        return {}


def peek_id(fields: dict[str, Any], name: str) -> str:
    """An identifier, "" when absent or odd; translating will say what is wrong with it."""
    try:
        return xml.ident(fields, name, "")
    except Unreadable:
        return ""


def digest(payload: bytes) -> str:
    """Source key of a payload without an id: ciphertexts may differ from try to try, plaintexts do not."""
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def lane(*parts: str) -> str:
    """One lane name; what belongs to no customer shares the lane `-`."""
    return ":".join(part for part in parts if part) or "-"
