"""Lets a script of this directory run inside the environment of the project, made if there is none."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_VENV: Final = ROOT / ".venv"


def enter(extra: str = "dev", **variables: str) -> None:
    """Begin the running script anew by the environment's Python, unless that runs it already.

    Args:
        extra: What is needed besides the program itself, "dev" or nothing.
        variables: What must stand in the process's environment from its very first moment.
    """
    wanted = os.environ | variables
    if Path(sys.prefix) != _VENV or wanted != os.environ:
        made = subprocess.run([str(ROOT / "scripts" / "env"), extra], check=False)
        if made.returncode:
            sys.exit(made.returncode)
        python = str(_VENV / "bin" / "python")
        os.execve(python, [python, *sys.argv], wanted)  # noqa: S606 - no shell is wanted here
    sys.path.insert(0, str(ROOT))
