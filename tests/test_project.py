"""The project files keep their word: walls that bite, hashed pins, declared imports, a closed network."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import OutsideNetwork, is_local, is_local_name
from tests.test_architecture import OWN, ROOT, modules

LOCKS = ["requirements.lock", "requirements-dev.lock"]
#: Needed at run time though no module of ours imports them.
NEVER_IMPORTED = {"tzdata", "uvloop"}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name_of(requirement: str) -> str:
    """`SQLAlchemy[x]>=2.1 ; marker` -> `sqlalchemy`."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


# -- the walls ---------------------------------------------------------------------------------------------

#: A tree that keeps every contract; each case below adds one line to one file and must break one contract.
TREE = {
    "scrm/__init__.py": "",
    "scrm/errors.py": "",
    "scrm/contract.py": "import scrm.errors",
    "scrm/db.py": "import sqlalchemy",
    "scrm/jobs.py": "import sqlalchemy\nimport scrm.db",
    "scrm/outbox.py": "",
    "scrm/timeline/__init__.py": "",
    "scrm/timeline/rules.py": "",
    "scrm/timeline/store.py": "import sqlalchemy\nimport scrm.timeline.rules",
    "scrm/timeline/service.py": "import scrm.timeline.store\nimport scrm.inbox",
    "scrm/push/__init__.py": "",
    "scrm/push/rules.py": "import dataclasses",
    "scrm/playbook/__init__.py": "",
    "scrm/compliance/__init__.py": "",
    "scrm/web/__init__.py": "import aiohttp",
    "scrm/app.py": "import aiohttp\nimport scrm.web\nimport connectors.kit.http",
    "connectors/__init__.py": "",
    "connectors/kit/__init__.py": "",
    "connectors/kit/http.py": "import aiohttp\nimport scrm.errors",
    "connectors/wecom/__init__.py": "import scrm.contract\nimport connectors.kit.http",
    "connectors/wechat_oa/__init__.py": "",
}
BREACHES = [
    ("rungs", "scrm/jobs.py", "import scrm.timeline"),
    ("rungs", "scrm/playbook/__init__.py", "import scrm.compliance"),
    ("rungs", "scrm/jobs.py", "import scrm.outbox"),
    ("rungs", "scrm/helpers.py", ""),
    ("inside-a-room", "scrm/timeline/rules.py", "import scrm.timeline.store"),
    ("inside-a-room", "scrm/timeline/store.py", "import scrm.timeline.service"),
    ("no-cycles", "connectors/kit/http.py", "import connectors.wecom"),
    ("the-plug", "connectors/wecom/__init__.py", "import scrm.db"),
    ("the-plug", "connectors/kit/http.py", "import scrm.settings"),
    ("strangers", "connectors/wecom/__init__.py", "import connectors.wechat_oa"),
    ("nameless", "scrm/web/__init__.py", "import connectors.kit"),
    ("nameless", "scrm/app.py", "import connectors.wecom"),
    ("sql", "scrm/timeline/service.py", "import sqlalchemy as sa"),
    ("sql", "connectors/wecom/__init__.py", "import sqlite3"),
    ("sql", "scrm/web/__init__.py", "from sqlalchemy import select"),
    ("http", "scrm/push/__init__.py", "import aiohttp"),
    ("pure-rules", "scrm/push/rules.py", "import pathlib"),
    ("pure-rules", "scrm/push/rules.py", "import aiohttp"),
]


def plant(root: Path, *, breach: tuple[str, str] | None = None) -> None:
    for name, text in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "scrm/settings.py").write_text("")
    if breach is not None:
        with (root / breach[0]).open("a") as file:
            file.write(breach[1] + "\n")
    shutil.copy(ROOT / "pyproject.toml", root)


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    for contract in contracts:
        command += ["--contract", contract]
    env = os.environ | {"PYTHONPATH": str(root), "COLUMNS": "200"}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


def test_a_tidy_tree_keeps_every_contract(tmp_path: Path) -> None:
    plant(tmp_path)

    result = lint(tmp_path)

    assert result.returncode == 0, result.stdout
    assert f"{len(pyproject()['tool']['importlinter']['contracts'])} kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("contract", "path", "line"), BREACHES, ids=[f"{c}: {p}: {x}" for c, p, x in BREACHES]
)
def test_each_wall_stops_the_import_it_is_there_for(
    tmp_path: Path, contract: str, path: str, line: str
) -> None:
    plant(tmp_path, breach=(path, line))

    result = lint(tmp_path, contract)

    assert result.returncode == 1, result.stdout
    assert "0 kept, 1 broken" in result.stdout


