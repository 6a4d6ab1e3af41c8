"""A client of raw frames over real TLS, for tests of a whole relay."""

import asyncio
import os
import ssl
from typing import TypeVar

from chaton.identity.statement import Seed
from chaton.wire import codec, frames
from chaton.wire.connection import reader_of_relay
from tests.relay.play import identity, login_answer, peek_signature

_Frame = TypeVar("_Frame")
TIMEOUT_S = 20


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["chaton/1"])
    return context


class Closed(Exception):
    """The relay ended the connection."""


class RawClient:
    """Frames in and out; what is not asked for yet is kept in order of arrival."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pin: bytes) -> None:
        self.reader, self.writer, self.pin = reader, writer, pin
        self.frames = reader_of_relay()
        self.inbox: list = []
        self.seen: list = []  # Every frame in the order in which it came.
        self.refs = 0

    @classmethod
    async def connect(cls, host: str, port: int, pin: bytes, limit: int = 2**16) -> "RawClient":
        context = client_context()
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=limit)
        client = cls(reader, writer, pin)
        client.welcome = await client.expect(frames.Welcome)
        return client

    async def login(self, who: Seed) -> frames.LoggedIn:
        self.who = identity(who)
        await self.say(frames.Login(login_answer(who, self.pin, self.welcome.nonce)))
        return await self.expect(frames.LoggedIn)

    async def peek(self, room: bytes, invite: Seed) -> object:
        nonce = os.urandom(32)
        signature = peek_signature(invite, self.pin, self.welcome.nonce, nonce, room)
        return await self.ask(frames.Peek, room, invite.public, nonce, signature)

    async def say(self, *said: object) -> None:
        self.writer.write(b"".join(codec.encode(frame) for frame in said))
        await self.writer.drain()

    def ref(self) -> int:
        self.refs += 1
        return self.refs

    async def ask(self, kind: type, *fields: object) -> object:
        """Send a request and wait for the frame with its ref."""
        ref = self.ref()
        await self.say(kind(ref, *fields))
        return await self.until(lambda frame: getattr(frame, "ref", None) == ref)

    async def until(self, fits) -> object:
        """Wait for a frame that fits, and leave the others where they are."""
        async with asyncio.timeout(TIMEOUT_S):
            seen = 0
            while True:
                while seen < len(self.inbox):
                    if fits(self.inbox[seen]):
                        return self.inbox.pop(seen)
                    seen += 1
                await self._read()

    async def expect(self, kind: type[_Frame]) -> _Frame:
        return await self.until(lambda frame: isinstance(frame, kind))

    async def next(self) -> object:
        """The next frame, whatever it is."""
        return await self.until(lambda _frame: True)

    async def _read(self) -> None:
        data = await self.reader.read(2**16)
        if not data:
            raise Closed
        arrived = list(self.frames.feed(data))
        self.seen += arrived
        self.inbox += arrived

    async def closed(self) -> None:
        """Wait for the relay to close."""
        try:
            await self.until(lambda _frame: False)
        except (Closed, ConnectionError):
            return

    def close(self) -> None:
        self.writer.transport.abort()
