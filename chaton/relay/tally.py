"""Log lines for what strangers can make happen a thousand times a second."""

import asyncio
import logging
from typing import Final

INTERVAL_S: Final = 60.0


class Tally:
    """Tells of something when it happens, and from then on once a minute how often it did.

    Args:
        sentence: With a place for the number.
    """

    def __init__(self, log: logging.Logger, sentence: str) -> None:
        self._log = log
        self._sentence = sentence
        self._count = 0
        self._loop = asyncio.get_running_loop()
        self._silent = False

    def add(self) -> None:
        """It has happened once more."""
        self._count += 1
        if not self._silent:
            self._tell()

    def _tell(self) -> None:
        self._silent = bool(self._count)
        if self._count:
            self._log.info(self._sentence, self._count)
            self._count = 0
            self._loop.call_later(INTERVAL_S, self._tell)
