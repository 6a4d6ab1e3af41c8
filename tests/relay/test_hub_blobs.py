"""Put, PutStatus, Get: who may, in which order, how much, for how long."""

import os

import pytest

from chaton.limits import BLOB_BYTES_MAX, DAY_MS, PIECE_BYTES_MAX, PIECE_BYTES_MIN
from chaton.relay.hub import depot
from chaton.relay.hub.depot import DROPPED_AT_ONCE, SPACE_MIN, UPLOAD_LIFE_MS, UPLOADS_MAX
from chaton.relay.hub.effects import Fetch
from chaton.relay.hub.memory import Memory
from chaton.relay.loading import load, reload
from chaton.relay.store.base import BlobGone, PieceRow
from chaton.relay.store.memory import MemoryStore
from chaton.room.records import Close, InviteFlag, Leave, Mute
from chaton.wire import frames
from tests.relay.play import NOW, identity, seed
from tests.relay.stage import Stage, effects

OWNER, ANN, BEN, BOT = (seed(n) for n in (1, 2, 3, 4))
KEY, BOT_KEY = seed(9), seed(10)
BLOB, OTHER_BLOB = b"b" * 32, b"o" * 32
PIECE = PIECE_BYTES_MIN


@pytest.fixture
def stage():
    """A room of three; ``ann`` and ``ben`` are its members' sessions."""
    stage = Stage()
    stage.script, (stage.owner, stage.ann, stage.ben) = stage.room(OWNER, KEY, ANN, BEN)
    return stage


def put(stage, session, offset, data, *, size=3 * PIECE, blob=BLOB, room=None):
    return stage.ask(session, frames.Put, room or stage.script.room, blob, size, offset, data)


def no_put(stage, session, offset, data, *, size=3 * PIECE, blob=BLOB, room=None):
    before = [stage.memory.depot.find(room or stage.script.room, blob), stage.memory.depot.space]
    code = stage.refusal(session, frames.Put, room or stage.script.room, blob, size, offset, data)
    assert [stage.memory.depot.find(room or stage.script.room, blob), stage.memory.depot.space] == before
    return code


def whole(stage, session, size, *, blob=BLOB, room=None):
    """An attachment in pieces; what was put."""
    data = os.urandom(size)
    for offset in range(0, size, PIECE_BYTES_MAX):
        end = min(offset + PIECE_BYTES_MAX, size)
        answer = put(stage, session, offset, data[offset:end], size=size, blob=blob, room=room)
        assert answer == frames.BlobState(answer.ref, size, end)
    return data


def fetched(stage, session, offset=0, *, blob=BLOB, room=None):
    """What the store is asked to tell."""
    decision = stage.play(session, frames.Get(5, room or stage.script.room, blob, offset))
    (fetch,) = effects(decision, Fetch)
    assert (fetch.session, fetch.ref, fetch.offset) == (session.id, 5, offset)
    assert decision.asker == (session.id, 5)
    assert not decision.now
    assert not decision.writes
    return fetch.blob


def status(stage, session, *, blob=BLOB, room=None):
    answer = stage.ask(session, frames.PutStatus, room or stage.script.room, blob)
    assert isinstance(answer, frames.BlobState)
    return answer.size, answer.have


