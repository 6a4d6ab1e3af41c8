"""What goes to which stream: data to standard output, words for people to standard error.

Data is one line or one JSON object at a time, flushed, so that a pipe sees it at once. Colour is only ever an addition:
each line says the same without it. What comes from others is cleaned where it enters (``chaton.session.text``); our own
errors may quote input, so they are cleaned here.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

from chaton.errors import ChatonError

_SGR: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_colour_choice = "auto"


def choose_colour(choice: str) -> None:
    """Take over ``--color``: auto, always or never."""
    global _colour_choice  # noqa: PLW0603  # One process has one pair of streams, and one wish about them.
    _colour_choice = choice


def has_colour(stream: TextIO) -> bool:
    """Whether a stream gets colours: by ``--color``, else NO_COLOR and CLICOLOR_FORCE, else if it is a terminal."""
    if _colour_choice != "auto":
        return _colour_choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return stream.isatty() and os.environ.get("TERM") not in {"dumb", None}


def paint(text: str, style: str, stream: TextIO) -> str:
    """A text in a style, where the stream gets colours."""
    return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and has_colour(stream) else text


def put(text: str, style: str = "") -> None:
    """Print one piece of data to standard output."""
    sys.stdout.write(paint(text, style, sys.stdout) + "\n")
    sys.stdout.flush()


def put_json(event: Mapping[str, Any]) -> None:
    """Print one JSON object to standard output, as one line of ASCII: no terminal finds anything in it to obey."""
    sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def tell(text: str, style: str = "") -> None:
    """Print words for a person to standard error."""
    sys.stderr.write(paint(text, style, sys.stderr) + "\n")
    sys.stderr.flush()


def tell_error(error: ChatonError) -> None:
    """Print what happened and, below it, what to do."""
    tell_words("error", str(error), "red")
    if error.hint:
        tell_words("hint", error.hint, "cyan")


def tell_words(kind: str, text: str, style: str) -> None:
    """Print ``chaton: error: …`` and the like, made harmless."""
    from chaton.session.text import clean

    tell(f"chaton: {paint(kind, style, sys.stderr)}: {clean(text)}")
