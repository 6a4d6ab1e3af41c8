"""What goes on beside the screen: tasks that nobody waits for, and whose failure is told."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from chaton.errors import ChatonError


class Chores:
    """Tasks under way. ``failed`` is told what a user can cause; a bug of ours ends the program, as it should."""

    def __init__(self, failed: Callable[[ChatonError], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something meanwhile."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ChatonError):
            self._failed(error)
        elif error is not None:
            raise error

    async def settle(self) -> None:
        """Wait for all of them."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, patience_s: float) -> None:
        """Wait a moment for all of them, and give up the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)
        for task in self._tasks:
            task.cancel()
