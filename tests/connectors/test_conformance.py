"""Every `connectors/*/fixtures/*.json` through its connector.

A file is `{"about", "account"?, "cases": [...]}`; `account` adds settings. A case is one of

- `callback`: the decrypted plaintext (text, or an object for JSON), with `envelope` `xml` (default), `json`,
  `compatible` or `plain`, and `receive_id` when it is not the account's own;
- `call`: a request as a caller really makes it: `{"tail", "query", "headers", "body", "at"}`; `body` is text,
  an object (sent as JSON) or `{"base64"}`, `at` when it arrived; `answer` is what it must be answered,
  `signed` where one changed character must have it refused (`headers.X-Signature`, `query.token`, `body`);
- `poll`: `{"stream", "cursor", "hint"}` with `answers` by API path;
- `enrich`: a handle, with `answers`;
- `raw`: what a poll of a native library stored: `{"source_key", "lane", "urgent", "payload"}`;
- `visit`: an act of a visitor of our own chat;
- `login`: `{"visitor", "claims"}`, signed as the site's server would.

`raws` lists what must come out: `source_key`, `lane`, `urgent`, and `expect`, the envelopes and pulls, with
every field that is not at its default. `body` is left out where it equals the fields of the plaintext.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from multidict import CIMultiDict

from connectors.kit import xml
from connectors.webchat.login import signed
from scrm import contract
from scrm.contract import Account, Act, Call, Context, Envelope, Handle, Login, Pull, Raw
from scrm.errors import Refused
from tests.connectors.support import NOW, account, context, receive_id, sealed_call

ROOT = Path(__file__).resolve().parents[2] / "connectors"
FILES = sorted(ROOT.glob("*/fixtures/*.json"))
CHANNELS = sorted(folder.parent.name for folder in ROOT.glob("*/__init__.py") if folder.parent.name != "kit")
Case = dict[str, Any]


def load(path: Path) -> list[tuple[str, Account, Case]]:
    stored = json.loads(path.read_text("utf-8"))
    channel = path.parent.parent.name
    settings = account(channel, **stored.get("account", {}))
    return [(channel, settings, case) for case in stored["cases"]]


ALL = [
    pytest.param(*loaded, id=f"{loaded[0]}-{path.stem}-{loaded[2]['name']}")
    for path in FILES
    for loaded in load(path)
]
CALLBACKS = [param for param in ALL if "callback" in dict(param.values[2])]  # type: ignore[call-overload]
SEALED = [param for param in CALLBACKS if "wechat_oa-plain" not in str(param.id)]


CALLS = [param for param in ALL if "call" in dict(param.values[2])]  # type: ignore[call-overload]


def connector(channel: str) -> ModuleType:
    return import_module(f"connectors.{channel}")


def plaintext(case: Case) -> bytes:
    plain = case["callback"]
    return (plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)).encode()


def call_of(channel: str, case: Case, **change: Any) -> Call:
    to = case.get("receive_id", receive_id(channel))
    return sealed_call(plaintext(case), to=to, envelope=case.get("envelope", "xml"), **change)


def raws_of(channel: str, settings: Account, case: Case) -> tuple[Raw, ...]:
    module = connector(channel)
    if "callback" in case:
        ctx = context(settings)
        raws: tuple[Raw, ...] = module.receive(ctx, call_of(channel, case)).raws
        return raws
    if "call" in case:
        made = literal_call(case)
        taken: tuple[Raw, ...] = module.receive(context(settings, now=made.received_at), made).raws
        return taken
    if "visit" in case:
        return (module.said(context(settings), Act(at=NOW, **case["visit"])),)
    if "login" in case:
        return (login_of(module, settings, case).raw,)
    if "raw" in case:
        stored = {**case["raw"], "payload": json.dumps(case["raw"]["payload"]).encode()}
        return (Raw(**stored),)
    ctx = context(settings, case["answers"])
    if "poll" in case:
        polled = asyncio.run(module.poll(ctx, **case["poll"]))
        return tuple(polled.raws)
    return tuple(asyncio.run(module.enrich(ctx, Handle(**case["enrich"]))))


def literal_call(case: Case) -> Call:
    """The request of a `call` case, byte for byte."""
    given = case["call"]
    body = given.get("body", "")
    if isinstance(body, dict) and set(body) == {"base64"}:
        content = base64.b64decode(body["base64"])
    else:
        content = (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()
    return Call(
        method=given.get("method", "POST"),
        tail=given.get("tail", ""),
        query=CIMultiDict(given.get("query", {})),
        headers=CIMultiDict(given.get("headers", {})),
        body=content,
        received_at=datetime.fromisoformat(given["at"]),
    )


def login_of(module: ModuleType, settings: Account, case: Case) -> Login:
    """The site's server signs the claims for an hour."""
    visitor, now = case["login"]["visitor"], int(NOW.timestamp())
    claims = {"iat": now, "exp": now + 3600, **case["login"]["claims"]}
    login: Login = module.identify(context(settings), visitor, signed(settings.get("secret"), claims))
    return login


