"""Ten thousand ways to write to a callback address that no platform uses."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connectors.kit.platform import Platform, xml

#: Longest line of a header that our server reads.
HEADER_LIMIT = 8190
_BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (c + 1, b"&%c;" % c * 10) for c in range(ord("a"), ord("i")))
    + b"]><xml><MsgType>text</MsgType><Content>&i;</Content></xml>"
)
_XXE = (
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><FromUserName>&e;</FromUserName>'
    b"<MsgType>text</MsgType><CreateTime>1</CreateTime></xml>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request; `plain` = what a genuinely signed one carries."""

    name: str
    slug: str
    method: str = "POST"
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    plain: bytes | None = None


def deep(levels: int) -> bytes:
    return b"<a>" * levels + b"x" + b"</a>" * levels


def _fields(rng: random.Random) -> dict[str, object]:
    """A plausible message of some channel with one odd value."""
    fields: dict[str, object] = {
        "ToUserName": "us",
        "FromUserName": f"o-hostile-{rng.randrange(50)}",
        "CreateTime": 1772415000 + rng.randrange(10_000),
        "MsgType": rng.choice(["text", "event", "image", "location", "", "no-such-type"]),
        "MsgId": rng.getrandbits(62),
        "Event": rng.choice(["subscribe", "change_external_contact", "SCAN", "nonsense", ""]),
        "ChangeType": rng.choice(["add_external_contact", "del_follow_user", "nonsense"]),
        "UserID": "LinXiaoYan",
        "ExternalUserID": f"wm-hostile-{rng.randrange(50)}",
        "Content": "贵不贵？",
    }
    odd = rng.choice(sorted(fields))
    fields[odd] = rng.choice(
        [
            "", " ", "0", "-1", "1e9", "99999999999999999999", "NaN", "NULL", "\u202e反了", "😀" * 40,
            "A" * 300, "A" * 20_000, "%s%n", "{{7*7}}", "' OR 1=1 --", "<b>", "]]>", "&#1;", "\ufeff",
            {"deeper": {"still": "1"}}, ["one", "two"],
        ]
    )  # fmt: skip
    for name in rng.sample(sorted(fields), rng.randrange(3)):
        del fields[name]
    return fields


def plain(rng: random.Random) -> tuple[str, bytes]:
    """What somebody who holds the keys may seal: from nearly right to complete rubbish."""
    message = xml(_fields(rng)).encode()
    cut = rng.randrange(len(message))
    made: dict[str, Callable[[], bytes]] = {
        "odd value": lambda: message,
        "json": lambda: json.dumps(_fields(rng)).encode(),
        "json array": lambda: json.dumps([_fields(rng)]).encode(),
        "random bytes": lambda: rng.randbytes(rng.randrange(400)),
        "truncated": lambda: message[:cut],
        "bit flip": lambda: (
            message[:cut] + bytes([message[cut] ^ 1 << rng.randrange(8)]) + message[cut + 1 :]
        ),
        "given twice": lambda: message.replace(b"</xml>", b"<FromUserName>o2</FromUserName></xml>"),
        "bomb": lambda: _BOMB + b"<!--%d-->" % rng.getrandbits(32),
        "outside entity": lambda: _XXE + b"<!--%d-->" % rng.getrandbits(32),
        "nested": lambda: deep(rng.choice([5, 9, 500, 5000])),
        "json nested": lambda: b"[" * 5000 + b"%d" % rng.getrandbits(32) + b"]" * 5000,
        "utf-16": lambda: message.decode().encode("utf-16"),
        "gbk": lambda: message.decode().encode("gbk", "replace"),
        "nul": lambda: message.replace(b"us", b"u\x00s"),
        "attributes": lambda: b'<xml a="%d">' % rng.getrandbits(32) + message[len(b"<xml>") :],
    }
    name = rng.choice(sorted(made))
    return name, made[name]()


def signed(platform: Platform, rng: random.Random) -> Shot:
    """Rubbish, but rightly encrypted and signed."""
    name, content = plain(rng)
    letter = platform.seal(content, rng.choice(["xml", "json"]), platform.receive_id, {})
    return Shot(
        name=f"signed {name}",
        slug=platform.account.slug,
        query=letter.query,
        body=letter.body,
        plain=content,
    )


