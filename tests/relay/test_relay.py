"""A whole relay on a real socket with real TLS, over both stores."""

import asyncio

import msgspec
import pytest

from chaton.errors import StoreError
from chaton.identity.bundle import Bundle
from chaton.relay.config import Limits, Rate, Rates
from chaton.room.envelope import message_id
from chaton.room.records import Info, Nick, Redact, Remove
from chaton.wire import codec, frames
from tests.relay.helpers import ANN, INVITE, OWNER, events, follow, open_room, say, seat, submit
from tests.relay.play import Script, bundle, identity, login_answer, message, parcel, seed

FAST = Rates(**{kind: Rate(per_second=1e9, burst=1e9) for kind in Rates().by_kind()})


async def test_a_room_from_its_making_to_a_message(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    await follow(owner, script)
    ann = await seat(house, script, ANN)
    await follow(ann, script)
    envelope = await say(ann, script)
    for client in (owner, ann):
        told = await events(client, 3)
        assert [event.s for event in told] == [1, 2, 3]
        assert (told[2].body, told[2].sender, told[2].kind) == (envelope, identity(ANN), 1)


async def test_a_restart_keeps_everything(house):
    if house.options["memory"]:
        pytest.skip("what is in memory goes with the relay")
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    envelopes = [await say(ann, script) for _ in range(5)]
    assert isinstance(await ann.ask(frames.Direct, identity(OWNER)), frames.Done)
    keys = bundle(OWNER, owner.welcome.now)
    assert isinstance(await owner.ask(frames.Publish, keys.raw), frames.Done)
    owner.close()
    posted = parcel(keys)
    stored = await ann.ask(frames.Parcels, script.room, [frames.ParcelTo(identity(OWNER), posted)])
    assert stored == frames.ParcelsStored(ann.refs, [], [])
    await house.close()
    assert (await ann.expect(frames.Goodbye)).code == "shutdown"
    house.open()
    owner = await house.client(OWNER)
    assert owner.logged_in.rooms == [frames.RoomSummary(script.room, 2, 7, False)]
    assert [direct.peer for direct in owner.logged_in.directs] == [identity(ANN)]
    told = await owner.expect(frames.Parcel)
    assert told.parcel == posted
    await owner.expect(frames.ParcelsEnd)
    assert isinstance(await owner.ask(frames.ParcelTaken, [told.token]), frames.Done)
    assert (await follow(owner, script)).s == 7
    assert [event.body for event in owner.seen if isinstance(event, frames.Event)][2:] == envelopes
    answer = await owner.ask(frames.Bundles, [identity(OWNER), identity(ANN)])
    assert [Bundle.decode(raw) for raw in answer.bundles] == [keys]
    await say(owner, script)


async def test_one_byte_at_a_time(house):
    house.open()
    client = await house.connect()
    client.who = identity(OWNER)
    script = Script(OWNER)
    said = [
        frames.Login(login_answer(OWNER, client.pin, client.welcome.nonce)),
        frames.Create(1, script.genesis.raw),
        frames.Ping(2),
    ]
    for byte in b"".join(codec.encode(frame) for frame in said):
        client.writer.write(bytes([byte]))
        await client.writer.drain()
    await client.expect(frames.Pong)
    await client.expect(frames.LoggedIn)
    assert (await client.expect(frames.Accepted)).transcript == script.room


async def test_what_was_asked_before_a_wrong_byte_is_answered(house):
    house.open()
    client = await house.client(OWNER)
    script = Script(OWNER)
    client.writer.write(codec.encode(frames.Create(1, script.genesis.raw)) + b"\0\0\0\1\xff")
    goodbye = await client.expect(frames.Goodbye)
    assert goodbye.code == "protocol"
    await client.closed()
    again = await house.client(OWNER)
    assert [room.room for room in again.logged_in.rooms] == [script.room]


async def test_a_frame_longer_than_a_login_ends_who_has_not_logged_in(house):
    house.open()
    client = await house.connect()
    client.writer.write((5_000).to_bytes(4))
    assert (await client.expect(frames.Goodbye)).code == "protocol"
    await client.closed()


async def test_the_newest_login_wins(house):
    house.open()
    script = Script(OWNER)
    older = await open_room(house, script)
    await follow(older, script)
    newer = await house.client(OWNER)
    assert (await older.expect(frames.Goodbye)).code == "replaced"
    await older.closed()
    await follow(newer, script)
    await say(newer, script)
    await events(newer, 2)


async def test_presence_of_who_comes_and_goes(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    await follow(owner, script)
    ann = await seat(house, script, ANN)
    there = frames.Presence(script.room, identity(ANN), online=True)
    assert await owner.expect(frames.Presence) == there
    await follow(ann, script)
    assert ann.seen[-2] == frames.Present(script.room, [identity(OWNER), identity(ANN)])
    ann.close()
    assert await owner.expect(frames.Presence) == msgspec.structs.replace(there, online=False)
    await house.client(ANN)
    assert await owner.expect(frames.Presence) == there


async def test_who_is_put_out_learns_it_and_nothing_after(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    await follow(ann, script)
    removal = script.sign(OWNER, Remove(script.inst(ANN), 0, b""))
    await submit(owner, script, removal)
    await say(owner, script)
    told = await events(ann, script.history.s - 1)
    assert told[-1].body == removal.raw
    await ann.ask(frames.Ping)
    assert [frame for frame in ann.seen if isinstance(frame, frames.Event)] == told
    answer = await ann.ask(frames.Log, script.room, 2)
    assert answer.records == [removal.raw]
    assert await ann.expect(frames.LogEnd) == frames.LogEnd(ann.refs, 3, script.state.head)


async def test_who_unfollows_is_told_nothing_more(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    await follow(owner, script)
    assert isinstance(await owner.ask(frames.Unfollow, script.room), frames.Done)
    await say(owner, script)
    await owner.ask(frames.Ping)
    assert [event.s for event in owner.seen if isinstance(event, frames.Event)] == [1]
    await follow(owner, script, 1)
    assert [event.s for event in owner.seen if isinstance(event, frames.Event)] == [1, 2]


async def test_following_twice_begins_again(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    await follow(owner, script)
    await follow(owner, script)
    await say(owner, script)
    assert [event.s for event in await events(owner, 2)] == [1, 1, 2]


async def test_a_redacted_message_is_told_as_its_id(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    envelope = await say(ann, script)
    await submit(owner, script, script.sign(OWNER, Redact(message_id(envelope))))
    await follow(owner, script)
    told = await events(owner, 4)
    assert (told[2].kind, told[2].body) == (2, message_id(envelope))


async def test_a_peeker_reads_and_joins(house):
    house.open()
    script = Script(OWNER)
    await open_room(house, script)
    ann = await house.connect()
    assert isinstance(await ann.peek(script.room, INVITE), frames.Done)
    page = await ann.ask(frames.Log, script.room, -1)
    assert page.records == [script.genesis.raw, house.relay.memory.rooms[script.room].records[1]]
    await ann.login(ANN)
    turn = await ann.ask(frames.Turn, script.room)
    assert (turn.n, turn.head) == (1, script.state.head)
    await submit(ann, script, script.join(ANN, INVITE))


async def test_a_turn_goes_on_when_its_holder_is_gone(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    assert isinstance(await ann.ask(frames.Turn, script.room), frames.YourTurn)
    await owner.say(frames.Turn(77, script.room))
    assert (await owner.ask(frames.Submit, script.room, script.sign(OWNER, Info(b"")).raw)).code == "turn-taken"
    ann.close()
    assert (await owner.expect(frames.YourTurn)).ref == 77


async def test_a_turn_ends_after_its_time(house, monkeypatch):
    from chaton.relay.hub import turns

    monkeypatch.setattr(turns, "TURN_MS", 20)
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    assert isinstance(await ann.ask(frames.Turn, script.room), frames.YourTurn)
    assert isinstance(await owner.ask(frames.Turn, script.room), frames.YourTurn)


async def test_many_followers_while_many_speak(house):
    """Everybody gets every event once and in order, whenever it began to follow."""
    house.open(limits=Limits(identity=FAST))
    script = Script(OWNER)
    await open_room(house, script)
    members = [await seat(house, script, seed(100 + n)) for n in range(12)]
    s, transcript = script.history.s, script.history.last

    async def speak(client):
        for n in range(20):
            answer = await client.ask(frames.Send, script.room, message(script.state, s, transcript))
            assert isinstance(answer, frames.Accepted), answer
            if n == 7:
                await follow(client, script, 3)

    await asyncio.gather(*(speak(client) for client in members))
    last = s + 12 * 20
    for client in members:
        assert [event.s for event in await events(client, last)] == list(range(4, last + 1))
    bodies = [[event.body for event in client.seen if isinstance(event, frames.Event)] for client in members]
    assert all(body == bodies[0] for body in bodies)


async def test_a_slow_reader_gets_everything_and_costs_little(house):
    """20 MB for somebody who does not read: it waits in the store, others do not, and parcels keep their place."""
    house.open(limits=Limits(identity=FAST, queue_bytes_max=2**16))
    script = Script(OWNER)
    owner = await open_room(house, script)
    slow = await seat(house, script, ANN, limit=2**14)
    keys = bundle(ANN, slow.welcome.now)
    await slow.ask(frames.Publish, keys.raw)
    await follow(owner, script)
    await follow(slow, script)
    needs_parcels = []
    for n in range(300):
        await say(owner, script, 2**16)
        if n in (200, 299):
            needs_parcels.append(script.history.s + 1)
            posted = [frames.ParcelTo(identity(ANN), parcel(keys))] * 3
            assert isinstance(await owner.ask(frames.Parcels, script.room, posted), frames.ParcelsStored)
            await say(owner, script)
    last = script.history.s
    assert [event.s for event in await events(owner, last)] == list(range(1, last + 1))
    (connection,) = (c for c in house.relay.engine._connections.values() if c.identity == identity(ANN))
    assert connection.behind
    assert connection.peer.queued < 2**19
    assert [event.s for event in await events(slow, last)] == list(range(1, last + 1))
    order = [frame for frame in slow.seen if isinstance(frame, frames.Parcel | frames.Event)]
    tokens = [frame.token for frame in order if isinstance(frame, frames.Parcel)]
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 6
    for count, s in zip((3, 6), needs_parcels, strict=True):
        before = order[: next(n for n, frame in enumerate(order) if getattr(frame, "s", None) == s)]
        assert sum(isinstance(frame, frames.Parcel) for frame in before) >= count
    await say(owner, script)
    await events(slow, last + 1)
    assert not connection.behind


async def test_who_is_put_out_while_behind_still_learns_it(house):
    house.open(limits=Limits(identity=FAST, queue_bytes_max=2**16))
    script = Script(OWNER)
    owner = await open_room(house, script)
    slow = await seat(house, script, ANN, limit=2**14)
    await follow(slow, script)
    for _ in range(200):
        await say(owner, script, 2**16)
    await submit(owner, script, script.sign(OWNER, Remove(script.inst(ANN), 0, b"")))
    out = script.history.s
    await say(owner, script)
    assert [event.s for event in await events(slow, out)] == list(range(1, out + 1))
    await slow.ask(frames.Ping)
    assert [frame.s for frame in slow.seen if isinstance(frame, frames.Event)][-1] == out


async def test_who_asks_and_does_not_read_is_not_read_either(house):
    house.open(limits=Limits(identity=FAST, queue_bytes_max=2**16))
    script = Script(OWNER)
    owner = await open_room(house, script)
    for n in range(300):
        await submit(owner, script, script.sign(OWNER, Info(n.to_bytes(1000))))
    reader = await house.client(seed(5), limit=2**14)
    await reader.peek(script.room, INVITE)
    for ref in range(100, 200):
        await reader.say(frames.Log(ref, script.room, -1))
    await owner.ask(frames.Ping)
    (connection,) = (c for c in house.relay.engine._connections.values() if c.identity == identity(seed(5)))
    assert connection.peer.queued < 2**20
    ends = [await reader.expect(frames.LogEnd) for _ in range(100)]
    assert [end.ref for end in ends] == list(range(100, 200))


async def test_messages_over_the_limit_are_refused_with_a_time(house):
    rates = Rates(messages=Rate(per_second=0.001, burst=2))
    house.open(limits=Limits(identity=rates))
    script = Script(OWNER)
    owner = await open_room(house, script)
    await say(owner, script)
    await say(owner, script)
    answer = await owner.ask(frames.Send, script.room, script.message())
    assert answer.code == "limited"
    assert answer.retry_ms > 0


async def test_twenty_nicks_a_day(house):
    house.open(limits=Limits(identity=FAST, nicks_per_day=2))
    script = Script(OWNER)
    owner = await open_room(house, script)
    await submit(owner, script, script.sign(OWNER, Nick(b"a")))
    await submit(owner, script, script.sign(OWNER, Nick(b"b")))
    assert (await owner.ask(frames.Submit, script.room, script.sign(OWNER, Nick(b"c")).raw)).code == "limited"


class FailingStore:
    """A store whose disk says no as long as it is told to."""

    def __init__(self, store):
        self._store = store
        self.full = self.unreadable = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def commit(self, writes):
        if self.full:
            raise StoreError("the disk is full")
        self._store.commit(writes)

    def directs(self):
        if self.unreadable:
            self.unreadable = False
            raise StoreError("the disk cannot be read")
        return self._store.directs()


@pytest.mark.parametrize("unreadable", [False, True])
async def test_a_failed_commit_refuses_everything_and_leaves_nothing_behind(house, unreadable, monkeypatch):
    from chaton.relay import engine

    monkeypatch.setattr(engine, "MEND_INTERVAL_S", 0.01)
    house.open(wrap=FailingStore)
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    await follow(ann, script)
    house.store.full, house.store.unreadable = True, unreadable
    lost = Script(OWNER)
    record = script.sign(OWNER, Info(b"lost"))
    first = script.message()
    said = [
        frames.Send(1001, script.room, first),
        frames.Submit(1002, script.room, record.raw),
        frames.Create(1003, lost.genesis.raw),
        frames.Publish(1004, bundle(OWNER, owner.welcome.now).raw),
        frames.Follow(1005, script.room, 3),
        frames.Direct(1006, identity(ANN)),
    ]
    await owner.say(*said)
    for ref in range(1001, 1007):
        answer = await owner.until(lambda frame, ref=ref: getattr(frame, "ref", None) == ref)
        assert getattr(answer, "code", None) in ("store-failed", "bad-history"), answer
    house.store.full = False
    while True:
        answer = await owner.ask(frames.Send, script.room, first)
        if isinstance(answer, frames.Accepted):
            break
        assert answer.code == "store-failed"
    script.history.add(message_id(first))
    assert (answer.s, answer.transcript) == (script.history.s, script.history.last)
    await submit(owner, script, record)
    assert lost.room not in house.relay.memory.rooms
    assert not house.relay.memory.directs_of.get(identity(ANN))
    assert not (await owner.ask(frames.Bundles, [identity(OWNER)])).bundles
    assert [event.s for event in await events(ann, 4)] == [1, 2, 3, 4]
    assert isinstance(await owner.ask(frames.Create, lost.genesis.raw), frames.Accepted)


async def test_a_login_during_a_failure_is_refused_and_those_in_turn_too(house):
    house.open(wrap=FailingStore)
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    assert isinstance(await ann.ask(frames.Turn, script.room), frames.YourTurn)
    await owner.say(frames.Turn(500, script.room))
    await owner.ask(frames.Ping)
    house.store.full = True
    assert (await ann.ask(frames.Send, script.room, script.message())).code == "store-failed"
    waiting = await owner.until(lambda frame: getattr(frame, "ref", None) == 500)
    assert waiting.code == "store-failed"
    house.store.full = False
    while isinstance(answer := await owner.ask(frames.Turn, script.room), frames.Refused):
        assert answer.code == "store-failed"
    assert isinstance(answer, frames.YourTurn)


async def test_retention_leaves_ids(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    envelope = await say(owner, script)
    house.relay.engine.prune(0, 0)
    await owner.ask(frames.Ping)
    while True:
        await owner.ask(frames.Follow, script.room, 1)
        told = [frame for frame in owner.seen if isinstance(frame, frames.Event)][-1]
        if told.kind == 2:
            break
    assert told.body == message_id(envelope)
    answer = await owner.ask(frames.Send, script.room, envelope)
    assert (answer.s, answer.transcript) == (2, script.history.last)
