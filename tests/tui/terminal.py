"""A real terminal: a program in a pseudo-terminal, keys as bytes, and the screen that it has drawn."""

import contextlib
import os
import re
import sys
import time
from pathlib import Path

import pexpect
import pyte

from tests.cli.conftest import environment

COLUMNS, ROWS = 100, 30
PATIENCE_S = 40
OF_THE_SHELL = "the title before"
ALT_1, ALT_ENTER, ESCAPE, F2 = "\x1b1", "\x1b\r", "\x1b", "\x1bOQ"
_MODES = {"1049": "alternate screen", "1000": "mouse", "1002": "mouse drag", "1003": "mouse moves", "1006": "mouse SGR",
          "2004": "bracketed paste", "1004": "focus"}  # fmt: skip


class Terminal:
    """A program that thinks that somebody sits there.

    Attributes:
        output: All that it wrote, as bytes that a terminal would get.
    """

    def __init__(self, profile: Path, *arguments: str, **env: str) -> None:
        self.output = ""
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        given = environment(
            CHATON_PROFILE=str(profile), TERM="xterm-256color", COLORTERM="", TEXTUAL="", TMUX="", **env
        )
        self.program = pexpect.spawn(
            sys.executable, ["-P", "-m", "chaton", *arguments], env=given, dimensions=(ROWS, COLUMNS), encoding="utf-8",
            codec_errors="replace", cwd=profile.parent,
        )  # fmt: skip
        self.program.delaybeforesend = None

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(pexpect.ExceptionPexpect):
            self.program.close(force=True)

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self._screen.display)

    def _read(self, seconds: float) -> None:
        with contextlib.suppress(pexpect.TIMEOUT):
            data = self.program.read_nonblocking(65_536, timeout=seconds)
            self.output += data
            # Requests that the emulator does not know are left out: a terminal answers them with nothing that shows.
            self._stream.feed(re.sub(r"\x1bP.*?\x1b\\|\x1b\[[<>=?][\d;]*[a-ln-z]|\x1b\[\?\d+\$p", "", data))

    def wait(self, pattern: str) -> re.Match[str]:
        """Wait until its screen shows something; the text drawn meanwhile is lost to nobody."""
        end = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < end, f"no {pattern!r} on the screen:\n{self.text}"
            try:
                self._read(0.2)
            except pexpect.EOF:
                raise AssertionError(f"it ended before {pattern!r} was on the screen:\n{self.text}") from None
        return found

    def wait_gone(self, pattern: str) -> None:
        """Wait until its screen does not show something any more."""
        end = time.monotonic() + PATIENCE_S
        while re.search(pattern, self.text):
            assert time.monotonic() < end, f"{pattern!r} is still on the screen:\n{self.text}"
            self._read(0.2)

    def press(self, keys: str) -> None:
        """Keys as a terminal sends them, in one write."""
        self.program.send(keys)

    def want_no_passphrase(self) -> None:
        """The one question of a first start, besides the nick."""
        self.wait("a passphrase for this profile")
        self.press("\r")

    def end(self) -> int:
        """Wait for its end; the exit code."""
        end = time.monotonic() + PATIENCE_S
        with contextlib.suppress(pexpect.EOF):
            while time.monotonic() < end:
                self._read(0.5)
        self.program.wait()
        return os.waitstatus_to_exitcode(self.program.status)

    def title(self, *, with_stack: bool = True) -> str:
        """What the terminal is called by now; one without a stack of titles cannot go back to an earlier one."""
        title, stack = OF_THE_SHELL, []
        for named, switch in re.findall(r"\x1b\]2;(.*?)\x1b\\|\x1b\[(22|23);0t", self.output):
            if switch == "22":
                stack.append(title)
            elif switch == "23":
                title = stack.pop() if with_stack else title
            else:
                title = named
        return title

    def left_on(self) -> set[str]:
        """What it switched on and not off again."""
        last: dict[str, str] = {}
        for modes, switch in re.findall(r"\x1b\[\?([\d;]+)([hl])", self.output):
            last |= dict.fromkeys(modes.split(";"), switch)
        on = {name for mode, name in _MODES.items() if last.get(mode) == "h"}
        kitty = len(re.findall(r"\x1b\[>\d*u", self.output)) - len(re.findall(r"\x1b\[<\d*u", self.output))
        return on | ({"hidden cursor"} if last.get("25") == "l" else set()) | ({"kitty keys"} if kitty > 0 else set())
