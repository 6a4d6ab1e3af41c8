"""One suite over every store: what ``chaton.relay.store.base.Store`` promises."""

from collections.abc import Callable
from threading import Thread

import pytest
from msgspec.structs import replace

from chaton.errors import StoreError
from chaton.limits import UINT_MAX
from chaton.relay.store.base import BodyGone, ParcelsGone, Store
from chaton.relay.store.memory import MemoryStore
from chaton.relay.store.sqlite import SqliteStore

from .rows import blob, blob_gone, blob_id, bundle, direct, message, parcel, piece, pruned, record, room, who

Make = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "data")
    yield made
    made.close()


def everything(store: Store):
    rooms = sorted(store.rooms())
    return {
        "directs": sorted(store.directs(), key=lambda row: row.room),
        "skeletons": {room: list(store.skeleton(room)) for room in rooms},
        "events": {room: store.events(room, -1, UINT_MAX) for room in rooms},
        "bundles": sorted(store.bundles(), key=lambda row: row.identity),
        "waiting": list(store.waiting()),
        "blobs": [(row, store.piece(row.room, row.blob, 0, 2**20)) for row in store.blobs()],
    }


class TestEvents:
    def test_a_new_store_is_empty(self, store):
        assert list(store.rooms()) == []
        assert list(store.directs()) == []
        assert list(store.skeleton(room())) == []
        assert store.events(room(), -1, 1_000) == []
        assert list(store.bundles()) == []
        assert store.parcels(who("bob"), -1, 10) == []
        assert list(store.waiting()) == []
        assert list(store.blobs()) == []
        assert store.piece(room(), blob_id("a"), 0, 100) == b""
        assert store.prune(UINT_MAX, 0) == []

    def test_events_come_back_as_they_were_written(self, store):
        rows = [
            record(0, 0),
            message(1, at=UINT_MAX),
            record(2, 1, body=b""),
            message(3, sender="bob", body=bytes(70_000)),
        ]
        store.commit(rows)
        assert store.events(room(), -1, UINT_MAX) == rows
        assert [type(row.id) for row in store.events(room(), -1, UINT_MAX)] == [type(row.id) for row in rows]

    def test_a_room_has_its_own_events_only(self, store):
        store.commit([record(0, 0), message(1), record(0, 0, in_room="other"), message(1, in_room="other")])
        assert store.events(room("other"), 0, UINT_MAX) == [message(1, in_room="other")]
        assert sorted(store.rooms()) == sorted([room(), room("other")])

    def test_events_after_a_number_come_in_order_whatever_the_order_of_writing(self, store):
        store.commit([message(7), message(5)])
        store.commit([message(6), record(0, 0)])
        assert [row.s for row in store.events(room(), 0, UINT_MAX)] == [5, 6, 7]
        assert [row.s for row in store.events(room(), 5, UINT_MAX)] == [6, 7]
        assert store.events(room(), 7, UINT_MAX) == []
        assert [row.s for row in store.skeleton(room())] == [0, 5, 6, 7]

    @pytest.mark.parametrize(
        ("limit", "count"), [(0, 1), (99, 1), (100, 1), (199, 1), (200, 2), (250, 2), (300, 3), (1_000, 3)]
    )
    def test_as_many_whole_events_as_fit_and_one_at_least(self, store, limit, count):
        store.commit([message(s, body=bytes(100)) for s in (1, 2, 3)])
        assert [row.s for row in store.events(room(), 0, limit)] == [1, 2, 3][:count]

    def test_a_skeleton_has_records_whole_and_messages_without_a_body(self, store):
        rows = [record(0, 0), message(1), message(2), record(3, 1)]
        store.commit([*rows, BodyGone(room(), 2)])
        bare = replace(pruned(rows[2]), body=b"")
        assert list(store.skeleton(room())) == [rows[0], replace(rows[1], body=b""), bare, rows[3]]

    def test_more_events_and_parcels_than_are_read_at_once(self, store):
        count = 2_345
        store.commit([record(0, 0), *(message(s) for s in range(1, count)), *(parcel(t, "bob") for t in range(count))])
        assert [row.s for row in store.skeleton(room())] == list(range(count))
        assert [row[0] for row in store.waiting()] == list(range(count))

    def test_a_room_is_listed_from_its_event_0_on(self, store):
        store.commit([message(1)])
        assert list(store.rooms()) == []
        store.commit([record(0, 0)])
        assert list(store.rooms()) == [room()]

    def test_an_iterator_may_be_left_half_read_while_the_store_is_written(self, store):
        store.commit([record(0, 0), *(message(s) for s in range(1, 200))])
        half_read = store.skeleton(room())
        assert next(half_read).s == 0
        store.commit([message(200), BodyGone(room(), 1)])
        assert store.events(room(), 199, 1) == [message(200)]
        assert [row.s for row in half_read][:199] == list(range(1, 200))


