"""Opening the window, and running it to its end."""

import gc

from chaton.tui.desk import Backend
from chaton.tui.screens import Invitation
from chaton.tui.window import Window


async def run_window(backend: Backend, room: str = "", invitation: Invitation | None = None) -> int:
    """Open the window on a room, and stay until the person quits; the exit code."""
    gc.freeze()  # What is loaded by now stays: looking through it for garbage again and again would stall the keys.
    window = Window(backend, room, invitation)
    try:
        return await window.run_async() or 0
    finally:
        await window.keep()  # However it ended: by a signal, too.
