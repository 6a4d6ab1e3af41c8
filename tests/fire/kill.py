"""Kill a relay again and again while people talk, then judge what they and its disk hold."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaton.client.chatroom import ChatRoom
from chaton.client.client import Client
from chaton.errors import Unreachable
from chaton.identity.ids import MessageId
from chaton.room.records import Record
from tests.client.conftest import QUICK, Town
from tests.fire.relay import HurtRelay, rooms_on_disk

PEOPLE = ("ann", "ben", "cyd", "dan")
LIFE_S_MAX = 0.8  # A relay lives up to so long after it listens.
EARLY = 0.2
START_S = 0.6


@dataclass
class Fire:
    """What was said and acknowledged, and how often the relay died.

    Attributes:
        acknowledged: The event number and id of each text that a sender was told to be in a room.
        unsure: Texts whose sender gave up waiting: they may be in the room, once.
        records: Of the room's log, those that their signer was told to be in it.
        kills: How often it was killed while it served; ``early`` how often while it started.
    """

    said: dict[str, list[str]] = field(default_factory=dict)
    acknowledged: dict[str, tuple[int, MessageId]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    kills: int = 0
    early: int = 0


async def burn(
    directory: Path,
    *,
    times: int,
    seed: int,
    progress: Callable[[Fire], None] = lambda _fire: None,
    end: Callable[[HurtRelay], Awaitable[None]] = HurtRelay.kill,
    early: float = EARLY,
) -> Fire:
    """End a relay so many times at moments drawn from a seed; raises ``AssertionError`` if anything was lost.

    Four people talk meanwhile in one room and two of them in a direct room, the owner changes the topic, and all come
    back by themselves.

    Args:
        directory: For the relay and the people's profiles.
        times: How often it ends while it serves.
        seed: Of the moments and of what is said.
        progress: Told after each time.
        end: How it ends.
        early: How likely it is killed, besides, while it starts.
    """
    dice, fire = random.Random(seed), Fire()
    relay = HurtRelay(directory / "relay")
    await relay.start()
    town = Town(directory)
    talks: list[asyncio.Task] = []
    try:
        rooms = await _settle(relay, town)
        alone = await rooms["ann"].direct("ben")
        for who, room in {**rooms, "alone": alone}.items():
            talks.append(asyncio.create_task(_talk(fire, who, room, random.Random(dice.random()))))
        talks.append(asyncio.create_task(_describe(fire, rooms["ann"], random.Random(dice.random()))))
        for _ in range(times):
            await asyncio.sleep(dice.uniform(0, LIFE_S_MAX))
            await end(relay)
            fire.kills += 1
            await _start_again(relay, fire, dice, early)
            if dice.random() < 0.5:  # Else it may end before anybody is back.
                await _somebody_is_heard(fire, talks)
            progress(fire)
        await _stop(talks)
        await _judge(fire, relay, rooms, alone)
    finally:
        for talk in talks:
            talk.cancel()
        await town.stack.aclose()
        if relay.process.returncode is None:
            await relay.kill()
    return fire


async def _settle(relay: HurtRelay, town: Town) -> dict[str, ChatRoom]:
    people: list[Client] = [await town.person(name, timing=QUICK) for name in PEOPLE]
    rooms = {PEOPLE[0]: await people[0].create(relay.address, "hearth", nick=PEOPLE[0])}
    link = await rooms[PEOPLE[0]].invite(uses=len(PEOPLE))
    for name, person in zip(PEOPLE[1:], people[1:], strict=True):
        rooms[name] = await person.join(link, nick=name)
    return rooms


async def _start_again(relay: HurtRelay, fire: Fire, dice: random.Random, early: float) -> None:
    """Start it; now and then it is killed before it listens."""
    while dice.random() < early:
        await relay.spawn()
        await asyncio.sleep(dice.uniform(0, START_S))
        await relay.kill()
        fire.early += 1
    await relay.start()


async def _somebody_is_heard(fire: Fire, talks: list[asyncio.Task]) -> None:
    before = len(fire.acknowledged)
    async with asyncio.timeout(60):
        while len(fire.acknowledged) == before:
            assert not any(talk.done() for talk in talks), talks
            await asyncio.sleep(0.005)


async def _talk(fire: Fire, name: str, room: ChatRoom, dice: random.Random) -> None:
    said = fire.said.setdefault(name, [])
    while True:
        text = f"{name} {len(said)} " + "x" * dice.choice((0, 0, 300, 2_000))
        said.append(text)
        try:
            sent = await room.send(text)
            fire.acknowledged[text] = (sent.seq, sent.id)
        except Unreachable:
            fire.unsure.add(text)
        except asyncio.CancelledError:
            fire.unsure.add(text)
            raise
        await asyncio.sleep(dice.uniform(0, 0.02))


async def _describe(fire: Fire, room: ChatRoom, dice: random.Random) -> None:
    """Records, too, are acknowledged."""
    while True:
        with contextlib.suppress(Unreachable):
            fire.records.append(await room.describe(topic=f"topic {len(fire.records)}"))
        await asyncio.sleep(dice.uniform(0.05, 0.3))


async def _stop(talks: list[asyncio.Task]) -> None:
    for talk in talks:
        talk.cancel()
    for ended in await asyncio.gather(*talks, return_exceptions=True):
        assert isinstance(ended, asyncio.CancelledError), repr(ended)


async def _judge(fire: Fire, relay: HurtRelay, rooms: dict[str, ChatRoom], alone: ChatRoom) -> None:
    """Every text once, at the place that was acknowledged; one transcript on all clients and on the disk."""
    for room in (*rooms.values(), alone):
        await room.driver.until(lambda room=room: not room.room.outbox)
    bens = await rooms["ben"].direct("ann")
    everywhere = {"in the room": list(rooms.values()), "alone": [alone, bens]}
    for same in everywhere.values():
        last = max(room.room.view.history.s for room in same)
        for room in same:
            await room.driver.until(lambda room=room, last=last: room.room.view.history.s >= last)
    heard: dict[str, tuple[int, MessageId]] = {}
    for where, same in everywhere.items():
        lines = {tuple((line.seq, line.id, str(line.text)) for line in room.backlog()) for room in same}
        assert len(lines) == 1, f"{where}: not all show the same"
        (shown,) = lines
        twice = [text for text, count in Counter(text for _, _, text in shown).items() if count > 1]
        assert not twice, f"doubled: {twice}"
        heard |= {text: (seq, id_) for seq, id_, text in shown}
        assert len({(room.room.view.history.s, room.room.view.history.last) for room in same}) == 1, where
    lost = [text for text, place in fire.acknowledged.items() if heard.get(text) != place]
    assert not lost, f"acknowledged and lost: {lost}"
    for room in rooms.values():
        assert all(room.room.view.records[record.n].raw == record.raw for record in fire.records), "a record was lost"
    everything = {text for said in fire.said.values() for text in said}
    assert everything - fire.unsure <= heard.keys() <= everything
    for name, said in fire.said.items():
        order = [text for text in heard if text.startswith(f"{name} ")]
        assert order == [text for text in said if text in heard], f"{name}: out of order"
    await _judge_disk(relay, [rooms["ann"], alone])


async def _judge_disk(relay: HurtRelay, rooms: list[ChatRoom]) -> None:
    held = {room.id: (room.room.view.history.s, room.room.view.history.last) for room in rooms}
    assert await relay.stop() == 0, relay.log
    kept = {room: (kept.history.s, kept.history.last) for room, kept in rooms_on_disk(relay.data).items()}
    assert kept == held
