"""The words in which a decision says what its shell has to carry out.

A session is named by its number, as it may be gone when the time of an effect has come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from chaton.identity.ids import Identity, RoomId
from chaton.relay.hub.memory import Session
from chaton.relay.store.base import BlobRow, Write
from chaton.wire.frames import AnyRelayFrame, Event, Goodbye, Parcel, Presence


class Reply(NamedTuple):
    """Tell one frame to one connection."""

    session: int
    frame: AnyRelayFrame


class Pages(NamedTuple):
    """Tell many or large frames to one connection, each encoded only when the connection has room for it."""

    session: int
    frames: Iterable[AnyRelayFrame]


class Gain(NamedTuple):
    """A room has a new event: tell it to all who follow."""

    room: RoomId
    event: Event


class Hint(NamedTuple):
    """Tell a presence to all who follow a room; it may be told late or not at all."""

    room: RoomId
    presence: Presence


class Feed(NamedTuple):
    """Let a connection follow a room from an event on: what it lacks out of the store, CaughtUp, then live.

    ``s`` is the room's last event when this was decided: all up to there is durable when this is carried out.
    """

    session: int
    ref: int
    room: RoomId
    after: int
    s: int


class Part(NamedTuple):
    """Let a connection no longer follow a room: at once, or as ``put_out`` when it has been told all up to now."""

    session: int
    room: RoomId
    put_out: bool


class Push(NamedTuple):
    """Tell a new parcel to its recipient, before any later event."""

    session: int
    parcel: Parcel


class PushWaiting(NamedTuple):
    """Tell a recipient who has just logged in all parcels that wait for it, then ParcelsEnd."""

    session: int
    identity: Identity


class Fetch(NamedTuple):
    """Tell one connection a piece of an attachment out of the store."""

    session: int
    ref: int
    blob: BlobRow
    offset: int


class Close(NamedTuple):
    """End a connection, with a last frame or without."""

    session: int
    goodbye: Goodbye | None


Effect: TypeAlias = Reply | Pages | Gain | Hint | Feed | Part | Push | PushWaiting | Fetch | Close


@dataclass(slots=True)
class Decision:
    """What follows from one frame, or from time passing.

    Attributes:
        asker: The session whose request this is, and its ``ref``; None where nobody asked.
        now: Effects that reveal nothing which the disk might still lose: told at once.
        writes: What the store must take, all or nothing.
        then: Effects for after the commit of these writes and of all writes decided before.
        sent: The message that this decides on, and the session that sent it; None for all else.
    """

    asker: tuple[int, int] | None = None
    now: list[Effect] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    then: list[Effect] = field(default_factory=list)
    sent: tuple[Session, bytes] | None = None
