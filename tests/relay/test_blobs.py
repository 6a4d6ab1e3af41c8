"""Attachments over real TLS: cut off, gone on with, told to others, and never in anybody's way."""

import contextlib
import os
import random
import signal
from dataclasses import replace

import pytest
from msgspec import structs

from chaton.errors import StoreError
from chaton.identity.ids import BlobId
from chaton.limits import BLOB_BYTES_MAX, DAY_MS, PIECE_BYTES_MAX
from chaton.relay.config import Limits, Rate, Rates
from chaton.relay.delivery import FETCHES_MAX
from chaton.relay.store.base import BlobGone
from chaton.wire import codec, frames
from tests.relay.client import Closed, RawClient
from tests.relay.helpers import ANN, BEN, OWNER, events, follow, open_room, say, seat, turns_until
from tests.relay.play import Script, identity, seed
from tests.relay.test_kill import relay_process

MIB = 2**20
BLOB = b"b" * 32
FAST = Limits(identity=Rates(pieces=Rate(per_second=1e6, burst=1e6), bytes=Rate(per_second=1e9, burst=1e9)))


async def put_from(client: RawClient, room: bytes, data: bytes, have: int) -> None:
    """The pieces from an offset on, all sent ahead of their answers."""
    refs = {}
    for offset in range(have, len(data), PIECE_BYTES_MAX):
        piece = data[offset : offset + PIECE_BYTES_MAX]
        refs[client.ref()] = offset + len(piece)
        await client.say(frames.Put(client.refs, room, BLOB, len(data), offset, piece))
    for ref, end in refs.items():
        answer = await client.until(lambda frame, ref=ref: getattr(frame, "ref", None) == ref)
        assert answer == frames.BlobState(ref, len(data), end)


async def get(client: RawClient, room: bytes, size: int, *, first: int = 0) -> bytes:
    """What there is from an offset on."""
    found = bytearray()
    while first + len(found) < size:
        answer = await client.ask(frames.Get, room, BLOB, first + len(found))
        assert isinstance(answer, frames.BlobPiece), answer
        assert (answer.size, answer.offset) == (size, first + len(found))
        assert 0 < len(answer.data) <= PIECE_BYTES_MAX
        found += answer.data
    return bytes(found)


