"""The second implementation as a program: installed once a worker, and started against a relay of this process."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chaton.room.link import Link
from tests.client.conftest import House, Town, pair
from tests.interop.crooked import Crooked

__all__ = ["pair"]

HERE = Path(__file__).parent
OLDEST_NODE = (20, 19)
PATIENCE_S = 30


def missing(why: str) -> None:
    """Skips; but where CI says that it is CI, a second implementation that was not run is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def check_node() -> None:
    if not shutil.which("npm") or not shutil.which("node"):
        missing("there is no Node.js here, which the second implementation is written for")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().lstrip("v").split(".")[:2])) < OLDEST_NODE:
        missing(f"Node.js here is {version.strip()}, and the second implementation needs 20.19 or later")


@pytest.fixture(scope="session")
def second(tmp_path_factory) -> Path:
    """A copy of the second implementation with its libraries, at the versions of package-lock.json."""
    check_node()
    directory = tmp_path_factory.mktemp("second")
    for source in [*HERE.glob("*.mjs"), *HERE.glob("package*.json")]:
        shutil.copy(source, directory)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"],
        cwd=directory, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        missing(f"npm could not install the second implementation's libraries: {done.stderr.strip()[-300:]}")
    return directory


class Other:
    """One running client of the second implementation."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[dict] = []

    async def tell(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def heard(self, event: str, **fields) -> dict:
        """The next thing it tells that is such an event with these fields."""
        async with asyncio.timeout(PATIENCE_S):
            while line := await self.process.stdout.readline():
                one = json.loads(line)
                self.told.append(one)
                if one["event"] == event and fields.items() <= one.items():
                    return one
        raise AssertionError(f"it ended without {event} {fields}: {self.told}")

    async def read(self, text: str) -> dict:
        while True:
            message = await self.heard("message")
            if message["fields"].get("text") == text:
                return message

    async def say(self, text: str) -> dict:
        await self.tell(f"say {text}")
        return await self.heard("sent")

    async def lines(self) -> list[dict]:
        """What it shows of the room, in the order of events."""
        await self.tell("lines")
        return (await self.heard("lines"))["lines"]

    async def quit(self) -> int:
        await self.tell("quit")
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@pytest.fixture
async def other(second):
    """Starts clients of the second implementation, by link and nick."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(link: Link, nick: str) -> Other:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                "node", str(second / "chaton.mjs"), nick, stdin=pipe, stdout=pipe, limit=1 << 20
            )
            stack.push_async_callback(end, process)
            one = Other(process)
            await one.tell(link.encode())
            return one

        yield start


async def end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    process._transport.close()


@pytest.fixture
async def house(pair, tmp_path):
    house = House(pair, tmp_path / "relay")
    house.open()
    yield house
    await house.close()


@pytest.fixture
async def crooked(pair, house):
    crooked = Crooked(pair, house.port)
    crooked.port = await crooked.open()
    yield crooked
    await crooked.close()


@pytest.fixture
async def town(tmp_path):
    town = Town(tmp_path)
    yield town
    await town.stack.aclose()
