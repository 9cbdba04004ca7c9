"""A fake mini-program: visitors of its customer service, JSON or XML callbacks, subscription messages."""

from __future__ import annotations

from aiohttp import web

from connectors.kit.official.simulation import OfficialPlatform
from connectors.kit.platform import Answer, Ask, Fault
from connectors.kit.world import Persona, Staff, World
from scrm.contract import Account


def simulate(world: World, account: Account, hooks_url: str) -> web.Application:
    """The platform server of `account`; it calls `hooks_url` back when customers write."""
    return MiniProgram(world, account, hooks_url).app()


class MiniProgram(OfficialPlatform):
    """`subscribed` holds how many messages of a template each customer still agreed to."""

    windows = {"message": (48 * 3600, 5), "entered": (60, 2)}  # noqa: RUF012

    def __init__(self, world: World, account: Account, hooks_url: str) -> None:
        super().__init__(world, account, hooks_url)
        self.shape = "xml" if account.get("format") == "xml" else "json"
        self.subscribed: dict[tuple[str, str], int] = {}
        self.apis |= {"message/subscribe/send": self._notice}

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """The customer opens the conversation from a page of the mini-program."""
        self.open(persona, "entered")
        return await self.event(persona, "user_enter_tempsession", SessionFrom=staff.userid)

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        """The customer takes back what the mini-program may know."""
        del staff
        openid = persona.openid(self.app_id)
        return await self.event(
            persona, "user_authorization_revoke", OpenID=openid, AppID=self.app_id, RevokeInfo="301"
        )

    async def subscribe(self, persona: Persona, template_id: str) -> bool:
        """The customer agrees to one message of a template."""
        key = (persona.openid(self.app_id), template_id)
        self.subscribed[key] = self.subscribed.get(key, 0) + 1
        chosen = {"TemplateId": template_id, "SubscribeStatusString": "accept", "PopupScene": "0"}
        wrapped = {"List": [chosen]}
        fields = wrapped if self.shape == "json" else {"SubscribeMsgPopupEvent": wrapped}
        return await self.event(persona, "subscribe_msg_popup_event", **fields)

    def _notice(self, ask: Ask) -> Answer:
        key = (str(ask.body.get("touser")), ask.text("template_id"))
        if not self.subscribed.get(key):
            raise Fault(43101, "user refuse to accept the msg")
        answer = self.notify(ask)
        self.subscribed[key] -= 1
        return answer