def spoiled(platform: Platform, rng: random.Random) -> Shot:
    """A real callback, spoiled on its way."""
    letter = platform.seal(xml(_fields(rng)).encode(), "xml", platform.receive_id, {})
    body, query, slug = letter.body, dict(letter.query), platform.account.slug
    cut = rng.randrange(len(body))
    gone = rng.choice(sorted(query))
    fewer = {k: v for k, v in query.items() if k != gone}
    odd = rng.choice(["", "0", "-1", "x" * 500, "\ud800", "１７", "9" * 30, "%00"])
    made: dict[str, Callable[[], Shot]] = {
        "truncated": lambda: Shot(name="truncated", slug=slug, query=query, body=body[:cut]),
        "flip": lambda: Shot(name="flip", slug=slug, query=query, body=_flip(body, rng)),
        "random": lambda: Shot(name="random", slug=slug, query=query, body=rng.randbytes(cut)),
        "bomb": lambda: Shot(name="bomb", slug=slug, query=query, body=_BOMB),
        "nested": lambda: Shot(name="nested", slug=slug, query=query, body=deep(rng.choice([9, 9000]))),
        "json": lambda: Shot(name="json", slug=slug, query=query, body=b'{"Encrypt": ["a", {}]}'),
        "not json": lambda: Shot(
            name="not json", slug=slug, query=query, body=b'{"Encrypt":' + b"[" * 30_000
        ),
        "twice": lambda: Shot(name="twice", slug=slug, query=query, body=_twice(body)),
        "utf-16": lambda: Shot(name="utf-16", slug=slug, query=query, body=body.decode().encode("utf-16")),
        "no query": lambda: Shot(name="no query", slug=slug, body=body),
        "fewer": lambda: Shot(name="fewer", slug=slug, query=fewer, body=body),
        "odd query": lambda: Shot(name="odd query", slug=slug, query=query | {gone: odd}, body=body),
        "too long": lambda: Shot(name="too long", slug=slug, query=query, body=body + b" " * 70_000),
        "gzip": lambda: Shot(
            name="gzip",
            slug=slug,
            query=query,
            headers={"Content-Encoding": "gzip"},
            body=gzip.compress(body) * rng.randrange(1, 40),
        ),
        "not gzip": lambda: Shot(
            name="not gzip", slug=slug, query=query, headers={"Content-Encoding": "deflate"}, body=body
        ),
        "headers": lambda: Shot(
            name="headers", slug=slug, query=fewer, headers={"X-Odd": "h" * (HEADER_LIMIT - 200)}, body=body
        ),
        "type": lambda: Shot(
            name="type",
            slug=slug,
            query=fewer,
            headers={"Content-Type": "multipart/form-data; boundary=" + "b" * 500},
            body=body,
        ),
        "method": lambda: Shot(
            name="method",
            slug=slug,
            method=rng.choice(["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]),
            query=fewer,
            body=rng.choice([b"", body]),
        ),
        "path": lambda: Shot(
            name="path",
            slug=slug,
            path=rng.choice(["/%00", "/..%2f..%2f", "/tail/" + "x" * 2000, "%E0%80", "/a/b?c=d"]),
            query=fewer,
            body=body,
        ),
        "nobody": lambda: Shot(name="nobody", slug="no-such-account", query=query, body=body),
    }
    return made[rng.choice(sorted(made))]()


def _flip(body: bytes, rng: random.Random) -> bytes:
    """A bit of the ciphertext; what is around it is covered by no signature."""
    start = body.index(b"<Encrypt>") + 18
    place = rng.randrange(start, body.index(b"]]>", start))
    return body[:place] + bytes([body[place] ^ 1 << rng.randrange(7)]) + body[place + 1 :]


def _twice(body: bytes) -> bytes:
    return body.replace(b"</xml>", b"<Encrypt>x</Encrypt></xml>")


_POST = b"POST /hooks/school-oa HTTP/1.1\r\nHost: x\r\n"
#: Bytes no HTTP client would write; each is followed by the end of the stream.
RAW: tuple[bytes, ...] = (
    b"",
    b"\r\n" * 50,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /hooks/school-oa HTTP/9.9\r\n\r\n",
    _POST + b"Content-Length: 100\r\n\r\n<xml>",
    _POST + b"Content-Length: -1\r\n\r\n",
    _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n<xml>",
    _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n<xml>",
    _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n<xml>\r\n0\r\n\r\n",
    _POST + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n<xml>",
    _POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    _POST + b"Expect: the-unexpected\r\nContent-Length: 2\r\n\r\nab",
    b"POST /hooks/school-oa HTTP/1.1\r\nHost x\r\n\r\n",
    _POST + b"X: " + b"h" * 20_000 + b"\r\n\r\n",
    b"POST /hooks/school-oa?" + b"q" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /hooks/\xff\xfe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"GET /hooks/school-oa?signature=%ff%fe&timestamp=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST http://[::1/hooks/school-oa HTTP/1.1\r\nHost: x\r\n\r\n",
)
