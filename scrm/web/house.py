"""What every request handler can reach: the parts of one running service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from scrm.accounts.service import Directory, Plugged
from scrm.contract import Context
from scrm.db import Database
from scrm.desk.manners import Manners
from scrm.errors import NotSignedIn
from scrm.inbox import Inbox
from scrm.live import Live
from scrm.pipeline.drafts import Drafts
from scrm.playbook.effect.service import Priors
from scrm.playbook.service import Library
from scrm.settings import Settings
from scrm.spool.host import Spool
from scrm.staff.rules import Actor
from scrm.web.limits import Limits
from scrm.web.metrics import Metrics
from scrm.web.render import Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    settings: Settings
    db: Database
    directory: Directory
    inbox: Inbox
    live: Live
    library: Library
    renderer: Renderer
    metrics: Metrics
    context: Callable[[Plugged, datetime], Context]
    #: Wakes the sender after something was queued, the reactor after something was settled.
    wake_send: Callable[[], None]
    wake_react: Callable[[], None]
    #: Wakes whoever does what is due.
    wake_due: Callable[[], None] = lambda: None
    #: Quiet hours, office hours, how often is too often.
    manners: Manners = field(default_factory=Manners)
    #: What may be said and promised.
    drafts: Drafts = field(default_factory=Drafts)
    #: What became of suggestions so far.
    priors: Priors = field(default_factory=Priors)
    #: Where callbacks go while the database is down; None = embedded.
    spool: Spool | None = None
    #: What visitors may ask.
    limits: Limits = field(default_factory=Limits)
    #: The same for our own people, so that visitors cannot use up what is theirs.
    desks: Limits = field(default_factory=Limits)


HOUSE = web.AppKey("house", House)
_ACTOR = web.RequestKey("actor", Actor)


def house(request: web.Request) -> House:
    return request.config_dict[HOUSE]


def actor(request: web.Request) -> Actor:
    """Who is asking; the guard has made sure there is somebody on every route that is not public."""
    found: Actor | None = request.get(_ACTOR)
    if found is None:
        raise NotSignedIn
    return found


def actor_or_none(request: web.Request) -> Actor | None:
    found: Actor | None = request.get(_ACTOR)
    return found


def set_actor(request: web.Request, found: Actor | None) -> None:
    if found is not None:
        request[_ACTOR] = found
