"""Opening the window, and running it to its end."""

import gc
import sys

from chaton.client.gateway import Backend
from chaton.tui import signals
from chaton.tui.screens import Invitation
from chaton.tui.window import Window


async def run_window(
    backend: Backend, room: str = "", invitation: Invitation | None = None, *, hosting: bool = False
) -> int:
    """Open the window on a room, and stay until the person quits; the exit code. The arguments are ``Window``'s."""
    gc.freeze()  # What is loaded by now stays: looking through it for garbage again and again would stall the keys.
    window = Window(backend, room, invitation, hosting=hosting)
    _write(signals.TITLE_ASIDE)
    try:
        code = await window.run_async() or 0
    finally:
        _write(signals.TITLE_BACK)  # However it ended: by a signal, too.
        await window.keep()
    if window.bug is not None:
        raise window.bug
    return code


def _write(sequence: str) -> None:
    """Hand something to the terminal while the window is not on it."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(sequence)  # Where Textual draws as well.
        sys.__stderr__.flush()