class TestPieces:
    def test_they_come_in_order_and_are_written_before_the_answer(self, stage):
        for n in range(3):
            data = bytes([n]) * PIECE
            answer = put(stage, stage.ann, n * PIECE, data)
            assert answer == frames.BlobState(answer.ref, 3 * PIECE, (n + 1) * PIECE)
            assert not stage.decision.now  # What is acknowledged must be durable.
            row, piece = stage.decision.writes
            assert (row.have, row.complete, row.uploader) == ((n + 1) * PIECE, n == 2, identity(ANN))
            assert piece == PieceRow(stage.script.room, BLOB, n * PIECE, data)
        assert status(stage, stage.ben) == (3 * PIECE, 3 * PIECE)

    def test_the_last_one_again_is_answered_and_writes_nothing(self, stage):
        put(stage, stage.ann, 0, bytes(PIECE))
        put(stage, stage.ann, PIECE, bytes(PIECE))
        for _ in range(2):
            answer = put(stage, stage.ann, PIECE, bytes(PIECE))
            assert (answer.size, answer.have) == (3 * PIECE, 2 * PIECE)
            assert not stage.decision.writes
        put(stage, stage.ann, 2 * PIECE, bytes(PIECE))
        assert put(stage, stage.ann, 2 * PIECE, bytes(PIECE)).have == 3 * PIECE
        assert not stage.decision.writes

    @pytest.mark.parametrize("offset", [0, 1, PIECE - 1, PIECE + 1, 2 * PIECE, 2**60])
    def test_another_offset_is_refused_and_told_what_there_is(self, stage, offset):
        put(stage, stage.ann, 0, bytes(PIECE))
        length = PIECE + 1  # So that none of these is the last piece again.
        answer = put(stage, stage.ann, offset, bytes(length))
        assert answer.code == "bad-offset"
        assert f"{PIECE} of {3 * PIECE} bytes" in answer.detail
        assert status(stage, stage.ann) == (3 * PIECE, PIECE)

    def test_nothing_begins_behind_its_start(self, stage):
        assert no_put(stage, stage.ann, PIECE, bytes(PIECE)) == "bad-offset"
        assert status(stage, stage.ann) == (0, 0)

    def test_the_size_stays(self, stage):
        put(stage, stage.ann, 0, bytes(PIECE))
        for size in (3 * PIECE - 1, 3 * PIECE + 1, 0):
            assert no_put(stage, stage.ann, PIECE, bytes(PIECE), size=size) == "bad-piece"
        assert no_put(stage, stage.ann, 0, bytes(PIECE), size=PIECE + 1) == "bad-piece"  # Not taken for an answer lost.

    @pytest.mark.parametrize("length", [0, 1, PIECE - 1, 2 * PIECE + 1])
    def test_lengths_that_no_piece_has(self, stage, length):
        put(stage, stage.ann, 0, bytes(PIECE))
        assert no_put(stage, stage.ann, PIECE, bytes(length)) == "bad-piece"
        assert put(stage, stage.ann, PIECE, bytes(2 * PIECE)).have == 3 * PIECE

    def test_only_the_last_is_short(self, stage):
        size = PIECE + 1
        assert no_put(stage, stage.ann, 0, bytes(PIECE - 1), size=size) == "bad-piece"
        put(stage, stage.ann, 0, bytes(PIECE), size=size)
        assert put(stage, stage.ann, PIECE, b"x", size=size).have == size

    @pytest.mark.parametrize(("size", "code"), [(0, "bad-piece"), (15, "bad-piece"), (BLOB_BYTES_MAX + 1, "too-large")])
    def test_sizes_that_no_attachment_has(self, stage, size, code):
        assert no_put(stage, stage.ann, 0, bytes(min(size, PIECE)), size=size) == code

    @pytest.mark.parametrize("size", [16, BLOB_BYTES_MAX])
    def test_the_shortest_and_the_longest(self, stage, size):
        assert put(stage, stage.ann, 0, bytes(min(size, PIECE)), size=size).size == size

    def test_a_complete_one_never_changes(self, stage):
        whole(stage, stage.ann, 3 * PIECE)
        assert no_put(stage, stage.ann, 0, bytes(PIECE)) == "bad-offset"
        assert no_put(stage, stage.ann, 3 * PIECE, b"") == "bad-piece"
        assert no_put(stage, stage.ann, 3 * PIECE, bytes(PIECE)) == "bad-piece"
        assert no_put(stage, stage.ben, 0, bytes(3 * PIECE)) == "blob-taken"

    def test_they_are_counted_as_pieces_and_by_their_bytes(self, stage):
        stage.meter.taken.clear()
        put(stage, stage.ann, 0, bytes(PIECE))
        (_, weight), *others = stage.meter.taken
        assert PIECE < weight < PIECE + 100
        assert others == [("pieces", 1)]
        for kind in ("pieces", "bytes"):
            stage.meter.waits = {kind: 77}
            answer = put(stage, stage.ann, PIECE, bytes(PIECE))
            assert (answer.code, answer.retry_ms) == ("limited", 77)
        stage.meter.waits = {}
        assert status(stage, stage.ann) == (3 * PIECE, PIECE)


