"""Who says much keeps nobody else waiting, and who asks too much is made to rest."""

import asyncio
import gc
import logging

import pytest

from chaton.errors import Malformed
from chaton.relay import peer, tally
from chaton.relay.config import Limits, Rate, Rates
from chaton.relay.tally import Tally
from chaton.relay.turnstile import Turnstile
from chaton.wire import codec, frames
from chaton.wire.connection import reader_of_client
from tests.relay.helpers import ANN, OWNER, open_room, seat, turns_until
from tests.relay.play import Script

MANY = 20_000
in_memory = pytest.mark.parametrize("house", ["memory"], indirect=True)


@in_memory
async def test_a_flood_of_frames_is_taken_in_many_turns(house):
    fast = Rates(requests=Rate(per_second=1e9, burst=1e9))
    house.open(limits=Limits(identity=fast, address=fast))
    ann, owner = await house.client(ANN), await house.client(OWNER)
    hub, heard = house.relay.engine._hub, []
    handle = hub.handle
    hub.handle = lambda session, *rest: heard.append(session.identity) or handle(session, *rest)
    ann.writer.write(codec.encode(frames.Ping(1)) * MANY)
    owner.writer.write(codec.encode(frames.Ping(2)))
    most = 0
    async with asyncio.timeout(60):
        while ann.who not in heard or owner.who not in heard or heard.count(ann.who) < MANY:
            before = len(heard)
            await asyncio.sleep(0)
            most = max(most, len(heard) - before)
            if ann.reader._buffer:  # Who does not take answers is not read either.
                await ann.reader.read(2**20)
    assert most < MANY / 4
    assert heard.index(owner.who) < MANY / 2


@in_memory
async def test_who_asks_too_much_rests_and_others_do_not(house):
    slow = Rate(per_second=0.001, burst=1)
    house.open(limits=Limits(identity=Rates(requests=slow)))
    ann, owner = await house.client(ANN), await house.client(OWNER)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    asked = 6
    await ann.say(*(frames.Bundles(ref, []) for ref in range(asked)))
    await ann.expect(frames.Refused)
    assert isinstance(await owner.ask(frames.Ping), frames.Pong)
    for _ in range(asked - 2):
        assert (await ann.expect(frames.Refused)).code == "limited"
    assert loop.time() - begun >= (asked - 2) * peer.REST_S * 0.9
    assert (await ann.ask(frames.Ping)).code == "limited"  # It costs the relay as much as anything else.


@in_memory
async def test_a_resting_connection_ends_when_it_is_told_to(house):
    slow = Rate(per_second=0.001, burst=1)
    house.open(limits=Limits(identity=Rates(requests=slow)))
    older = await house.client(ANN)
    await older.say(*(frames.Bundles(ref, []) for ref in range(50)))
    await older.expect(frames.Refused)
    await house.client(ANN)
    assert (await older.expect(frames.Goodbye)).code == "replaced"
    await older.closed()
    await turns_until(lambda: len(house.relay._listener) == 1)


@in_memory
async def test_a_connection_that_says_nothing_has_no_tls(house):
    house.open()
    silent, _writer = await asyncio.open_connection(*house.relay.address)
    await house.client(OWNER)
    await turns_until(lambda: len(house.relay._listener) == 2)
    assert sorted(hasattr(each, "_tls") for each in house.relay._listener._peers) == [False, True]
    _writer.close()
    await silent.read()
    await turns_until(lambda: len(house.relay._listener) == 1)


@in_memory
async def test_strangers_are_heard_one_in_each_turn_and_members_at_once(house):
    house.open()
    owner = await open_room(house, Script(OWNER))
    strangers = [await house.connect() for _ in range(20)]
    hub, turns = house.relay.engine._hub, [[]]
    handle = hub.handle
    hub.handle = lambda session, *rest: turns[-1].append(session.identity) or handle(session, *rest)
    for stranger in strangers:
        stranger.writer.write(codec.encode(frames.Ping(1)))
    owner.writer.write(codec.encode(frames.Ping(2)))
    await asyncio.sleep(0)
    while sum(map(len, turns)) < 21:
        turns.append([])
        await asyncio.sleep(0)
    assert max(turn.count(None) for turn in turns) == 1
    assert sum(turn.count(None) for turn in turns[: [owner.who in turn for turn in turns].index(True)]) <= 1


async def test_a_turnstile_lets_one_take_a_step_in_each_turn_and_all_in_order():
    turnstile, begun = Turnstile(None), []
    for number in range(4):
        turnstile.enter(lambda number=number: begun.append(number))
    assert not begun
    for turn in range(1, 6):
        await asyncio.sleep(0)
        assert begun == list(range(min(turn, 4)))
    turnstile.enter(lambda: begun.append("later"))
    await asyncio.sleep(0)
    assert begun[-1] == "later"


def test_a_malformed_frame_is_let_go_of_at_once():
    """Its bytes may be a megabyte, and the collector looks seldom."""
    reader = reader_of_client()
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Malformed) as raised:
            list(reader.feed((2**20).to_bytes(4) + b"\x91" * 2**20))
        del raised, reader
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_what_happens_often_is_logged_seldom(caplog, monkeypatch):
    monkeypatch.setattr(tally, "INTERVAL_S", 0.01)
    caplog.set_level(logging.INFO)
    often = Tally(logging.getLogger("test"), "%d times")
    often.add()
    for _ in range(41):
        often.add()
    assert caplog.messages == ["1 times"]
    async with asyncio.timeout(20):
        while len(caplog.messages) < 2:  # noqa: ASYNC110 - nothing else tells it
            await asyncio.sleep(0.005)
        while often._silent:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    often.add()
    assert caplog.messages == ["1 times", "41 times", "1 times"]


@in_memory
async def test_only_members_may_say_long_frames(house):
    house.open()
    script = Script(OWNER)
    await open_room(house, script)
    long = codec.encode(frames.Bundles(1, [bytes(32)] * 256))
    stranger = await house.client(ANN)
    stranger.writer.write(long)
    assert (await stranger.expect(frames.Goodbye)).code == "protocol"
    member = await seat(house, script, ANN)
    member.writer.write(long)
    assert isinstance(await member.expect(frames.BundleList), frames.BundleList)
