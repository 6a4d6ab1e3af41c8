"""What a session asks its client to do, in order: first keep, then transmit and tell.

The client carries out one batch at a time. It makes every Keep and Forget of the batch durable in one transaction
before it transmits the first frame, so that nothing is acknowledged or sealed that a crash would undo.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from chaton.errors import ChatonError
from chaton.session.memory import Entry
from chaton.session.notices import Notice
from chaton.wire.frames import AnyClientFrame


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send a frame, if connected."""

    frame: AnyClientFrame


@dataclass(frozen=True, slots=True)
class Keep:
    """Remember an entry, instead of the one at its place."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Forget:
    """Remember it no longer."""

    kind: type[Entry]
    place: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Show a notice."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Answer:
    """A request is done, or failed."""

    ticket: int
    result: Any = None
    error: ChatonError | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection; ``error`` says whether to come back."""

    error: ChatonError


Effect: TypeAlias = Transmit | Keep | Forget | Tell | Answer | HangUp
