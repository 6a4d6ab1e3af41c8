"""What terminals send for Alt with a digit or Enter, which Textual takes for other characters."""

import contextlib
import enum
from typing import Any


class _Key(enum.Enum):
    ALT_ENTER = "alt+enter"


def restore_alt_keys() -> None:
    """Let Alt+0…9 and Alt+Enter arrive as what they are.

    The table belongs to Textual itself and may move: where it is not found those keys are simply not there, and
    Ctrl+N, Ctrl+P and Ctrl+J do the same.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from textual import _ansi_sequences  # noqa: PLC0415  # Private: looked for only here.

        table: dict[str, Any] = _ansi_sequences.ANSI_SEQUENCES_KEYS  # type: ignore[assignment]
        for digit in "0123456789":
            table.pop(f"\x1b{digit}", None)
        table["\x1b\r"] = (_Key.ALT_ENTER,)