def written(value: Any) -> Any:
    """A value of the plug as JSON, without the fields that are at their default."""
    if isinstance(value, datetime):
        assert value.tzinfo is UTC
        return value.isoformat()
    if isinstance(value, tuple):
        return [written(one) for one in value]
    if not is_dataclass(value):
        return value
    shown = {"pull": True} if isinstance(value, Pull) else {}
    for field in fields(value):
        here = getattr(value, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if here != default:
            shown[field.name] = written(here)
    return shown


def seen(ctx: Context, module: ModuleType, raw: Raw, case: Case) -> list[Any]:
    found = []
    for made in module.translate(ctx, raw):
        shown = written(made)
        if "callback" in case and shown.get("body") == xml.parse(plaintext(case)):
            del shown["body"]
        if "raw" in case and shown.get("body") == case["raw"]["payload"].get("msg"):
            del shown["body"]
        found.append(shown)
    return found


def result(channel: str, settings: Account, case: Case) -> list[Any]:
    """What the fixture's `raws` must say."""
    module, ctx = connector(channel), context(settings)
    return [
        {
            "source_key": raw.source_key,
            "lane": raw.lane,
            "urgent": raw.urgent,
            "expect": seen(ctx, module, raw, case),
        }
        for raw in raws_of(channel, settings, case)
    ]


@pytest.mark.parametrize(("channel", "settings", "case"), ALL)
def test_a_fixture_is_understood_as_written_down(channel: str, settings: Account, case: Case) -> None:
    assert result(channel, settings, case) == case["raws"]


@pytest.mark.parametrize(("channel", "settings", "case"), ALL)
def test_the_same_thing_twice_makes_equal_raws(channel: str, settings: Account, case: Case) -> None:
    assert raws_of(channel, settings, case) == raws_of(channel, settings, case)


@pytest.mark.parametrize(("channel", "settings", "case"), CALLBACKS)
def test_a_freshly_signed_repeat_has_the_same_key(channel: str, settings: Account, case: Case) -> None:
    later = NOW + timedelta(days=7)
    again = call_of(channel, case, at=later, received_at=later, salt=b"another-salt-016")

    repeated = connector(channel).receive(context(settings), again).raws

    assert [raw.source_key for raw in repeated] == [raw["source_key"] for raw in case["raws"]]


@pytest.mark.parametrize(("channel", "settings", "case"), ALL)
def test_every_envelope_is_aware_and_ready_for_json(channel: str, settings: Account, case: Case) -> None:
    module, ctx = connector(channel), context(settings)

    made = [one for raw in raws_of(channel, settings, case) for one in module.translate(ctx, raw)]

    for envelope in (one for one in made if isinstance(one, Envelope)):
        assert envelope.at.tzinfo is UTC
        assert json.loads(json.dumps(envelope.body)) == envelope.body
        assert envelope.kind.startswith(("message.", "event."))
        assert all(handle.value and handle.scope for handle in envelope.handles)


@pytest.mark.parametrize(("channel", "settings", "case"), CALLS)
def test_a_call_is_answered_as_its_sender_expects(channel: str, settings: Account, case: Case) -> None:
    call = literal_call(case)

    receipt = connector(channel).receive(context(settings, now=call.received_at), call)

    answer = case.get("answer", {})
    assert receipt.status == answer.get("status", 200)
    assert receipt.mime == answer.get("mime", "text/plain")
    assert receipt.body.decode() == answer.get("body", "")


@pytest.mark.parametrize(("channel", "settings", "case"), CALLS)
def test_a_call_with_one_character_changed_is_refused(channel: str, settings: Account, case: Case) -> None:
    call = literal_call(case)

    for place in case["signed"]:
        for at in (0, -1):
            bad = _changed(call, place, at)
            with pytest.raises(Refused):
                connector(channel).receive(context(settings, now=call.received_at), bad)


def _changed(call: Call, place: str, at: int) -> Call:
    where, _, name = place.partition(".")
    if where == "body":
        body = bytearray(call.body)
        body[at] ^= 1
        return replace(call, body=bytes(body))
    values = CIMultiDict(getattr(call, where))
    old = values[name]
    at %= len(old)
    values[name] = f"{old[:at]}{chr(ord(old[at]) ^ 1)}{old[at + 1 :]}"
    return replace(call, query=values) if where == "query" else replace(call, headers=values)


def altered(call: Call, sealed: bool) -> list[Call]:
    """The call with one bit or part changed, each way a forger could."""
    names = ["timestamp", "nonce", "msg_signature" if sealed else "signature"]
    changed = [replace(call, query={**call.query, name: _flip(call.query[name])}) for name in names]
    changed += [replace(call, query={k: v for k, v in call.query.items() if k != name}) for name in names]
    if sealed:
        start = call.body.index(b"Encrypt") + 24
        changed += [
            replace(call, body=call.body[:at] + bytes([call.body[at] ^ 1]) + call.body[at + 1 :])
            for at in (start, start + 21, start + 40)
        ]
    return changed


def _flip(text: str) -> str:
    return chr(ord(text[0]) ^ 1) + text[1:]


@pytest.mark.parametrize(("channel", "settings", "case"), CALLBACKS)
def test_a_forged_or_altered_call_is_refused(channel: str, settings: Account, case: Case) -> None:
    receive, ctx = connector(channel).receive, context(settings)

    for bad in altered(call_of(channel, case), case.get("envelope") != "plain"):
        with pytest.raises(Refused):
            receive(ctx, bad)


@pytest.mark.parametrize("away", [timedelta(seconds=601), timedelta(seconds=-601)])
@pytest.mark.parametrize(("channel", "settings", "case"), CALLBACKS)
def test_a_stale_or_future_call_is_refused(
    channel: str, settings: Account, case: Case, away: timedelta
) -> None:
    receive = connector(channel).receive
    call = call_of(channel, case, at=NOW - away)

    with pytest.raises(Refused):
        receive(context(settings), call)

    assert receive(context(replace(settings, max_age_s=0)), call).raws


@pytest.mark.parametrize(("channel", "settings", "case"), SEALED)
def test_a_call_sealed_for_somebody_else_is_refused(channel: str, settings: Account, case: Case) -> None:
    call = call_of(channel, {**case, "receive_id": "wx0000000000000000"})

    with pytest.raises(Refused):
        connector(channel).receive(context(settings), call)


def test_every_channel_has_fixtures_and_a_set_up_page() -> None:
    for channel in CHANNELS:
        assert list((ROOT / channel / "fixtures").glob("*.json"))
        assert (ROOT / channel / "README.md").read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_connector_says_what_it_is_and_what_it_needs(channel: str) -> None:
    module = connector(channel)

    assert isinstance(module, contract.Connector)
    assert isinstance(module, contract.Translates)
    assert all(need.help for need in module.NEEDS)
