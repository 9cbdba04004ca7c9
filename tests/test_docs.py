"""The documents keep up with the code: captions, settings, the two commands, the make targets."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from scrm.contract import Sends
from scrm.settings import Settings
from tests.test_architecture import OWN, ROOT, modules

CAPTION_ROW = re.compile(r"^\| `(?P<path>[^`]+\.py)` \| (?P<caption>.+) \|$", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)


def captions() -> str:
    """The table of docs/architecture.md as it should be: each module and the first line of its docstring."""
    rows = []
    for module in modules(*OWN):
        docstring = ast.get_docstring(ast.parse(module.text)) or ""
        caption = next(iter(docstring.splitlines()), "").replace("|", "\\|")
        rows.append(f"| `{module.path}` | {caption} |")
    return "\n".join(rows)


def settings_in(text: str) -> dict[str, str]:
    """Each setting of a commented TOML file with the comment above it, tables of examples left out."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif name := re.match(r"(\w+) *=", line):
            # A comment covers the settings below it until the next comment: host, port.
            found[name[1]] = " ".join(comment)
            if line.endswith(("[", '"""')):
                raise ValueError(f"{name[1]} spans several lines; keep defaults on one")
        if not line.strip():
            comment = []
    return found


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_every_module_has_its_caption_in_the_architecture_page() -> None:
    written = {row["path"]: row["caption"] for row in CAPTION_ROW.finditer(page("docs/architecture.md"))}
    expected = {row["path"]: row["caption"] for row in CAPTION_ROW.finditer(captions())}

    if written != expected:
        pytest.fail(
            f"paste this table under «Captions» in docs/architecture.md:\n\n{captions()}\n", pytrace=False
        )


def test_every_setting_is_in_the_default_configuration_and_the_other_way_round() -> None:
    defaults = tomllib.loads(page("config/default.toml"))
    known = {field.name for field in fields(Settings)}

    # Accounts have no default; the file shows one as a comment.
    assert set(defaults) == known - {"accounts"}
    assert "[[accounts]]" in page("config/default.toml")


def test_every_setting_is_explained() -> None:
    described = settings_in(page("config/default.toml"))

    assert set(described) == set(tomllib.loads(page("config/default.toml")))
    assert [name for name, words in described.items() if len(words) < 10] == []


def test_a_setting_without_a_comment_is_noticed() -> None:
    assert settings_in('# How long it lasts.\nhours = 8\n\nbare = ""\n') == {
        "hours": "How long it lasts.",
        "bare": "",
    }


def test_the_readme_has_the_two_commands() -> None:
    readme = page("README.md")

    assert "make demo" in readme
    assert "make test" in readme
    assert readme.count("python3 -m venv") >= 2, (
        "the plain line stands beside each, for machines without make"
    )


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("connectors/*/README.md")]
    broken = [
        f"{source.relative_to(ROOT)}: {target}"
        for source in pages
        for target in local_links(source.read_text("utf-8"))
        if not (source.parent / target).exists()
    ]

    assert broken == []


def local_links(text: str) -> list[str]:
    """Targets of Markdown links and images to files of ours."""
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [
        target for target in targets if target and "://" not in target and not target.startswith("mailto:")
    ]


def test_only_links_to_files_are_followed() -> None:
    text = "[a](docs/a.md#top) ![b](b.png) [c](https://example.com/c) [d](#d) [e](mailto:e@example.com)"

    assert local_links(text) == ["docs/a.md", "b.png"]


def test_make_help_lists_every_target() -> None:
    targets = set(TARGET.findall(page("Makefile")))

    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert targets == {"help", "demo", "run", "test", "check", "bench", "soak"}
    assert {line.split()[1] for line in shown.splitlines() if line.startswith("  make ")} == targets


def test_the_connector_page_stands_with_its_connector() -> None:
    folders = [path.parent for path in sorted((ROOT / "connectors").glob("*/__init__.py"))]

    lacking = [folder.name for folder in folders if folder.name != "kit" and not _readme(folder)]

    assert lacking == []


def _readme(folder: Path) -> bool:
    readme = folder / "README.md"
    return readme.exists() and len(readme.read_text("utf-8")) > 200


#: Functions of a connector in the order of the page: `scrm.contract.powers` explains each.
POWERS = (
    "receive", "translate", "poll", "send", "enrich", "media", "upload", "do", "line", "said", "probe",
    "page", "door", "who", "shown",
)  # fmt: skip


def connectors_page() -> str:
    """The table of docs/connectors.md as the connectors themselves declare it."""
    lines = [
        "| channel | name | powers | replies by API | carries | windows | settings |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted(p.parent for p in (ROOT / "connectors").glob("*/fixtures")):
        plug = import_module(f"connectors.{folder.name}")
        able = ", ".join(f"`{p}`" for p in POWERS if hasattr(plug, p))
        needs = ", ".join(
            f"`{n.name}`{'' if n.required else '?'}{' (secret)' if n.secret else ''}" for n in plug.NEEDS
        )
        link = f"[`{folder.name}`](../connectors/{folder.name}/README.md)"
        lines.append(f"| {link} | {plug.TITLE} | {able} | {' | '.join(_outward(plug))} | {needs} |")
    return "\n".join(lines)


def _outward(plug: ModuleType) -> tuple[str, str, str]:
    """Whether one answers through the channel, what it carries as it is, and within what windows."""
    if not isinstance(plug, Sends):
        return "no", "", ""
    windows = "; ".join(
        f"{w.count} in {w.seconds // 3600 or w.seconds} {'h' if w.seconds >= 3600 else 's'}"
        for w in plug.WINDOWS
    )
    return "yes" if plug.TALKS else "welcome only", ", ".join(sorted(plug.KINDS)), windows or "none"


def test_the_connectors_page_says_what_the_connectors_declare() -> None:
    assert connectors_page() in page("docs/connectors.md"), f"paste:\n{connectors_page()}"
