"""Connections that are cut at any byte: of every request over real TLS, and underneath whole clients."""

import pytest

from chaton.wire import codec
from chaton.wire.connection import reader_of_client
from tests.fire.cuts import KINDS, World, cut_everywhere, enter, requests
from tests.fire.resuming import DEEDS, WAYS, Scene, cut_deed

SAMPLES = 12
CUTS = 6


@pytest.fixture
async def world(house):
    house.open()
    return await World.begin(house)


def some(length: int) -> list[int]:
    """The ends, where the length and the kind of a frame are, and a few places between."""
    return sorted({1, 3, 4, 5, length - 1, *range(7, length, length // SAMPLES)})


@pytest.mark.parametrize("name", KINDS)
async def test_a_request_that_is_cut_is_done_or_not_done(world, name):
    """Over real TLS behind some bytes; ``scripts/fire cuts`` does it behind every one."""
    (request,) = (request for request in requests(world) if request.name == name)
    assert await cut_everywhere(world, request, some) >= SAMPLES


async def test_no_request_is_understood_before_its_last_byte(world):
    """What the relay decides on are whole frames: of each request, every byte less makes none."""
    for request in requests(world):
        said = codec.encode(request.make(await enter(world, request)))
        for behind in range(len(said)):
            assert list(reader_of_client(2**20).feed(said[:behind])) == [], (request.name, behind)
        assert len(list(reader_of_client(2**20).feed(said))) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("deed", DEEDS)
async def test_a_client_resumes_and_ends_right(home, town, deed, way):
    """Behind some bytes of what TLS carries; ``scripts/fire cuts`` does it behind many more."""
    home.open()
    scene = await Scene.begin(home, town)
    try:
        if deed == "direct":
            await scene.meet(3 + CUTS + 1)
        assert await cut_deed(scene, deed, way, lambda length: range(1, length, length // CUTS)) >= CUTS
    finally:
        await scene.end()
