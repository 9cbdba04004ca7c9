"""What all rooms of the simulated WeCom share: who is whose customer, the groups, who has left."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.kit.platform import Fault, Platform
from connectors.kit.world import Persona

Friends = dict[int, dict[str, int]]


@dataclass(slots=True, kw_only=True)
class Note:
    """What one member wrote about one customer."""

    remark: str = ""
    description: str = ""
    mobiles: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    state: str = ""
    add_way: int = 1


@dataclass(slots=True, kw_only=True)
class Chat:
    """A customer group; `version` changes with every change of its members."""

    chat_id: str
    name: str
    owner: str
    since: int
    version: str
    #: Customers by number, and our own people by userid, each with when they joined.
    customers: dict[int, int] = field(default_factory=dict)
    staff: dict[str, int] = field(default_factory=dict)


class Books:
    """`friends` maps each customer to the members who have them, and since when."""

    def __init__(self, platform: Platform, friends: Friends) -> None:
        self.platform = platform
        self.world = platform.world
        self.corp_id = platform.account.get("corp_id")
        self.friends = friends
        self.notes: dict[tuple[int, str], Note] = {}
        self.chats: dict[str, Chat] = {}
        #: Members who have left, and when.
        self.resigned: dict[str, int] = {}

    def note(self, persona: Persona, userid: str) -> Note:
        return self.notes.setdefault((persona.number, userid), Note())

    def person(self, external_userid: object) -> Persona:
        found = self.world.by_external(self.corp_id, str(external_userid))
        if found is None:
            raise Fault(40096, "invalid external userid")
        return found

    def member(self, userid: object) -> str:
        if self.world.member(str(userid)) is None:
            raise Fault(60111, "userid not found")
        return str(userid)
