"""How the SDKs pack events: JSON, perhaps gzipped, in base64, in a form or in the address."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from connectors.kit.appevents import read
from scrm.contract import Call
from scrm.errors import Unreadable

#: Of events once inflated: more than a thousand of usual size.
INFLATED_MAX = 4 * 1024 * 1024
_FIELDS = 32
_GZIP = b"\x1f\x8b"


def parcel(call: Call) -> Mapping[str, str]:
    """The fields of the form, or of the address for a picture that is not one. Raises `Unreadable`."""
    if call.method == "GET":
        return call.query
    try:
        return dict(parse_qsl(call.body.decode("utf-8"), max_num_fields=_FIELDS))
    except ValueError:
        raise Unreadable("请求体不是表单。") from None


def unpacked(form: Mapping[str, str]) -> list[dict[str, Any]]:
    """The events of `data` or `data_list`. Raises `Unreadable`."""
    packed = form.get("data_list") or form.get("data")
    if not packed:
        raise Unreadable("缺少 data 或 data_list。")
    packed = packed.replace(" ", "+")  # a plus sign nobody encoded
    _unharmed(form, packed)
    if form.get("gzip") not in {None, "", "0", "1"}:
        raise Unreadable("暂不支持加密上报，请在 SDK 里关闭加密。")
    try:
        plain = base64.b64decode(packed.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("数据不是 base64。") from None
    value = read(_inflated(plain) if plain.startswith(_GZIP) else plain)
    events = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in events):
        raise Unreadable("数据不是事件。")
    return events


def _inflated(packed: bytes) -> bytes:
    """Never more than the limit, however much is packed."""
    machine = zlib.decompressobj(31)
    try:
        plain = machine.decompress(packed, INFLATED_MAX + 1)
    except zlib.error:
        raise Unreadable("gzip 数据已损坏。") from None
    if len(plain) > INFLATED_MAX:
        raise Unreadable("数据解压后超过 4 MB，请分几次发。")
    if not machine.eof or machine.unused_data:
        raise Unreadable("gzip 数据不完整。")
    return plain


def _unharmed(form: Mapping[str, str], packed: str) -> None:
    """By the checksum of the packed text where the SDK gives one, alone or as `ext=crc=...`."""
    told = form.get("crc") or dict(parse_qsl(form.get("ext", ""), max_num_fields=_FIELDS)).get("crc")
    if told and told != str(checksum(packed)):
        raise Unreadable("校验和不对，数据在路上变了。")


def checksum(text: str) -> int:
    """Java's `hashCode`, which all the SDKs use: 32 bits with a sign."""
    value = 0
    for one in text.encode("ascii", "replace"):
        value = (value * 31 + one) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
