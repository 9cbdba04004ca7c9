"""What a role may do and which customers a person may see. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ROLES = ("rep", "lead", "marketing", "compliance", "admin")
Role = Literal["rep", "lead", "marketing", "compliance", "admin"]


class Policy(StrEnum):
    """What a route demands. Every route declares one or the app does not start."""

    #: Anybody: callbacks (signed by the vendor), sign-in, health, static files.
    PUBLIC = "public"
    #: Any signed-in person.
    SIGNED_IN = "signed_in"
    #: Those who talk with customers: reps and leads, each within their own scope.
    TALK = "talk"
    #: Products and prices: those who answer for them.
    CATALOG = "catalog"
    #: Decide whose a deal is: leads within their own scope, compliance officers case by case.
    JUDGE = "judge"
    #: Decide who is one person or family where nobody who knows them did: compliance officers.
    REVIEW = "review"
    #: Move customers between the reps of their own team.
    LEAD = "lead"
    #: What the company says: those who write talk-tracks, and those who let them pass.
    SCRIPTS = "scripts"
    #: How customers are followed up: read it and try it out.
    SOPS = "sops"
    #: The same, written, published and switched.
    SOPS_RUN = "sops_run"
    #: Those who look after channels and settings; they see no customers.
    ADMIN = "admin"
    #: API: read or change customer data within the token's scope.
    API_DATA = "api_data"
    #: API: say something to a customer.
    API_TALK = "api_talk"
    #: API: decide whose a deal is.
    API_JUDGE = "api_judge"
    #: API: connectors, inbox states, replay.
    API_ADMIN = "api_admin"


_ALLOWED: dict[Policy, frozenset[str]] = {
    Policy.SIGNED_IN: frozenset(ROLES),
    Policy.TALK: frozenset({"rep", "lead"}),
    Policy.CATALOG: frozenset({"marketing", "admin"}),
    Policy.JUDGE: frozenset({"lead", "compliance"}),
    Policy.REVIEW: frozenset({"compliance"}),
    Policy.LEAD: frozenset({"lead"}),
    Policy.SCRIPTS: frozenset({"lead", "marketing", "admin"}),
    Policy.SOPS: frozenset({"lead", "marketing", "admin"}),
    Policy.SOPS_RUN: frozenset({"marketing", "admin"}),
    Policy.ADMIN: frozenset({"admin"}),
    Policy.API_DATA: frozenset({"rep", "lead", "compliance", "admin"}),
    Policy.API_TALK: frozenset({"rep", "lead", "admin"}),
    Policy.API_JUDGE: frozenset({"lead", "compliance", "admin"}),
    Policy.API_ADMIN: frozenset({"admin"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is asking: a signed-in person or a token (a machine's when `staff_id` is None)."""

    tenant_id: int
    role: Role
    staff_id: int | None = None
    team_id: int | None = None
    name: str = ""
    login: str = ""
    locale: str = "zh_CN"
    theme: str = "auto"
    shortcuts: bool = True
    #: Came by bearer token, not by cookie.
    by_token: bool = False

    @property
    def label(self) -> str:
        """How the audit trail names this actor."""
        return f"staff:{self.staff_id}" if self.staff_id else f"token:{self.role}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which conversations are visible: all, or those of a rep and the unassigned ones of a team."""

    everything: bool = False
    rep_id: int | None = None
    team_id: int | None = None
    #: The whole team, not only its unassigned conversations.
    whole_team: bool = False


NOTHING = Scope()


def allows(policy: Policy, actor: Actor | None) -> bool:
    if policy is Policy.PUBLIC:
        return True
    return actor is not None and actor.role in _ALLOWED[policy]


def scope(actor: Actor) -> Scope:
    """A rep sees own customers and the team's unassigned; a lead the team; a machine's token the tenant.

    An admin or a compliance officer as a *person* gets no customer data from here: only case by case.
    """
    if actor.staff_id is None:
        return Scope(everything=actor.role in ("admin", "compliance"))
    if actor.role == "rep":
        return Scope(rep_id=actor.staff_id, team_id=actor.team_id)
    if actor.role == "lead":
        return Scope(rep_id=actor.staff_id, team_id=actor.team_id, whole_team=True)
    return NOTHING


def sees_group(actor: Actor, ours: Collection[tuple[int, int | None]]) -> bool:
    """A customer group is seen by those of us who are in it, and by the leads of their teams.

    `ours` are (staff id, team id) of our members of the group. To have one of its customers is not enough:
    the others' words are for those who hear them anyway.
    """
    if actor.staff_id is None:
        return scope(actor).everything
    if actor.staff_id in {ident for ident, _ in ours}:
        return actor.role in ("rep", "lead")
    teams = {team for _, team in ours if team is not None}
    return actor.role == "lead" and actor.team_id in teams


def sees_identifiers(actor: Actor) -> bool:
    """In the clear: a machine's token of role admin, never a person."""
    return actor.staff_id is None and actor.role == "admin"


def sees_recalled(actor: Actor) -> bool:
    """What a message said that was taken back: leads and compliance officers, and the machine of an admin."""
    return actor.role in ("lead", "compliance") or sees_identifiers(actor)


def masked(actor: Actor, value: str) -> str:
    """An identifier as this actor may see it: first 3 and last 4 at the most."""
    if sees_identifiers(actor):
        return value
    return f"{value[:3]}****{value[-4:]}" if len(value) > 8 else "****"
