"""Lengths of time as people write them."""

import re
from typing import Final

from chaton.errors import UsageError
from chaton.limits import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

_UNITS: Final = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
DURATION: Final = re.compile(r"([0-9]{1,6})([smhdw])")


def parse_duration_ms(text: str) -> int:
    """Milliseconds of a length of time such as ``30s``, ``90m``, ``24h``, ``7d`` or ``2w``.

    Raises:
        UsageError: It is written otherwise.
    """
    match = DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"{text[:20]!a} is no length of time", hint="write it like 30m, 24h or 7d")
    return int(match[1]) * _UNITS[match[2]]
