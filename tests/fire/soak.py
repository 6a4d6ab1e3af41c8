"""A relay and its people for a long while, each in a process of its own: they talk, come, go and are thrown out.

The steady ones stay for all of it. The restless ones are killed, quit, leave, are kicked, and come back each time. At
the end all of them hold one log and one transcript, and what anybody was told to be in the room is there, once.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaton.client.client import Client
from chaton.session.notices import Said
from tests.fire.program import Figures, Program, run
from tests.fire.relay import HurtRelay

OWNER, ROOM = "ada", "garden"
STEADY = (OWNER, "ben")
RESTLESS = ("cyd", "dan", "eve", "fay", "gus")
PAUSE_S = (0.1, 0.6)  # Between two lines of one person.
REST_S = (0.5, 4.0)  # Between two goings of a restless one.
PATIENCE_S = 60
RELAY_GROWTH_PER_EVENT = 400
RELAY_GROWTH_MAX = 4 * 2**20


@dataclass
class Soak:
    """What was seen.

    Attributes:
        acknowledged: The event number and id of each line that its author was told to be in the room.
        goings: How often somebody went, by how.
        figures: Of the relay, second by second.
        lines: How many there are in the room at the end.
    """

    acknowledged: dict[str, tuple[int, str]] = field(default_factory=dict)
    goings: Counter[str] = field(default_factory=Counter)
    figures: list[Figures] = field(default_factory=list)
    lines: int = 0
    records: int = 0

    def at(self, share: float) -> Figures:
        """The relay after a share of the time."""
        return self.figures[min(len(self.figures) - 1, int(len(self.figures) * share))]


class Person:
    """Somebody with a profile and a window on the room."""

    def __init__(self, name: str, directory: Path, soak: Soak) -> None:
        self.name = name
        self.home = directory / name
        self._soak = soak
        self._said = 0
        self._lines: list[str] = []
        self._here = asyncio.Event()
        self.program: Program | None = None
        self.moving = asyncio.Lock()  # Whoever holds it may start and end the program.

    async def run(self, *arguments: str) -> str:
        return await run("--profile", str(self.home), *arguments)

    async def join(self, link: str) -> None:
        await self._start(("join", "-", "--nick", self.name, "--json"), first=link)

    async def open(self) -> None:
        await self._start(("open", ROOM, "--json"))

    async def _start(self, arguments: tuple[str, ...], first: str = "") -> None:
        self._here.clear()
        self._lines = []
        self.program = await Program.start("--profile", str(self.home), *arguments, heard=self._heard)
        if first:
            self.program.say(first)
        arrived, ended = asyncio.create_task(self._here.wait()), asyncio.create_task(self.program.ended())
        await asyncio.wait({arrived, ended}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        assert self._here.is_set(), (self.name, arguments, self.program.errors if ended.done() else "in vain")
        ended.cancel()

    def _heard(self, event: dict[str, Any]) -> None:
        if event["event"] == "joined":
            self._here.set()
        elif event["event"] == "sent":
            self._soak.acknowledged[self._lines[event["ref"] - 1]] = (event["seq"], event["id"])

    def talk(self) -> None:
        """Say something that nobody has said before."""
        self._said += 1
        line = f"{self.name} {self._said} " + "x" * (self._said * 37 % 700)
        self._lines.append(line)
        self.program.say(line)


async def soak(
    directory: Path, *, seconds: float, seed: int, tell: Callable[[Soak], None], restless: int = len(RESTLESS)
) -> Soak:
    """Let them live for so long; raises ``AssertionError`` if anything is not as it must be."""
    seen, dice = Soak(), random.Random(seed)
    relay = HurtRelay(directory / "relay")
    await relay.start()
    people = {name: Person(name, directory, seen) for name in (*STEADY, *RESTLESS[:restless])}
    over = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    try:
        await _settle(relay, people)
        for name, person in people.items():
            tasks.append(asyncio.create_task(_talk(person, random.Random(dice.random()), over)))
            if name in RESTLESS:
                tasks.append(asyncio.create_task(_go(person, people[OWNER], seen, random.Random(dice.random()), over)))
        await _watch(relay, seen, seconds, tasks, tell)
        over.set()
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
        seen.figures.append(Figures.of(relay.pid))  # Everybody is here again, as in the beginning.
        await asyncio.gather(*(person.program.close() for person in people.values()))
        await _judge(people, seen)
        _judge_figures(seen)
    finally:
        for task in tasks:
            task.cancel()
        for person in people.values():
            if person.program is not None and person.program.process.returncode is None:
                await person.program.kill()
        assert await relay.stop() == 0, relay.log
    return seen


async def _settle(relay: HurtRelay, people: dict[str, Person]) -> None:
    owner = people[OWNER]
    address = f"127.0.0.1:{relay.port}"
    await owner.run("room", "new", ROOM, "--relay", address, "--pin", relay.pin, "--nick", OWNER)
    await owner.open()
    link = await _link(owner, uses=len(people))
    await asyncio.gather(*(person.join(link) for person in people.values() if person is not owner))


async def _link(owner: Person, uses: int = 1) -> str:
    return (await owner.run("invite", ROOM, "--uses", str(uses))).strip()


async def _talk(person: Person, dice: random.Random, over: asyncio.Event) -> None:
    while not await _passed(over, dice.uniform(*PAUSE_S)):
        async with person.moving:
            person.talk()


async def _go(person: Person, owner: Person, seen: Soak, dice: random.Random, over: asyncio.Event) -> None:
    """Go in one way or another, again and again, and come back."""
    while not await _passed(over, dice.uniform(*REST_S)):
        how = dice.choice(tuple(_GOINGS))
        async with person.moving:
            await _GOINGS[how](person, owner)
        seen.goings[how] += 1


async def _passed(event: asyncio.Event, seconds: float) -> bool:
    """Wait for so long, or until something is so: whether it is."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


