"""A relay that may be hurt, and clients of the library with profiles on disk."""

import asyncio

import pytest

from tests.client.conftest import House as LibraryHouse
from tests.client.conftest import Town
from tests.fire.relay import HurtRelay
from tests.relay.conftest import House, pair

__all__ = ["pair"]


@pytest.fixture
async def relay(tmp_path):
    relay = HurtRelay(tmp_path / "relay")
    await relay.start()
    yield relay
    if relay.process.returncode is None:
        assert await relay.stop() == 0, relay.log


@pytest.fixture
async def house(pair, tmp_path):
    """A relay with a store on disk in this process, and clients of raw frames."""
    house = House(pair, tmp_path / "relay", memory=False)
    yield house
    for client in house.clients:
        client.close()
    await asyncio.sleep(0)
    await house.close()


@pytest.fixture
async def home(pair, tmp_path):
    """The same for clients of the library."""
    home = LibraryHouse(pair, tmp_path / "relay")
    yield home
    await home.close()


@pytest.fixture
async def town(tmp_path):
    town = Town(tmp_path)
    yield town
    await town.stack.aclose()
