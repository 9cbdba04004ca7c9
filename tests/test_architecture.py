"""What import-linter cannot see: sizes, hidden imports, clocks, doors. Each check has a bad example."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = ("scrm", "connectors")
LONGEST_FILE, LONGEST_TEST_FILE, USUAL_FILE, USUAL_FUNCTION = 500, 600, 200, 25

#: Who may open a transaction: nobody else decides when work is committed. `db` is where `begin` is made.
OPENS = {"inbox", "spool", "pipeline", "worker", "jobs", "tokens", "web", "app", "cli", "demo", "bench", "db"}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")} | {
    ("time", name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter")
}
CODE = {".py", ".js", ".mjs", ".ts", ".css", ".html"}

Checker = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file of ours."""

    path: str
    text: str

    @property
    def room(self) -> str:
        """`scrm/web/hooks.py` -> `web`, `scrm/inbox.py` -> `inbox`."""
        return PurePosixPath(self.path).parts[1].removesuffix(".py")

    @property
    def word(self) -> str:
        """`service`, `store`, `rules` ... whether it is a file or a folder of files."""
        words = {part.removesuffix(".py") for part in PurePosixPath(self.path).parts}
        return next((word for word in ("service", "store", "rules") if word in words), "")


def modules(*packages: str) -> list[Module]:
    """Every Python file below the packages, by path."""
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        Module(path=path.relative_to(ROOT).as_posix(), text=path.read_text("utf-8"))
        for path in paths
        if not {"__pycache__", "_data", "node_modules"} & set(path.parts)
    ]


def tracked() -> list[str]:
    """Files in git, and those about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in sorted(set(listed.stdout.splitlines())) if (ROOT / name).is_file()]


# -- checkers: source text in, faults out ------------------------------------------------------------------


def own_imports_in_functions(text: str) -> list[str]:
    """A hidden import is a hidden cycle."""
    faults = []
    for function in _functions(text):
        for node in ast.walk(function):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            relative = isinstance(node, ast.ImportFrom) and node.level > 0
            if relative or any(name.split(".")[0] in OWN for name in names):
                faults.append(f"{function.name} imports {names}")
    return faults


def clock_reads(text: str) -> list[str]:
    """Rules get `now` passed in; otherwise their tables of cases could not cover time."""
    return [
        ast.unparse(call)
        for call in _calls(text)
        if _dotted(call.func)[-2:] in CLOCKS or _dotted(call.func)[-1:] == ("utcnow",)
    ]


def transactions(text: str) -> list[str]:
    """Openings and ends of transactions; a decision of that name (`rules.begin`) is none."""
    words = {"begin", "begin_nested", "commit", "rollback"}
    called = {call: _dotted(call.func) for call in _calls(text)}
    return [
        ast.unparse(call)
        for call, name in called.items()
        if name[-1:] and name[-1] in words and name[0] != "rules"
    ]


def client_sessions(text: str) -> list[str]:
    """One guarded factory makes them, so that no call leaves without a timeout and the address check."""
    return [ast.unparse(call) for call in _calls(text) if _ends(call.func) == "ClientSession"]


def jinja_imports(text: str) -> list[str]:
    """Templates are rendered behind the allow-list or by the pages, nowhere else."""
    return [name for name in _imported(text) if name.split(".")[0] == "jinja2"]


def named_connectors(text: str) -> list[str]:
    """`import_module("connectors.wecom")` would pass the linter and break the wall all the same."""
    return [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"connectors(\.\w+)+", node.value)
    ]


def missing_caption(text: str) -> list[str]:
    """The first docstring line is the module's caption in docs/architecture.md."""
    docstring = ast.get_docstring(ast.parse(text))
    return [] if docstring and docstring.splitlines()[0].strip() else ["no docstring"]


def html_sinks(text: str) -> list[str]:
    """A customer's words must never become markup in the browser."""
    sink = (
        r"""(?:\.|\[\s*["'])(?:innerHTML|outerHTML)\b|\binsertAdjacentHTML\b|\bdocument\.write\b|\beval\("""
    )
    return re.findall(sink, text)


def machine_paths(text: str) -> list[str]:
    """Paths of one developer's machine."""
    return re.findall(r"(?:^|[^a-z.\w])(/(?:work|farm|tmp|root|home/\w+|Users/\w+)/)", text, re.MULTILINE)


