"""A store of version 1 becomes one of today, and whatever happens meanwhile, one of the two is whole."""

import logging
import stat
from contextlib import closing

import apsw
import pytest

from chaton.errors import StoreError
from chaton.limits import UINT_MAX
from chaton.relay.checking import check
from chaton.relay.config import Config
from chaton.relay.store import upgrade
from chaton.relay.store.base import BodyGone, ParcelsGone
from chaton.relay.store.opening import LOCK
from chaton.relay.store.sqlite import DATABASE, SqliteStore
from chaton.relay.store.upgrade import SCHEMA_VERSION

from .rows import blob, bundle, direct, message, parcel, piece, pruned, record, room, who

# As Chaton 1.0 made it.
SCHEMA_1 = """
CREATE TABLE events (
    room    BLOB    NOT NULL CHECK (length(room) = 32),
    s       INTEGER NOT NULL,
    kind    INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
    n       INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    sender  BLOB    NOT NULL CHECK (length(sender) = 32),
    inst    BLOB    NOT NULL CHECK (length(inst) = 32),
    id      BLOB    NOT NULL CHECK (length(id) = 32),
    record  BLOB CHECK ((record IS NOT NULL) = (kind = 0)),
    PRIMARY KEY (room, s)
) STRICT, WITHOUT ROWID;
CREATE INDEX rooms ON events (room) WHERE s = 0;
CREATE TABLE bodies (
    room    BLOB    NOT NULL,
    s       INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    size    INTEGER NOT NULL CHECK (size = length(body)),
    body    BLOB    NOT NULL,
    PRIMARY KEY (room, s),
    FOREIGN KEY (room, s) REFERENCES events (room, s)
) STRICT, WITHOUT ROWID;
CREATE INDEX bodies_by_age ON bodies (at, room, s, size);
CREATE TABLE directs (
    room    BLOB    NOT NULL PRIMARY KEY CHECK (length(room) = 32),
    one     BLOB    NOT NULL CHECK (length(one) = 32),
    other   BLOB    NOT NULL CHECK (length(other) = 32)
) STRICT, WITHOUT ROWID;
CREATE TABLE bundles (
    identity  BLOB    NOT NULL PRIMARY KEY CHECK (length(identity) = 32),
    bundle_id BLOB    NOT NULL CHECK (length(bundle_id) = 32),
    raw       BLOB    NOT NULL,
    counter   INTEGER NOT NULL,
    until     INTEGER NOT NULL
) STRICT;
CREATE TABLE parcels (
    token     INTEGER PRIMARY KEY,
    recipient BLOB    NOT NULL CHECK (length(recipient) = 32),
    sender    BLOB    NOT NULL CHECK (length(sender) = 32),
    room      BLOB    NOT NULL CHECK (length(room) = 32),
    at        INTEGER NOT NULL,
    raw       BLOB    NOT NULL
) STRICT;
CREATE INDEX parcels_by_recipient ON parcels (recipient);
PRAGMA user_version = 1;
"""
SECRET = b"the quick brown fox jumps over the lazy relay"
COPY = f"{DATABASE}.v1-backup"

ROWS = {
    "room": [
        record(0, 0),
        message(1, at=50),
        record(2, 1, body=b""),
        message(3, at=10, body=SECRET * 1_300),
        pruned(message(4, at=5)),
        *(message(s, at=100 + s % 7, body=bytes([s]) * (200 * s)) for s in range(5, 40)),
    ],
    "other": [record(0, 0, in_room="other"), message(1, in_room="other", at=20, sender="bob", body=SECRET)],
    "ann bob": [message(1, in_room="ann bob", at=30), message(2, in_room="ann bob", at=40)],
}
PARCELS = [parcel(2, "bob"), parcel(3, "cat", sender="bob"), parcel(9, "bob", raw=bytes(1_747))]
BUNDLES = [bundle("ann", 7), bundle("bob", 1, until=9_000)]


@pytest.fixture
def data(tmp_path):
    """The directory of a relay of version 1, in whose log is what it acknowledged last."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with closing(apsw.Connection(str(data / DATABASE))) as old:
        old.pragma("journal_mode", "wal")
        old.execute(SCHEMA_1)
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        write_1(old)
        (data / DATABASE).chmod(0o600)
        yield data


def write_1(old):
    """Rows, written with the statements of version 1."""
    rows = [row for rows in ROWS.values() for row in rows]
    for row in rows:
        values = (row.room, row.s, row.kind, row.n, row.at, row.sender, row.inst, row.id)
        old.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?)", (*values, None if row.kind else row.body))
        if row.kind == 1:
            old.execute("INSERT INTO bodies VALUES (?,?,?,?,?)", (row.room, row.s, row.at, len(row.body), row.body))
    for row in PARCELS:
        values = (row.token, row.to, row.sender, row.room, row.at, row.raw)
        old.execute("INSERT INTO parcels VALUES (?,?,?,?,?,?)", values)
    for row in BUNDLES:
        values = (row.identity, row.bundle_id, row.raw, row.counter, row.until)
        old.execute("INSERT INTO bundles VALUES (?,?,?,?,?)", values)
    pair = direct("ann", "bob")
    old.execute("INSERT INTO directs VALUES (?,?,?)", (pair.room, pair.one, pair.other))


def check_same(store):
    """Everything is told as it was written."""
    assert sorted(store.rooms()) == sorted([room(), room("other")])
    for name, rows in ROWS.items():
        assert store.events(room(name), -1, UINT_MAX) == rows
        assert [(row.s, row.kind, row.id) for row in store.skeleton(room(name))] == [
            (row.s, row.kind, row.id) for row in rows
        ]
    assert list(store.directs()) == [direct("ann", "bob")]
    assert sorted(store.bundles(), key=lambda row: row.raw) == BUNDLES
    assert [row[0] for row in store.waiting()] == [2, 3, 9]
    assert store.parcels(who("bob"), -1, 9) == [PARCELS[0], PARCELS[2]]
    assert store.parcels(who("cat"), -1, 9) == [PARCELS[1]]
    assert list(store.blobs()) == []


def dump_1(path):
    """All of a database of version 1, its tables and rows."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as old:
        assert old.pragma("user_version") == 1
        assert old.pragma("integrity_check") == "ok"
        tables = ("events", "bodies", "directs", "bundles", "parcels", "sqlite_schema")
        shown = {"sqlite_schema": "name, sql"}
        return {name: sorted(old.execute(f"SELECT {shown.get(name, '*')} FROM {name}"), key=repr) for name in tables}


