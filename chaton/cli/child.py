"""A relay as a child process: started, waited for, stopped."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chaton.errors import ChatonError

_START_S = 20
_STOP_S = 10
_LISTENING = re.compile(r"listening on (?P<host>.+):(?P<port>[0-9]+) pin (?P<pin>[0-9a-f]{64})\n")
_LOG_TAIL_LINES = 3


@dataclass(frozen=True, slots=True)
class RunningRelay:
    """A relay that listens. ``process`` is None for one that was there before."""

    host: str
    port: int
    pin: str
    process: asyncio.subprocess.Process | None = None


@asynccontextmanager
async def relay_process(options: Sequence[str], log: Path) -> AsyncIterator[RunningRelay]:
    """Run ``chaton serve`` with these options; SIGTERM at the end, and its end is waited for.

    Args:
        options: Of ``chaton serve``.
        log: Takes what it writes to standard error.

    Raises:
        ChatonError: It did not come up; the last lines of the log are in the sentence.
    """
    # -P: a directory named chaton where this is called from is not the program. A session of its own: Ctrl-C at the
    # terminal goes to the client, which says goodbye before the relay is stopped.
    command = (sys.executable, "-P", "-m", "chaton", "serve", *options)
    with log.open("ab") as errors:
        start = errors.tell()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield await _listening(process, log, start)
    finally:
        await _stop(process)


async def _listening(process: asyncio.subprocess.Process, log: Path, start: int) -> RunningRelay:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = (await process.stdout.readline()).decode(errors="replace")
    except TimeoutError as cause:
        raise ChatonError(f"the relay did not start within {_START_S} seconds", hint=f"see {log}") from cause
    found = _LISTENING.fullmatch(line)
    if found is None:
        raise ChatonError(f"the relay did not start: {_last_words(log, start)}", hint=f"see {log}")
    return RunningRelay(found["host"].strip("[]"), int(found["port"]), found["pin"], process)


def _last_words(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    errors = [line.removeprefix("chaton: error: ") for line in lines if line.startswith("chaton: error: ")]
    return "; ".join(errors or lines[-_LOG_TAIL_LINES:]) or "it ended without a word"


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
