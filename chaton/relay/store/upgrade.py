"""Which version a store has, and how an older one becomes today's: copied beside itself, then changed as a whole."""

import logging
import os
from pathlib import Path
from typing import Final

import apsw

from chaton.errors import StoreTooNew
from chaton.relay.store.opening import PRIVATE_MODE, connected, transaction

SCHEMA_VERSION: Final = 2

_HERE = Path(__file__).parent
_TABLES_1 = ("events", "bodies", "directs", "bundles", "parcels")
_INDEXES_1 = ("rooms", "bodies_by_age", "parcels_by_recipient")
_log = logging.getLogger(__name__)


def version_of(path: Path) -> int:
    """The version of a database; 0 of an empty one. Looked at read-only, so that a later one stays as it is.

    Raises:
        StoreTooNew: It is a later version than ours.
    """
    try:
        version = _read_version(path, apsw.SQLITE_OPEN_READONLY)
    except apsw.ReadOnlyError:
        # A relay was killed while it made the database: only who may write can take back what it had half written.
        version = _read_version(path, apsw.SQLITE_OPEN_READWRITE)
    if version > SCHEMA_VERSION:
        raise StoreTooNew(f"{path} was written by a later version of Chaton")
    return version


def _read_version(path: Path, flags: int) -> int:
    with connected(path, flags) as connection:
        return int(connection.pragma("user_version"))


def bring_up(writer: apsw.Connection, path: Path, version: int) -> None:
    """Make the tables of an empty database, or bring one of version 1 to ours: as a whole or not at all.

    Deleted content must be set to be overwritten, and foreign keys not yet to be enforced.
    """
    if not version:
        with transaction(writer):
            _make_tables(writer)
    elif version < SCHEMA_VERSION:
        copy = _back_up(writer, path)
        _log.warning("the store is of version %d: it was copied to %s, and is upgraded now", version, copy)
        with transaction(writer):
            _upgrade_from_1(writer)
        _log.warning("the store is of version %d now; the copy is no longer needed once all is well", SCHEMA_VERSION)


def _make_tables(writer: apsw.Connection) -> None:
    writer.execute(_sql("schema.sql"))
    writer.pragma("user_version", SCHEMA_VERSION)


def _upgrade_from_1(writer: apsw.Connection) -> None:
    for index in _INDEXES_1:  # A renamed table keeps its indexes, and they their names, which are ours too.
        writer.execute(f"DROP INDEX {index}")
    for table in _TABLES_1:
        writer.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    _make_tables(writer)
    writer.execute(_sql("upgrade_1.sql"))


def _back_up(writer: apsw.Connection, path: Path) -> Path:
    """Copy the database as it is; the copy has its name only when it is whole, and takes the place of no other."""
    part = path.with_name(f"{path.name}.v1-backup.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
    try:
        writer.execute("VACUUM INTO ?", (str(part),))
        _sync(part)
        copy = part.rename(_free_name(path))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)
    return copy


def _free_name(path: Path) -> Path:
    """A copy that is there already may be from an upgrade that was cut off, or be somebody's last: it stays."""
    copy, number = path.with_name(f"{path.name}.v1-backup"), 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.v1-backup-{number}")
    return copy


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sql(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
