"""Work that may wait for a disk, in a thread: the loop goes on meanwhile."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


class Stopped(Exception):
    """Work ended because nobody waits for it; never seen outside of its thread."""


class Stop:
    """Tells work in a thread that nobody waits for it any more."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def now(self) -> None:
        """Let the work end at its next ``check``."""
        self._event.set()

    def check(self) -> None:
        """Go on, or end by ``Stopped``."""
        if self._event.is_set():
            raise Stopped


async def in_thread(work: Callable[[Stop], _Result]) -> _Result:
    """Work in a thread; a cancellation stops it and waits for its end, so that its files are closed and put away."""
    stop = Stop()
    working = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.now()
        await asyncio.wait({working})
        working.exception()  # It was to end; how it did is no news.
        raise