class TestWho:
    def test_who_has_begun_goes_on_alone(self, stage):
        put(stage, stage.ann, 0, bytes(PIECE))
        assert no_put(stage, stage.ben, PIECE, bytes(PIECE)) == "blob-taken"
        assert no_put(stage, stage.ben, 0, bytes(PIECE)) == "blob-taken"
        assert put(stage, stage.ann, PIECE, bytes(PIECE)).have == 2 * PIECE

    def test_nobody_from_outside(self, stage):
        stranger = stage.login(seed(5))
        room = stage.script.room
        whole(stage, stage.ann, PIECE)
        assert no_put(stage, stranger, 0, bytes(PIECE)) == "not-member"
        assert stage.refusal(stranger, frames.PutStatus, room, BLOB) == "not-member"
        assert stage.refusal(stranger, frames.Get, room, BLOB, 0) == "not-member"
        peeker = stage.connect()
        stage.peek(peeker, room, KEY)
        assert stage.refusal(peeker, frames.Get, room, BLOB, 0) == "not-logged-in"

    def test_nobody_who_waits_to_be_admitted(self):
        stage = Stage()
        script, (_, ann) = stage.room(OWNER, KEY, ANN, approve=True)
        stage.script = script
        assert no_put(stage, ann, 0, bytes(PIECE)) == "not-member"
        assert stage.refusal(ann, frames.Get, script.room, BLOB, 0) == "not-member"

    def test_nobody_who_has_left(self, stage):
        whole(stage, stage.ann, PIECE)
        stage.submit(stage.ben, stage.script, stage.script.sign(BEN, Leave(stage.script.inst(BEN))))
        assert stage.refusal(stage.ben, frames.Get, stage.script.room, BLOB, 0) == "not-member"

    def test_in_no_room_that_is_not_there(self, stage):
        for kind, *fields in ((frames.Put, 16, 0, bytes(16)), (frames.PutStatus,), (frames.Get, 0)):
            assert stage.refusal(stage.ann, kind, bytes(32), BLOB, *fields) == "no-room"

    def test_a_bot_puts_and_gets_nothing(self, stage):
        script = stage.script
        stage.submit(stage.owner, script, script.invite(BOT_KEY, flags=InviteFlag.POST_ONLY))
        bot = stage.login(BOT)
        stage.submit(bot, script, script.join(BOT, BOT_KEY))
        whole(stage, bot, 2 * PIECE)
        assert status(stage, bot) == (2 * PIECE, 2 * PIECE)
        assert stage.refusal(bot, frames.Get, script.room, BLOB, 0) == "not-allowed"
        assert fetched(stage, stage.ann).size == 2 * PIECE

    def test_who_is_muted_gets_and_puts_nothing(self, stage):
        script = stage.script
        put(stage, stage.ann, 0, bytes(PIECE))
        whole(stage, stage.ben, PIECE, blob=OTHER_BLOB)
        stage.submit(stage.owner, script, script.sign(OWNER, Mute(script.inst(ANN), 1)))
        assert no_put(stage, stage.ann, PIECE, bytes(PIECE)) == "muted"
        assert put(stage, stage.ann, 0, bytes(PIECE)).have == PIECE  # The answer that was lost.
        assert fetched(stage, stage.ann, blob=OTHER_BLOB)

    def test_a_closed_room_takes_nothing_and_gives(self, stage):
        script = stage.script
        whole(stage, stage.ann, PIECE)
        stage.submit(stage.owner, script, script.sign(OWNER, Close(type(script.room).zero())))
        assert no_put(stage, stage.ann, 0, bytes(PIECE), blob=OTHER_BLOB) == "closed"
        assert fetched(stage, stage.ben)

    def test_a_direct_rooms_two_and_nobody_else(self, stage):
        stage.ask(stage.ann, frames.Direct, identity(BEN))
        (direct,) = stage.memory.directs_of[identity(ANN)]
        whole(stage, stage.ann, PIECE, room=direct)
        assert fetched(stage, stage.ben, room=direct)
        assert stage.refusal(stage.owner, frames.Get, direct, BLOB, 0) == "no-room"

    def test_each_room_has_its_own_ids(self, stage):
        script, _ = Stage.room(stage, OWNER, seed(11), ANN)
        whole(stage, stage.memory.online[identity(ANN)], PIECE, room=script.room)
        mine = stage.memory.online[identity(OWNER)]
        assert stage.refusal(mine, frames.Get, stage.script.room, BLOB, 0) == "no-blob"
        assert no_put(stage, mine, PIECE, bytes(PIECE), size=2 * PIECE) == "bad-offset"
        whole(stage, mine, 2 * PIECE)
        assert (fetched(stage, mine).size, fetched(stage, mine, room=script.room).size) == (2 * PIECE, PIECE)


