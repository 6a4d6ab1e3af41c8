"""A store in one SQLite file, which loses nothing that was acknowledged, whenever the relay is killed.

Knows SQL and files. Never imports the hub: it stores decisions and makes none.

There are two connections, as an APSW connection must not be used by two threads at once: one writes and one reads, and
WAL lets neither wait for the other.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from chaton.errors import StoreError, StoreTooNew
from chaton.identity.ids import BundleId, Head, Identity, Instance, MessageId, RoomId
from chaton.relay.store.base import BodyGone, BundleRow, DirectRow, EventRow, ParcelRow, ParcelsGone, Write
from chaton.wire.frames import KIND_MESSAGE, KIND_RECORD

DATABASE: Final = "relay.db"
LOCK: Final = "relay.lock"
SCHEMA_VERSION: Final = 1

_PRIVATE_MODE = 0o600
_Row = TypeVar("_Row")

# How long one of ours waits for somebody with the sqlite3 shell open on the file, in ms.
_BUSY_MS = 2_000
_ROWS_PER_STATEMENT_MAX = 128
# What is long is read in pages: while a query is half read, its connection sees nothing that is committed meanwhile.
_PAGE_ROWS = 1_000

# What SQLite says when a disk, or what is on it, refuses, and what a person can do about it. Its other errors are
# bugs of ours and travel as they are. The first class that fits counts.
_DISK_ERRORS: dict[type[apsw.Error], tuple[str, str]] = {
    apsw.FullError: ("the disk is full", "free some space, or lower retention_days or retention_bytes"),
    apsw.IOError: ("the disk failed to read or write", "look at the disk's free space, quota and health"),
    apsw.ReadOnlyError: ("the data directory cannot be written", "check its owner, its permissions and its mount"),
    apsw.CantOpenError: ("the database cannot be opened", "check the owner and permissions of the data directory"),
    apsw.PermissionsError: ("the database may not be opened", "check the owner and permissions of the data directory"),
    apsw.BusyError: ("another program holds the database", "close what has it open, such as a backup or sqlite3"),
    apsw.LockedError: ("another program holds the database", "close what has it open, such as a backup or sqlite3"),
    apsw.CorruptError: ("the database is damaged", "stop the relay and bring the data directory back from a backup"),
    apsw.NotADBError: ("the file is not a database", "bring it back from a backup, or name another directory"),
    apsw.ConstraintError: ("the same thing was to be written twice", "this is a bug of the relay; please report it"),
}

_ROOMS = "SELECT room FROM events WHERE s = 0"
_AGES = "SELECT room, s, at, size FROM bodies ORDER BY at, room, s"
_BODY_BYTES = "SELECT coalesce(sum(size), 0) FROM bodies"
# A record's body is in its own row, a message's in the other table, and its id stands for one that is gone.
_EVENTS = """
SELECT s, kind, n, e.at, sender, inst, id, coalesce(record, body, id) FROM events e LEFT JOIN bodies b USING (room, s)
WHERE room = ? AND s > ? ORDER BY s
"""
_SKELETON = """
SELECT s, kind, n, at, sender, inst, id, coalesce(record, x'') FROM events WHERE room = ? AND s > ? ORDER BY s LIMIT ?
"""
_PARCELS = "SELECT token, sender, room, at, raw FROM parcels WHERE recipient = ? AND token > ? ORDER BY token LIMIT ?"
_WAITING = "SELECT token, recipient, sender, room, at, length(raw) FROM parcels WHERE token > ? ORDER BY token LIMIT ?"
_BUNDLES = "SELECT identity, bundle_id, raw, counter, until FROM bundles"


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
            opened.enter_context(_locked(directory))
            _make_private(self._path)
            version = _version(self._path)
            # The writer is closed last, as only a connection that may write takes the log into the database.
            self._writer = opened.enter_context(_connected(self._path, apsw.SQLITE_OPEN_READWRITE))
            self._prepare(version)
            self._wipe()
            self._reader = opened.enter_context(_connected(self._path, apsw.SQLITE_OPEN_READONLY))
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

    def commit(self, writes: Sequence[Write]) -> None:
        """Write a group, all or nothing; returns when it is on the disk.

        Raises:
            StoreError: The disk refuses, or something in the group is there already. Nothing was written, and the
                store may be used on.
        """
        with self._explained(), self._transaction():
            self._add(writes)
            self._drop_bodies([write for write in writes if isinstance(write, BodyGone)])
            self._drop_parcels(writes)
        self._wipe()

    def prune(self, before: int, bytes_max: int) -> list[BodyGone]:
        """Drop bodies of messages older than ``before`` (ms), then the oldest over ``bytes_max``; tell which.

        Raises:
            StoreError: The disk refuses. Nothing was dropped.
        """
        with self._explained(), self._transaction():
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
        """Bring a database of ``version`` to ours. An empty one has version 0.

        The version that follows this one copies the file with VACUUM INTO before it changes anything here.
        """
        writer = self._writer
        writer.pragma("journal_mode", "wal")
        writer.pragma("synchronous", "full")
        writer.pragma("foreign_keys", True)
        writer.pragma("secure_delete", True)
        if version < SCHEMA_VERSION:
            with self._transaction():
                writer.execute(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
                writer.pragma("user_version", SCHEMA_VERSION)

    def _add(self, writes: Sequence[Write]) -> None:
        """Insert by whole tables.

        Every call into SQLite gives up the interpreter and may wait 5 ms to have it back from a busy event loop; a
        statement that takes many rows waits once.
        """
        events = [write for write in writes if isinstance(write, EventRow)]
        self._insert("events", [_event_values(row) for row in events])
        bodies = [(row.room, row.s, row.at, len(row.body), row.body) for row in events if row.kind == KIND_MESSAGE]
        self._insert("bodies", bodies)
        self._insert("directs", [(row.room, row.one, row.other) for row in writes if isinstance(row, DirectRow)])
        parcels = [row for row in writes if isinstance(row, ParcelRow)]
        self._insert("parcels", [(row.token, row.to, row.sender, row.room, row.at, row.raw) for row in parcels])
        bundles = {row.identity: row for row in writes if isinstance(row, BundleRow)}.values()
        values = [(row.identity, row.bundle_id, row.raw, row.counter, row.until) for row in bundles]
        self._insert("bundles", values, verb="REPLACE")

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]], *, verb: str = "INSERT") -> None:
        for chunk in _chunks(rows):
            places = ",".join([_places(len(chunk[0]))] * len(chunk))
            values = [value for row in chunk for value in row]
            self._writer.execute(f"{verb} INTO {table} VALUES {places}", values)  # In the order of schema.sql.

    def _drop_bodies(self, gone: Sequence[BodyGone]) -> None:
        for chunk in _chunks(gone):
            named = f"(room, s) IN (VALUES {','.join([_places(2)] * len(chunk))})"
            values = [value for body in chunk for value in (body.room, body.s)]
            self._writer.execute(f"DELETE FROM bodies WHERE {named}", values)  # noqa: S608  # Placeholders only.
            self._writer.execute(f"UPDATE events SET kind = 2 WHERE kind = 1 AND {named}", values)  # noqa: S608
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
        except tuple(_DISK_ERRORS):
            self._residue = True
        finally:
            self._writer.set_busy_timeout(_BUSY_MS)

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._explained():
            return list(self._reader.execute(sql, values))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            # SQLite ends the transaction by itself after some errors, such as a full disk.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the system say about the disk into what we say."""
        try:
            yield
        except tuple(_DISK_ERRORS) as cause:
            sentence, hint = next(said for kind, said in _DISK_ERRORS.items() if isinstance(cause, kind))
            raise StoreError(f"{self._path}: {sentence} ({cause})", hint=hint) from cause
        except OSError as cause:
            raise StoreError(f"{self._path}: {cause.strerror}", hint="check the data directory (--data)") from cause


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory for this process; the system lets go of it when the process ends, however it ends."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, _PRIVATE_MODE)
    try:
        _take(lock, directory)
        yield
    finally:
        os.close(lock)


