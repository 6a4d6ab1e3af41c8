"""Standard input as lines: from a terminal that edits them itself, a pipe or a file.

A terminal is asked to mark what is pasted (bracketed paste), so that a paste of many lines is one message and no line
of it is a command. It goes on editing and echoing as it always does; only control characters are echoed as they are
instead of as ``^[``, so that the terminal swallows its own marks.

A terminal that edits lines drops what does not fit its buffer, without a word, and with it the marks of a paste. Behind
a line that was cut nothing counts until the paste is over: no line of it may be taken for a command.
"""

import asyncio
import contextlib
import os
import re
import select
import stat
import sys
import termios
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from chaton.limits import TEXT_BYTES_MAX

_START: Final = b"\x1b[200~"
_END: Final = b"\x1b[201~"
_NEWLINE: Final = b"\n"
_CONTROL: Final = re.compile(r"[\x00-\x08\n-\x1f\x7f]")  # All but the tab.
_READ_BYTES: Final = 65_536
_KEPT_BYTES: Final = 2 * TEXT_BYTES_MAX  # Of a line; it is too long by then anyway.
_QUIET_S: Final = 0.5  # A paste has ended when nothing comes for so long.
TERMINAL_LINE_BYTES: Final = 1_023 if sys.platform == "darwin" else 4_095
_LFLAG: Final = 3
_ECHOCTL: Final = getattr(termios, "ECHOCTL", 0)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or one paste. ``problem`` is a sentence where it cannot be used; its ``text`` is empty then."""

    text: str
    pasted: bool = False
    problem: str = ""


class LineCutter:
    """Cuts bytes into lines, and keeps a paste in one piece.

    Args:
        terminal: The bytes come from a terminal: pastes are marked, and over-long lines were cut.
    """

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._marks = (_NEWLINE, _START, _END) if terminal else (_NEWLINE,)
        self._rest = b""
        self._line = bytearray()
        self._raw = 0  # Bytes since the last newline, marks too: what the terminal's buffer had to hold.
        self._pasting = self._pasted = self._long = False
        self._discarding = self._behind = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Take bytes in, give out the lines they complete."""
        data = self._rest + data
        place = 0
        while (found := self._next_mark(data, place)) is not None:
            at, mark = found
            self._count(at + len(mark) - place, mark)
            self._keep(data[place:at])
            place = at + len(mark)
            if self._discarding:
                self._discarding, self._behind = mark != _END, mark == _END
            elif mark == _NEWLINE and (self._long or not self._pasting):
                yield self._take()
            elif mark == _NEWLINE:
                self._keep(mark)
            else:
                self._pasting = mark == _START
                self._pasted = True
        place = self._hold_back(data, place)
        self._rest = data[place:]

    def quiet(self) -> None:
        """Nothing has come for a while: what comes next was typed after the paste."""
        if self._discarding:
            self._discarding = False
            self._rest, self._raw = b"", 0

    def end(self) -> Iterator[Line]:
        """Give out a last line that has no newline."""
        self._count(len(self._rest), _NEWLINE)
        self._keep(self._rest)
        self._rest = b""
        if self._line or self._long:
            yield self._take()

    def _next_mark(self, data: bytes, place: int) -> tuple[int, bytes] | None:
        found = [(at, mark) for mark in self._marks if (at := data.find(mark, place)) >= 0]
        return min(found, default=None)

    def _hold_back(self, data: bytes, place: int) -> int:
        """Keep what has no mark in it, but for an end that may be the beginning of one."""
        begun = data.rfind(b"\x1b", max(place, len(data) - len(_START) + 1)) if self._terminal else -1
        is_begun = begun >= 0 and any(mark.startswith(data[begun:]) for mark in (_START, _END))
        end = begun if is_begun else len(data)
        self._raw += end - place
        self._keep(data[place:end])
        return end

    def _count(self, size: int, mark: bytes) -> None:
        """Count what came up to a mark, and at the end of a line whether the terminal can have held it all."""
        self._raw += size
        if mark == _NEWLINE:
            self._long |= self._terminal and not self._discarding and self._raw > TERMINAL_LINE_BYTES
            self._raw = 0

    def _keep(self, piece: bytes) -> None:
        if self._discarding:
            return
        self._line += piece[: _KEPT_BYTES - len(self._line)]

    def _take(self) -> Line:
        raw, pasted, long, behind = bytes(self._line), self._pasted, self._long, self._behind
        self._line.clear()
        self._pasting = self._pasted = self._long = self._behind = False
        if long:
            self._discarding = True
            return Line("", pasted, f"this terminal cuts lines at {TERMINAL_LINE_BYTES:,} bytes, so it was not sent")
        if behind and raw.strip():
            return Line("", pasted, "this line began with a paste that the terminal has cut, so it was not sent")
        try:
            text = raw.decode().removesuffix("\r")
        except UnicodeDecodeError:
            return Line("", pasted, "this line is not UTF-8, so it was not sent")
        if self._terminal and _CONTROL.search(text if not pasted else text.replace("\n", "")):
            return Line(
                "",
                pasted,
                "this line holds keys that do not edit here, such as arrows or Ctrl with a letter, so it was not sent",
            )
        return Line(text.rstrip("\n") if pasted else text, pasted)


async def read_lines(descriptor: int) -> AsyncGenerator[Line, None]:
    """The lines of an open file, as they come."""
    cutter = LineCutter(terminal=os.isatty(descriptor))
    async for data in read_chunks(descriptor, cutter.quiet):
        for line in cutter.feed(data):
            yield line
    for line in cutter.end():
        yield line


async def read_chunks(descriptor: int, quiet: Callable[[], None]) -> AsyncIterator[bytes]:
    """The bytes of an open file, as they come, without a thread that would outlive us; ``quiet`` when none come."""
    while True:
        await _until_readable(descriptor, quiet)
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError:
            return  # The terminal is gone.
        if not data:
            return
        yield data


async def _until_readable(descriptor: int, quiet: Callable[[], None]) -> None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except OSError:
        return  # Such as /dev/null: it never makes anybody wait.
    try:
        await asyncio.wait({waiting := asyncio.ensure_future(ready.wait())}, timeout=_QUIET_S)
        # Our own delay is no silence: only the descriptor knows whether something has come meanwhile.
        if not waiting.done() and not select.select([descriptor], [], [], 0)[0]:
            quiet()
        await waiting
    finally:
        waiting.cancel()
        loop.remove_reader(descriptor)


@contextlib.contextmanager
def marked_pastes(descriptor: int) -> Iterator[None]:
    """Let a terminal mark what is pasted for as long as this lasts; nothing for what is no terminal."""
    screen = next((stream for stream in (sys.stdout, sys.stderr) if stream.isatty()), None)
    if not os.isatty(descriptor) or screen is None or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    before = termios.tcgetattr(descriptor)
    now = termios.tcgetattr(descriptor)
    now[_LFLAG] &= ~_ECHOCTL
    termios.tcsetattr(descriptor, termios.TCSADRAIN, now)
    screen.write("\x1b[?2004h")
    screen.flush()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            screen.write("\x1b[?2004l")
            screen.flush()
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