async def _kill(person: Person, _owner: Person) -> None:
    await person.program.kill()
    await person.open()


async def _quit(person: Person, _owner: Person) -> None:
    assert await person.program.close() == 0, person.program.errors
    await person.open()


async def _leave(person: Person, owner: Person) -> None:
    await person.run("leave", ROOM, "--yes")
    await person.program.ended()
    await person.join(await _link(owner))


async def _kick(person: Person, owner: Person) -> None:
    await owner.run("kick", ROOM, person.name)
    assert await person.program.ended() == 3, person.program.errors
    await person.join(await _link(owner))


_GOINGS = {"kill": _kill, "quit": _quit, "leave": _leave, "kick": _kick}


async def _watch(
    relay: HurtRelay, seen: Soak, seconds: float, tasks: list[asyncio.Task[None]], tell: Callable[[Soak], None]
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        seen.figures.append(Figures.of(relay.pid))
        tell(seen)
        done, _ = await asyncio.wait(tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _judge(people: dict[str, Person], seen: Soak) -> None:
    """Each profile is opened once more, and brought up to date with the relay."""
    ends: dict[str, tuple[bytes, str]] = {}
    lines: dict[str, list[Said]] = {}
    for name, person in people.items():
        async with Client(person.home, lasting=False) as client:
            room = await client.open(ROOM)
            ends[name] = bytes(room.room.view.history.last), room.code()
            lines[name] = room.backlog()
            seen.records = room.room.view.state.n
    assert len(set(ends.values())) == 1, ends
    owned = {line.seq: (str(line.id), str(line.text)) for line in lines[OWNER]}
    seen.lines = len(owned)
    told = Counter(text for _, text in owned.values())
    assert max(told.values()) == 1, told.most_common(3)
    lost = [text for text, (seq, message) in seen.acknowledged.items() if owned.get(seq) != (message, text)]
    assert not lost, lost[:5]
    for name, own in lines.items():
        shown = {line.seq: (str(line.id), str(line.text)) for line in own}
        assert len(shown) == len(own), name
        assert shown.items() <= owned.items(), name
        assert name not in STEADY or all(seq in shown for seq, _ in seen.acknowledged.values()), name


def _judge_figures(seen: Soak) -> None:
    """What the relay holds for a message grows; the rest is flat from the middle on."""
    first, middle, last = seen.at(0.1), seen.at(0.5), seen.at(1)
    events = seen.lines + seen.records
    assert last.rss - middle.rss <= RELAY_GROWTH_MAX + RELAY_GROWTH_PER_EVENT * events, (first, middle, last)
    assert last.files <= seen.figures[0].files, (first, middle, last)
