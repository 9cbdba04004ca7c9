"""What `externalcontact/get` says about an outside contact, as envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connectors.kit.profiles import read_profile, union_links, word
from connectors.kit.xml import at_seconds
from scrm.contract import Context, Envelope, Handle, Raw
from scrm.errors import Refused, Untranslatable


def profile(ctx: Context, raw: Raw) -> Sequence[Envelope]:
    """The contact, then one envelope for each member who follows them. Raises `Untranslatable`."""
    at, answer = read_profile(raw)
    contact = answer.get("external_contact")
    value = word(contact, "external_userid") if isinstance(contact, dict) else ""
    if not isinstance(contact, dict) or not value:
        raise Untranslatable("客户详情里没有 external_userid。")
    handle = Handle(
        kind="wecom_external",
        scope=ctx.account.get("corp_id"),
        value=value,
        name=word(contact, "name"),
        avatar=word(contact, "avatar"),
    )
    handles, links = union_links(ctx.account, handle, word(contact, "unionid"))
    known = Envelope(
        kind="event.profile",
        direction="none",
        at=at,
        handles=handles,
        links=links,
        body=contact,
        quiet=True,
    )
    return [known, *(_followed(handle, follower, at) for follower in followers(answer))]


def followers(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The members who have this contact."""
    found = answer.get("follow_user")
    listed = found if isinstance(found, list) else []
    return [one for one in listed if isinstance(one, dict) and word(one, "userid")]


def _followed(handle: Handle, follower: dict[str, Any], asked_at: datetime) -> Envelope:
    staff = word(follower, "userid")
    return Envelope(
        kind="event.contact.followed",
        direction="none",
        at=_since(follower, asked_at),
        handles=(handle,),
        text="成员已添加该客户",
        body=follower,
        staff=staff,
        follows=True,
        suffix=f"follow:{staff}",
        quiet=True,
    )


def _since(follower: dict[str, Any], asked_at: datetime) -> datetime:
    # When they became contacts, not when we asked: a look-up must not make anybody the latest owner.
    try:
        return at_seconds(follower.get("createtime"))
    except Refused:
        return asked_at
