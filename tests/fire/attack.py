"""One kind of attack on a relay, from a process of its own: ``python -m tests.fire.attack KIND PORT PIN ROOM``.

Connections come from many addresses of 127.0.0.0/8, so that limits of one address do not end an attack that would have
many. Goes on until SIGTERM, then prints how many times it did what it does.
"""

import asyncio
import contextlib
import os
import resource
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

from chaton.errors import Malformed
from chaton.identity.bundle import Bundle
from chaton.identity.statement import Seed
from chaton.wire import codec, frames
from tests.relay.client import Closed, RawClient, client_context
from tests.relay.play import bundle, identity, login_answer, parcel, seed

VICTIM = seed(1)
CONTEXT = client_context()
_LOST = (OSError, ssl.SSLError, Closed, asyncio.IncompleteReadError, TimeoutError, Malformed)
_AHEAD_BYTES = 2**20


@dataclass
class Attack:
    """What an attacker knows, and how much it has done."""

    port: int
    pin: bytes
    room: bytes
    who: Seed  # A member of the room.
    done: int = 0

    def __post_init__(self) -> None:
        self._numbers = count(os.getpid() % 200 * 256)

    def _address(self) -> tuple[str, int]:
        number = next(self._numbers)
        return f"127.{1 + number // 65_000 % 250}.{number // 250 % 250}.{1 + number % 250}", 0

    async def bare(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=self._address())

    async def client(self) -> RawClient:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=CONTEXT, local_addr=self._address(), ssl_handshake_timeout=60
        )
        client = RawClient(reader, writer, self.pin)
        try:
            client.welcome = await client.expect(frames.Welcome)
        except BaseException:
            client.close()
            raise
        return client

    async def member(self) -> RawClient:
        client = await self.client()
        await client.login(self.who)
        return client

    async def swarm(self, size: int, act: Callable[[], Awaitable[None]]) -> None:
        """So many at once do something again and again, whatever the relay says to it."""

        async def one() -> None:
            while True:
                self.done += 1
                try:
                    await act()
                except _LOST:
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(one() for _ in range(size)))

    async def pour(self, client: RawClient, data: bytes) -> None:
        """Say the same without end, as fast as it is taken, and read what is answered."""

        async def read() -> None:
            while await client.reader.read(2**16):
                pass

        reading = asyncio.create_task(read())
        try:
            while not reading.done():
                client.writer.write(data)
                await client.writer.drain()
                self.done += 1
                await asyncio.sleep(0)
        finally:
            reading.cancel()
            client.close()


async def half_open(attack: Attack) -> None:
    """Connections on which nothing is ever said."""
    kept = []
    with contextlib.suppress(OSError):
        while len(kept) < 5_000:
            kept.append(await attack.bare())
            attack.done += 1
    await asyncio.sleep(3_600)


async def slow_handshake(attack: Attack) -> None:
    """A ClientHello, byte after byte."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        CONTEXT.wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()

    async def act() -> None:
        _, writer = await attack.bare()
        await _drip(writer, hello[:-1])

    await attack.swarm(500, act)


async def slow_login(attack: Attack) -> None:
    """A frame, byte after byte, from somebody who has not logged in."""

    async def act() -> None:
        client = await attack.client()
        await _drip(client.writer, codec.encode(frames.Login(bytes(128))))

    await attack.swarm(200, act)


async def slow_frame(attack: Attack) -> None:
    """The same from those who have: a frame that takes long and is long."""

    async def act() -> None:
        client = await attack.client()
        await client.login(Seed(os.urandom(32)))
        client.writer.write((2**20).to_bytes(4) + bytes(2**16))
        await _drip(client.writer, bytes(2**10))

    await attack.swarm(100, act)


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    try:
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0.2)
        await asyncio.sleep(3_600)
    finally:
        writer.transport.abort()


async def connections(attack: Attack) -> None:
    """Handshakes, as many as can be."""

    async def act() -> None:
        (await attack.client()).close()

    await attack.swarm(100, act)


async def wrong_logins(attack: Attack) -> None:
    """Logins that are signed by nobody."""

    async def act() -> None:
        client = await attack.client()
        try:
            await client.say(frames.Login(os.urandom(128)))
            await client.closed()
        finally:
            client.close()

    await attack.swarm(100, act)


async def right_logins(attack: Attack) -> None:
    """Logins of strangers, each a new one, and a bundle of each."""

    async def act() -> None:
        client, who = await attack.client(), Seed(os.urandom(32))
        try:
            await client.login(who)
            await client.ask(frames.Publish, bundle(who, client.welcome.now).raw)
        finally:
            client.close()

    await attack.swarm(100, act)


async def same_login(attack: Attack) -> None:
    """One member's logins, one replacing the other."""

    async def act() -> None:
        client = await attack.client()
        try:
            await client.say(frames.Login(login_answer(attack.who, attack.pin, client.welcome.nonce)))
            await client.expect(frames.LoggedIn)
        finally:
            client.close()

    await attack.swarm(50, act)


