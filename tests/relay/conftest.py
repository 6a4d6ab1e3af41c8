"""A relay on a free port of 127.0.0.1, over both stores, and clients that are closed at the end."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaton.identity.statement import Seed
from chaton.relay import certs
from chaton.relay.config import Config, Limits
from chaton.relay.listener import Timing
from chaton.relay.server import Relay, open_store
from tests.relay.client import RawClient


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    certs.generate(directory, ["localhost"], ["127.0.0.1"], 30, now=datetime.now(UTC), force=False)
    return directory


class House:
    """One relay at a time over one data directory, and whoever talks to it."""

    def __init__(self, pair: Path, data: Path, *, memory: bool) -> None:
        self.options = {
            "listen": "127.0.0.1:0", "data": data, "memory": memory,
            "cert": pair / certs.SERVER_CERTIFICATE, "key": pair / certs.SERVER_KEY,
        }  # fmt: skip
        self.clients: list[RawClient] = []
        self.stack = contextlib.ExitStack()
        self.relay: Relay | None = None
        self.store = None

    def open(self, *, limits: Limits | None = None, timing: Timing | None = None, wrap=lambda store: store) -> Relay:
        self.config = Config(**self.options, limits=limits or Limits())
        self.store = wrap(self.stack.enter_context(open_store(self.config)))
        self.relay = Relay(self.config, self.store, timing or Timing())
        self.relay.start()
        return self.relay

    async def close(self) -> None:
        if self.relay is not None:
            await self.relay.close()
            self.relay = None
        self.stack.close()

    async def connect(self, **options) -> RawClient:
        client = await RawClient.connect(*self.relay.address, self.relay.pin, **options)
        self.clients.append(client)
        return client

    async def client(self, who: Seed, **options) -> RawClient:
        client = await self.connect(**options)
        client.logged_in = await client.login(who)
        return client


@pytest.fixture(params=["memory", "disk"])
async def house(request, pair, tmp_path):
    house = House(pair, tmp_path / "data", memory=request.param == "memory")
    yield house
    for client in house.clients:
        client.close()
    await asyncio.sleep(0)
    await house.close()
