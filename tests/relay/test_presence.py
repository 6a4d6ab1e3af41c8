"""Who is here: told as one list to who comes, and gathered when many come at once."""

import asyncio

import msgspec
import pytest

from chaton.relay.config import AddressRates, Limits, Rate, Rates
from chaton.wire import frames
from tests.relay.client import RawClient
from tests.relay.helpers import ANN, BEN, OWNER, follow, open_room, say, seat, turns_until
from tests.relay.play import Script, identity, seed

CROWD = [seed(number) for number in range(100, 140)]
FREE = Rate(per_second=1e9, burst=1e9)
FREELY = Limits(
    identity=Rates(messages=FREE, records=FREE, bytes=FREE),
    address=AddressRates(messages=FREE, bytes=FREE),
    queue_bytes_max=64 * 2**10,
)


def online(client: RawClient) -> set[bytes]:
    """Who is here by all that a client was told."""
    here: set[bytes] = set()
    for frame in client.seen:
        if isinstance(frame, frames.Present):
            here = set(frame.identities)
        elif isinstance(frame, frames.Presence):
            (here.add if frame.online else here.discard)(frame.identity)
    return here


@pytest.mark.parametrize("house", ["memory"], indirect=True)
async def test_a_crowd_that_comes_back_at_once_is_told_of_itself_cheaply(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    for who in CROWD:
        (await seat(house, script, who)).close()
    engine, made = house.relay.engine, []
    await turns_until(lambda: len(engine._connections) == 1)
    present = engine._hub.present
    engine._hub.present = lambda room: made.append(room) or present(room)

    async def come_back(who):
        client = await house.client(who)
        await follow(client, script)
        return client

    clients = [owner, *await asyncio.gather(*map(come_back, CROWD))]
    everybody = {identity(who) for who in (OWNER, *CROWD)}
    await follow(owner, script)
    for client in clients:
        while online(client) != everybody:
            await client.until(lambda frame: isinstance(frame, frames.Presence))
        assert sum(isinstance(frame, frames.Present) for frame in client.seen) == 1
    assert len(made) < len(CROWD) / 2  # Made once for all who come between two tellings.


@pytest.mark.parametrize("house", ["memory"], indirect=True)
async def test_who_fell_behind_is_told_anew_who_is_here(house):
    house.open(limits=FREELY)
    script = Script(OWNER)
    owner = await open_room(house, script)
    slow, ben = await seat(house, script, ANN, limit=2**14), await seat(house, script, BEN)
    await follow(slow, script)
    (connection,) = (each for each in house.relay.engine._connections.values() if each.identity == identity(ANN))
    while not connection.behind:
        await say(owner, script, 2**15)
    ben.close()
    await turns_until(lambda: identity(BEN) not in house.relay.memory.online)
    await say(owner, script)
    await slow.until(lambda frame: isinstance(frame, frames.Event) and frame.s == script.history.s)
    await slow.until(lambda frame: isinstance(frame, frames.Present) and identity(BEN) not in frame.identities)
    assert online(slow) == {identity(OWNER), identity(ANN)}


@pytest.mark.parametrize("house", ["memory"], indirect=True)
async def test_who_comes_and_goes_within_a_moment_is_told_as_it_then_is(house):
    house.open()
    script = Script(OWNER)
    owner = await open_room(house, script)
    ann = await seat(house, script, ANN)
    await follow(owner, script)
    ann.close()
    gone = frames.Presence(script.room, identity(ANN), online=False)
    assert await owner.expect(frames.Presence) == gone  # At once, as nothing was told just before.
    for _ in range(3):
        (await house.client(ANN)).close()
        await turns_until(lambda: identity(ANN) not in house.relay.memory.online)
    await house.client(ANN)
    told = await owner.expect(frames.Presence)
    while told != msgspec.structs.replace(gone, online=True):
        told = await owner.expect(frames.Presence)
    assert sum(isinstance(frame, frames.Presence) for frame in owner.seen) < 8
