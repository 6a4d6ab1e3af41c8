"""Steps that tests of a whole relay share."""

import asyncio

from chaton.identity.statement import Seed
from chaton.room.envelope import message_id
from chaton.wire import frames
from tests.relay.client import RawClient
from tests.relay.play import Script, seed

OWNER, ANN, BEN, INVITE = (seed(n) for n in (1, 2, 3, 9))


async def submit(client: RawClient, script: Script, record):
    answer = await client.ask(frames.Submit, script.room, record.raw)
    assert isinstance(answer, frames.Accepted), answer
    script.take(record)
    assert (answer.s, answer.transcript) == (script.history.s, script.history.last)


async def open_room(house, script: Script) -> RawClient:
    """The owner, connected, of a room with an invite."""
    owner = await house.client(script.owner)
    answer = await owner.ask(frames.Create, script.genesis.raw)
    assert answer == frames.Accepted(owner.refs, 0, script.room)
    await submit(owner, script, script.invite(INVITE))
    return owner


async def seat(house, script: Script, who: Seed, **options) -> RawClient:
    """A connected member."""
    client = await house.client(who, **options)
    await submit(client, script, script.join(who, INVITE))
    return client


async def say(client: RawClient, script: Script, size: int = 256) -> bytes:
    envelope = script.message(size)
    answer = await client.ask(frames.Send, script.room, envelope)
    assert isinstance(answer, frames.Accepted), answer
    script.history.add(message_id(envelope))
    assert (answer.s, answer.transcript) == (script.history.s, script.history.last)
    return envelope


async def follow(client: RawClient, script: Script, after: int = 0) -> frames.CaughtUp:
    answer = await client.ask(frames.Follow, script.room, after)
    assert isinstance(answer, frames.CaughtUp), answer
    return answer


async def turns_until(condition) -> None:
    """Let the loop turn until something inside the relay holds, of which nothing outside is told."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - no event is set for it, and each turn of the loop is looked at
            await asyncio.sleep(0)


async def events(client: RawClient, last: int) -> list[frames.Event]:
    """All events that have come, in order, once number ``last`` is among them."""
    await client.until(lambda frame: isinstance(frame, frames.Event) and frame.s == last)
    return [frame for frame in client.seen if isinstance(frame, frames.Event)]