class TestGroups:
    def test_all_of_a_group_or_nothing(self, store):
        kept = [record(0, 0), message(1), parcel(1, "bob"), bundle("ann", 1), direct("ann", "bob")]
        store.commit([*kept, blob("a", 4, 2), piece("a", 0, b"ab"), blob("b", 1, 1), piece("b", 0, b"b")])
        before = everything(store)
        new = [message(2), parcel(2, "bob"), bundle("ann", 2), direct("ann", "cat"), BodyGone(room(), 1)]
        new += [ParcelsGone(who("bob"), (1,)), blob("a", 4, 4), piece("a", 2, b"cd"), blob_gone("b")]
        for repeated in (message(1), record(0, 0), parcel(1, "cat"), direct("ann", "bob")):
            for group in ([*new, repeated], [repeated, *new], [*new[:2], repeated, *new[2:]]):
                with pytest.raises(StoreError) as caught:
                    store.commit(group)
                assert caught.value.hint
                assert everything(store) == before
        store.commit(new)
        assert everything(store) != before

    @pytest.mark.parametrize(
        "twice", [[message(1), message(1)], [parcel(1, "bob"), parcel(1, "cat")], [direct("a", "b")] * 2]
    )
    def test_the_same_thing_twice_in_one_group_is_refused(self, store, twice):
        with pytest.raises(StoreError):
            store.commit([record(0, 0), *twice])
        assert list(store.rooms()) == []

    def test_an_empty_group_is_fine(self, store):
        store.commit([])
        assert list(store.rooms()) == []

    @pytest.mark.parametrize("count", [1, 2, 3, 127, 128, 129, 300])
    def test_groups_of_any_size(self, store, count):
        events = [message(s) for s in range(1, count + 1)]
        parcels = [parcel(token, "bob") for token in range(count)]
        store.commit([row for pair in zip(events, parcels, strict=True) for row in pair])
        assert store.events(room(), 0, UINT_MAX) == events
        assert store.parcels(who("bob"), -1, count + 1) == parcels
        store.commit([ParcelsGone(who("bob"), tuple(range(count))), *(BodyGone(room(), row.s) for row in events)])
        assert store.parcels(who("bob"), -1, 1) == []
        assert store.events(room(), 0, UINT_MAX) == [pruned(row) for row in events]

    def test_one_thread_reads_whole_groups_while_another_writes(self, store):
        groups = 150

        def write():
            for s in range(1, 2 * groups, 2):
                store.commit([message(s), message(s + 1), parcel(s, "bob")])

        writer = Thread(target=write)
        writer.start()
        seen = 0
        while seen < 2 * groups:
            assert writer.is_alive() or len(store.events(room(), 0, UINT_MAX)) == 2 * groups
            rows = store.events(room(), seen, UINT_MAX)
            assert len(rows) % 2 == 0
            assert [row.s for row in rows] == list(range(seen + 1, seen + 1 + len(rows)))
            seen += len(rows)
        writer.join()


class TestDirectsAndBundles:
    def test_direct_rooms(self, store):
        store.commit([direct("ann", "bob"), direct("cat", "bob"), message(1, in_room="ann bob")])
        rows = [direct("ann", "bob"), direct("cat", "bob")]
        assert sorted(store.directs(), key=repr) == sorted(rows, key=repr)
        assert list(store.rooms()) == []
        assert store.events(room("ann bob"), -1, 100) == [message(1, in_room="ann bob")]

    def test_the_last_bundle_of_an_identity_is_current(self, store):
        store.commit([bundle("ann", 1), bundle("bob", 1, until=9_000), bundle("ann", 2)])
        assert sorted(store.bundles(), key=lambda row: row.raw) == [bundle("ann", 2), bundle("bob", 1, until=9_000)]
        store.commit([bundle("bob", 2)])
        assert sorted(store.bundles(), key=lambda row: row.raw) == [bundle("ann", 2), bundle("bob", 2)]


