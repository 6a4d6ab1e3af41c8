"""What people say is nowhere on the relay: not on its disk, not in its memory, not on the wire."""

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from chaton.errors import ProtocolError
from chaton.relay.store.sqlite import SqliteStore
from chaton.room.envelope import Envelope
from chaton.room.link import Address, Link
from chaton.vault.parcel import open_parcel

TEXT, DIRECT, TOPIC, NAME = "vermilion-kestrel-speaks", "quiet-marmot-alone", "topic-of-cobalt", "room-of-saffron"
NICKS, REASON = ("nick-ada-zebra", "nick-ben-okapi"), "reason-of-ochre"
SECRETS = [text.encode() for text in (TEXT, DIRECT, TOPIC, NAME, *NICKS, REASON)]


class Wire:
    """A cable that writes down every byte in both directions."""

    def __init__(self, port: int) -> None:
        self.port, self.carried = port, bytearray()

    async def lay(self) -> int:
        self.server = await asyncio.start_server(self._plugged, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _plugged(self, reader, writer) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader, writer) -> None:
        while data := await reader.read(65_536):
            self.carried += data
            writer.write(data)
            await writer.drain()
        writer.close()


def memory_of(pid: int) -> bytes:
    """Everything that a process can write to, and so may have kept something in."""
    image = bytearray()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if "w" not in rights:
                continue
            start, end = (int(number, 16) for number in place.split("-"))
            memory.seek(start)
            with contextlib.suppress(OSError):
                image += memory.read(end - start)
    return bytes(image)


def disk_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def heard(room, text: str) -> None:
    async for notice in room.notices():
        if getattr(notice, "text", None) == text:
            return


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/mem")
async def test_no_text_and_no_name_on_disk_in_memory_or_on_the_wire(relay, town) -> None:
    wire = Wire(relay.port)
    address = Address("127.0.0.1", await wire.lay(), relay.address.pin)
    ada, ben = await town("ada"), await town("ben")
    room = await ada.create(address, NAME, nick=NICKS[0], topic=TOPIC)
    link: Link = await room.invite(uses=2)
    bens = await ben.join(link, nick=NICKS[1])
    await room.send(TEXT)
    await asyncio.wait_for(heard(bens, TEXT), 20)
    alone = await room.direct(NICKS[1])
    await alone.send(DIRECT)
    await room.kick(NICKS[1], REASON)
    places = {"memory": memory_of(relay.process.pid), "disk": disk_of(relay.data), "wire": bytes(wire.carried)}
    keys = [link.seed.reveal(), link.rik.reveal()]
    for place, found in places.items():
        assert [secret for secret in (*SECRETS, *keys) if secret in found] == [], place
    # The search itself works: what the relay does know is found in all but the wire, which is TLS.
    assert room.id in places["memory"]
    assert room.id in places["disk"]
    assert room.id not in places["wire"]
    assert len(places["wire"]) > 10_000
    wire.server.close()


async def test_a_kicked_member_opens_nothing_that_the_relay_stored_afterwards(relay, town) -> None:
    """A thief of the relay's disk who also has every key of the one who was kicked."""
    ada, ben, cyd = await town("ada"), await town("ben"), await town("cyd")
    room = await ada.create(relay.address, "room", nick="ada")
    link = await room.invite(uses=2)
    bens, cyds = await ben.join(link, nick="ben"), await cyd.join(link, nick="cyd")
    await room.send("to all three")
    await bens.send("from ben")
    for person in (bens, cyds):
        await asyncio.wait_for(heard(person, "to all three"), 20)
    await asyncio.wait_for(heard(cyds, "from ben"), 20)
    before = cyds.room.view.history.s
    chains = [known.read for known in cyds.room.reader.chains.values() if known.read is not None]
    bundles = list(cyds.driver.session.keyring._opened.values())
    assert len(chains) == 2
    await room.kick("cyd", "enough")
    await room.send("cyd is out")
    await bens.send("cyd is out, says ben")
    await asyncio.wait_for(heard(bens, "cyd is out"), 20)
    await relay.stop()
    store = SqliteStore(relay.data)
    try:
        later = [row for row in store.events(room.id, before, 10**9) if row.kind == 1]
        parcels = [row.raw for who in (ada, ben, cyd) for row in store.parcels(who.identity, -1, 1_000)]
    finally:
        store.close()
    assert len(later) == 2
    opened = [row.s for row in later for chain in chains if _opens(chain.open, Envelope.decode(row.body))]
    assert opened == []
    assert not any(_opens(open_parcel, raw, cyd.identity, own) for raw in parcels for own in bundles)


def _opens(way, *arguments) -> bool:
    try:
        way(*arguments)
    except ProtocolError:
        return False
    return True


async def test_the_way_to_open_is_the_right_one(relay, town) -> None:
    """The same search over what cyd was still meant to read finds it: the test above can fail."""
    ada, cyd = await town("ada"), await town("cyd")
    room = await ada.create(relay.address, "room", nick="ada")
    cyds = await cyd.join(await room.invite(), nick="cyd")
    await room.send("first")
    await asyncio.wait_for(heard(cyds, "first"), 20)
    chains = [known.read for known in cyds.room.reader.chains.values() if known.read is not None]
    before = cyds.room.view.history.s
    await room.send("second")
    await relay.stop()
    store = SqliteStore(relay.data)
    try:
        later = store.events(room.id, before, 10**9)
    finally:
        store.close()
    assert [_opens(chain.open, Envelope.decode(row.body)) for row in later for chain in chains] == [True]