async def parcels(attack: Attack) -> None:
    """Parcels to a member, in full frames."""
    client = await attack.member()
    listed = await client.ask(frames.Bundles, [identity(VICTIM)])
    if isinstance(listed, frames.Refused):
        raise Closed  # It asks too much already, and comes again.
    one = frames.ParcelTo(identity(VICTIM), parcel(Bundle.decode(listed.bundles[0])))
    await attack.pour(client, codec.encode(frames.Parcels(1, attack.room, [one] * 256)))


async def bundles(attack: Attack) -> None:
    """Bundles, published and asked for."""
    client = await attack.member()
    ask = codec.encode(frames.Bundles(1, [identity(VICTIM), *(os.urandom(32) for _ in range(255))]))
    tell = b"".join(codec.encode(frames.Publish(1, bundle(attack.who, client.welcome.now + n).raw)) for n in range(4))
    await attack.pour(client, ask + tell)


async def records(attack: Attack) -> None:
    """Records that are none, and turns."""
    client = await attack.member()
    submit = codec.encode(frames.Submit(1, attack.room, os.urandom(2_400)))
    await attack.pour(client, submit + codec.encode(frames.Turn(2, attack.room)))


async def messages(attack: Attack) -> None:
    """Messages that are none, of the greatest length."""
    client = await attack.member()
    await attack.pour(client, codec.encode(frames.Send(1, attack.room, os.urandom(65_821))))


async def logs(attack: Attack) -> None:
    """Whatever is answered with much: logs, and histories from their beginning."""
    client = await attack.member()
    log, follow = frames.Log(1, attack.room, -1), frames.Follow(2, attack.room, 0)
    await attack.pour(client, codec.encode(log) + codec.encode(follow))


async def pings(attack: Attack) -> None:
    """The shortest frames, in great numbers."""
    await attack.pour(await attack.member(), codec.encode(frames.Ping(1)) * 5_000)


async def single_bytes(attack: Attack) -> None:
    """Frames, each byte of them in a record of TLS of its own."""
    client = await attack.member()
    data = codec.encode(frames.Ping(1))
    while True:
        for at in range(len(data)):
            client.writer.write(data[at : at + 1])
        await client.until(lambda frame: isinstance(frame, frames.Pong))
        attack.done += 1


async def oversized(attack: Attack) -> None:
    """Frames that say to be of 2 GiB."""

    async def act() -> None:
        client = await attack.client()
        try:
            client.writer.write((2**31).to_bytes(4) + bytes(2**16))
            await client.closed()
        finally:
            client.close()

    await attack.swarm(50, act)


async def nested(attack: Attack) -> None:
    """Lists in lists in lists, as deep as a frame of a member is long."""

    async def act() -> None:
        client = await attack.client()
        try:
            await client.login(Seed(os.urandom(32)))
            client.writer.write((2**20).to_bytes(4) + b"\x91" * 2**20)
            await client.closed()
        finally:
            client.close()

    await attack.swarm(20, act)


async def noise(attack: Attack) -> None:
    """Random bytes in place of TLS."""

    async def act() -> None:
        reader, writer = await attack.bare()
        try:
            writer.write(os.urandom(2_000))
            await reader.read()
        finally:
            writer.transport.abort()

    await attack.swarm(50, act)


async def noise_within(attack: Attack) -> None:
    """Random bytes inside TLS."""

    async def act() -> None:
        client = await attack.client()
        try:
            client.writer.write(b"\0\0\x03\xe8" + os.urandom(1_000))
            await client.closed()
        finally:
            client.close()

    await attack.swarm(50, act)


ATTACKS: dict[str, Callable[[Attack], Awaitable[None]]] = {
    attack.__name__: attack
    for attack in (
        half_open, slow_handshake, slow_login, slow_frame, connections, wrong_logins, right_logins, same_login,
        parcels, bundles, records, messages, logs, pings, single_bytes, oversized, nested, noise, noise_within,
    )
}  # fmt: skip

ATTACKERS = {kind: seed(60 + number) for number, kind in enumerate(ATTACKS)}


async def main(kind: str, port: str, pin: str, room: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attack = Attack(int(port), bytes.fromhex(pin), bytes.fromhex(room), ATTACKERS[kind])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _end, attack)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while True:
        with contextlib.suppress(*_LOST):
            await ATTACKS[kind](attack)
        await asyncio.sleep(0.1)  # It was thrown out, and comes again.


def _end(attack: Attack) -> None:
    try:
        sys.stdout.write(f"{attack.done}\n")
        sys.stdout.flush()
    finally:
        os._exit(0)  # What is open is torn off, whether anybody wants to know or not.


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