class TestParcels:
    def test_in_order_of_their_tokens_after_one_and_up_to_a_limit(self, store):
        store.commit([parcel(5, "bob"), parcel(3, "cat"), parcel(9, "bob"), parcel(4, "bob")])
        store.commit([parcel(2, "bob"), parcel(10, "bob")])
        assert [row.token for row in store.parcels(who("bob"), -1, 10)] == [2, 4, 5, 9, 10]
        assert [row.token for row in store.parcels(who("bob"), 4, 2)] == [5, 9]
        assert store.parcels(who("bob"), 10, 2) == []
        assert store.parcels(who("cat"), -1, 10) == [parcel(3, "cat")]

    def test_taken_parcels_are_gone_and_nobody_takes_those_of_others(self, store):
        store.commit([parcel(1, "bob"), parcel(2, "bob"), parcel(3, "cat")])
        store.commit([ParcelsGone(who("bob"), (1, 3, 99)), ParcelsGone(who("dan"), (2,)), ParcelsGone(who("bob"), ())])
        assert store.parcels(who("bob"), -1, 10) == [parcel(2, "bob")]
        assert store.parcels(who("cat"), -1, 10) == [parcel(3, "cat")]

    def test_what_waits_is_told_in_order_with_its_size(self, store):
        store.commit([parcel(2, "bob", raw=bytes(1_747)), parcel(1, "cat", sender="dan", in_room="other")])
        assert list(store.waiting()) == [
            (1, who("cat"), who("dan"), room("other"), 1_001, 6),
            (2, who("bob"), who("ann"), room(), 1_002, 1_747),
        ]


class TestPruning:
    def test_messages_before_a_time_lose_their_bodies(self, store):
        rows = [record(0, 0, at=1), message(1, at=10), record(2, 1, at=11), message(3, at=20), message(4, at=30)]
        store.commit(rows)
        assert store.prune(20, UINT_MAX) == [BodyGone(room(), 1)]
        assert store.prune(20, UINT_MAX) == []
        assert store.events(room(), -1, UINT_MAX) == [rows[0], pruned(rows[1]), *rows[2:]]

    def test_the_oldest_over_the_cap_go_from_whatever_room(self, store):
        store.commit(
            [record(0, 0, body=bytes(2_000)), message(1, at=30, body=bytes(100)), message(2, at=10, body=bytes(100))]
        )
        store.commit(
            [message(1, in_room="other", at=20, body=bytes(100)), message(2, in_room="other", at=40, body=bytes(100))]
        )
        assert store.prune(0, 400) == []
        assert store.prune(0, 399) == [BodyGone(room(), 2)]
        assert store.prune(0, 150) == [BodyGone(room("other"), 1), BodyGone(room(), 1)]
        assert [row.kind for row in store.events(room(), -1, UINT_MAX)] == [0, 2, 2]
        assert store.prune(0, 0) == [BodyGone(room("other"), 2)]

    def test_age_and_cap_together(self, store):
        store.commit([message(s, at=s * 10, body=bytes(100)) for s in range(1, 7)])
        assert store.prune(25, 300) == [BodyGone(room(), 1), BodyGone(room(), 2), BodyGone(room(), 3)]

    def test_a_redacted_body_is_not_counted_and_not_told_again(self, store):
        store.commit([message(1, at=10, body=bytes(100)), message(2, at=20, body=bytes(100))])
        store.commit([BodyGone(room(), 1)])
        assert store.events(room(), 0, UINT_MAX)[0] == pruned(message(1, at=10))
        assert store.prune(0, 100) == []
        assert store.prune(100, UINT_MAX) == [BodyGone(room(), 2)]

    def test_only_what_has_a_body_loses_it(self, store):
        store.commit([record(0, 0), message(1)])
        gone = [
            BodyGone(room(), 0),
            BodyGone(room(), 1),
            BodyGone(room(), 1),
            BodyGone(room(), 9),
            BodyGone(room("other"), 0),
        ]
        store.commit(gone)
        store.commit(gone)
        assert store.events(room(), -1, UINT_MAX) == [record(0, 0), pruned(message(1))]

    def test_a_body_may_come_and_go_in_one_group(self, store):
        store.commit([message(1), BodyGone(room(), 1)])
        assert store.events(room(), 0, UINT_MAX) == [pruned(message(1))]

    def test_bundles_that_nobody_serves_any_more_are_forgotten(self, store):
        store.commit([bundle("ann", 1), bundle("bob", 1, until=99), bundle("cat", 1, until=100)])
        assert store.prune(100, UINT_MAX) == []
        assert sorted(store.bundles(), key=lambda row: row.raw) == [bundle("ann", 1), bundle("cat", 1, until=100)]


