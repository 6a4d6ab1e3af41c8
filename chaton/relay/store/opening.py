"""The file of a store: for its owner only, for one relay at a time, its errors in our words."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from chaton.errors import StoreError

LOCK: Final = "relay.lock"
PRIVATE_MODE: Final = 0o600
# How long one of ours waits for somebody with the sqlite3 shell open on the file, in ms.
BUSY_MS: Final = 2_000

# What SQLite says when a disk, or what is on it, refuses, and what a person can do about it. Its other errors are
# bugs of ours and travel as they are. The first class that fits counts.
DISK_ERRORS: Final[dict[type[apsw.Error], tuple[str, str]]] = {
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


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say about the disk into what we say."""
    try:
        yield
    except tuple(DISK_ERRORS) as cause:
        sentence, hint = next(said for kind, said in DISK_ERRORS.items() if isinstance(cause, kind))
        raise StoreError(f"{path}: {sentence} ({cause})", hint=hint) from cause
    except OSError as cause:
        raise StoreError(f"{path}: {cause.strerror}", hint="check the data directory (--data)") from cause


@contextlib.contextmanager
def transaction(writer: apsw.Connection) -> Iterator[None]:
    """All or nothing of what is done inside."""
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
        writer.execute("COMMIT")
    except BaseException:
        # SQLite ends the transaction by itself after some errors, such as a full disk.
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory for this process; the system lets go of it when the process ends, however it ends."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
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


def make_private(path: Path) -> None:
    """Make a file, or close it to others: SQLite gives its log files the mode of the database."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_MODE))
    if path.stat().st_mode & 0o077:
        path.chmod(PRIVATE_MODE)


@contextlib.contextmanager
def connected(path: Path, flags: int) -> Iterator[apsw.Connection]:
    """A connection that is closed at the end."""
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(BUSY_MS)
        yield connection
    finally:
        connection.close()