def test_every_contract_has_a_breach_that_proves_it() -> None:
    contracts = {contract["id"] for contract in pyproject()["tool"]["importlinter"]["contracts"]}

    assert {contract for contract, _, _ in BREACHES} == contracts


# -- dependencies ------------------------------------------------------------------------------------------


def pins(lock: str) -> dict[str, tuple[str, int]]:
    """Each package of a lock file: its version and how many hashes it has."""
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text("utf-8"))
    found = {}
    for block in blocks:
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", block)
        assert pin is not None, f"{lock}: not a pin: {block[:60]!r}"
        found[name_of(pin[1])] = (pin[2], block.count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_with_hashes_and_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")

    assert [name for name, (_, hashes) in pins(lock).items() if not hashes] == []
    assert re.findall(r"^\s*-(?!-hash=)\S+|\w+://\S+|file:\S+", text, re.MULTILINE) == []


def test_the_locks_cover_what_the_project_declares_and_agree() -> None:
    project = pyproject()["project"]
    runtime, dev = pins(LOCKS[0]), pins(LOCKS[1])

    assert {name_of(each) for each in project["dependencies"]} - set(runtime) == set()
    assert {name_of(each) for each in project["optional-dependencies"]["dev"]} - set(dev) == set()
    assert {name: pin[0] for name, pin in runtime.items()}.items() <= {
        name: pin[0] for name, pin in dev.items()
    }.items()


def test_the_floors_that_close_known_holes_are_kept() -> None:
    declared = pyproject()["project"]["dependencies"]

    assert {"aiohttp>=3.14.4", "jinja2>=3.1.6"} <= set(declared)
    assert [each for each in declared if not re.search(r">=\d", each)] == [], "lower bounds, no pins, no gaps"


def third_party_imports() -> dict[str, str]:
    """Each distribution our packages import, with one module that does."""
    found: dict[str, str] = {}
    distributions = packages_distributions()
    for module in modules(*OWN):
        for node in ast.walk(ast.parse(module.text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            for top in (
                {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - set(OWN) - {""}
            ):
                for distribution in distributions.get(top, [f"unknown {top}"]):
                    found[name_of(distribution)] = module.path
    return found


def test_every_third_party_import_is_declared() -> None:
    declared = {name_of(each) for each in pyproject()["project"]["dependencies"]}

    assert {name: where for name, where in third_party_imports().items() if name not in declared} == {}


def test_every_declared_dependency_is_used() -> None:
    declared = {name_of(each) for each in pyproject()["project"]["dependencies"]}

    assert declared - set(third_party_imports()) - NEVER_IMPORTED == set()


# -- files -------------------------------------------------------------------------------------------------


def test_the_changelog_has_one_sentence_per_line() -> None:
    lines = [
        line for line in (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines() if line.startswith("- ")
    ]

    assert lines
    assert [line for line in lines if not line.endswith(".") or re.search(r"[a-z)`]\. [A-Z]", line)] == []
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")

    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert pyproject()["project"]["license"] == "Apache-2.0"


def test_what_ships_with_the_wheel_exists() -> None:
    for folder in pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]:
        assert any((ROOT / folder).iterdir()), folder


def test_the_check_that_lands_changes_is_runnable() -> None:
    script = ROOT / ".ci/run"

    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert {"make check", "make test"} <= set(re.findall(r"make (?:check|test)", script.read_text("utf-8")))


# -- the test bed itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (("127.0.0.1", 80), True),
        (("127.9.9.9", 80), True),
        (("::1", 80, 0, 0), True),
        ("/run/db.sock", True),
        (("10.0.0.1", 80), False),
        (("169.254.169.254", 80), False),
        (("::ffff:10.0.0.1", 80, 0, 0), False),
        (("example.com", 80), False),
        (None, False),
    ],
    ids=str,
)
def test_only_this_machine_is_local(address: object, *, local: bool) -> None:
    assert is_local(address) is local


def test_only_names_that_need_no_server_are_looked_up() -> None:
    assert [is_local_name(host) for host in ("localhost", None, b"127.0.0.1", "8.8.8.8", "::1%lo")] == [
        True
    ] * 5
    assert not is_local_name("example.com")


def test_a_test_cannot_reach_another_machine() -> None:
    with socket.socket() as plug:
        with pytest.raises(OutsideNetwork):
            plug.connect(("192.0.2.1", 80))
        with pytest.raises(OutsideNetwork):
            plug.connect_ex(("192.0.2.1", 80))
    with pytest.raises(OutsideNetwork):
        socket.getaddrinfo("example.com", 443)


def test_settings_of_the_developer_are_not_seen() -> None:
    assert [name for name in os.environ if name.startswith("SCRM_")] == []
