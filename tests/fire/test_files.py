"""A relay that may open no more files: who is here goes on, and who waits gets in once there is room."""

import asyncio
import resource
import sys
import time

import pytest

from chaton.wire import frames
from tests.client.conftest import said
from tests.fire.relay import HurtRelay
from tests.relay.client import RawClient, client_context
from tests.relay.play import seed

FILES = 60
WATCHED_S = 2.0


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/stat")
async def test_no_more_files(tmp_path, town):
    relay = HurtRelay(tmp_path / "relay", prepare=few_files)
    await relay.start()
    ann, ben = await town.person("ann"), await town.person("ben")
    annes = await ann.create(relay.address, "garden", nick="ann")
    bens = await ben.join(await annes.invite(), nick="ben")
    crowd = await _crowd(relay)
    waiting = asyncio.create_task(_visit(relay, 0))

    for number in range(20):
        await annes.send(f"{number}")
    await said(bens.notices(), "19")
    relay.hang_up()
    await relay.logged("nothing was reloaded")
    begun, used = time.monotonic(), relay.cpu_s()
    await asyncio.sleep(WATCHED_S)
    assert relay.cpu_s() - used < 0.2 * (time.monotonic() - begun)
    assert relay.log.count("cannot accept") == 1
    assert not waiting.done()

    link = await annes.invite()
    for visit in crowd[:20]:
        (await visit).close()
    (await asyncio.wait_for(waiting, 30)).close()
    cyd = await town.person("cyd")
    cyds = await cyd.join(link, nick="cyd")
    await cyds.send("let me in")
    await said(annes.notices(), "let me in")
    for visit in crowd[20:]:
        (await visit).close()
    assert await relay.stop() == 0


async def _crowd(relay: HurtRelay) -> list[asyncio.Task[RawClient]]:
    """As many who log in and stay as get in; the last one may still be at the door."""
    crowd: list[asyncio.Task[RawClient]] = []
    while "cannot accept" not in relay.log:
        crowd.append(asyncio.create_task(_visit(relay, len(crowd) + 1)))
        while not crowd[-1].done() and "cannot accept" not in relay.log:
            await asyncio.wait(crowd[-1:], timeout=0.02)
    assert len(crowd) > FILES // 3
    return crowd


async def _visit(relay: HurtRelay, number: int) -> RawClient:
    """Log in, however long one has to wait at the door."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, ssl=client_context())
    client = RawClient(reader, writer, bytes.fromhex(relay.pin))
    client.welcome = await client.expect(frames.Welcome)
    await client.login(seed(1_000 + number))
    return client
