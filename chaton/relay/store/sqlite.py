"""A store in one SQLite file, which loses nothing that was acknowledged, whenever the relay is killed.

Knows SQL and files. Never imports the hub: it stores decisions and makes none.

There are two connections, as an APSW connection must not be used by two threads at once: one writes and one reads, and
WAL lets neither wait for the other.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from chaton.identity.ids import BlobId, BundleId, Head, Identity, Instance, MessageId, RoomId
from chaton.relay.store.base import (
    BlobRow,
    BodyGone,
    BundleRow,
    DirectRow,
    EventRow,
    ParcelRow,
    ParcelsGone,
    Settled,
    Write,
    settle,
)
from chaton.relay.store.opening import BUSY_MS, DISK_ERRORS, connected, explained, locked, make_private, transaction
from chaton.relay.store.upgrade import bring_up, version_of
from chaton.wire.frames import KIND_MESSAGE, KIND_RECORD

DATABASE: Final = "relay.db"

_Row = TypeVar("_Row")

_ROWS_PER_STATEMENT_MAX = 128
# What is long is read in pages: while a query is half read, its connection sees nothing that is committed meanwhile.
_PAGE_ROWS = 1_000

_ROOMS = "SELECT room FROM events WHERE s = 0"
# A CROSS JOIN is read from left to right, whatever SQLite thinks of it: what is oldest comes first, without a sort.
_AGES = "SELECT room, s, b.at, size FROM bodies b CROSS JOIN events ON events.body = number ORDER BY b.at"
_BODY_BYTES = "SELECT coalesce(sum(size), 0) FROM bodies"
_LAST_BODY = "SELECT coalesce(max(number), 0) FROM bodies"
# A record's body is in its own row, a message's in the other table, and its id stands for one that is gone.
_EVENTS = """
SELECT s, kind, n, e.at, sender, inst, id, coalesce(record, b.body, id)
FROM events e LEFT JOIN bodies b ON number = e.body
WHERE room = ? AND s > ? ORDER BY s
"""
_SKELETON = """
SELECT s, kind, n, at, sender, inst, id, coalesce(record, x'') FROM events WHERE room = ? AND s > ? ORDER BY s LIMIT ?
"""
_PARCELS = "SELECT token, sender, room, at, raw FROM parcels WHERE recipient = ? AND token > ? ORDER BY token LIMIT ?"
_WAITING = "SELECT token, recipient, sender, room, at, length(raw) FROM parcels WHERE token > ? ORDER BY token LIMIT ?"
_BUNDLES = "SELECT identity, bundle_id, raw, counter, until FROM bundles"
_BLOBS = "SELECT room, blob, uploader, size, have, at FROM blobs ORDER BY at"
_PIECES = "SELECT first, data FROM pieces WHERE room = ? AND blob = ? AND first > ? AND first < ? ORDER BY first"


class SqliteStore:
    """A ``Store`` in a data directory of its own.

    Reading methods belong to one thread at a time, ``commit`` and ``prune`` to one at a time, which may be another.

    Args:
        directory: Made with mode 0700 where there is none; the database in it has mode 0600.

    Raises:
        StoreTooNew: A later version of Chaton made it; nothing in it was changed.
        StoreError: Another relay uses it, or the disk refuses.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / DATABASE
        # Whether what was deleted may still stand in the write-ahead log or in old pages of the database: it does
        # if the relay was killed just after it.
        self._residue = True
        with self._explained(), contextlib.ExitStack() as opened:
            opened.enter_context(locked(directory))
            make_private(self._path)
            version = version_of(self._path)
            # The writer is closed last, as only a connection that may write takes the log into the database.
            self._writer = opened.enter_context(connected(self._path, apsw.SQLITE_OPEN_READWRITE))
            self._prepare(version)
            self._wipe()
            self._reader = opened.enter_context(connected(self._path, apsw.SQLITE_OPEN_READONLY))
            self._opened = opened.pop_all()

    def rooms(self) -> Iterator[RoomId]:
        """Every room that has an event 0."""
        return (RoomId(room) for (room,) in self._read(_ROOMS))

    def directs(self) -> Iterator[DirectRow]:
        """Every direct room."""
        for room, one, other in self._read("SELECT room, one, other FROM directs"):
            yield DirectRow(RoomId(room), Identity(one), Identity(other))

    def skeleton(self, room: RoomId) -> Iterator[EventRow]:
        """All events of a room in order of s, messages with an empty body. Reads no message's body from disk."""
        # Thousands of events have a few senders: they share one object each.
        senders: dict[bytes, Identity] = {}
        insts: dict[bytes, Instance] = {}
        after = -1
        while page := self._read(_SKELETON, (room, after, _PAGE_ROWS)):
            for s, kind, n, at, sender, inst, id_, body in page:
                who = senders.get(sender) or senders.setdefault(sender, Identity(sender))
                membership = insts.get(inst) or insts.setdefault(inst, Instance(inst))
                yield EventRow(room, s, kind, n, at, who, membership, _event_id(kind, id_), body)
                after = s

    def events(self, room: RoomId, after: int, limit_bytes: int) -> list[EventRow]:
        """Whole events after number ``after``: as many as fit ``limit_bytes`` of bodies, one at least."""
        rows: list[EventRow] = []
        with self._explained(), contextlib.closing(self._reader.cursor()) as found:
            for s, kind, n, at, sender, inst, id_, body in found.execute(_EVENTS, (room, after)):
                limit_bytes -= len(body)
                if rows and limit_bytes < 0:
                    break
                id_of_kind = _event_id(kind, id_)
                rows.append(EventRow(room, s, kind, n, at, Identity(sender), Instance(inst), id_of_kind, body))
        return rows

    def bundles(self) -> Iterator[BundleRow]:
        """Every current bundle."""
        for identity, bundle_id, raw, counter, until in self._read(_BUNDLES):
            yield BundleRow(Identity(identity), BundleId(bundle_id), raw, counter, until)

    def parcels(self, to: Identity, after: int, limit: int) -> list[ParcelRow]:
        """Parcels waiting for a recipient with a token over ``after``, in order of their tokens."""
        return [
            ParcelRow(token, to, Identity(sender), RoomId(room), at, raw)
            for token, sender, room, at, raw in self._read(_PARCELS, (to, after, limit))
        ]

    def waiting(self) -> Iterator[tuple[int, Identity, Identity, RoomId, int, int]]:
        """Of every waiting parcel: token, to, sender, room, at, size; in order of tokens."""
        after = -1
        while page := self._read(_WAITING, (after, _PAGE_ROWS)):
            for token, to, sender, room, at, size in page:
                yield token, Identity(to), Identity(sender), RoomId(room), at, size
                after = token

    def blobs(self) -> Iterator[BlobRow]:
        """Every attachment, in order of ``at``."""
        for room, blob, uploader, size, have, at in self._read(_BLOBS):
            yield BlobRow(RoomId(room), BlobId(blob), Identity(uploader), size, have, at)

    def piece(self, room: RoomId, blob: BlobId, offset: int, limit: int) -> bytes:
        """At most ``limit`` bytes of an attachment from ``offset`` on."""
        found = self._read(_PIECES, (room, blob, offset - limit, offset + limit))
        return b"".join(data[max(0, offset - first) :] for first, data in found)[:limit]

    def commit(self, writes: Sequence[Write]) -> None:
        """Write a group, all or nothing; returns when it is on the disk.

        Raises:
            StoreError: The disk refuses, or something in the group is there already. Nothing was written, and the
                store may be used on.
        """
        with self._explained(), transaction(self._writer):
            self._add(writes)
            self._drop_bodies([write for write in writes if isinstance(write, BodyGone)])
            self._drop_parcels(writes)
            self._change_blobs(settle(writes))
        self._wipe()

    def prune(self, before: int, bytes_max: int) -> list[BodyGone]:
        """Drop bodies of messages older than ``before`` (ms), then the oldest over ``bytes_max``; tell which.

        Raises:
            StoreError: The disk refuses. Nothing was dropped.
        """
        with self._explained(), transaction(self._writer):
            gone = self._outlived(before, bytes_max)
            self._drop_bodies(gone)
            self._writer.execute("DELETE FROM bundles WHERE until > 0 AND until < ?", (before,))
        self._wipe()
        return gone

    def close(self) -> None:
        """Finish: the last connection takes the write-ahead log into the database. Closing twice is allowed."""
        with self._explained():
            self._opened.close()

    def _prepare(self, version: int) -> None:
        writer = self._writer
        writer.pragma("journal_mode", "wal")
        writer.pragma("synchronous", "full")
        writer.pragma("secure_delete", True)
        bring_up(writer, self._path, version)
        writer.pragma("foreign_keys", True)
        self._bodies = int(writer.execute(_LAST_BODY).get)

    def _add(self, writes: Sequence[Write]) -> None:
        """Insert by whole tables.

        Every call into SQLite gives up the interpreter and may wait 5 ms to have it back from a busy event loop; a
        statement that takes many rows waits once.
        """
        events = [write for write in writes if isinstance(write, EventRow)]
        messages = [row for row in events if row.kind == KIND_MESSAGE]
        first = self._bodies + 1
        self._bodies += len(messages)
        numbers = {id(row): number for number, row in enumerate(messages, first)}
        self._insert("bodies", [(numbers[id(row)], row.at, len(row.body), row.body) for row in messages])
        self._insert("events", [_event_values(row, numbers.get(id(row))) for row in events])
        self._insert("directs", [(row.room, row.one, row.other) for row in writes if isinstance(row, DirectRow)])
        parcels = [row for row in writes if isinstance(row, ParcelRow)]
        self._insert("parcels", [(row.token, row.to, row.sender, row.room, row.at, row.raw) for row in parcels])
        bundles = {row.identity: row for row in writes if isinstance(row, BundleRow)}.values()
        values = [(row.identity, row.bundle_id, row.raw, row.counter, row.until) for row in bundles]
        self._insert("bundles", values, verb="REPLACE")

    def _change_blobs(self, settled: Settled) -> None:
        for gone in settled.gone:
            for table in ("pieces", "blobs"):
                self._writer.execute(f"DELETE FROM {table} WHERE room = ? AND blob = ?", (gone.room, gone.blob))  # noqa: S608
            self._residue = True
        rows = [(row.room, row.blob, row.uploader, row.size, row.have, row.at) for row in settled.rows]
        self._insert("blobs", rows, verb="REPLACE")
        pieces = [(row.room, row.blob, row.offset, row.data) for row in settled.pieces]
        self._insert("pieces", pieces, verb="REPLACE")

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]], *, verb: str = "INSERT") -> None:
        for chunk in _chunks(rows):
            places = ",".join([_places(len(chunk[0]))] * len(chunk))
            values = [value for row in chunk for value in row]
            self._writer.execute(f"{verb} INTO {table} VALUES {places}", values)  # In the order of schema.sql.

    def _drop_bodies(self, gone: Sequence[BodyGone]) -> None:
        for chunk in _chunks(gone):
            named = f"(room, s) IN (VALUES {','.join([_places(2)] * len(chunk))})"
            values = [value for body in chunk for value in (body.room, body.s)]
            bodies = f"SELECT body FROM events WHERE kind = 1 AND {named}"  # noqa: S608  # Placeholders only.
            self._writer.execute(f"DELETE FROM bodies WHERE number IN ({bodies})", values)  # noqa: S608
            self._writer.execute(f"UPDATE events SET kind = 2, body = NULL WHERE kind = 1 AND {named}", values)  # noqa: S608
            self._residue = True

    def _drop_parcels(self, writes: Sequence[Write]) -> None:
        """Tokens that name nothing, or a parcel for somebody else, are passed over."""
        gone = [(write.to, token) for write in writes if isinstance(write, ParcelsGone) for token in write.tokens]
        for chunk in _chunks(gone):
            named = f"(recipient, token) IN (VALUES {','.join([_places(2)] * len(chunk))})"
            values = [value for pair in chunk for value in pair]
            self._writer.execute(f"DELETE FROM parcels WHERE {named}", values)  # noqa: S608  # Placeholders only.

    def _outlived(self, before: int, bytes_max: int) -> list[BodyGone]:
        kept = self._writer.execute(_BODY_BYTES).get
        gone = []
        with contextlib.closing(self._writer.cursor()) as found:
            for room, s, at, size in found.execute(_AGES):
                if at >= before and kept <= bytes_max:
                    break
                kept -= size
                gone.append(BodyGone(RoomId(room), s))
        return gone

    def _wipe(self) -> None:
        """Take the write-ahead log into the database and empty it, if deleted bodies may still be read in either.

        The group is committed by now, so a failure is no failure of it: the next commit tries again. So it goes while
        somebody reads, as it must not wait for a reader that may be waiting for us.
        """
        if not self._residue:
            return
        self._writer.set_busy_timeout(0)
        try:
            busy, _, _ = next(self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
            self._residue = bool(busy)
        except tuple(DISK_ERRORS):
            self._residue = True
        finally:
            self._writer.set_busy_timeout(BUSY_MS)

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._explained():
            return list(self._reader.execute(sql, values))

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explained(self._path)


def _event_id(kind: int, raw: bytes) -> Head | MessageId:
    return Head(raw) if kind == KIND_RECORD else MessageId(raw)


def _event_values(row: EventRow, body: int | None) -> tuple[Any, ...]:
    record = row.body if row.kind == KIND_RECORD else None
    return (row.room, row.s, row.kind, row.n, row.at, row.sender, row.inst, row.id, record, body)


def _places(count: int) -> str:
    return f"({','.join('?' * count)})"


def _chunks(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Cut into powers of two, so that there are few different statements and each is compiled once."""
    start = 0
    while start < len(rows):
        size = min(1 << ((len(rows) - start).bit_length() - 1), _ROWS_PER_STATEMENT_MAX)
        yield rows[start : start + size]
        start += size
