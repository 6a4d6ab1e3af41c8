"""Rules of the house that no linter knows. Each rule is a function of a source, so that each is shown to find what it is for."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted([*(ROOT / "chaton").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PACKAGES = sorted((ROOT / "chaton").rglob("__init__.py"))

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
# Split, so that this page is not what it looks for.
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*" + rb"PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}")


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=[str(path.relative_to(ROOT)) for path in paths])


def long_functions(source):
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [f.name for f in functions if f.end_lineno - f.lineno + 1 > FUNCTION_LINES_MAX]


def silent_excepts(source):
    """Lines of handlers that do nothing at all. What is meant to be ignored says so with contextlib.suppress."""
    handlers = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ExceptHandler))
    return [h.lineno for h in handlers if all(_does_nothing(statement) for statement in h.body)]


def _does_nothing(statement):
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass) or is_constant


def sleeps(source):
    """Lines that call ``time.sleep``, by whatever name: a test waits for what it expects, not for time."""
    tree = ast.parse(source)
    froms = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "time"]
    bare = {alias.asname or alias.name for n in froms for alias in n.names if alias.name == "sleep"}
    imports = [alias for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    modules = {alias.asname or alias.name for alias in imports if alias.name == "time"}
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return [n.lineno for n in calls if _is_sleep(n.func, bare, modules)]


def _is_sleep(function, bare, modules):
    if isinstance(function, ast.Name):
        return function.id in bare
    of = function.value if isinstance(function, ast.Attribute) and function.attr == "sleep" else None
    return isinstance(of, ast.Name) and of.id in modules


def is_secret(name, data):
    return name.endswith(".key") or PRIVATE_KEY.search(data) is not None


def committed():
    """Every file that is in the repository or that ``git add`` would put there."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not in a clone of the repository")
    # The clone may belong to another user than the one who runs the tests.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True).stdout
    paths = (ROOT / name.decode() for name in listed.split(b"\0") if name)
    return [path for path in paths if path.is_file()]


@named(CODE)
def test_functions_fit_a_screen(path):
    assert long_functions(path.read_text()) == []


@named(CODE)
def test_modules_fit_a_head(path):
    assert len(path.read_text().splitlines()) <= MODULE_LINES_MAX


@named(CODE)
def test_no_error_is_swallowed(path):
    assert silent_excepts(path.read_text()) == []


@named(TESTS)
def test_no_test_sleeps(path):
    assert sleeps(path.read_text()) == []


@named(PACKAGES)
def test_every_package_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_every_directory_of_code_is_a_package():
    assert {path.parent for path in CODE if path.is_relative_to(ROOT / "chaton")} <= {p.parent for p in PACKAGES}


def test_no_private_key_is_committed():
    files = committed()
    assert ROOT / "pyproject.toml" in files
    assert [path for path in files if is_secret(path.name, path.read_bytes())] == []


def test_the_rules_find_what_they_are_for():
    assert long_functions("def f():\n" + "    f()\n" * 70) == ["f"]
    assert long_functions("async def f():\n" + "    f()\n" * 69) == []
    assert silent_excepts("try:\n    f()\nexcept OSError:\n    pass\n") == [3]
    assert silent_excepts("try:\n    f()\nexcept OSError:\n    ...\n") == [3]
    assert silent_excepts("try:\n    f()\nexcept OSError:\n    g()\n") == []
    assert sleeps("import time as t\nt.sleep(1)") == [2]
    assert sleeps("from time import sleep as nap\nnap(1)") == [2]
    assert sleeps("import time, asyncio\ntime.monotonic()\nasyncio.sleep(0)") == []
    assert is_secret("server.key", b"")
    assert is_secret("a.txt", b"-----BEGIN EC " + b"PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49")
    assert not is_secret("server.pem", b"-----BEGIN CERTIFICATE-----\nMIGHAgEAMBMGByqGSM49")
