"""How a window calls somebody who looks elsewhere: bell, notification, title. Never a word of what was said."""

import os
from typing import Final

_APART_MS: Final = 5_000  # A busy room rings once, not for every line.
TITLE_ASIDE: Final = "\x1b[22;0t"  # A terminal puts its title on a stack, and takes it back from there.
TITLE_BACK: Final = "\x1b]2;\x1b\\\x1b[23;0t"  # Emptied first: some terminals have no such stack.


class Caller:
    """Makes the sequences to write to a terminal; remembers when it called last."""

    def __init__(self) -> None:
        self._last = -_APART_MS

    def call(self, room: str, now: int) -> str:
        """Bell and notification: "new message in ROOM"; empty if it has just called. ``room`` is safe to show."""
        if now - self._last < _APART_MS:
            return ""
        self._last = now
        text = f"new message in {room}".replace(";", ",")
        return "\a" + _through_tmux(f"\x1b]9;{text}\x1b\\") + _through_tmux(f"\x1b]777;notify;Chaton;{text}\x1b\\")


def title(room: str, unread: int) -> str:
    """The sequence that names the terminal's window. It names no link and no key."""
    return f"\x1b]2;{f'({unread}) ' if unread else ''}{room} - Chaton\x1b\\"


def _through_tmux(sequence: str) -> str:
    """A sequence that tmux hands on: it does so only when it is wrapped (and ``allow-passthrough`` is on)."""
    if not os.environ.get("TMUX"):
        return sequence
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
