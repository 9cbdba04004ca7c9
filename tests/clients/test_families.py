"""Every family of callbacks, sealed by somebody else: taken, understood or called unknown, never lost."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner

from scrm.contract import Account, Call, Need
from tests.chaos.harness import NOWHERE
from tests.clients.yard import PROGRAMS, Yard, node_program, ran, yard
from tests.connectors.support import account, context

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]
#: Bodies as the platforms publish them, for those who have them beside the project; ours alone are enough.
SAMPLES = ROOT.parent / "shared" / "samples"
SEALED_BY = ("wechatpy", "@wecom/crypto")
NONCE = "1372623149"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One callback before somebody seals it."""

    account: Account
    name: str
    plain: str
    to: str
    envelope: str = "xml"
    #: Source keys of the rows, and of those that become events.
    events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    body: Body
    encrypt: str
    query: Mapping[str, str]

    @property
    def posted(self) -> bytes:
        if self.body.envelope == "json":
            return json.dumps({"ToUserName": self.body.to, "Encrypt": self.encrypt}).encode()
        ours = f"<Encrypt><![CDATA[{self.encrypt}]]></Encrypt>"
        if self.body.envelope == "compatible":
            return self.body.plain.replace("</xml>", f"{ours}</xml>").encode()
        return f"<xml><ToUserName><![CDATA[{self.body.to}]]></ToUserName>{ours}</xml>".encode()


def plain_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def own_bodies() -> list[Body]:
    """Every sealed callback of our fixtures; accounts with other settings are other accounts."""
    accounts: dict[str, Account] = {}
    found = []
    for path in sorted(ROOT.glob("connectors/*/fixtures/*.json")):
        stored = json.loads(path.read_text("utf-8"))
        cases = [c for c in stored["cases"] if "callback" in c and c.get("envelope") != "plain"]
        if not cases:
            continue
        channel, settings = path.parent.parent.name, stored.get("account", {})
        mark = f"{channel}{json.dumps(settings, sort_keys=True)}"
        to = accounts.setdefault(mark, _account(channel, len(accounts), settings))
        if any(need.required and not to.get(need.name) for need in _needs(channel)):
            continue  # keys of its own that only its own tests make; the same notice comes by the app, too
        found += [_body(to, path.stem, case) for case in cases]
    return found


def _needs(channel: str) -> tuple[Need, ...]:
    needs: tuple[Need, ...] = import_module(f"connectors.{channel}").NEEDS
    return needs


def _account(channel: str, number: int, settings: Mapping[str, str]) -> Account:
    made = account(channel, **dict(settings))
    known = {need.name for need in _needs(channel)}
    secrets = {k: v for k, v in made.secrets.items() if k in known}
    options = {k: v for k, v in made.options.items() if k in known} | {"api_base": NOWHERE}
    slug = f"{channel.replace('_', '-')}-{number}"
    return Account(
        tenant_id=1,
        account_id=number,
        slug=slug,
        channel=channel,
        name=slug,
        options=options,
        secrets=secrets,
    )


def _body(to: Account, where: str, case: Mapping[str, Any]) -> Body:
    events = {r["source_key"] for r in case["raws"] if any(not one.get("pull") for one in r["expect"])}
    return Body(
        account=to,
        name=f"{where}/{case['name']}",
        plain=plain_text(case["callback"]),
        to=case.get("receive_id") or to.get("app_id") or to.get("corp_id"),
        envelope=case.get("envelope", "xml"),
        events=frozenset(events),
    )


def published_bodies(own: list[Body]) -> list[Body]:
    """The platforms' own examples, where they are at hand, to each account of the kind."""
    takers = {b.account.slug: b.account for b in own if b.envelope != "compatible"}.values()
    found = []
    for folder, channels in (("oa_miniprogram", {"wechat_oa", "miniprogram"}), ("wecom", {"wecom"})):
        for path in sorted((SAMPLES / folder).rglob("*.*")):
            plain, kind = path.read_text("utf-8").removeprefix("\ufeff"), path.suffix[1:]
            found += [
                Body(
                    account=a,
                    name=str(path.relative_to(SAMPLES)),
                    plain=plain,
                    to=a.get("app_id") or a.get("corp_id"),
                    envelope=kind,
                )
                for a in takers
                if a.channel in channels and kind in {"xml", "json"}
            ]
    return found


