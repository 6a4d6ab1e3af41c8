"""The store on disk where disks and processes are at their worst."""

import os
import resource
import shutil
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from chaton.errors import StoreError, StoreTooNew
from chaton.limits import UINT_MAX
from chaton.relay.store import sqlite
from chaton.relay.store.base import BodyGone, ParcelsGone
from chaton.relay.store.opening import LOCK
from chaton.relay.store.sqlite import DATABASE, SqliteStore
from chaton.relay.store.upgrade import SCHEMA_VERSION

from .rows import blob, blob_gone, blob_id, bundle, direct, message, parcel, piece, pruned, record, room, who

ROOT = Path(__file__).parents[3]
WRITER = [sys.executable, "-m", "tests.relay.store.writer"]
SECRET = b"the quick brown fox jumps over the lazy relay"


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def on_disk(data):
    return b"".join(path.read_bytes() for path in sorted(data.iterdir()))


class TestReopening:
    def test_everything_is_there_again(self, data):
        rows = [record(0, 0), message(1), record(2, 1), message(3)]
        parcels = [parcel(1, "bob"), parcel(2, "bob")]
        store = SqliteStore(data)
        store.commit([*rows, *parcels, bundle("ann", 1), direct("ann", "bob")])
        store.commit([blob("a", 9, 4), piece("a", 0, b"abcd")])
        store.commit([BodyGone(room(), 1), ParcelsGone(who("bob"), (1,))])
        store.close()
        store = SqliteStore(data)
        assert list(store.rooms()) == [room()]
        assert store.events(room(), -1, UINT_MAX) == [rows[0], pruned(rows[1]), *rows[2:]]
        assert store.parcels(who("bob"), -1, 9) == parcels[1:]
        assert list(store.bundles()) == [bundle("ann", 1)]
        assert list(store.directs()) == [direct("ann", "bob")]
        assert list(store.blobs()) == [blob("a", 9, 4)]
        assert store.piece(room(), blob_id("a"), 1, 9) == b"bcd"
        store.commit([message(4), blob("a", 9, 9), piece("a", 4, b"efghi")])
        assert store.events(room(), 3, UINT_MAX) == [message(4)]
        assert store.piece(room(), blob_id("a"), 1, 9) == b"bcdefghi"
        store.close()

    def test_a_closed_store_is_one_file_and_closing_twice_is_fine(self, data):
        store = SqliteStore(data)
        store.commit([record(0, 0)])
        store.close()
        store.close()
        assert sorted(path.name for path in data.iterdir()) == [DATABASE, LOCK]

    @pytest.mark.parametrize("kill", range(5))
    def test_what_was_acknowledged_survives_kill_9(self, data, kill):
        acknowledged = 20 + 37 * kill
        with subprocess.Popen([*WRITER, data], cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            said = [int(writer.stdout.readline()) for _ in range(acknowledged)]
            writer.kill()
        assert said == list(range(1, acknowledged + 1))
        store = SqliteStore(data)
        rows = store.events(room(), 0, UINT_MAX)
        assert len(rows) >= acknowledged
        assert rows == [message(s, body=bytes(600)) for s in range(1, len(rows) + 1)]
        assert store.parcels(who("bob"), -1, len(rows) + 1) == [parcel(s, "bob") for s in range(1, len(rows) + 1)]
        store.commit([message(len(rows) + 1)])
        store.close()


class TestPrivacy:
    def test_directory_and_files_are_for_the_owner_only(self, tmp_path):
        old = os.umask(0)
        try:
            store = SqliteStore(tmp_path / "deep" / "data")
            store.commit([record(0, 0)])
        finally:
            os.umask(old)
        data = tmp_path / "deep" / "data"
        assert mode(data) == 0o700
        names = {path.name for path in data.iterdir()}
        assert names == {DATABASE, DATABASE + "-wal", DATABASE + "-shm", LOCK}
        assert {mode(path) for path in data.iterdir()} == {0o600}
        store.close()

    def test_a_database_that_was_open_to_others_is_closed_to_them(self, data):
        SqliteStore(data).close()
        (data / DATABASE).chmod(0o644)
        SqliteStore(data).close()
        assert mode(data / DATABASE) == 0o600

    @pytest.mark.parametrize("size", [len(SECRET), 65_536])
    @pytest.mark.parametrize("how", ["redact", "prune"])
    def test_a_dropped_body_is_nowhere_on_the_disk(self, data, how, size):
        store = SqliteStore(data)
        secret = (SECRET * (size // len(SECRET) + 1))[:size]
        store.commit([record(0, 0), message(1, body=secret), *(message(s, at=9_000) for s in range(2, 50))])
        assert SECRET in on_disk(data)
        if how == "redact":
            store.commit([BodyGone(room(), 1)])
        else:
            assert store.prune(5_000, UINT_MAX) == [BodyGone(room(), 1)]
        assert SECRET not in on_disk(data)
        store.close()

    @pytest.mark.parametrize("size", [len(SECRET), 262_144])
    def test_a_dropped_attachment_is_nowhere_on_the_disk(self, data, size):
        store = SqliteStore(data)
        secret = (SECRET * (size // len(SECRET) + 1))[:size]
        store.commit([blob("a", size, size), piece("a", 0, secret), *(message(s) for s in range(2, 50))])
        assert SECRET in on_disk(data)
        store.commit([blob_gone("a")])
        assert SECRET not in on_disk(data)
        store.close()

    def test_a_reader_in_the_way_delays_the_wiping_and_nothing_else(self, data):
        store = SqliteStore(data)
        store.commit([record(0, 0), message(1, body=SECRET)])
        with closing(apsw.Connection(str(data / DATABASE))) as other:
            reading = other.execute("SELECT s FROM events")
            next(reading)
            store.commit([BodyGone(room(), 1)])
            assert SECRET in on_disk(data)
            reading.close(force=True)
        store.commit([message(2)])
        assert SECRET not in on_disk(data)
        assert store.events(room(), 0, UINT_MAX) == [pruned(message(1)), message(2)]
        store.close()

    def test_a_disk_that_refuses_the_wiping_does_not_refuse_what_is_committed(self, data):
        store = SqliteStore(data)
        store.commit([record(0, 0), *(message(s, body=bytes(600)) for s in range(2, 500))])
        store.close()
        store = SqliteStore(data)
        store.commit([message(1, body=SECRET)])
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The log is short and may be written; the database may not become longer.
        resource.setrlimit(resource.RLIMIT_FSIZE, ((data / DATABASE).stat().st_size, unlimited[1]))
        try:
            store.commit([message(500, body=bytes(20_000)), BodyGone(room(), 1)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert SECRET in on_disk(data)
        assert store.events(room(), 499, UINT_MAX) == [message(500, body=bytes(20_000))]
        store.commit([message(501)])
        assert SECRET not in on_disk(data)
        store.close()

    def test_what_a_kill_left_behind_is_wiped_at_the_next_start(self, data, tmp_path):
        store = SqliteStore(data)
        store.commit([record(0, 0), message(1, body=SECRET)])
        with closing(apsw.Connection(str(data / DATABASE))) as other:
            reading = other.execute("SELECT s FROM events")
            next(reading)
            store.commit([BodyGone(room(), 1)])
            shutil.copytree(data, tmp_path / "killed")
            reading.close(force=True)
        store.close()
        assert SECRET in on_disk(tmp_path / "killed")
        store = SqliteStore(tmp_path / "killed")
        assert SECRET not in on_disk(tmp_path / "killed")
        assert store.events(room(), 0, UINT_MAX) == [pruned(message(1))]
        store.close()


class TestRefusedToOpen:
    def test_a_second_relay_on_one_directory(self, data):
        store = SqliteStore(data)
        with pytest.raises(StoreError, match="another relay uses this data directory") as caught:
            SqliteStore(data)
        assert "--data" in caught.value.hint
        store.commit([record(0, 0)])
        store.close()
        SqliteStore(data).close()

    def test_a_later_version_and_it_is_left_as_it_was(self, data):
        SqliteStore(data).close()
        connection = apsw.Connection(str(data / DATABASE))
        connection.pragma("user_version", SCHEMA_VERSION + 1)
        connection.close()
        before = (data / DATABASE).read_bytes()
        with pytest.raises(StoreTooNew, match="later version") as caught:
            SqliteStore(data)
        assert caught.value.hint
        assert (data / DATABASE).read_bytes() == before
        with pytest.raises(StoreTooNew):  # And not "another relay": the lock was let go.
            SqliteStore(data)

    def test_what_is_not_a_database(self, data):
        data.mkdir()
        (data / DATABASE).write_bytes(b"Dear diary, " * 1_000)
        with pytest.raises(StoreError, match="not a database") as caught:
            SqliteStore(data)
        assert "backup" in caught.value.hint
        assert (data / DATABASE).read_bytes() == b"Dear diary, " * 1_000

    def test_a_damaged_database(self, data):
        store = SqliteStore(data)
        store.commit([record(0, 0), *(message(s, body=bytes(600)) for s in range(1, 200))])
        store.close()
        raw = bytearray((data / DATABASE).read_bytes())
        raw[8_192:] = b"\xa5" * (len(raw) - 8_192)
        (data / DATABASE).write_bytes(raw)
        with pytest.raises(StoreError, match="damaged"):
            SqliteStore(data).events(room(), -1, UINT_MAX)

    @pytest.mark.parametrize(
        "obstacle", ["the directory is a file", "its parent is a file", "the database is a directory"]
    )
    def test_what_stands_in_the_way(self, tmp_path, obstacle):
        path = tmp_path / "data"
        if obstacle == "the database is a directory":
            (path / DATABASE).mkdir(parents=True)
        else:
            path.write_text("in the way")
        with pytest.raises(StoreError) as caught:
            SqliteStore(path / "below" if obstacle == "its parent is a file" else path)
        assert "--data" in caught.value.hint


class TestRefusedToWrite:
    def test_a_full_disk_refuses_the_group_and_the_store_goes_on_when_there_is_room(self, data):
        store = SqliteStore(data)
        store.commit([record(0, 0), message(1)])
        unbounded = store._writer.pragma("max_page_count")
        store._writer.pragma("max_page_count", store._writer.pragma("page_count") + 2)
        with pytest.raises(StoreError, match="disk is full") as caught:
            store.commit([parcel(1, "bob"), message(2), message(3, body=bytes(60_000))])
        assert "free some space" in caught.value.hint
        assert isinstance(caught.value.__cause__, apsw.FullError)
        assert store.events(room(), -1, UINT_MAX) == [record(0, 0), message(1)]
        assert list(store.waiting()) == []
        store.commit([message(2)])
        store._writer.pragma("max_page_count", unbounded)
        store.commit([message(3, body=bytes(60_000))])
        store.close()
        store = SqliteStore(data)
        assert [row.s for row in store.events(room(), -1, UINT_MAX)] == [0, 1, 2, 3]
        store.close()

    def test_a_quota_reached_while_writing_loses_nothing_acknowledged(self, data):
        """The kernel refuses every write past 300 kB of a file: in the log, or later in the database."""
        bounded = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))}
        done = subprocess.run([*WRITER, data], cwd=ROOT, capture_output=True, text=True, check=False, **bounded)
        said = [int(line) for line in done.stdout.split()]
        assert done.returncode == 1
        assert "StoreError" in done.stderr
        assert len(said) > 10
        store = SqliteStore(data)
        assert [row.s for row in store.events(room(), 0, UINT_MAX)] == said
        assert [row.token for row in store.parcels(who("bob"), -1, len(said) + 1)] == said
        store.close()

    def test_a_file_system_that_turned_read_only(self, data):
        store = SqliteStore(data)
        store.commit([message(1)])
        store._writer.pragma("query_only", True)  # Root, as whom this may run, may write read-only files.
        with pytest.raises(StoreError, match="cannot be written") as caught:
            store.commit([BodyGone(room(), 1)])
        assert caught.value.hint
        with pytest.raises(StoreError, match="cannot be written"):
            store.prune(UINT_MAX, 0)
        assert store.events(room(), 0, UINT_MAX) == [message(1)]
        store._writer.pragma("query_only", False)
        store.commit([BodyGone(room(), 1)])
        store.close()

    def test_somebody_else_who_holds_the_database(self, data):
        store = SqliteStore(data)
        store._writer.set_busy_timeout(0)
        with closing(apsw.Connection(str(data / DATABASE))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another program holds") as caught:
                store.commit([message(1)])
            assert caught.value.hint
        store.commit([message(1)])
        store.close()

    def test_what_fails_half_way_for_another_reason_leaves_nothing(self, data):
        store = SqliteStore(data)
        with pytest.raises(OverflowError):
            store.commit([message(1), parcel(2**63, "bob")])
        assert store.events(room(), 0, UINT_MAX) == []
        store.commit([message(1)])
        store.close()


class TestSettings:
    def test_the_log_is_written_ahead_and_each_commit_is_on_the_disk(self, data):
        store = SqliteStore(data)
        pragmas = {
            name: store._writer.pragma(name)
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
        assert store._reader.pragma("user_version") == SCHEMA_VERSION
        store.close()

    def test_the_reading_connection_cannot_write(self, data):
        store = SqliteStore(data)
        with pytest.raises(apsw.ReadOnlyError):
            store._reader.execute("DELETE FROM events")
        store.close()

    def test_starting_and_pruning_read_no_bodies(self, data):
        store = SqliteStore(data)
        queries = [sqlite._SKELETON, sqlite._ROOMS, sqlite._AGES, sqlite._BODY_BYTES]
        plans = [store._reader.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?")) for sql in queries]
        assert [row[3] for plan in plans for row in plan] == [
            "SEARCH events USING PRIMARY KEY (room=? AND s>?)",
            "SCAN events USING COVERING INDEX rooms",
            "SCAN b USING COVERING INDEX bodies_by_age",
            "SEARCH events USING COVERING INDEX events_by_body (body=?)",
            "SCAN bodies USING COVERING INDEX bodies_by_age",
        ]
        store.close()
