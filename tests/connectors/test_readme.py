"""Every set-up page names every setting and every kind its connector can produce."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "connectors"
CHANNELS = (
    "wechat_oa",
    "miniprogram",
    "tim",
    "wecom_kf",
    "wecom",
    "wecom_archive",
    "webchat",
    "segment",
    "sensors",
)
KIND = re.compile(r"\"(event\.[a-z_.]+[a-z]|message\.[a-z_]+)\"")


def readme(channel: str) -> str:
    return (ROOT / channel / "README.md").read_text("utf-8")


def kinds(channel: str) -> set[str]:
    """What the fixtures show and what the source spells out."""
    modules = [path for path in (ROOT / channel).glob("*.py") if path.stem != "simulator"]
    sources = [*(ROOT / channel).glob("fixtures/*.json"), *modules]
    found = {kind for path in sources for kind in KIND.findall(path.read_text("utf-8"))}
    return {kind for kind in found if not kind.endswith(".scancode")}


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_setting_is_explained(channel: str) -> None:
    text = readme(channel)

    missing = [
        need.name for need in import_module(f"connectors.{channel}").NEEDS if f"`{need.name}`" not in text
    ]

    assert missing == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_kind_is_listed_and_every_listed_kind_exists(channel: str) -> None:
    listed = set(re.findall(r"`((?:event|message)\.[a-z_.]+)`", readme(channel)))

    assert listed == kinds(channel)