def test_nothing_differs_afterwards(data):
    store = SqliteStore(data)
    check_same(store)
    assert store._reader.pragma("user_version") == SCHEMA_VERSION
    assert store._writer.pragma("foreign_keys") == 1
    assert list(store._reader.execute("PRAGMA foreign_key_check")) == []
    assert store._reader.pragma("integrity_check") == "ok"
    assert [name for (name,) in store._reader.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'old%'")] == []
    store.close()
    store = SqliteStore(data)  # And only once.
    check_same(store)
    store.close()
    assert {path.name for path in data.iterdir()} >= {DATABASE, LOCK, COPY}
    assert [path.name for path in data.iterdir() if "backup" in path.name] == [COPY]


def test_the_tables_are_those_of_a_new_store(data, tmp_path):
    def schema(directory):
        store = SqliteStore(directory)
        found = set(store._reader.execute("SELECT name, sql FROM sqlite_schema"))
        store.close()
        return found

    assert schema(data) == schema(tmp_path / "new")


def test_the_store_goes_on_where_it_was(data):
    store = SqliteStore(data)
    store.commit([message(40), blob("a", 2, 2), piece("a", 0, b"ab"), ParcelsGone(who("bob"), (2,))])
    assert store.events(room(), 39, UINT_MAX) == [message(40)]
    store.commit([BodyGone(room(), 1)])
    assert store.events(room(), 0, 1)[0] == pruned(message(1, at=50))
    assert store.prune(35, UINT_MAX) == [BodyGone(room(), 3), BodyGone(room("other"), 1), BodyGone(room("ann bob"), 1)]
    assert SECRET not in b"".join(path.read_bytes() for path in data.glob(f"{DATABASE}*") if "backup" not in path.name)
    store.close()
    store = SqliteStore(data)
    with pytest.raises(StoreError):
        store.commit([message(40)])
    store.close()


def test_the_copy_is_whole_private_and_told_of(data, caplog):
    before = dump_1(data / DATABASE)
    with caplog.at_level(logging.WARNING):
        SqliteStore(data).close()
    assert dump_1(data / COPY) == before
    assert stat.S_IMODE((data / COPY).stat().st_mode) == 0o600
    assert str(data / COPY) in caplog.text
    assert "version 1" in caplog.text


def test_a_copy_that_is_there_stays(data):
    (data / COPY).write_bytes(b"somebody's last")
    (data / f"{COPY}-2").write_bytes(b"another one's")
    before = dump_1(data / DATABASE)
    SqliteStore(data).close()
    assert (data / COPY).read_bytes() == b"somebody's last"
    assert (data / f"{COPY}-2").read_bytes() == b"another one's"
    assert dump_1(data / f"{COPY}-3") == before


STATEMENTS = [
    "CREATE TABLE blobs",
    "INSERT INTO bodies",
    "INSERT INTO parcels",
    "DROP TABLE old_bodies",
    "DROP TABLE old_parcels",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_is_cut_off_in_the_middle_leaves_the_old_one_whole(data, monkeypatch, statement):
    before = dump_1(data / DATABASE)
    read = upgrade._sql

    def cut_off(name):
        return read(name).replace(statement, f"SELECT no_such_function(); {statement}")

    monkeypatch.setattr(upgrade, "_sql", cut_off)
    with pytest.raises(apsw.SQLError, match="no_such_function"):
        SqliteStore(data)
    assert dump_1(data / DATABASE) == before
    monkeypatch.undo()
    store = SqliteStore(data)
    check_same(store)
    store.close()


def test_without_place_for_the_copy_nothing_is_changed_and_nothing_left_behind(data, monkeypatch):
    before = dump_1(data / DATABASE)

    def full(path):
        raise apsw.FullError(str(path))

    monkeypatch.setattr(upgrade, "_sync", full)
    with pytest.raises(StoreError, match="the disk is full") as caught:
        SqliteStore(data)
    assert caught.value.hint
    assert dump_1(data / DATABASE) == before
    assert [path.name for path in data.iterdir() if "backup" in path.name] == []


def test_what_a_cut_off_copy_left_is_no_obstacle(data):
    (data / f"{COPY}.part").write_bytes(b"half a copy")
    before = dump_1(data / DATABASE)
    SqliteStore(data).close()
    assert dump_1(data / COPY) == before
    assert not (data / f"{COPY}.part").exists()


def test_the_check_of_a_configuration_tells_and_changes_nothing(data, tmp_path):
    before = dump_1(data / DATABASE)
    config = Config(data=data, cert=None, key=None)
    notes = [line for line in check(config) if line.startswith("#")]
    assert any("version 1" in note and "upgrade" in note for note in notes)
    assert dump_1(data / DATABASE) == before
    SqliteStore(data).close()
    assert not any("upgrade" in line for line in check(config))