async def test_cut_off_at_any_piece_and_gone_on_with(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann, ben = await seat(house, script, ANN), await seat(house, script, BEN)
    assert owner.welcome.limits.blob_bytes_max == BLOB_BYTES_MAX
    data = os.urandom(5 * MIB + 17)
    cut = random.randrange(1, 19) * PIECE_BYTES_MAX
    for offset in range(0, cut, PIECE_BYTES_MAX):
        piece = data[offset : offset + PIECE_BYTES_MAX]
        answer = await ann.ask(frames.Put, script.room, BLOB, len(data), offset, piece)
        assert (answer.size, answer.have) == (len(data), offset + len(piece))
    half = frames.Put(999, script.room, BLOB, len(data), cut, data[cut : cut + PIECE_BYTES_MAX])
    await ann.say(half)
    ann.close()  # Its answer is lost, and maybe the piece.
    ann = await house.client(ANN)
    state = await ann.ask(frames.PutStatus, script.room, BLOB)
    assert (state.size, state.have) in {(len(data), cut), (len(data), cut + PIECE_BYTES_MAX)}
    assert (await ben.ask(frames.Get, script.room, BLOB, 0)).code == "no-blob"
    await put_from(ann, script.room, data, state.have)
    assert await get(ben, script.room, len(data)) == data
    for first in (1, PIECE_BYTES_MAX - 1, len(data) - 1, random.randrange(len(data))):
        assert await get(owner, script.room, len(data), first=first) == data[first:]
    stranger = await house.client(seed(77))
    assert (await stranger.ask(frames.Get, script.room, BLOB, 0)).code == "not-member"
    assert (await stranger.ask(frames.PutStatus, script.room, BLOB)).code == "not-member"


async def test_what_the_operator_chose_is_what_holds(house):
    house.options |= {"room_blob_bytes": 200_000, "blob_bytes": 300_000, "retention_days": 3}
    relay = house.open()
    policy = relay.memory.policy
    assert (policy.room_blob_bytes, policy.blob_bytes, policy.blob_life_ms) == (200_000, 300_000, 3 * DAY_MS)
    script = Script(OWNER)
    owner = await open_room(house, script)
    assert owner.welcome.limits.blob_bytes_max == 200_000
    piece = bytes(5_000)
    assert (await owner.ask(frames.Put, script.room, BLOB, 200_001, 0, piece)).code == "too-large"
    assert (await owner.ask(frames.Put, script.room, BLOB, 200_000, 0, piece)).have == 5_000
    relay.reload(structs.replace(house.config, room_blob_bytes=0))
    assert (await owner.ask(frames.Put, script.room, b"o" * 32, 5_000, 0, piece)).code == "too-large"
    assert (await owner.ask(frames.Put, script.room, BLOB, 200_000, 5_000, piece)).have == 10_000
    assert (await house.connect()).welcome.limits.blob_bytes_max == 0


async def test_it_is_there_after_a_restart(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    data = os.urandom(MIB + 1)
    await put_from(owner, script.room, data, 0)
    await owner.ask(frames.Put, script.room, b"o" * 32, 2 * MIB, 0, data[:5_000])
    await house.close()
    if house.config.memory:
        return
    house.open()
    owner = await house.client(OWNER)
    assert await get(owner, script.room, len(data)) == data
    state = await owner.ask(frames.PutStatus, script.room, b"o" * 32)
    assert (state.size, state.have) == (2 * MIB, 5_000)


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
async def test_kill_9_between_pieces(pair, tmp_path, acknowledged):
    script = Script(OWNER)
    data = os.urandom(40 * 65_536)
    async with relay_process(pair, tmp_path / "data") as (process, where):
        owner = await RawClient.connect(*where)
        await owner.login(OWNER)
        await owner.ask(frames.Create, script.genesis.raw)
        for offset in range(0, len(data), 65_536):
            piece = data[offset : offset + 65_536]
            await owner.say(frames.Put(1_000 + offset, script.room, BLOB, len(data), offset, piece))
        told = [await owner.expect(frames.BlobState) for _ in range(acknowledged)]
        os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(Closed, ConnectionError):
            while True:
                told.append(await owner.expect(frames.BlobState))
        owner.close()
    async with relay_process(pair, tmp_path / "data") as (_, where):
        owner = await RawClient.connect(*where)
        await owner.login(OWNER)
        state = await owner.ask(frames.PutStatus, script.room, BLOB)
        assert state.size == len(data)
        assert state.have >= max(answer.have for answer in told) >= acknowledged * 65_536
        await put_from(owner, script.room, data, state.have)
        assert await get(owner, script.room, len(data)) == data
        owner.close()


async def test_a_full_disk_refuses_the_piece_and_what_was_acknowledged_stays(house):
    class Full:
        def __init__(self, store):
            self.store, self.full = store, False

        def __getattr__(self, name):
            return getattr(self.store, name)

        def commit(self, writes):
            if self.full and writes:
                raise StoreError("the disk is full")
            self.store.commit(writes)

    house.open(wrap=Full)
    script = Script(OWNER)
    owner = await open_room(house, script)
    data = os.urandom(3 * PIECE_BYTES_MAX)
    await owner.ask(frames.Put, script.room, BLOB, len(data), 0, data[:PIECE_BYTES_MAX])
    house.store.full = True
    piece = data[PIECE_BYTES_MAX : 2 * PIECE_BYTES_MAX]
    refused = await owner.ask(frames.Put, script.room, BLOB, len(data), PIECE_BYTES_MAX, piece)
    assert (refused.code, refused.retry_ms > 0) == ("store-failed", True)
    house.store.full = False
    await turns_until(lambda: not house.relay.engine._hub.suspended)
    state = await owner.ask(frames.PutStatus, script.room, BLOB)
    assert state.have == PIECE_BYTES_MAX
    await put_from(owner, script.room, data, state.have)
    assert await get(owner, script.room, len(data)) == data


async def test_a_database_that_may_not_grow_refuses(house):
    """SQLite's own word, not a stand-in's."""
    house.open()
    if house.config.memory:
        return
    script = Script(OWNER)
    owner = await open_room(house, script)
    writer = house.store._writer
    unbounded = writer.pragma("max_page_count")
    writer.pragma("max_page_count", writer.pragma("page_count") + 20)
    data = os.urandom(PIECE_BYTES_MAX)
    refused = await owner.ask(frames.Put, script.room, BLOB, len(data), 0, data)
    assert refused.code == "store-failed"
    writer.pragma("max_page_count", unbounded)
    await turns_until(lambda: not house.relay.engine._hub.suspended)
    assert (await owner.ask(frames.PutStatus, script.room, BLOB)).size == 0
    await put_from(owner, script.room, data, 0)
    assert await get(owner, script.room, len(data)) == data


async def test_what_retention_drops_is_gone_for_readers_and_from_the_store(house):
    relay = house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    data = os.urandom(MIB)
    await put_from(owner, script.room, data, 0)
    relay.engine.expire()
    assert await get(owner, script.room, len(data)) == data
    relay.memory.policy = replace(relay.memory.policy, blob_life_ms=0)
    relay.engine.expire()
    assert (await owner.ask(frames.Get, script.room, BLOB, 0)).code == "no-blob"
    state = await owner.ask(frames.PutStatus, script.room, BLOB)
    assert (state.size, state.have) == (0, 0)
    assert list(house.store.blobs()) == []
    assert house.store.piece(script.room, BlobId(BLOB), 0, PIECE_BYTES_MAX) == b""


async def test_what_goes_while_it_is_asked_for_is_refused(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    await put_from(owner, script.room, os.urandom(MIB), 0)
    house.store.commit([BlobGone(script.room, BlobId(BLOB))])
    assert (await owner.ask(frames.Get, script.room, BLOB, 0)).code == "no-blob"


async def test_who_gets_as_fast_as_it_can_delays_nobody_and_costs_little(house):
    house.open(limits=FAST)
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann, ben = await seat(house, script, ANN), await seat(house, script, BEN, limit=2**14)
    data = os.urandom(8 * MIB)
    await put_from(owner, script.room, data, 0)
    await follow(ben, script)
    (connection,) = (c for c in house.relay.engine._connections.values() if c.identity == identity(BEN))
    offsets = range(0, len(data), PIECE_BYTES_MAX)
    for n, offset in enumerate(offsets):
        await ben.say(frames.Get(1_000 + n, script.room, BLOB, offset))
    await turns_until(lambda: connection.fetches and connection.peer.queued)
    # It does not read: what waits for it is one piece, and what others ask is answered meanwhile.
    for _ in range(20):
        await say(owner, script)
        assert isinstance(await ann.ask(frames.Ping), frames.Pong)
        assert connection.peer.queued < 2 * PIECE_BYTES_MAX
    told = await events(ben, script.history.s)
    assert [event.s for event in told] == list(range(1, script.history.s + 1))
    before = ben.seen[: ben.seen.index(told[-1])]
    assert sum(isinstance(frame, frames.BlobPiece) for frame in before) < len(offsets)  # Talk goes before pieces.
    pieces = [await ben.expect(frames.BlobPiece) for _ in offsets]
    assert [piece.ref for piece in pieces] == [1_000 + n for n in range(len(offsets))]
    assert b"".join(piece.data for piece in pieces) == data


async def test_who_gets_much_does_not_come_before_who_gets_little(house):
    reads = []

    class Listing:
        def __init__(self, store):
            self.store = store

        def __getattr__(self, name):
            return getattr(self.store, name)

        def piece(self, room, blob, offset, limit):
            reads.append(offset)
            return self.store.piece(room, blob, offset, limit)

    house.open(limits=FAST, wrap=Listing)
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    data = os.urandom(PIECE_BYTES_MAX)
    await put_from(owner, script.room, data, 0)
    owner.writer.write(b"".join(codec.encode(frames.Get(n, script.room, BLOB, 0)) for n in range(1_000, 1_060)))
    assert (await ann.ask(frames.Get, script.room, BLOB, 7)).data == data[7:]
    assert [(await owner.expect(frames.BlobPiece)).ref for _ in range(60)] == list(range(1_000, 1_060))
    assert reads.index(7) < 10


async def test_who_asks_for_very_many_pieces_and_takes_none_is_refused(house):
    house.open(limits=FAST)
    script = Script(OWNER)
    owner = await open_room(house, script)
    ben = await seat(house, script, BEN, limit=2**14)
    data = os.urandom(PIECE_BYTES_MAX)
    await put_from(owner, script.room, data, 0)
    (connection,) = (c for c in house.relay.engine._connections.values() if c.identity == identity(BEN))
    ben.writer.transport.pause_reading()
    asked = 3 * FETCHES_MAX
    for n in range(asked):
        await ben.say(frames.Get(1_000 + n, script.room, BLOB, 0))
    await turns_until(lambda: len(connection.fetches) > FETCHES_MAX // 2)
    for _ in range(5):
        await owner.ask(frames.Ping)
        assert len(connection.fetches) <= FETCHES_MAX
    ben.writer.transport.resume_reading()
    answers = [await ben.until(lambda f: getattr(f, "ref", 0) >= 1_000) for _ in range(asked)]
    refused = [answer for answer in answers if isinstance(answer, frames.Refused)]
    assert refused
    assert {(answer.code, answer.retry_ms > 0) for answer in refused} == {("limited", True)}
    assert all(answer.data == data for answer in answers if isinstance(answer, frames.BlobPiece))
    assert len({answer.ref for answer in answers}) == asked
