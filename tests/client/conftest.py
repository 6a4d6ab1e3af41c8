"""A real relay on a port of 127.0.0.1, a cable that can be cut, and clients with profiles on disk."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaton.client.client import Client
from chaton.client.news import AnyNotice, Subscription
from chaton.client.profile import Profile
from chaton.client.timing import Timing
from chaton.identity.ids import Pin
from chaton.relay import certs
from chaton.relay.config import Config
from chaton.relay.server import Relay, open_store
from chaton.room.link import Address

QUICK = Timing(request_ms=20_000, retry_first_ms=20, retry_max_ms=100, tick_ms=20)
IMPATIENT = Timing(connect_ms=2_000, request_ms=300, retry_first_ms=20, retry_max_ms=100, tick_ms=20)


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    certs.generate(directory, ["localhost"], ["127.0.0.1"], 30, now=datetime.now(UTC), force=False)
    return directory


class House:
    """One relay at a time over one data directory, on one port once it was opened."""

    def __init__(self, pair: Path, data: Path) -> None:
        self.pair, self.data, self.port = pair, data, 0
        self.relay: Relay | None = None
        self.stack = contextlib.ExitStack()
        self.options: dict[str, object] = {}

    def open(self) -> None:
        config = Config(
            listen=f"127.0.0.1:{self.port}",
            data=self.data,
            cert=self.pair / certs.SERVER_CERTIFICATE,
            key=self.pair / certs.SERVER_KEY,
            **self.options,
        )
        self.relay = Relay(config, self.stack.enter_context(open_store(config)), _timing())
        self.relay.start()
        self.port = self.relay.address[1]

    async def close(self) -> None:
        if self.relay is not None:
            await self.relay.close()
            self.relay = None
        self.stack.close()

    @property
    def pin(self) -> Pin:
        assert self.relay is not None
        return self.relay.pin

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, self.pin)


def _timing():
    from chaton.relay.listener import Timing as RelayTiming

    return RelayTiming()


class Cable:
    """Carries bytes between clients and the relay; may be cut, at any moment or after so many bytes."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task] = set()
        self.up_left: int | None = None  # how many bytes still go from clients to the relay
        self.down_left: int | None = None
        self.carried = [0, 0]
        self.made = 0
        self.dead = False  # takes connections and says nothing

    async def lay(self) -> None:
        self.server = await asyncio.start_server(self._plugged, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, self.house.pin)

    def _plugged(self, reader, writer) -> None:
        self._spawn(self._carry(reader, writer))

    def _spawn(self, coroutine) -> asyncio.Task:
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _carry(self, reader, writer) -> None:
        self.made += 1
        self.writers.add(writer)
        if self.dead:
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.house.port)
        except OSError:
            writer.transport.abort()
            return
        self.writers.add(far_writer)
        await asyncio.wait(
            {
                self._spawn(self._copy(0, reader, far_writer)),
                self._spawn(self._copy(1, far_reader, writer)),
            },
            return_when=asyncio.FIRST_COMPLETED,
        )
        for one in (writer, far_writer):
            one.transport.abort()

    async def _copy(self, way: int, reader, writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                left = (self.up_left, self.down_left)[way]
                if left is not None:
                    data = data[:left]
                    if way == 0:
                        self.up_left = left - len(data)
                    else:
                        self.down_left = left - len(data)
                self.carried[way] += len(data)
                writer.write(data)
                await writer.drain()
                if left is not None and left - len(data) <= 0:
                    self.up_left = self.down_left = None
                    return

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def close(self) -> None:
        self.server.close()
        self.cut()
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)


@pytest.fixture
async def house(pair, tmp_path):
    house = House(pair, tmp_path / "relay")
    house.open()
    yield house
    await house.close()


@pytest.fixture
async def cable(house):
    cable = Cable(house)
    await cable.lay()
    yield cable
    await cable.close()


class Town:
    """People with profiles on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stack = contextlib.AsyncExitStack()
        self.people: dict[str, Client] = {}

    async def person(self, name: str, *, timing: Timing = QUICK, lasting: bool = True) -> Client:
        """A client of this name's profile, closed at the end of the test at the latest."""
        client = self.client(name, timing=timing, lasting=lasting)
        self.people[name] = await self.stack.enter_async_context(client)
        return client

    def client(self, name: str, *, timing: Timing = QUICK, lasting: bool = True) -> Client:
        return Client(self.root / name, timing=timing, lasting=lasting)

    def profile(self, name: str) -> Profile:
        return Profile.open(self.root / name)


@pytest.fixture
async def town(tmp_path):
    town = Town(tmp_path)
    yield town
    await town.stack.aclose()


async def heard(news: Subscription, fits, *, seconds: float = 20) -> AnyNotice:
    """The next notice that fits."""
    async with asyncio.timeout(seconds):
        async for notice in news:
            if fits(notice):
                return notice
    raise AssertionError("the news ended")


async def said(news: Subscription, text: str) -> AnyNotice:
    return await heard(news, lambda notice: getattr(notice, "text", None) == text and hasattr(notice, "seq"))
