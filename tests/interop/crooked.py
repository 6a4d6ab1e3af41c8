"""A relay that lies: it has the true relay's key, so every pin and every login holds, and changes what it likes."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec

from chaton.relay import certs

PREFIX_BYTES = 4
EVENT, PARCEL = 72, 76


def flip_last_byte(frame: list) -> list:
    """Events with one bit of their body changed."""
    if frame[0] != EVENT:
        return frame
    *fields, body = frame
    return [*fields, body[:-1] + bytes([body[-1] ^ 1])]


def lose_a_parcel() -> Callable[[list], list | None]:
    """The first parcel does not arrive."""
    lost = []

    def lie(frame: list) -> list | None:
        if frame[0] == PARCEL and not lost:
            return lost.append(frame)
        return frame

    return lie


class Crooked:
    """Stands between clients and a relay; ``lie`` changes a frame on its way down, leaves it, or drops it (None)."""

    def __init__(self, pair: Path, port: int) -> None:
        self.far_port, self.tasks = port, set()
        self.heard = 0  # how many frames clients have sent
        self.lie: Callable[[list], list | None] = lambda frame: frame
        self.near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.near.load_cert_chain(pair / certs.SERVER_CERTIFICATE, pair / certs.SERVER_KEY)
        self.far = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.far.check_hostname, self.far.verify_mode = False, ssl.CERT_NONE
        for side in (self.near, self.far):
            side.set_alpn_protocols(["chaton/1"])

    async def open(self) -> int:
        """Begin to listen; gives the port."""
        self.server = await asyncio.start_server(self._joined, "127.0.0.1", 0, ssl=self.near)
        return self.server.sockets[0].getsockname()[1]

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await asyncio.open_connection("127.0.0.1", self.far_port, ssl=self.far)
        for task in (self._carry(reader, far[1], self._up), self._carry(far[0], writer, self._down)):
            running = asyncio.create_task(task)
            self.tasks.add(running)
            running.add_done_callback(self.tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable) -> None:
        try:
            while prefix := await reader.read(PREFIX_BYTES):
                prefix += await reader.readexactly(PREFIX_BYTES - len(prefix))
                if frame := change(await reader.readexactly(int.from_bytes(prefix))):
                    writer.write(len(frame).to_bytes(PREFIX_BYTES) + frame)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()  # One side is gone, so the other one goes too.
        finally:
            writer.close()

    def _up(self, raw: bytes) -> bytes:
        self.heard += 1
        return raw

    def _down(self, raw: bytes) -> bytes | None:
        frame = self.lie(msgspec.msgpack.decode(raw))
        return frame and msgspec.msgpack.encode(frame)

    async def close(self) -> None:
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
