"""How far files are, or other long work: a line on standard error for whoever watches."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaton.cli.face import Backend
    from chaton.client.news import AnyNotice, Progress
    from chaton.session.notices import Working


class ProgressLine:
    """How far files are, on standard error: on a terminal one line that changes, elsewhere a line for each 10 %.

    Other work, which is told at most once a second, has such a line as well, and elsewhere one each time; what goes on
    in several rooms at once is told of one after the other.
    """

    def __init__(self) -> None:
        self._told: dict[bytes, int] = {}
        self._work: tuple[bytes, str] | None = None
        self._width = 0

    def show(self, progress: "Progress") -> None:
        """Tell how far one is."""
        from chaton.cli.output import tell
        from chaton.client.words import size_text

        percent = 100 * progress.done // progress.total
        text = (
            f"* {'sending' if progress.up else 'fetching'} {progress.name}: {percent} % of {size_text(progress.total)}"
        )
        if sys.stderr.isatty():
            self._change(text, is_last=progress.done == progress.total)
        elif percent // 10 > self._told.get(progress.blob, 0):
            self._told[progress.blob] = percent // 10
            tell(text)

    def show_work(self, work: "Working") -> None:
        """Tell how far work is that takes long; its end takes the line away."""
        from chaton.cli.output import tell
        from chaton.client.words import work_sentence

        place, is_over = (work.room, work.what), work.done == work.total
        if self._work not in {None, place}:
            return
        self._work = None if is_over else place
        if sys.stderr.isatty():
            self._change("" if is_over else f"* {work_sentence(work)}", is_last=False)
        elif not is_over:
            tell(f"* {work_sentence(work)}")

    def clear(self) -> None:
        """Make way for another line."""
        if self._width:
            self._change("", is_last=False)

    def _change(self, text: str, *, is_last: bool) -> None:
        sys.stderr.write(f"\r{text:{self._width}}" + ("\n" if is_last else "\r" if not text else ""))
        sys.stderr.flush()
        self._width = 0 if is_last else len(text)


@asynccontextmanager
async def telling(opened: "Backend") -> AsyncIterator[None]:
    """Show progress to whoever watches; a script needs none."""
    line = ProgressLine()
    showing = asyncio.create_task(_tell(opened.notices(), line)) if sys.stderr.isatty() else None
    try:
        yield
    finally:
        if showing is not None:
            showing.cancel()
            await asyncio.wait({showing})
            line.clear()


async def _tell(notices: "AsyncIterator[AnyNotice]", line: ProgressLine) -> None:
    from chaton.client.news import Progress
    from chaton.session.notices import Working

    async for notice in notices:
        if isinstance(notice, Progress):
            line.show(notice)
        elif isinstance(notice, Working):
            line.show_work(notice)
