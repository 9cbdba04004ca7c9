"""The form of `/admin/sops/{sop}` as a browser without scripts fills and sends it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from tests.web.office import Office, Reply

BASE = "/admin/sops"
STEPS: list[dict[str, Any]] = [
    {"id": "hi", "message": {"text": "您好，我是{{ company.name }}的顾问"}},
    {"id": "rest", "wait": {"days": 1, "at": "10:00"}},
    {"id": "ask", "message": {"text": "方便聊聊吗？", "delivery": "auto"}},
    {"id": "call", "task": {"kind": "call", "title": "打个电话", "due_hours": 8}},
    {"id": "over", "end": "跟进走完"},
]
CONTENT: dict[str, Any] = {
    "code": "edu.test",
    "title": "跟进",
    "starts": [{"event": "event.subscribe"}],
    "goal": [{"stage": "trial"}],
    "steps": STEPS,
}
Pairs = list[tuple[str, str]]


class Form(HTMLParser):
    """What the form `flow` of a page would send, and what its buttons say."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.pairs: Pairs = []
        self.buttons: list[str] = []
        self._inside = False
        self._select = ""
        self._chosen: list[tuple[str, bool]] = []
        self._area = ""
        self._text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = has.get("id") == "flow"
        if not self._inside:
            return
        if tag == "input" and (has.get("type") not in ("checkbox", "radio") or "checked" in has):
            self.pairs.append((has["name"], has.get("value", "on")))
        elif tag == "select":
            self._select, self._chosen = has["name"], []
        elif tag == "option" and self._select:
            self._chosen.append((has.get("value", ""), "selected" in has))
        elif tag == "textarea":
            self._area, self._text = has["name"], []
        elif tag == "button":
            self.buttons.append(has.get("value", ""))

    def handle_data(self, data: str) -> None:
        if self._area:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select" and self._select:
            value = next((v for v, on in self._chosen if on), self._chosen[0][0] if self._chosen else "")
            self.pairs.append((self._select, value))
            self._select = ""
        elif tag == "textarea" and self._area:
            self.pairs.append((self._area, "".join(self._text)))
            self._area = ""

    def sent(self, what: str, **changes: str) -> Pairs:
        """With these fields changed (`step_0_text` names `step-0-text`) and this button pressed."""
        new = {name.replace("_", "-", 2) if "_" in name else name: value for name, value in changes.items()}
        kept = [(name, new.pop(name, value)) for name, value in self.pairs]
        return [*kept, *new.items(), ("what", what)]


async def opened(desk: Office, path: str, who: str = "marketing") -> Form:
    answer = await desk.ask("GET", f"{BASE}/{path}", who=who)
    assert answer.status == 200, answer.text
    return Form(answer.text)


async def send(desk: Office, path: str, pairs: Pairs, who: str = "marketing") -> Reply:
    return await desk.ask("POST", f"{BASE}{path}", who=who, data=pairs)


async def published(desk: Office, content: dict[str, Any] | None = None, *, on: bool = True) -> None:
    content = content or CONTENT
    body = {"trade": "education", "content": content}
    made = await desk.api("POST", "/sops", token="machine-admin", json=body)
    number = made.json()["version"]
    out = {"code": content["code"], "version": number}
    assert (await desk.api("POST", "/sops/publish", token="machine-admin", json=out)).status == 200
    state = {"code": content["code"], "on": on}
    assert (await desk.api("POST", "/sops/state", token="machine-admin", json=state)).status == 200