class TestGet:
    def test_only_what_is_complete(self, stage):
        room = stage.script.room
        assert stage.refusal(stage.ben, frames.Get, room, BLOB, 0) == "no-blob"
        put(stage, stage.ann, 0, bytes(PIECE))
        for session in (stage.ann, stage.ben):
            assert stage.refusal(session, frames.Get, room, BLOB, 0) == "no-blob"
        put(stage, stage.ann, PIECE, bytes(2 * PIECE))
        for offset in (0, 1, 3 * PIECE - 1):
            assert fetched(stage, stage.ben, offset).size == 3 * PIECE

    @pytest.mark.parametrize("behind", [0, 1, 2**60])
    def test_nothing_behind_the_end(self, stage, behind):
        whole(stage, stage.ann, PIECE)
        assert stage.refusal(stage.ben, frames.Get, stage.script.room, BLOB, PIECE + behind) == "bad-offset"

    def test_what_goes_out_is_counted(self, stage):
        size = PIECE_BYTES_MAX + PIECE
        whole(stage, stage.ann, size)
        for offset, length in ((0, PIECE_BYTES_MAX), (PIECE_BYTES_MAX, PIECE), (size - 1, 1)):
            stage.meter.taken.clear()
            fetched(stage, stage.ben, offset)
            assert stage.meter.taken[1:] == [("pieces", 1), ("bytes", length)]
        stage.meter.waits = {"bytes": 55}
        answer = stage.ask(stage.ben, frames.Get, stage.script.room, BLOB, 0)
        assert (answer.code, answer.retry_ms) == ("limited", 55)