class TestBlobs:
    def test_pieces_come_back_from_any_offset_on(self, store):
        whole = bytes(range(200))
        for first in (0, 60, 120, 180):
            data = whole[first : first + 60]
            store.commit([blob("a", 200, first + len(data)), piece("a", first, data)])
        assert list(store.blobs()) == [blob("a", 200, 200)]
        for offset in (0, 1, 59, 60, 61, 119, 150, 180, 199):
            for limit in (60, 61, 100, 120, 1_000):
                assert store.piece(room(), blob_id("a"), offset, limit) == whole[offset : offset + limit]
        assert store.piece(room(), blob_id("a"), 200, 60) == b""

    def test_several_pieces_in_one_group_and_the_last_row_counts(self, store):
        store.commit([blob("a", 6, 2), piece("a", 0, b"ab"), message(1), blob("a", 6, 4, at=7), piece("a", 2, b"cd")])
        assert list(store.blobs()) == [blob("a", 6, 4, at=7)]
        assert store.piece(room(), blob_id("a"), 1, 9) == b"bcd"

    def test_one_id_in_two_rooms_is_two_attachments(self, store):
        store.commit([blob("a", 1, 1), piece("a", 0, b"x")])
        store.commit([blob("a", 2, 2, in_room="other", at=9), piece("a", 0, b"yz", in_room="other")])
        assert store.piece(room(), blob_id("a"), 0, 9) == b"x"
        assert store.piece(room("other"), blob_id("a"), 0, 9) == b"yz"
        store.commit([blob_gone("a")])
        assert store.piece(room(), blob_id("a"), 0, 9) == b""
        assert store.piece(room("other"), blob_id("a"), 0, 9) == b"yz"
        assert list(store.blobs()) == [blob("a", 2, 2, in_room="other", at=9)]

    def test_they_are_told_in_order_of_their_times(self, store):
        rows = [blob("a", 1, 1, at=30), blob("b", 1, 1, at=10), blob("c", 1, 1, at=20)]
        store.commit(rows)
        assert [row.at for row in store.blobs()] == [10, 20, 30]

    def test_what_is_gone_may_begin_again_also_in_one_group(self, store):
        store.commit([blob("a", 4, 2), piece("a", 0, b"ab")])
        store.commit([blob("a", 4, 4), piece("a", 2, b"cd"), blob_gone("a"), blob("a", 3, 3), piece("a", 0, b"xyz")])
        assert list(store.blobs()) == [blob("a", 3, 3)]
        assert store.piece(room(), blob_id("a"), 0, 9) == b"xyz"
        store.commit([blob_gone("a"), blob_gone("b")])
        assert list(store.blobs()) == []
        store.commit([blob("a", 4, 2), piece("a", 0, b"ab"), blob_gone("a")])
        assert list(store.blobs()) == []
        assert store.piece(room(), blob_id("a"), 0, 9) == b""

    def test_retention_of_messages_is_none_of_their_business(self, store):
        store.commit([blob("a", 1, 1, at=1), piece("a", 0, b"x"), message(1, at=1)])
        assert store.prune(1_000, 0) == [BodyGone(room(), 1)]
        assert store.piece(room(), blob_id("a"), 0, 9) == b"x"
