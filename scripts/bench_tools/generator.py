"""The load generator as the benchmark sees it: built once, run for each measurement, one JSON object back."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_SOURCES = [_HERE / "load" / name for name in ("load.c", "speak.c", "measure.c")]
_PATIENCE_S = 180
BUILD_HINT = "on Debian: apt-get install gcc libssl-dev"


class Generator:
    """The generator in C, or the one in Python where C cannot be compiled.

    Attributes:
        description: Which one it is, for the reader of the figures.
    """

    def __init__(self, directory: Path) -> None:
        program = directory / "load"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler and _compiled(compiler, program):
            self._command = [str(program)]
            self.description = "C with OpenSSL, one thread"
        else:
            self._command = [sys.executable, str(_HERE / "load.py")]
            self.description = f"Python, as there is no C compiler with OpenSSL's headers ({BUILD_HINT})"

    def run(self, **arguments: object) -> dict[str, Any]:
        """One measurement.

        Raises:
            RuntimeError: It failed; its own words.
        """
        given = [f"{key}={value}" for key, value in arguments.items() if value is not None]
        command = [*self._command, *given]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
        except subprocess.TimeoutExpired as cause:
            raise RuntimeError(f"the load generator did not end within {_PATIENCE_S} seconds") from cause
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"the load generator ended with {done.returncode}")
        return dict(json.loads(done.stdout))


def _compiled(compiler: str, program: Path) -> bool:
    options = ["-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o", str(program)]
    libraries = ["-lssl", "-lcrypto"]
    done = subprocess.run(
        [compiler, *options, *map(str, _SOURCES), *libraries], capture_output=True, text=True, check=False
    )
    return done.returncode == 0
