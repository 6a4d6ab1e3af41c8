"""A relay in a process of its own, and clients of the library."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from chaton.client.client import Client
from chaton.client.profile import Profile
from chaton.identity.ids import Pin
from chaton.room.link import Address


@dataclass
class RelayProcess:
    """``chaton serve`` on a free port, which it keeps when it is started again; it logs to ``errors``, or the terminal."""

    data: Path
    port: int = 0
    pin: str = ""
    process: asyncio.subprocess.Process | None = field(default=None)
    errors: IO[bytes] | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaton", "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data),
            stdout=asyncio.subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip
        line = (await self.process.stdout.readline()).decode()
        found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+) pin ([0-9a-f]{64})\n", line)
        self.port, self.pin = int(found[1]), found[2]

    async def stop(self) -> int:
        self.process.terminate()
        return await self.process.wait()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, Pin.from_hex(self.pin))


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    relay = RelayProcess(tmp_path / "relay")
    await relay.start()
    yield relay
    if relay.process.returncode is None:
        assert await relay.stop() == 0


@pytest.fixture
async def town(tmp_path: Path):
    """Makes clients, each with a profile of its own; the same name again is the same person."""
    async with contextlib.AsyncExitStack() as stack:

        async def person(name: str) -> Client:
            home = tmp_path / name
            if not home.exists():
                with Profile.create(home):
                    pass
            return await stack.enter_async_context(Client(home))

        yield person
