"""The terminal that somebody types at, line by line: it edits the line and shows it by itself, and nobody else sees it.

So a program cannot draw the line anew that is being typed when something comes in between: neither the system nor the
standard library gives it out before its Enter. What can be done is to begin on a row of one's own, so that what is
typed stays as it is in the row above; Ctrl+R, a key of the terminal's, shows it once more.
"""

import os
import re
import sys
import termios
from functools import cache
from typing import Final, TextIO

_LFLAG: Final = 3
_DELAY: Final = re.compile(rb"\$<[^>]*>")  # How long terminals of old need for it.


def is_typed_here() -> bool:
    """Whether the screen that standard output goes to shows already what somebody types on standard input."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    typed, shown = sys.stdin.fileno(), sys.stdout.fileno()
    is_same = os.fstat(typed).st_rdev == os.fstat(shown).st_rdev
    return is_same and bool(termios.tcgetattr(typed)[_LFLAG] & termios.ECHO)


def begin_row(stream: TextIO) -> None:
    """Go to the beginning of the next row, unless the cursor is at the beginning of one; nothing is written over.

    As many spaces as a row has cells fill an empty one, and from within a row they go on into the next one.
    """
    clear = _clear_row() if stream.isatty() else None
    if clear is not None and (columns := os.get_terminal_size(stream.fileno()).columns):
        stream.write(f"{' ' * columns}\r{clear}")


@cache
def _clear_row() -> str | None:
    """What clears the rest of a row; None where the terminal, as its TERM says, would show ``begin_row`` otherwise.

    It has to leave the cursor in a row that is full until one more character comes.
    """
    try:
        import curses
    except ImportError:
        return None
    try:
        curses.setupterm(fd=sys.stdout.fileno())
    except curses.error:
        return None
    waits = curses.tigetflag("am") > 0 and curses.tigetflag("xenl") > 0
    clear = curses.tigetstr("el")
    return _DELAY.sub(b"", clear).decode("ascii") if waits and clear else None
