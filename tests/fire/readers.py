"""Members who do not read, or hardly: what the others feel of it, what the relay holds, what they get in the end."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from chaton.identity.ids import Pin
from chaton.relay.config import Limits
from chaton.wire import frames
from tests.fire.flood import PATIENCE_S, Service, Street
from tests.fire.program import Figures
from tests.relay.client import RawClient, client_context
from tests.relay.helpers import follow, submit
from tests.relay.play import seed

DEAD, SLOW, LATE = (seed(number) for number in (20, 21, 22))
INVITE = seed(9)
QUEUE_BYTES = Limits().queue_bytes_max
SIZE = 2**16
CALM = 100
SLOW_BYTES = 2**10
BUFFER_BYTES = 2**14


@dataclass(frozen=True)
class Outcome:
    """Service without and with them, the relay before and with them, and the events that came late."""

    calm: Service
    hot: Service
    before: Figures
    during: Figures
    late: list[int]
    wanted: list[int]


async def endure(street: Street, *, times: int) -> Outcome:
    """Say so many times what a queue holds, while one never reads, one reads 1 KB/s and one only afterwards."""
    count = times * QUEUE_BYTES // SIZE
    await street.deliver(8, SIZE)
    before, calm = street.figures(), await street.deliver(CALM, SIZE)
    clients = [await _come(street, who) for who in (DEAD, SLOW, LATE)]
    late = clients[-1]
    first = street.script.history.s + 1
    sipping = asyncio.create_task(_sip(clients[1]))
    try:
        hot, during = await street.deliver(count, SIZE), street.figures()
        last = street.script.history.s
        async with asyncio.timeout(PATIENCE_S):
            await late.until(lambda frame: isinstance(frame, frames.Event) and frame.s == last)
    finally:
        sipping.cancel()
    told = [frame.s for frame in late.seen if isinstance(frame, frames.Event)]
    return Outcome(calm, hot, before, during, told[-count:], list(range(first, last + 1)))


async def _come(street: Street, who) -> RawClient:
    """A member with little room for what it does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", street.relay.port))
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=client_context(), server_hostname="localhost", limit=BUFFER_BYTES
    )
    client = RawClient(reader, writer, Pin.from_hex(street.relay.pin))
    street.clients.append(client)
    client.welcome = await client.expect(frames.Welcome)
    await client.login(who)
    await submit(client, street.script, street.script.join(who, INVITE))
    await follow(client, street.script, street.script.history.s)
    return client


async def _sip(client: RawClient) -> None:
    with contextlib.suppress(OSError):
        while await client.reader.read(SLOW_BYTES):  # noqa: ASYNC110 - it waits for nothing, it is slow
            await asyncio.sleep(1)
