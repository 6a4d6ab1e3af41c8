#!/usr/bin/env python3
"""Write or renew the relay's certificates: ``chaton certs`` inside the project's own environment.

Takes the options of ``chaton certs`` (``--help`` lists them); without ``--out`` the files go to ``certs/`` of the
project, wherever this is called from. Nothing needs to be installed before: the environment is made if there is none.
Any Python 3 can run this file, as all it does is to start another one.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Make the environment, then become ``chaton certs``."""
    made = subprocess.run([str(ROOT / "scripts" / "env")], check=False)
    if made.returncode:
        sys.exit(made.returncode)
    python = str(ROOT / ".venv" / "bin" / "python")
    # -P: a directory named chaton where this is called from is not the program. Of two --out the last one counts.
    options = ["--out", str(ROOT / "certs"), *sys.argv[1:]]
    os.execv(python, [python, "-P", "-m", "chaton", "certs", *options])  # noqa: S606 - no shell is wanted here


if __name__ == "__main__":
    main()
