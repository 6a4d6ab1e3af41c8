"""Signals to a relay at work: SIGHUP takes over a renewed certificate and no broken one, SIGTERM ends it in good order."""

import asyncio
import socket
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

from chaton.relay import certs
from chaton.wire import frames
from tests.client.conftest import said
from tests.fire.kill import burn
from tests.relay.client import RawClient
from tests.relay.helpers import OWNER

BOUND_S = 15  # Two for whoever does not read its goodbye, and what a busy machine takes.


def renew(directory: Path, **options) -> None:
    certs.generate(directory, ["localhost"], ["127.0.0.1"], 30, now=datetime.now(UTC), **{"force": False} | options)


async def shown(relay) -> str:
    """The certificate that the relay shows to who comes now."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", relay.port))


async def test_a_certificate_is_renewed_while_people_talk(relay, town):
    ann, ben = await town.person("ann"), await town.person("ben")
    annes = await ann.create(relay.address, "garden", nick="ann")
    link = await annes.invite(uses=2)
    bens = await ben.join(link, nick="ben")
    connections = [room.driver.line._connection for room in (annes, bens)]
    talking = [asyncio.create_task(_talk(room, name)) for name, room in (("ann", annes), ("ben", bens))]
    seen = {await shown(relay)}
    for number in range(1, 6):
        renew(relay.data / "certs")
        relay.hang_up()
        await relay.logged("are reloaded", number)
        seen.add(await shown(relay))
    assert len(seen) == 6
    cyd = await town.person("cyd")
    cyds = await cyd.join(link, nick="cyd")  # The link is older than the certificate, and its pin is good.
    for talk in talking:
        talk.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    await annes.send("the end")
    for room in (bens, cyds):
        await said(room.notices(), "the end")
    assert [room.driver.line._connection for room in (annes, bens)] == connections
    assert [line.text for line in annes.backlog()] == [line.text for line in bens.backlog()]
    for name in ("ann", "ben"):
        numbers = [int(str(line.text).split()[1]) for line in annes.backlog() if str(line.text).startswith(name)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 5


async def _talk(room, name: str) -> None:
    number = 0
    while True:
        await room.send(f"{name} {number}")
        number += 1


def _another_key(directory: Path) -> None:
    renew(directory, force=True)


def _key_of_another(directory: Path) -> None:
    elsewhere = directory / "elsewhere"
    renew(elsewhere)
    (directory / "server.key").write_bytes((elsewhere / "server.key").read_bytes())


def _half(directory: Path) -> None:
    path = directory / "server.pem"
    path.write_bytes(path.read_bytes()[:200])


BROKEN = {
    "empty": lambda directory: (directory / "server.pem").write_bytes(b""),
    "half": _half,
    "noise": lambda directory: (directory / "server.pem").write_bytes(bytes(range(256)) * 8),
    "wrong-base64": lambda directory: (directory / "server.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    ),
    "key-empty": lambda directory: (directory / "server.key").write_bytes(b""),
    "key-of-another": _key_of_another,
    "another-key": _another_key,
}


async def test_a_broken_certificate_is_told_and_the_old_one_stays(relay):
    directory = relay.data / "certs"
    good = {path: path.read_bytes() for path in directory.iterdir()}
    where = "127.0.0.1", relay.port, bytes.fromhex(relay.pin)
    before = await shown(relay)
    member = await RawClient.connect(*where)
    await member.login(OWNER)
    for number, (name, spoil) in enumerate(BROKEN.items(), 1):
        spoil(directory)
        relay.hang_up()
        await relay.logged("nothing was reloaded", number)
        assert await shown(relay) == before, name
        (await RawClient.connect(*where)).close()
        for path, content in good.items():
            path.write_bytes(content)
    relay.data.with_suffix(".toml").write_text("[limits\n")
    relay.hang_up()
    await relay.logged("nothing was reloaded", len(BROKEN) + 1)
    await member.say()
    relay.data.with_suffix(".toml").write_text("")
    renew(directory)
    relay.hang_up()
    await relay.logged("are reloaded")
    assert await shown(relay) != before
    member.close()


async def test_a_relay_that_is_asked_to_end_again_and_again(tmp_path):
    """SIGTERM under load: it ends with 0 and soon, nothing acknowledged is lost, and people go on with the next one."""
    took = []

    async def end(relay) -> None:
        begun = time.monotonic()
        assert await relay.stop() == 0, relay.log
        took.append(time.monotonic() - begun)

    fire = await burn(tmp_path, times=4, seed=2, end=end, early=0)
    assert len(fire.acknowledged) >= 20
    assert max(took) < BOUND_S, took


async def test_who_does_not_read_keeps_no_relay_from_ending(relay, town):
    """Somebody who follows a room of many megabytes and takes none of them: cut off after a moment, exit 0 all the same."""
    ann = await town.person("ann")
    annes = await ann.create(relay.address, "garden", nick="ann")
    for number in range(150):
        annes.say(f"{number} " + "x" * 60_000)
    await ann.flush()
    ann_again = await RawClient.connect("127.0.0.1", relay.port, bytes.fromhex(relay.pin), limit=2**12)
    ann_again.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
    await ann_again.login(ann.profile.seed)
    await ann_again.say(frames.Follow(1, annes.id, 0))
    await ann_again.expect(frames.Event)  # And no further: what is not read stays where it is.
    begun = time.monotonic()
    assert await relay.stop() == 0
    assert time.monotonic() - begun < BOUND_S
    assert "1 connections were cut" in relay.log
    ann_again.close()
