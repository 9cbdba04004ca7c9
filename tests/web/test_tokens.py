"""Colours are readable: the contrast of every pair the pages use, in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = Path(__file__).parents[2] / "scrm/web/assets/css"

TEXT, EDGE = 4.5, 3.0
PAIRS = [
    *(
        (text, ground, TEXT)
        for text in ("text", "text2", "text3")
        for ground in ("bg", "surface", "surface2")
    ),
    ("on-brand", "brand", TEXT),
    ("brand-text", "surface", TEXT),
    ("brand-text", "bg", TEXT),
    ("brand-text", "brand-weak", TEXT),
    ("ok", "ok-weak", TEXT),
    ("ok", "surface", TEXT),
    ("ok", "bg", TEXT),
    ("warn", "warn-weak", TEXT),
    ("warn", "surface", TEXT),
    ("warn", "bg", TEXT),
    ("danger", "danger-weak", TEXT),
    ("danger", "surface", TEXT),
    ("danger", "bg", TEXT),
    ("on-danger", "danger-fill", TEXT),
    ("house", "house-weak", TEXT),
    ("house", "surface", TEXT),
    ("text", "brand-weak", TEXT),  # our own bubbles, the chosen row
    ("text2", "brand-weak", TEXT),
    ("danger", "surface2", TEXT),  # a missing variable inside a script
    ("brand-text", "surface2", TEXT),  # a variable inside a script
    ("text", "warn-weak", TEXT),
    ("text", "danger-weak", TEXT),
    ("bg", "text", TEXT),  # toast
    ("line-strong", "surface", EDGE),
    ("line-strong", "bg", EDGE),
    ("focus", "surface", EDGE),
    ("focus", "bg", EDGE),
    ("brand", "surface", EDGE),
]


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    dark, light = sorted((_luminance(a), _luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def _blocks() -> list[dict[str, str]]:
    css = (CSS / "tokens.css").read_text("utf-8")
    bodies = re.findall(r":root[^{]*\{([^}]*--bg[^}]*)\}", css)
    return [dict(re.findall(r"--([\w-]+): (#[0-9A-F]{6});", body)) for body in bodies]


LIGHT, DARK, DARK_BY_SYSTEM = _blocks()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "ground", "least"), PAIRS)
def test_a_pair_of_colours_is_readable(theme: dict[str, str], front: str, ground: str, least: float) -> None:
    assert contrast(theme[front], theme[ground]) >= least


def test_the_two_ways_to_dark_are_the_same_dark() -> None:
    assert DARK == DARK_BY_SYSTEM
    assert DARK.keys() == LIGHT.keys()


def test_a_pale_green_with_white_text_would_be_caught() -> None:
    assert contrast("#FFFFFF", "#07C160") < TEXT


def test_no_colour_is_written_outside_the_tokens() -> None:
    others = (p for p in CSS.glob("*.css") if p.name not in ("tokens.css", "webchat.css"))

    strays = {p.name: re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", p.read_text("utf-8")) for p in others}

    assert not any(strays.values()), strays


def test_the_embedded_chat_which_cannot_reach_the_tokens_repeats_them_and_invents_no_colour() -> None:
    text = (CSS / "webchat.css").read_text("utf-8")
    named = re.findall(r"--[a-z-]+: (#[0-9A-F]{6});", text)

    assert set(named) <= {*LIGHT.values(), *DARK.values()}
    assert len(named) == len(re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", text))


def test_figures_of_the_design_are_kept() -> None:
    assert (LIGHT["brand"], DARK["brand"]) == ("#1557C8", "#2A68D8")
    assert round(contrast(LIGHT["on-brand"], LIGHT["brand"]), 2) == 6.50
    assert round(contrast(DARK["house"], DARK["house-weak"]), 2) == 7.20
