"""A relay that is killed at any moment loses nothing that it acknowledged, and nothing is doubled."""

import asyncio
import random

import pytest


@pytest.mark.parametrize("seed", range(3))
async def test_killed_relays_lose_nothing(relay, town, seed: int) -> None:
    dice = random.Random(seed)
    ada, ben = await town("ada"), await town("ben")
    room = await ada.create(relay.address, "room", nick="ada")
    bens = await ben.join(await room.invite(), nick="ben")
    sending = asyncio.create_task(_talk(room, 60))
    for _ in range(4):
        await asyncio.wait_for(_more(bens, dice.randint(1, 8)), 60)
        await relay.kill()
        await relay.start()
    await asyncio.wait_for(sending, 60)
    texts = [f"message {number}" for number in range(60)]
    await asyncio.wait_for(_has(bens, texts[-1]), 30)
    assert [str(line.text) for line in bens.backlog()] == texts
    assert [str(line.text) for line in room.backlog()] == texts
    await bens.in_step()
    assert room.room.view.history.last == bens.room.view.history.last


async def _talk(room, count: int) -> None:
    for number in range(count):
        await room.send(f"message {number}")


async def _more(room, count: int) -> None:
    """Wait until that many more messages have come."""
    async for notice in room.notices():
        count -= hasattr(notice, "sender")
        if count <= 0:
            return


async def _has(room, text: str) -> None:
    while not any(line.text == text for line in room.backlog()):
        await anext(room.notices())
