"""What any store of a relay must do, and the rows it speaks in.

A store is used from one thread at a time for writing; ``commit`` takes everything that a group of requests changed,
all or nothing, and returns only when it would survive a crash. Rows name events by room and number, so writing one
twice is an error of the relay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from chaton.identity.ids import BlobId, BundleId, Head, Identity, Instance, MessageId, RoomId


class EventRow(Struct, frozen=True, gc=False):
    """One event of a room, as it is kept and told.

    A struct of msgspec, as there is one for every message: made faster than a frozen dataclass, and of no interest to
    the garbage collector, however many a store in memory holds.

    Attributes:
        kind: 0 a record, 1 a message, 2 a message whose body is gone (``body`` is then its id).
        n: The record's number; -1 for a message.
        at: The relay's clock in ms when it took the event.
        sender: Who logged in to send it.
        inst: The sender's membership at that time, zero where there is none.
        id: The head after a record, or the message's id.
    """

    room: RoomId
    s: int
    kind: int
    n: int
    at: int
    sender: Identity
    inst: Instance
    id: Head | MessageId
    body: bytes


@dataclass(frozen=True, slots=True)
class DirectRow:
    """A direct room and the two it is for; it has no event 0."""

    room: RoomId
    one: Identity
    other: Identity


@dataclass(frozen=True, slots=True)
class BundleRow:
    """The current bundle of an identity. ``until`` is when one of a non-member is forgotten, in ms; 0: kept."""

    identity: Identity
    bundle_id: BundleId
    raw: bytes
    counter: int
    until: int


@dataclass(frozen=True, slots=True)
class ParcelRow:
    """A parcel that waits for its recipient. ``token`` grows with every parcel of the relay; ``at`` is in ms."""

    token: int
    to: Identity
    sender: Identity
    room: RoomId
    at: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class ParcelsGone:
    """Parcels of a recipient that were taken, or dropped by a limit."""

    to: Identity
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BodyGone:
    """A message whose body is dropped by a REDACT or by retention; its id stays."""

    room: RoomId
    s: int


# Each room has its own attachments, whatever their ids.
Place: TypeAlias = tuple[RoomId, BlobId]


@dataclass(frozen=True, slots=True)
class BlobRow:
    """What there is of an attachment; the last row of one counts.

    Attributes:
        size: The bytes of the whole ciphertext.
        have: How many of them are here, from the start.
        at: The relay's clock in ms when it was begun, or when it was complete.
    """

    room: RoomId
    blob: BlobId
    uploader: Identity
    size: int
    have: int
    at: int

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return self.have == self.size


class PieceRow(Struct, frozen=True, gc=False):
    """Bytes of an attachment from ``offset`` on, which follow those written before."""

    room: RoomId
    blob: BlobId
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlobGone:
    """An attachment that is dropped with all its pieces. It may be begun again."""

    room: RoomId
    blob: BlobId


Write: TypeAlias = EventRow | DirectRow | BundleRow | ParcelRow | ParcelsGone | BodyGone | BlobRow | PieceRow | BlobGone


class Store(Protocol):
    """The contract; tests/relay/store/ runs one suite over every implementation.

    Every method raises ``StoreError`` where the disk refuses, and then has changed nothing.
    """

    def rooms(self) -> Iterator[RoomId]:
        """Every room that has an event 0."""
        ...

    def directs(self) -> Iterator[DirectRow]:
        """Every direct room."""
        ...

    def skeleton(self, room: RoomId) -> Iterator[EventRow]:
        """All events of a room in order of s, messages with an empty body: what a relay holds in memory of it."""
        ...

    def events(self, room: RoomId, after: int, limit_bytes: int) -> list[EventRow]:
        """Whole events after number ``after``, in order: as many as fit ``limit_bytes`` of bodies, one at least."""
        ...

    def bundles(self) -> Iterator[BundleRow]:
        """Every current bundle."""
        ...

    def parcels(self, to: Identity, after: int, limit: int) -> list[ParcelRow]:
        """Parcels waiting for a recipient with a token over ``after``, in order of their tokens."""
        ...

    def waiting(self) -> Iterator[tuple[int, Identity, Identity, RoomId, int, int]]:
        """Of every waiting parcel: token, to, sender, room, at, size; in order of tokens."""
        ...

    def blobs(self) -> Iterator[BlobRow]:
        """Every attachment, in order of ``at``."""
        ...

    def piece(self, room: RoomId, blob: BlobId, offset: int, limit: int) -> bytes:
        """At most ``limit`` bytes of an attachment from ``offset`` on; nothing where there is none, or no more of it.

        ``limit`` is at least as long as any piece.
        """
        ...

    def commit(self, writes: Sequence[Write]) -> None:
        """Write a group, all or nothing; returns when it is durable."""
        ...

    def prune(self, before: int, bytes_max: int) -> list[BodyGone]:
        """Drop bodies of messages older than ``before`` (ms), then the oldest over ``bytes_max``; tell which.

        Bundles whose ``until`` is before ``before`` go with them, untold: nobody serves them any more.
        """
        ...

    def close(self) -> None:
        """Finish. The store is not used after it."""
        ...


class Settled(NamedTuple):
    """What a group makes of attachments in the end: what is dropped first, then written."""

    gone: list[BlobGone]
    rows: list[BlobRow]
    pieces: list[PieceRow]


def settle(writes: Sequence[Write]) -> Settled:
    """Of a group in which attachments may come, go and begin again."""
    gone: dict[Place, BlobGone] = {}
    rows: dict[Place, BlobRow] = {}
    pieces: dict[Place, list[PieceRow]] = {}
    for write in writes:
        match write:
            case BlobRow():
                rows[write.room, write.blob] = write
            case PieceRow():
                pieces.setdefault((write.room, write.blob), []).append(write)
            case BlobGone():
                place = write.room, write.blob
                gone[place] = write
                rows.pop(place, None)
                pieces.pop(place, None)
    return Settled(list(gone.values()), list(rows.values()), list(chain.from_iterable(pieces.values())))
