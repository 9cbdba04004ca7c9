"""The fields of the editor's form, read one by one; what cannot be read is kept as a fault."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from scrm.playbook.sops.files import Wrong

T = TypeVar("T", bound=str)
NOT_A_NUMBER = "“{typed}”不是数字"
SENTENCES = (NOT_A_NUMBER,)
_APART = re.compile(r"[\n,，、;；]+")
_NUMBER = re.compile(r"-?[0-9]{1,6}")
_AMOUNT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,2})?")


class Fields:
    def __init__(self, pairs: Iterable[tuple[str, object]]) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in pairs:
            if isinstance(value, str):
                self._all.setdefault(name, []).append(value)
        self.faults: list[Wrong] = []
        #: Whose fields are read; "" = those of the whole.
        self.step = ""

    def text(self, name: str, most: int) -> str:
        found = self._all.get(name)
        return found[-1].replace("\r\n", "\n")[:most].strip() if found else ""

    def several(self, name: str) -> tuple[str, ...]:
        """Words apart by commas or lines, each once."""
        words = (part.strip()[:60] for part in _APART.split(self.text(name, 2000)))
        return tuple(dict.fromkeys(word for word in words if word))

    def chosen(self, name: str, known: Sequence[str]) -> tuple[str, ...]:
        """Ticked boxes, in the order of what there is."""
        ticked = self._all.get(name, ())
        return tuple(one for one in known if one in ticked)

    def one(self, name: str, known: Sequence[T], usual: T | None = None) -> T:
        """One of what there is; anything else is the usual, or the first."""
        text = self.text(name, 60)
        return next((one for one in known if one == text), usual if usual is not None else known[0])

    def on(self, name: str) -> bool:
        return name in self._all

    def maybe(self, name: str) -> bool | None:
        return {"yes": True, "no": False}.get(self.text(name, 3))

    def number(self, name: str) -> int:
        """Whole; nothing is 0."""
        text = self.text(name, 20)
        if not text or _NUMBER.fullmatch(text):
            return int(text or 0)
        self._fault(text)
        return 0

    def amount(self, name: str) -> float:
        text = self.text(name, 20)
        if not text or _AMOUNT.fullmatch(text):
            return float(text or 0)
        self._fault(text)
        return 0

    def _fault(self, text: str) -> None:
        self.faults.append(Wrong(text=NOT_A_NUMBER, values={"typed": text}, step=self.step))

    def numbered(self, name: str, most: int) -> list[int]:
        """0, 1, 2 ... as far as there are lines of this name."""
        return [n for n in range(most) if f"{name}-{n}-kind" in self._all]
