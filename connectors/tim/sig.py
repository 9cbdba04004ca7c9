"""UserSig: how Tencent IM knows that a call to its REST API is the administrator's.

Source: cloud.tencent.com/document/product/269/32688 (TLSSigAPIv2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib

_ALPHABET = bytes.maketrans(b"+/=", b"*-_")


def user_sig(*, sdk_app_id: int, key: str, identifier: str, at: int, lifetime_s: int) -> str:
    """A signature for `identifier` that holds for `lifetime_s` seconds after `at`."""
    signed = (
        f"TLS.identifier:{identifier}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{at}\nTLS.expire:{lifetime_s}\n"
    )
    made = hmac.digest(key.encode(), signed.encode(), hashlib.sha256)
    fields = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdk_app_id,
        "TLS.expire": lifetime_s,
        "TLS.time": at,
        "TLS.sig": base64.b64encode(made).decode(),
    }
    return base64.b64encode(zlib.compress(json.dumps(fields).encode())).translate(_ALPHABET).decode()
