"""Every `connectors/*/fixtures/*.json` through its connector.

A file is `{"about", "account"?, "cases": [...]}`; `account` adds settings. A case is one of

- `callback`: the decrypted plaintext (text, or an object for JSON), with `envelope` `xml` (default), `json`,
  `compatible` or `plain`, and `receive_id` when it is not the account's own;
- `poll`: `{"stream", "cursor", "hint"}` with `answers` by API path;
- `enrich`: a handle, with `answers`;
- `visit`: an act of a visitor of our own chat;
- `login`: `{"visitor", "claims"}`, signed as the site's server would.

`raws` lists what must come out: `source_key`, `lane`, `urgent`, and `expect`, the envelopes and pulls, with
every field that is not at its default. `body` is left out where it equals the fields of the plaintext.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from connectors.kit import xml
from connectors.webchat.login import signed
from scrm import contract
from scrm.contract import Account, Act, Call, Context, Envelope, Handle, Login, Pull, Raw
from scrm.errors import Refused
from tests.connectors.support import NOW, account, context, receive_id, sealed_call

ROOT = Path(__file__).resolve().parents[2] / "connectors"
CHANNELS = ("wechat_oa", "wecom_kf", "wecom", "webchat")
FILES = sorted(ROOT.glob("*/fixtures/*.json"))
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
    if "visit" in case:
        return (module.said(context(settings), Act(at=NOW, **case["visit"])),)
    if "login" in case:
        return (login_of(module, settings, case).raw,)
    ctx = context(settings, case["answers"])
    if "poll" in case:
        polled = asyncio.run(module.poll(ctx, **case["poll"]))
        return tuple(polled.raws)
    return tuple(asyncio.run(module.enrich(ctx, Handle(**case["enrich"]))))


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


POWERS = {
    "wechat_oa": {"Receives", "Translates", "Sends", "Enriches", "Uploads", "Probes"},
    "wecom_kf": {"Receives", "Translates", "Polls", "Sends", "Enriches", "Uploads", "Probes"},
    "wecom": {"Receives", "Translates", "Sends", "Enriches", "Probes", "Signs", "Shows", "Admits", "Knows"},
    "webchat": {"Translates", "Sends", "Probes", "Visits"},
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_connector_has_exactly_the_powers_it_should(channel: str) -> None:
    module = connector(channel)
    kinds = [
        "Receives", "Translates", "Polls", "Sends", "Enriches", "Uploads", "Probes", "Signs", "Shows",
        "Admits", "Knows", "Visits",
    ]  # fmt: skip

    assert isinstance(module, contract.Connector)
    assert {kind for kind in kinds if isinstance(module, getattr(contract, kind))} == POWERS[channel]
    assert all(need.help for need in module.NEEDS)