class TestBounds:
    def test_eight_unfinished_ones_of_one_identity_in_all_rooms(self, stage):
        other, _ = Stage.room(stage, OWNER, seed(11), ANN)
        ann = stage.memory.online[identity(ANN)]
        for n in range(UPLOADS_MAX):
            room = other.room if n % 2 else stage.script.room
            put(stage, ann, 0, bytes(PIECE), blob=bytes([n]) * 32, room=room)
            stage.now += 1_000
        answer = put(stage, ann, 0, bytes(PIECE))
        assert answer.code == "limited"
        assert answer.retry_ms == UPLOAD_LIFE_MS - UPLOADS_MAX * 1_000
        assert put(stage, stage.memory.online[identity(BEN)], 0, bytes(PIECE)).have == PIECE
        assert put(stage, ann, PIECE, bytes(2 * PIECE), blob=bytes(32)).have == 3 * PIECE
        assert put(stage, ann, 0, bytes(PIECE), blob=OTHER_BLOB).have == PIECE

    def test_a_rooms_space_is_taken_whole_by_the_first_piece(self):
        stage = Stage(room_blob_bytes=10 * SPACE_MIN)
        stage.script, (owner, ann) = stage.room(OWNER, KEY, ANN)
        assert no_put(stage, ann, 0, bytes(PIECE), size=10 * SPACE_MIN + 1) == "too-large"
        put(stage, ann, 0, bytes(PIECE), size=8 * SPACE_MIN)
        assert no_put(stage, owner, 0, bytes(PIECE), size=2 * SPACE_MIN + 1, blob=OTHER_BLOB) == "blob-quota"
        assert put(stage, owner, 0, bytes(PIECE), size=2 * SPACE_MIN, blob=OTHER_BLOB).have == PIECE
        assert no_put(stage, owner, 0, bytes(16), size=16, blob=b"x" * 32) == "blob-quota"
        other, _ = Stage.room(stage, OWNER, seed(11))
        put(stage, stage.memory.online[identity(OWNER)], 0, bytes(16), size=16, room=other.room)

    def test_the_relays_space_is_for_all_rooms(self):
        stage = Stage(blob_bytes=3 * SPACE_MIN)
        stage.script, (_, ann) = stage.room(OWNER, KEY, ANN)
        other, (owner,) = stage.room(OWNER, seed(11))
        put(stage, ann, 0, bytes(PIECE), size=2 * SPACE_MIN)
        put(stage, owner, 0, bytes(16), size=16, room=other.room)  # A small one counts for 64 KiB.
        answer = put(stage, ann, 0, bytes(16), size=16, blob=OTHER_BLOB)
        assert answer.code == "blob-quota"
        assert "relay" in answer.detail

    def test_a_small_one_counts_for_64_kib_and_the_space_is_given_to_its_last_byte(self):
        stage = Stage(blob_bytes=131_072)
        stage.script, (_, ann) = stage.room(OWNER, KEY, ANN)
        for blob in (BLOB, OTHER_BLOB):
            assert put(stage, ann, 0, bytes(16), size=16, blob=blob).have == 16
        assert no_put(stage, ann, 0, bytes(16), size=16, blob=b"x" * 32) == "blob-quota"

    @pytest.mark.parametrize("policy", [{"room_blob_bytes": 0}, {"blob_bytes": 0}])
    def test_a_relay_that_takes_none(self, policy):
        stage = Stage(**policy)
        stage.script, (_, ann) = stage.room(OWNER, KEY, ANN)
        assert no_put(stage, ann, 0, bytes(16), size=16) == "too-large"


