"""The staircase of imports, proved in fresh interpreters (the static half is import-linter's, in pyproject.toml)."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Refuses rather than lists: a module that is caught in a try stays caught, as this is no ImportError.
IMPORT_THE_RELAY = """
    import importlib, pkgutil, sys

    FORBIDDEN = ("chaton.vault", "chaton.session", "chaton.client", "chaton.tui", "chaton.cli")

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.startswith(tuple(f"{each}." for each in FORBIDDEN)) or name in FORBIDDEN:
                raise RuntimeError(f"the relay imports {name}")

    sys.meta_path.insert(0, Refuse())

    def stop(name):
        raise

    import chaton.relay
    for module in pkgutil.walk_packages(chaton.relay.__path__, "chaton.relay.", onerror=stop):
        importlib.import_module(module.name)
        print(module.name)
"""

SHOW_HELP = """
    import json, sys
    before = set(sys.modules)
    sys.argv = ["chaton", "--help"]
    from chaton.cli.main import main
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
    new = set(sys.modules) - before
    files = {name: getattr(sys.modules[name], "__file__", None) or "" for name in new}
    print()
    print(json.dumps(files))
"""


def run(program, root=ROOT):
    """A fresh interpreter that finds ``chaton`` below ``root`` and nowhere else."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-P", "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=root)


def test_no_module_of_the_relay_reaches_a_secret():
    done = run(IMPORT_THE_RELAY)
    assert done.returncode == 0, done.stderr
    assert "chaton.relay.certs" in done.stdout.split()


@pytest.mark.parametrize(
    "line", ["import chaton.vault", "from chaton.session.brain import Brain", "import chaton.helper"]
)
def test_a_relay_that_reaches_a_secret_is_found(tmp_path, line):
    relay = tmp_path / "chaton" / "relay" / "deep"
    relay.mkdir(parents=True)
    for package in (relay, relay.parent, relay.parent.parent):
        (package / "__init__.py").write_text("")
    (tmp_path / "chaton" / "helper.py").write_text("import chaton.client")
    (relay / "bad.py").write_text(f"try:\n    {line}\nexcept ImportError:\n    pass\n")
    done = run(IMPORT_THE_RELAY, tmp_path)
    assert done.returncode != 0
    assert "RuntimeError: the relay imports chaton." in done.stderr


def test_help_loads_click_and_no_other_library():
    done = run(SHOW_HELP)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    files = json.loads(done.stdout.splitlines()[-1])
    libraries = {name.partition(".")[0] for name, file in files.items() if "site-packages" in file}
    assert libraries - {"chaton"} == {"click"}
    # asyncio is no library, but costs as much as one.
    assert not {"asyncio", "nacl", "cryptography", "msgspec", "apsw"} & files.keys()
