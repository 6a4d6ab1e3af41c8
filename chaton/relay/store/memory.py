"""A store that forgets everything when the relay stops: for ``--memory`` and for tests.

Knows rows and nothing of a disk. One suite holds it to the same contract as the store on disk.
"""

import heapq
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from threading import Lock
from typing import assert_never

from msgspec.structs import replace

from chaton.errors import StoreError
from chaton.identity.ids import BlobId, Identity, RoomId
from chaton.relay.store.base import (
    BlobGone,
    BlobRow,
    BodyGone,
    BundleRow,
    DirectRow,
    EventRow,
    ParcelRow,
    ParcelsGone,
    PieceRow,
    Place,
    Write,
)
from chaton.wire.frames import KIND_MESSAGE, KIND_PRUNED, KIND_RECORD

_number = attrgetter("s")


@dataclass(slots=True)
class _Shelf:
    """The events of one room, in order of their numbers, and the index of each."""

    rows: list[EventRow] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)


class MemoryStore:
    """A ``Store`` in memory. Reads may run in one thread while another commits: each sees whole groups only."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._shelves: dict[RoomId, _Shelf] = {}
        self._directs: dict[RoomId, DirectRow] = {}
        self._bundles: dict[Identity, BundleRow] = {}
        self._parcels: dict[int, ParcelRow] = {}
        self._waiting: dict[Identity, list[int]] = {}  # The tokens of each recipient, sorted.
        self._blobs: dict[Place, BlobRow] = {}
        self._pieces: dict[Place, bytearray] = {}
        # Every message body, oldest first, so that pruning costs what it drops. An entry whose body went by a
        # REDACT stays until its turn comes, and is then passed over.
        self._ages: list[tuple[int, RoomId, int]] = []
        self._body_bytes = 0

    def rooms(self) -> Iterator[RoomId]:
        """Every room that has an event 0."""
        with self._lock:
            return iter([room for room, shelf in self._shelves.items() if 0 in shelf.numbers])

    def directs(self) -> Iterator[DirectRow]:
        """Every direct room."""
        with self._lock:
            return iter(list(self._directs.values()))

    def skeleton(self, room: RoomId) -> Iterator[EventRow]:
        """All events of a room in order of s, messages with an empty body."""
        with self._lock:
            shelf = self._shelves.get(room)
            rows = list(shelf.rows) if shelf else []
        return (row if row.kind == KIND_RECORD else replace(row, body=b"") for row in rows)

    def events(self, room: RoomId, after: int, limit_bytes: int) -> list[EventRow]:
        """Whole events after number ``after``: as many as fit ``limit_bytes`` of bodies, one at least."""
        with self._lock:
            shelf = self._shelves.get(room)
            return _fitting(shelf.rows, bisect_right(shelf.rows, after, key=_number), limit_bytes) if shelf else []

    def bundles(self) -> Iterator[BundleRow]:
        """Every current bundle."""
        with self._lock:
            return iter(list(self._bundles.values()))

    def parcels(self, to: Identity, after: int, limit: int) -> list[ParcelRow]:
        """Parcels waiting for a recipient with a token over ``after``, in order of their tokens."""
        with self._lock:
            tokens = self._waiting.get(to, [])
            start = bisect_right(tokens, after)
            return [self._parcels[token] for token in tokens[start : start + limit]]

    def waiting(self) -> Iterator[tuple[int, Identity, Identity, RoomId, int, int]]:
        """Of every waiting parcel: token, to, sender, room, at, size; in order of tokens."""
        with self._lock:
            rows = [self._parcels[token] for token in sorted(self._parcels)]
        return ((row.token, row.to, row.sender, row.room, row.at, len(row.raw)) for row in rows)

    def blobs(self) -> Iterator[BlobRow]:
        """Every attachment, in order of ``at``."""
        with self._lock:
            return iter(sorted(self._blobs.values(), key=attrgetter("at")))

    def piece(self, room: RoomId, blob: BlobId, offset: int, limit: int) -> bytes:
        """At most ``limit`` bytes of an attachment from ``offset`` on."""
        with self._lock:
            return bytes(memoryview(self._pieces.get((room, blob), b""))[offset : offset + limit])

    def commit(self, writes: Sequence[Write]) -> None:
        """Write a group, all or nothing.

        Raises:
            StoreError: Something in it is there already. Nothing was written.
        """
        with self._lock:
            self._refuse_repeats(writes)
            for write in writes:
                self._write(write)

    def prune(self, before: int, bytes_max: int) -> list[BodyGone]:
        """Drop bodies of messages older than ``before`` (ms), then the oldest over ``bytes_max``; tell which."""
        gone = []
        with self._lock:
            while self._ages and (self._ages[0][0] < before or self._body_bytes > bytes_max):
                _, room, s = heapq.heappop(self._ages)
                if self._drop_body(room, s):
                    gone.append(BodyGone(room, s))
            for row in [row for row in self._bundles.values() if 0 < row.until < before]:
                del self._bundles[row.identity]
        return gone

    def close(self) -> None:
        """Nothing to finish: what was here goes with the process."""

    def _refuse_repeats(self, writes: Sequence[Write]) -> None:
        """All that can fail is found before anything is changed; so a group needs no undoing."""
        seen: set[object] = set()
        for write in writes:
            key = self._key_of(write)
            if key is None:
                continue
            if key in seen or self._has(write):
                raise StoreError(f"{type(write).__name__} was written already", hint="this is a bug of the relay")
            seen.add(key)

    @staticmethod
    def _key_of(write: Write) -> object:
        """What may be there only once; None for a write that may be repeated."""
        match write:
            case EventRow():
                return (write.room, write.s)
            case DirectRow():
                return write.room
            case ParcelRow():
                return write.token
            case BundleRow() | ParcelsGone() | BodyGone() | BlobRow() | PieceRow() | BlobGone():
                return None
            case _:  # pragma: no cover
                assert_never(write)

    def _has(self, write: Write) -> bool:
        match write:
            case EventRow():
                return write.room in self._shelves and write.s in self._shelves[write.room].numbers
            case DirectRow():
                return write.room in self._directs
        return isinstance(write, ParcelRow) and write.token in self._parcels

    def _write(self, write: Write) -> None:
        match write:
            case EventRow():
                self._write_event(write)
            case DirectRow():
                self._directs[write.room] = write
            case BundleRow():
                self._bundles[write.identity] = write
            case ParcelRow():
                self._parcels[write.token] = write
                insort(self._waiting.setdefault(write.to, []), write.token)
            case ParcelsGone():
                self._drop_parcels(write)
            case BodyGone():
                self._drop_body(write.room, write.s)
            case BlobRow():
                self._blobs[write.room, write.blob] = write
            case PieceRow():
                data = self._pieces.setdefault((write.room, write.blob), bytearray())
                data[write.offset : write.offset + len(write.data)] = write.data
            case BlobGone():
                self._blobs.pop((write.room, write.blob), None)
                self._pieces.pop((write.room, write.blob), None)
            case _:  # pragma: no cover
                assert_never(write)

    def _write_event(self, row: EventRow) -> None:
        shelf = self._shelves.setdefault(row.room, _Shelf())
        if not shelf.rows or shelf.rows[-1].s < row.s:
            shelf.rows.append(row)
        else:
            insort(shelf.rows, row, key=_number)
        shelf.numbers.add(row.s)
        if row.kind == KIND_MESSAGE:
            heapq.heappush(self._ages, (row.at, row.room, row.s))
            self._body_bytes += len(row.body)

    def _drop_parcels(self, gone: ParcelsGone) -> None:
        """Tokens that name nothing, or a parcel for somebody else, are passed over."""
        taken = {token for token in gone.tokens if token in self._parcels and self._parcels[token].to == gone.to}
        for token in taken:
            del self._parcels[token]
        left = [token for token in self._waiting.pop(gone.to, []) if token not in taken]
        if left:
            self._waiting[gone.to] = left

    def _drop_body(self, room: RoomId, s: int) -> bool:
        """Put a message's id in the place of its body; False where there is no body to drop."""
        rows = self._shelves[room].rows if room in self._shelves else []
        index = bisect_right(rows, s, key=_number) - 1
        if index < 0 or rows[index].s != s or rows[index].kind != KIND_MESSAGE:
            return False
        self._body_bytes -= len(rows[index].body)
        rows[index] = replace(rows[index], kind=KIND_PRUNED, body=bytes(rows[index].id))
        return True


def _fitting(rows: list[EventRow], start: int, limit_bytes: int) -> list[EventRow]:
    end, size = start, 0
    while end < len(rows) and (end == start or size + len(rows[end].body) <= limit_bytes):
        size += len(rows[end].body)
        end += 1
    return rows[start:end]
