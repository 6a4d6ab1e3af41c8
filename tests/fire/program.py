"""Processes of the command line that stay: lines go in, JSON events come out, and all of it can be measured."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chaton

COMMAND = (sys.executable, "-P", "-m", "chaton")
PATIENCE_S = 60
_ROOT = str(Path(chaton.__file__).parents[1])
_LINE_BYTES_MAX = 2**24


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATON_")}
    return kept | {"PYTHONPATH": _ROOT}


@dataclass(frozen=True)
class Figures:
    """What a process holds: memory in bytes, and open files."""

    rss: int
    files: int

    @classmethod
    def of(cls, pid: int) -> "Figures":
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir())))


async def run(*arguments: str) -> str:
    """A command to its end, which has to be a good one: what it printed."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env=environment(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, (arguments, process.returncode, err.decode())
    return out.decode()


class Program:
    """One that stays, and whoever hears its events."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Callable[[dict[str, Any]], None]) -> None:
        self.process = process
        self._heard = heard
        self._reading = asyncio.create_task(self._read())
        self._errors = asyncio.create_task(process.stderr.read())

    @classmethod
    async def start(cls, *arguments: str, heard: Callable[[dict[str, Any]], None]) -> "Program":
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, env=environment(), limit=_LINE_BYTES_MAX,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return cls(process, heard)

    async def _read(self) -> None:
        while line := await self.process.stdout.readline():
            if line.endswith(b"\n"):  # Else it was killed while it printed.
                self._heard(json.loads(line))

    def say(self, line: str) -> None:
        self.process.stdin.write(line.encode() + b"\n")

    async def close(self) -> int:
        """End its input, which lets it say what is not said yet and end by itself: its exit code."""
        self.process.stdin.close()
        return await self.ended()

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({self._reading, self._errors})  # Unlike gather, it may be given up without ending them.
            self._reading.result()
            return await self.process.wait()

    @property
    def errors(self) -> str:
        return self._errors.result().decode()