def _take(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        raise StoreError(
            f"another relay uses this data directory: {directory}",
            hint="stop it, or name another directory with --data",
        ) from cause


def _make_private(path: Path) -> None:
    """SQLite gives its log files the mode of the database, so this is the mode of all."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_MODE))
    if path.stat().st_mode & 0o077:
        path.chmod(_PRIVATE_MODE)


@contextlib.contextmanager
def _connected(path: Path, flags: int) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(_BUSY_MS)
        yield connection
    finally:
        connection.close()


def _version(path: Path) -> int:
    """Looked at read-only, so that a database of a later version stays as it is."""
    with _connected(path, apsw.SQLITE_OPEN_READONLY) as connection:
        version = int(connection.pragma("user_version"))
    if version > SCHEMA_VERSION:
        raise StoreTooNew(f"{path} was written by a later version of Chaton")
    return version


def _event_id(kind: int, raw: bytes) -> Head | MessageId:
    return Head(raw) if kind == KIND_RECORD else MessageId(raw)


def _event_values(row: EventRow) -> tuple[Any, ...]:
    record = row.body if row.kind == KIND_RECORD else None
    return (row.room, row.s, row.kind, row.n, row.at, row.sender, row.inst, row.id, record)


def _places(count: int) -> str:
    return f"({','.join('?' * count)})"


def _chunks(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Cut into powers of two, so that there are few different statements and each is compiled once."""
    start = 0
    while start < len(rows):
        size = min(1 << ((len(rows) - start).bit_length() - 1), _ROWS_PER_STATEMENT_MAX)
        yield rows[start : start + size]
        start += size
