"""A window on a screen that tests can read, and waiting for what it shows."""

import re
from contextlib import asynccontextmanager

from chaton.tui.window import Window
from tests.tui.scripted import ROOM


def rows_of(window):
    return [strip.text.rstrip() for strip in window.screen._compositor.render_strips()]


def screen_text(window):
    return "\n".join(rows_of(window))


async def until(pilot, holds):
    """Wait for what the window is about to do; what its screen shows says what went wrong."""
    for _ in range(500):
        await pilot.pause(0.01)
        if holds():
            return
    raise AssertionError(screen_text(pilot.app))


async def shows(pilot, *texts):
    await until(pilot, lambda: all(re.search(text, screen_text(pilot.app)) for text in texts))


async def hides(pilot, *texts):
    await until(pilot, lambda: not any(re.search(text, screen_text(pilot.app)) for text in texts))


@asynccontextmanager
async def opened(backend, room=ROOM, *, size=(100, 30), invitation=None):
    """A window with its first room on the screen."""
    window = Window(backend, room, invitation)
    async with window.run_test(size=size) as pilot:
        await until(pilot, lambda: not backend.rooms or (window._shown and window.desk.book.members))
        yield window, pilot
        await window.desk.close()
