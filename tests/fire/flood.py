"""Members talk while somebody attacks their relay: how long their messages take, and what the relay holds."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaton.identity.ids import Pin
from chaton.identity.statement import Seed
from chaton.room.envelope import message_id
from chaton.wire import frames
from tests.e2e.conftest import RelayProcess
from tests.fire.attack import ATTACKERS, VICTIM
from tests.fire.program import Figures, environment
from tests.relay.client import RawClient
from tests.relay.helpers import follow, open_room, seat
from tests.relay.play import Script, bundle, seed

READERS = [seed(number) for number in range(2, 6)]
PATIENCE_S = 30
WARM_UP_S = 0.5
NICE = 5  # Attackers compute elsewhere, and take no time from the relay and its members.
PAUSE_S = 0.11  # A member may say 10 messages a second for ever.
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Service:
    """What members felt over a while: seconds from saying something until the last of them had it, sorted."""

    delays: list[float]

    @property
    def p50(self) -> float:
        return self.delays[len(self.delays) // 2]

    @property
    def p99(self) -> float:
        return self.delays[int(len(self.delays) * 0.99)]


class Street:
    """A relay process with the limits that everybody has, and a room at work in it."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay
        self.script = Script(VICTIM)
        self.clients: list[RawClient] = []

    async def client(self, who: Seed, **options: object) -> RawClient:
        client = await RawClient.connect("127.0.0.1", self.relay.port, Pin.from_hex(self.relay.pin), **options)
        self.clients.append(client)
        client.logged_in = await client.login(who)
        return client

    async def settle(self) -> None:
        self.owner = await open_room(self, self.script)
        await self.owner.ask(frames.Publish, bundle(VICTIM, self.owner.welcome.now).raw)
        self.readers = [await seat(self, self.script, who) for who in READERS]
        for who in ATTACKERS.values():
            (await seat(self, self.script, who)).close()
        for reader in self.readers:
            await follow(reader, self.script)
        await self.owner.ask(frames.Ping)
        self.files = self.figures().files

    async def say(self, size: int = 256) -> float:
        """A message, and how long it takes until everybody has it."""
        loop = asyncio.get_running_loop()
        envelope = self.script.message(size)
        begun = loop.time()
        accepted = asyncio.create_task(self.owner.ask(frames.Send, self.script.room, envelope))
        s = self.script.history.s + 1
        await asyncio.gather(*(reader.until(_is_event(s)) for reader in self.readers))
        passed = loop.time() - begun
        answer = await accepted
        assert isinstance(answer, frames.Accepted), answer
        self.script.history.add(message_id(envelope))
        return passed

    async def serve(self, seconds: float) -> Service:
        """Talk for a while."""
        loop, delays = asyncio.get_running_loop(), []
        end = loop.time() + seconds
        while loop.time() < end:
            delays.append(await self.say())
            await asyncio.sleep(PAUSE_S)
            self._forget()
        return Service(sorted(delays))

    async def deliver(self, count: int, size: int) -> Service:
        """Say so many messages of that size, one after the other."""
        delays = []
        for _ in range(count):
            delays.append(await self.say(size))
            self._forget()
        return Service(sorted(delays))

    def _forget(self) -> None:
        for client in (self.owner, *self.readers):
            client.seen.clear()
            client.inbox.clear()

    def figures(self) -> Figures:
        return Figures.of(self.relay.process.pid)

    async def alone(self) -> None:
        """Wait until nobody but the members is connected any more."""
        async with asyncio.timeout(PATIENCE_S):
            while self.figures().files > self.files:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.02)


def _is_event(s: int):
    return lambda frame: isinstance(frame, frames.Event) and frame.s == s


@contextlib.asynccontextmanager
async def street(directory: Path, kind: type[RelayProcess] = RelayProcess) -> AsyncIterator[Street]:
    with (directory / "relay.errors").open("wb") as errors:
        relay = kind(directory / "relay", errors=errors)
        await relay.start()
    made = Street(relay)
    try:
        await made.settle()
        yield made
    finally:
        for client in made.clients:
            client.close()
        assert await relay.stop() == 0


@contextlib.asynccontextmanager
async def attacked(street: Street, kinds: Sequence[str]) -> AsyncIterator[list[int]]:
    """While this is open, each kind of attack goes on; in the end, how much each has done."""
    processes: list[asyncio.subprocess.Process] = []
    done: list[int] = []
    try:
        for kind in kinds:
            process = await asyncio.create_subprocess_exec(
                "nice", "-n", str(NICE), sys.executable, "-m", "tests.fire.attack",
                kind, str(street.relay.port), street.relay.pin, street.script.room.hex(),
                env=environment(), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            processes.append(process)
        for process in processes:
            assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S) == b"begun\n"
        yield done
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # One that has ended by itself says no number: an error.
                process.terminate()
        said = [(await process.communicate())[0] for process in processes]
        done += map(int, said)


@dataclass(frozen=True)
class Outcome:
    """What an attack did to the members and to the relay: before it, during it, and after it."""

    calm: Service
    hot: Service
    figures: tuple[Figures, Figures, Figures]
    done: list[int]


async def outlive(street: Street, kinds: Sequence[str], seconds: float, *, held: int = 0) -> Outcome:
    """Let members talk for a while in peace, and as long under attack; they must be served all the time.

    ``held`` is how many connections the attackers are waited for to hold first.
    """
    await street.alone()
    before, calm = street.figures(), await street.serve(seconds)
    async with attacked(street, kinds) as done:
        await asyncio.sleep(WARM_UP_S)
        async with asyncio.timeout(PATIENCE_S):
            while street.figures().files < street.files + held:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.02)
        hot, during = await street.serve(seconds), street.figures()
    await street.alone()
    return Outcome(calm, hot, (before, during, street.figures()), done)