def registry_hosts(text: str) -> list[str]:
    """Installing follows the reader's own configuration; a host here would override it."""
    return re.findall(r"https?://[a-z0-9.-]*(?:npm|yarnpkg|pypi|python.?hosted|debian)[a-z0-9.-]*/", text)


def foreign_code(text: str) -> list[str]:
    """Licence banners and build traces of code that somebody else wrote."""
    signs = r"^\s*/\*!|@licen[sc]e\b|@preserv[e]\b|\bCopyright \(c\)|sourceMappingUR[L]=|__webpac[k]_"
    return re.findall(signs, text, re.MULTILINE | re.IGNORECASE)


def foreign_path(path: str) -> bool:
    """Whether a file sits or is named like a copied library."""
    folders = r"(^|/)(node_modules|vendor|third_party|site-packages|static/dist)/"
    return bool(re.search(rf"{folders}|\.min\.(js|css)$|\.(whl|tgz|jar|woff2?|ttf|otf|so|dll)$", path))


def function_lengths(text: str) -> list[int]:
    """Lines of each function, from `def` to its end."""
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in _functions(text)]


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _calls(text: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def _imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """`a.b.c` -> ("a", "b", "c"); whatever cannot be named is left out."""
    if isinstance(node, ast.Attribute):
        return (*_dotted(node.value), node.attr)
    return (node.id,) if isinstance(node, ast.Name) else ()


def _ends(node: ast.expr) -> str:
    return (_dotted(node) or ("",))[-1]


# -- the bad examples --------------------------------------------------------------------------------------

BAD: list[tuple[Checker, str]] = [
    (own_imports_in_functions, "def f():\n    from scrm.timeline import store\n"),
    (own_imports_in_functions, "async def f():\n    if x:\n        import connectors.kit as kit\n"),
    (own_imports_in_functions, "class A:\n    def f(self):\n        from . import store\n"),
    (clock_reads, "from datetime import datetime\nlate = datetime.now(UTC) > due"),
    (clock_reads, "import datetime\ndatetime.datetime.utcnow()"),
    (clock_reads, "import time\ntime.time()"),
    (clock_reads, "from scrm.db import utcnow\nutcnow()"),
    (transactions, "async def f(db):\n    async with db.begin(1) as conn: ..."),
    (transactions, "async def f(conn):\n    await conn.commit()"),
    (transactions, "async def f(self):\n    async with self.db().begin(1): ..."),
    (client_sessions, "import aiohttp\nsession = aiohttp.ClientSession(timeout=t)"),
    (client_sessions, "from aiohttp import ClientSession\nClientSession()"),
    (jinja_imports, "from jinja2.sandbox import SandboxedEnvironment"),
    (jinja_imports, "def f():\n    import jinja2"),
    (named_connectors, 'import_module("connectors.wecom")'),
    (missing_caption, "from __future__ import annotations\n"),
    (missing_caption, '"""  \n"""\n'),
    (html_sinks, "bubble.innerHTML = text"),
    (html_sinks, 'bubble["innerHTML"] = text'),
    (html_sinks, "list.insertAdjacentHTML('beforeend', text)"),
    (machine_paths, "see " + "/".join(["", "work", "main", "scrm"])),
    (machine_paths, "cd " + "/".join(["", "home", "ming", "scrm"])),
    (registry_hosts, '"resolved": "https://registry.' + 'npmjs.org/htmx"'),
    (registry_hosts, "--index-url https://" + "pypi.org/simple"),
    (foreign_code, "/" + "*! htmx 4 */"),
    (foreign_code, "# Copyright" + " (c) 2019 Somebody Else"),
]


@pytest.mark.parametrize(
    ("checker", "bad"), BAD, ids=[f"{n}-{check.__name__}" for n, (check, _) in enumerate(BAD)]
)
def test_each_checker_catches_its_bad_example(checker: Checker, bad: str) -> None:
    assert checker(bad)


GOOD: list[tuple[Checker, str]] = [
    (own_imports_in_functions, "from scrm import db\ndef f():\n    import json\n"),
    (clock_reads, "def due(at, now):\n    return at < now"),
    (transactions, "step = rules.begin(event)"),
    (transactions, "async def f(conn):\n    beginning = await conn.rows(stmt)"),
    (named_connectors, 'import_module(f"connectors.{channel}")'),
    (missing_caption, '"""Decides."""\n'),
    (html_sinks, 'cell.textContent = text; config.swap = "innerHTML"'),
    (machine_paths, "POST /tmpl/workers and docs/work/x"),
    (registry_hosts, "https://api.weixin.qq.com/cgi-bin/token"),
    (foreign_code, "/* the strip above the tabs */"),
]


@pytest.mark.parametrize(
    ("checker", "good"), GOOD, ids=[f"{n}-{check.__name__}" for n, (check, _) in enumerate(GOOD)]
)
def test_no_checker_cries_wolf(checker: Checker, good: str) -> None:
    assert checker(good) == []


def test_copied_libraries_are_known_by_their_paths() -> None:
    bad = ["scrm/web/assets/vendor/x.js", "a/node_modules/b/c.js", "htmx.min.js", "scrm/web/static/dist/a.js"]

    assert [path for path in bad if not foreign_path(path)] == []
    assert not foreign_path("scrm/web/assets/sidebar.js")


def test_function_lengths_count_from_def_to_end() -> None:
    assert function_lengths("@decorated\ndef f(\n    a,\n):\n    def g(): ...\n    return g\n") == [5, 1]


# -- the tree ----------------------------------------------------------------------------------------------


def faults(checker: Checker, where: Callable[[Module], bool] = lambda _: True) -> list[str]:
    return [
        f"{module.path}: {fault}"
        for module in modules(*OWN)
        if where(module)
        for fault in checker(module.text)
    ]


def test_no_function_imports_our_own_packages() -> None:
    assert faults(own_imports_in_functions) == []


def test_rules_read_no_clock() -> None:
    assert faults(clock_reads, lambda module: module.word == "rules") == []


def test_services_stores_and_rules_never_begin_or_end_a_transaction() -> None:
    assert faults(transactions, lambda module: module.word != "" and module.room != "bench") == []


def test_only_the_doors_open_transactions() -> None:
    assert faults(transactions, lambda module: module.room not in OPENS) == []


def test_only_the_kit_makes_client_sessions() -> None:
    assert faults(client_sessions, lambda module: not module.path.startswith("connectors/kit/")) == []


def test_only_the_templates_and_the_pages_import_jinja() -> None:
    def outside(module: Module) -> bool:
        return module.path != "scrm/playbook/templates.py" and module.room != "web"

    assert faults(jinja_imports, outside) == []


def test_no_connector_is_named_in_scrm() -> None:
    assert faults(named_connectors, lambda module: module.path.startswith("scrm/")) == []


def test_every_module_has_a_caption() -> None:
    assert faults(missing_caption) == []


def test_no_file_is_too_long_and_most_are_short() -> None:
    sizes = {module.path: len(module.text.splitlines()) for module in modules(*OWN)}
    tests = {module.path: len(module.text.splitlines()) for module in modules("tests")}

    assert {path: size for path, size in sizes.items() if size > LONGEST_FILE} == {}
    assert {path: size for path, size in tests.items() if size > LONGEST_TEST_FILE} == {}
    assert sum(size < USUAL_FILE for size in sizes.values()) > 0.7 * len(sizes)


def test_most_functions_fit_in_a_glance() -> None:
    lengths = [length for module in modules(*OWN) for length in function_lengths(module.text)]

    share = sum(length <= USUAL_FUNCTION for length in lengths) / len(lengths)

    assert share >= 0.85, f"{share:.1%} of {len(lengths)} functions have at most {USUAL_FUNCTION} lines"


def test_our_scripts_put_no_markup_into_the_page() -> None:
    scripts = [name for name in tracked() if name.startswith("scrm/web/assets/") and name.endswith("js")]

    assert {name: found for name in scripts if (found := html_sinks((ROOT / name).read_text("utf-8")))} == {}


def test_files_hold_nothing_foreign() -> None:
    found: dict[str, list[str]] = {}
    for name in tracked():
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            text = ""
        found[name] = machine_paths(text) + registry_hosts(text) + ["its path"] * foreign_path(name)
        if Path(name).suffix in CODE:
            found[name] += foreign_code(text)

    assert {name: signs for name, signs in found.items() if signs} == {}
