"""Who is who in Tencent IM: user ids of the app, some of which are our own staff's."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from connectors.kit.people import app_user
from scrm.contract import Account, Handle, Part

_LONGEST = 128


def ident(fields: dict[str, Any], name: str) -> str:
    """An id, "" when absent, too long or not printable."""
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        return ""
    return value


def staff(account: Account, user: str) -> bool:
    """Whether a user id is one of ours: the administrator, or named by the setting `agents`."""
    patterns = account.get("agents").split()
    own = {account.get("admin"), account.get("sender")}
    return bool(user) and (user in own or any(fnmatchcase(user, one) for one in patterns))


def user(account: Account, value: str, part: Part = "actor", name: str = "") -> Handle:
    return app_user(account, value, part=part, name=name)


def group(account: Account, group_id: str, name: str = "") -> Handle:
    scope = account.get("sdk_app_id")
    return Handle(kind="tim_group", scope=scope, value=group_id, part="about", name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two ends of a one-to-one message."""

    sender: str
    receiver: str
    #: The customer whose conversation it is; "" between our own people.
    customer: str
    #: Our own end of it; "" between customers.
    agent: str

    @property
    def ours(self) -> bool:
        return self.agent != "" and self.agent == self.sender


def pair(account: Account, fields: dict[str, Any]) -> Pair:
    sender, receiver = ident(fields, "From_Account"), ident(fields, "To_Account")
    if staff(account, sender):
        customer = "" if staff(account, receiver) else receiver
        return Pair(sender=sender, receiver=receiver, customer=customer, agent=sender)
    agent = receiver if staff(account, receiver) else ""
    return Pair(sender=sender, receiver=receiver, customer=sender, agent=agent)