async def sealed(by: str, bodies: list[Body], node: Path) -> list[Sealed]:
    stamp = str(int(time.time()))
    made = (
        [_by_wechatpy(b, stamp) for b in bodies] if by == "wechatpy" else await _by_node(bodies, stamp, node)
    )
    return [
        Sealed(
            body=body,
            encrypt=encrypt,
            query={"msg_signature": signature, "timestamp": stamp, "nonce": NONCE, "encrypt_type": "aes"},
        )
        for body, (encrypt, signature) in zip(bodies, made, strict=True)
    ]


def _by_wechatpy(body: Body, stamp: str) -> tuple[str, str]:
    token, key = body.account.get("token"), body.account.get("aes_key")
    reply = WeChatCrypto(token, key, body.to).encrypt_message(body.plain, NONCE, stamp)
    encrypt = reply.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    signer = WeChatSigner()
    signer.add_data(token, stamp, NONCE, encrypt)
    return encrypt, signer.signature


async def _by_node(bodies: list[Body], stamp: str, node: Path) -> list[tuple[str, str]]:
    asked = [
        {
            "token": b.account.get("token"),
            "key": b.account.get("aes_key"),
            "to": b.to,
            "timestamp": stamp,
            "nonce": NONCE,
            "message": b.plain,
        }
        for b in bodies
    ]
    command = [*node_program(), str(PROGRAMS / "wecom_crypto.cjs"), str(node)]
    told = json.loads(await ran(command, json.dumps(asked).encode()))
    return [(one["encrypt"], one["signature"]) for one in told]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grounds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Yard]:
    """A server with an account for each set of settings the fixtures have."""
    accounts = {b.account.slug: b.account for b in own_bodies()}
    more = [
        {"slug": slug, "channel": a.channel, "name": a.name, **a.options, **a.secrets}
        for slug, a in accounts.items()
    ]
    async with yard(tmp_path_factory.mktemp("families"), *more) as made:
        yield made


def keys_of(one: Sealed) -> set[str]:
    """What the connector calls the rows of this very request."""
    call = Call(
        method="POST",
        tail="",
        query=dict(one.query),
        headers={},
        body=one.posted,
        received_at=datetime.now(UTC),
    )
    receive: Callable[..., Any] = import_module(f"connectors.{one.body.account.channel}").receive
    return {raw.source_key for raw in receive(context(one.body.account), call).raws}


@pytest.mark.parametrize("by", SEALED_BY)
async def test_every_family_is_taken_and_understood_or_called_unknown(
    grounds: Yard, node: Path, by: str
) -> None:
    """The second sealer finds everything said already: taken again, and nothing twice."""
    own = own_bodies()
    assert {"wechat_oa", "wecom", "wecom_kf"} <= {b.account.channel for b in own}
    posted = await sealed(by, own + published_bodies(own), node)
    wanted: dict[str, set[str]] = defaultdict(set)
    for one in posted:
        assert await grounds.post(one.body.account.slug, one.query, one.posted) == 200, one.body.name
        wanted[one.body.account.slug] |= keys_of(one)
    await grounds.api.drained()

    rows = grounds.server.rows(
        "SELECT a.slug, s.source_key FROM seen s JOIN account a ON a.account_id = s.account_id"
    )
    taken = {slug: {key for of, key in rows if of == slug} for slug in wanted}
    assert taken == dict(wanted)
    for slug in wanted:
        events = await grounds.events(slug)
        keys = [e["source_key"] for e in events]
        assert len(keys) == len(set(keys))
        assert all(e["kind"].startswith(("message.", "event.")) for e in events)
        expected = {key for b in own if b.account.slug == slug for key in b.events}
        assert {k for k in expected if not any(got.startswith(k) for got in keys)} == set()
    assert [key for key, why in grounds.quarantined() if not why] == []


async def test_none_of_our_own_families_needs_anybody_s_help(grounds: Yard, node: Path) -> None:
    """Of our fixtures nothing may be put aside; a body made up of nonsense is, with a reason."""
    own = own_bodies()
    (nonsense,) = await sealed(
        "wechatpy", [Body(account=own[0].account, name="", plain="<xml", to=own[0].to)], node
    )
    for one in [*await sealed("wechatpy", own, node), nonsense]:
        assert await grounds.post(one.body.account.slug, one.query, one.posted) == 200
    await grounds.api.drained()

    aside = dict(grounds.quarantined())

    assert {key for b in own for key in b.events} & aside.keys() == set()
    assert all(aside[key] for key in keys_of(nonsense))


async def test_a_body_sealed_with_another_key_is_refused(grounds: Yard, node: Path) -> None:
    own = own_bodies()[0]
    (one,) = await sealed("@wecom/crypto", [own], node)
    forged = {**one.query, "msg_signature": one.query["msg_signature"][::-1]}

    assert await grounds.post(own.account.slug, forged, one.posted) == 403