class TestTime:
    def test_what_is_unfinished_is_dropped_after_a_day_and_may_begin_again(self, stage):
        put(stage, stage.ann, 0, bytes(PIECE))
        stage.now += UPLOAD_LIFE_MS - 1
        put(stage, stage.ann, PIECE, bytes(PIECE))
        assert stage.hub.expire(stage.now).writes == []
        stage.now += 1
        assert stage.hub.expire(stage.now).writes == [BlobGone(stage.script.room, BLOB)]
        assert status(stage, stage.ann) == (0, 0)
        assert (stage.memory.depot.space, stage.memory.depot.stored) == (0, 0)
        put(stage, stage.ben, 0, bytes(PIECE))

    def test_what_is_complete_is_kept_as_long_as_messages_from_its_last_piece_on(self):
        stage = Stage(blob_life_ms=7 * DAY_MS)
        stage.script, (_, ann) = stage.room(OWNER, KEY, ANN)
        put(stage, ann, 0, bytes(PIECE))
        stage.now += DAY_MS // 2
        put(stage, ann, PIECE, bytes(2 * PIECE))
        stage.now += 7 * DAY_MS - 1
        assert stage.hub.expire(stage.now).writes == []
        assert fetched(stage, ann)
        stage.now += 1
        assert stage.hub.expire(stage.now).writes == [BlobGone(stage.script.room, BLOB)]
        assert stage.refusal(ann, frames.Get, stage.script.room, BLOB, 0) == "no-blob"
        assert stage.memory.depot.space_of(stage.script.room) == 0

    def test_not_all_are_dropped_at_once(self, stage, monkeypatch):
        assert DROPPED_AT_ONCE > 2**20
        monkeypatch.setattr(depot, "DROPPED_AT_ONCE", 5 * PIECE)
        for n in range(5):
            whole(stage, stage.ann, 3 * PIECE, blob=bytes([n]) * 32)
        stage.now += 31 * DAY_MS
        dropped = [[write.blob[0] for write in stage.hub.expire(stage.now).writes] for _ in range(4)]
        assert dropped == [[0, 1], [2, 3], [4], []]

    @pytest.mark.parametrize(("at_once", "dropped"), [(3 * PIECE, 1), (3 * PIECE + 1, 2)])
    def test_dropping_ends_with_the_one_that_fills_the_measure(self, stage, monkeypatch, at_once, dropped):
        monkeypatch.setattr(depot, "DROPPED_AT_ONCE", at_once)
        for n in range(3):
            whole(stage, stage.ann, 3 * PIECE, blob=bytes([n]) * 32)
        stage.now += 31 * DAY_MS
        assert len(stage.hub.expire(stage.now).writes) == dropped

    def test_a_room_whose_attachments_are_gone_is_not_counted_any_more(self, stage):
        put(stage, stage.ann, 0, bytes(PIECE))
        assert stage.memory.depot._space_of == {stage.script.room: SPACE_MIN}
        stage.now += UPLOAD_LIFE_MS
        stage.hub.expire(stage.now)
        assert stage.memory.depot._space_of == {}


class TestMemory:
    def test_what_the_store_has_is_known_after_a_start(self, stage):
        store = MemoryStore()
        put(stage, stage.ann, 0, bytes(PIECE))
        store.commit(stage.decision.writes)
        for offset in (0, PIECE):
            put(stage, stage.ben, offset, bytes(PIECE), size=2 * PIECE, blob=OTHER_BLOB)
            store.commit(stage.decision.writes)
        fresh = Memory(stage.memory.pin, stage.memory.policy, stage.meter, NOW)
        load(fresh, store)
        known = stage.memory.depot
        assert vars(fresh.depot) == vars(known)
        assert (fresh.depot.space, fresh.depot.stored) == (2 * SPACE_MIN, 3 * PIECE)

    def test_a_lost_piece_is_unknown_again(self, stage):
        store = MemoryStore()
        put(stage, stage.ann, 0, bytes(PIECE))
        store.commit(stage.decision.writes)
        put(stage, stage.ann, PIECE, bytes(PIECE))
        lost = stage.decision
        (told,) = stage.hub.failed(lost).now
        assert told.frame.code == "store-failed"
        reload(stage.memory, store, lost.writes)()
        assert status(stage, stage.ann) == (3 * PIECE, PIECE)

    def test_one_whose_first_piece_is_lost_is_unknown_again(self, stage):
        put(stage, stage.ann, 0, bytes(PIECE))
        reload(stage.memory, MemoryStore(), stage.decision.writes)()
        assert status(stage, stage.ann) == (0, 0)
        assert (stage.memory.depot.space, stage.memory.depot.stored) == (0, 0)

    def test_a_dropped_one_that_the_disk_kept_is_there_again(self, stage):
        store = MemoryStore()
        put(stage, stage.ann, 0, bytes(PIECE))
        store.commit(stage.decision.writes)
        gone = stage.hub.expire(stage.now + UPLOAD_LIFE_MS).writes
        assert gone
        reload(stage.memory, store, gone)()
        assert status(stage, stage.ann) == (3 * PIECE, PIECE)
