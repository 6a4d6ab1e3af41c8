"""Whole clients whose line breaks behind any byte of what they do: it is done, once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from chaton.client.chatroom import ChatRoom
from chaton.client.client import Client
from chaton.identity.ids import Identity
from tests.client.conftest import Cable, House, Town

WAYS: Final = ("up", "down")


@dataclass
class Scene:
    """Ann, who owns a room, on a cable that can be cut; Ben in the same room on a line of his own, and on a cable too.

    Attributes:
        strangers: Members whom Ann has not spoken to alone.
        done: How often anything was done.
    """

    home: House
    cables: dict[str, Cable]
    ann: Client
    annes: ChatRoom
    bens: ChatRoom
    town: Town
    strangers: list[Identity] = field(default_factory=list)
    done: int = 0

    @classmethod
    async def begin(cls, home: House, town: Town) -> "Scene":
        cables = {"ann": Cable(home), "ben": Cable(home)}
        for cable in cables.values():
            await cable.lay()
        ann, ben = await town.person("ann"), await town.person("ben")
        annes = await ann.create(cables["ann"].address, "garden", nick="ann")
        link = await annes.invite()
        own = type(link)(cables["ben"].address, link.room, link.n, link.head, link.seed, link.rik)
        return cls(home, cables, ann, annes, await ben.join(own, nick="ben"), town)

    async def meet(self, count: int) -> None:
        """Let so many more join the room, and go."""
        link = await self.annes.invite(uses=count)
        for number in range(count):
            async with self.town.client(f"stranger {number}") as stranger:
                await stranger.join(link, nick=f"s{number}")
                self.strangers.append(stranger.identity)
        await self.annes.driver.until(lambda: len(self.annes.members) == count + 2)

    async def end(self) -> None:
        for cable in self.cables.values():
            await cable.close()

    # What is done, each with what must be so afterwards.

    async def send(self) -> None:
        """With a chain of its own, so that keys are posted first."""
        self.annes.room.sender.renew()
        await self.annes.send(text := f"said {self.done}")
        await self.bens.driver.until(lambda: self._heard(text) == 1)

    async def hear(self) -> None:
        """The same, and it is the reader's line that breaks."""
        self.annes.room.sender.renew()
        await self.annes.send(text := f"heard {self.done}")
        await self.bens.driver.until(lambda: self._heard(text) == 1)

    async def sign(self) -> None:
        n = self.annes.room.view.state.n
        await self.annes.describe(topic=f"topic {self.done}")
        assert self.annes.room.view.state.n == n + 1

    async def create(self) -> None:
        rooms = len(self.home.relay.memory.rooms)
        await self.ann.create(self.cables["ann"].address, f"room {self.done}", nick="ann")
        assert len(self.home.relay.memory.rooms) == rooms + 1

    async def direct(self) -> None:
        known = len(self.home.relay.memory.directs_of.get(self.ann.identity, ()))
        await self.annes.direct(self.strangers.pop())
        assert len(self.home.relay.memory.directs_of[self.ann.identity]) == known + 1

    def _heard(self, text: str) -> int:
        return [str(line.text) for line in self.bens.backlog()].count(text)


DEEDS: Final[dict[str, tuple[str, Callable[[Scene], Awaitable[None]]]]] = {
    "send": ("ann", Scene.send),
    "hear": ("ben", Scene.hear),
    "sign": ("ann", Scene.sign),
    "create": ("ann", Scene.create),
    "direct": ("ann", Scene.direct),
}


async def cut_deed(scene: Scene, name: str, way: str, offsets: Callable[[int], Iterable[int]]) -> int:
    """Do something again and again, the line cut behind another byte each time; returns how often it was cut.

    Args:
        scene: Where it is done.
        name: What is done.
        way: Which direction the bytes are counted in.
        offsets: Of a deed that takes so many bytes, behind which it is cut.
    """
    who, deed = DEEDS[name]
    cable, index = scene.cables[who], WAYS.index(way)
    lengths = []
    for _ in range(3):  # The first may have more to say; the others show what is usual.
        before = cable.carried[index]
        await deed(scene)
        scene.done += 1
        lengths.append(cable.carried[index] - before)
    places = list(offsets(max(lengths[1:])))
    for behind in places:
        if way == "up":
            cable.up_left = behind
        else:
            cable.down_left = behind
        async with asyncio.timeout(30):
            await deed(scene)
        cable.up_left = cable.down_left = None
        scene.done += 1
    everything = [str(line.text) for line in scene.annes.backlog()]
    assert len(set(everything)) == len(everything)
    await scene.bens.driver.until(lambda: len(scene.bens.backlog()) == len(everything))
    assert [str(line.text) for line in scene.bens.backlog()] == everything
    assert scene.annes.code() == scene.bens.code()
    return len(places)
