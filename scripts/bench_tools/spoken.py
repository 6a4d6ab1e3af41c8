"""The protocols of load/speak.c once more, for the generator in Python: each as far as a member of a room needs it."""

# ruff: noqa: D102 - a method that overrides a documented one needs no words of its own

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from chaton.identity.ids import ChainId, Head, Identity, Nonce, Pin, RoomId, Transcript
from chaton.identity.login import Challenge, LoginAnswer
from chaton.identity.statement import Label, Seed
from chaton.room.envelope import Header
from chaton.wire import frames
from chaton.wire.codec import encode
from chaton.wire.connection import reader_of_relay

GREETED, LOGGED_IN, LIVE = "greeted", "logged in", "live"
_HEADER_BYTES = 205


class Sizes(NamedTuple):
    """Bytes of a message as others carry it, and of the envelope in it."""

    payload: int
    envelope: int


@dataclass
class Membership:
    """Who a connection is in Chaton, and what it last knows of its room."""

    pin: Pin
    seed: Seed
    room: RoomId
    head: Head
    n: int
    s: int
    transcript: Transcript
    after: int = 0


class Bare:
    """Length-prefixed frames. ``take`` gives out what was reached, bytes to say, or a stamp that was delivered."""

    ALPN: ClassVar[tuple[str, ...]] = ("chaton/1",)
    GREETS_IN_CLEAR: ClassVar[bool] = False

    def __init__(self, sizes: Sizes, membership: Membership | None) -> None:
        self.sizes = sizes
        self.membership = membership
        self.rest = b""
        self.state = GREETED

    def log_in(self) -> Iterator[str | bytes]:
        """What is said after the handshake."""
        yield LOGGED_IN

    def follow(self) -> Iterator[str | bytes]:
        """What is said to get the messages."""
        yield LIVE

    def message(self, stamp: bytes) -> bytes:
        """What is said to send one, its stamp where an envelope has its ciphertext."""
        return self.framed((bytes(_HEADER_BYTES) + stamp).ljust(self.sizes.payload, b"\0"))

    def framed(self, payload: bytes) -> bytes:
        """A payload as it is sent."""
        return len(payload).to_bytes(4) + payload

    def take(self, data: bytes) -> Iterator[Any]:
        """What whole frames mean."""
        data = self.rest + data
        while (found := self.cut(data)) is not None:
            used, meaning = found
            data = data[used:]
            yield from meaning
        self.rest = data

    def cut(self, data: bytes) -> tuple[int, list[Any]] | None:
        """One frame: how long it is and what it means."""
        if len(data) < 4 or len(data) - 4 < (length := int.from_bytes(data[:4])):  # noqa: PLR2004 - the prefix
            return None
        return 4 + length, [self.stamp(data[4 : 4 + length])]

    @staticmethod
    def stamp(payload: bytes) -> memoryview:
        """The stamp of a delivery, told from bytes to say by its type."""
        return memoryview(payload)[_HEADER_BYTES : _HEADER_BYTES + 16]


class Mqtt(Bare):
    """MQTT 3.1.1 with QoS 0."""

    ALPN: ClassVar[tuple[str, ...]] = ()

    def log_in(self) -> Iterator[str | bytes]:
        name = os.urandom(8).hex().encode()
        yield b"\x10" + bytes([12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2) + name

    def follow(self) -> Iterator[str | bytes]:
        yield b"\x82\x09\x00\x01\x00\x04chat\x00"

    def framed(self, payload: bytes) -> bytes:
        length = len(payload) + 6
        return bytes([0x30, length % 128 | 0x80, length // 128]) + b"\x00\x04chat" + payload

    def cut(self, data: bytes) -> tuple[int, list[Any]] | None:
        length, used = 0, 1
        while used < len(data):
            length |= (data[used] & 0x7F) << 7 * (used - 1)
            used += 1
            if not data[used - 1] & 0x80:
                break
        else:
            return None
        if len(data) - used < length:
            return None
        said: dict[int, list[Any]] = {2: [LOGGED_IN], 9: [LIVE]}
        payload = data[used : used + length][-self.sizes.payload :]
        return used + length, [self.stamp(payload)] if data[0] >> 4 == 3 else said.get(data[0] >> 4, [])  # noqa: PLR2004


class Nats(Bare):
    """NATS."""

    ALPN: ClassVar[tuple[str, ...]] = ()
    GREETS_IN_CLEAR: ClassVar[bool] = True

    def log_in(self) -> Iterator[str | bytes]:
        yield b'CONNECT {"verbose":false,"pedantic":false,"tls_required":true}\r\nPING\r\n'

    def follow(self) -> Iterator[str | bytes]:
        yield b"SUB chat 1\r\nPING\r\n"

    def framed(self, payload: bytes) -> bytes:
        return b"PUB chat %d\r\n%b\r\n" % (len(payload), payload)

    def cut(self, data: bytes) -> tuple[int, list[Any]] | None:
        line = data.find(b"\n") + 1
        if not line:
            return None
        if data[:1] == b"M":
            end = line + self.sizes.payload + 2
            return (end, [self.stamp(data[line:end])]) if len(data) >= end else None
        if data[:2] == b"PO":
            return line, [LOGGED_IN if self.state == GREETED else LIVE]
        return line, [b"PONG\r\n"] if data[:2] == b"PI" else []


class Ws(Bare):
    """WebSocket, its mask zero."""

    ALPN: ClassVar[tuple[str, ...]] = ()

    def log_in(self) -> Iterator[str | bytes]:
        yield (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def framed(self, payload: bytes) -> bytes:
        return b"\x82\xfe" + len(payload).to_bytes(2) + bytes(4) + payload

    def cut(self, data: bytes) -> tuple[int, list[Any]] | None:
        if self.state == GREETED:
            end = data.find(b"\r\n\r\n")
            return (end + 4, [LOGGED_IN]) if end >= 0 else None
        length = int.from_bytes(data[2:4])
        if len(data) < 4 or len(data) - 4 < length:  # noqa: PLR2004 - all payloads have two bytes of length
            return None
        return 4 + length, [self.stamp(data[4 : 4 + length])]


class Chaton(Bare):
    """Chaton/1, by the library's own frames."""

    def __init__(self, sizes: Sizes, membership: Membership | None) -> None:
        super().__init__(sizes, membership)
        assert membership is not None
        self.me = membership
        self.reader = reader_of_relay()
        self.ref = 0

    def log_in(self) -> Iterator[str | bytes]:
        yield from ()

    def follow(self) -> Iterator[str | bytes]:
        yield encode(frames.Follow(0, self.me.room, self.me.after))

    def message(self, stamp: bytes) -> bytes:
        me = self.me
        header = Header(me.room, ChainId(os.urandom(32)), 0, me.n, me.head, me.s, me.transcript).encode()
        length = self.sizes.envelope - _HEADER_BYTES - 64
        envelope = (header + bytes(56) + length.to_bytes(4) + stamp).ljust(self.sizes.envelope, b"\0")
        self.ref += 1
        return encode(frames.Send(self.ref, me.room, envelope))

    def take(self, data: bytes) -> Iterator[Any]:
        for frame in self.reader.feed(data):
            match frame:
                case frames.Event(body=body):
                    yield self.stamp(body)
                case frames.Accepted(s=s, transcript=transcript):
                    self.me.s, self.me.transcript = s, Transcript(transcript)
                case frames.Welcome(nonce=nonce):
                    yield self._answer(Nonce(nonce))
                case frames.LoggedIn(rooms=rooms):
                    self.me.after = next(room.s for room in rooms if room.room == self.me.room)
                    yield LOGGED_IN
                case frames.CaughtUp():
                    yield LIVE
                case frames.Refused(code=code) | frames.Goodbye(code=code):
                    raise RuntimeError(f"the relay refused: {code}")

    def _answer(self, nonce: Nonce) -> bytes:
        me, own = Identity(self.me.seed.public), Nonce(os.urandom(Nonce.SIZE))
        signature = self.me.seed.sign(Label.LOGIN, Challenge(self.me.pin, nonce, own).login_body(me))
        return encode(frames.Login(LoginAnswer(me, own, signature).encode()))


PROTOCOLS: dict[str, type[Bare]] = {"bare": Bare, "chaton": Chaton, "mqtt": Mqtt, "nats": Nats, "ws": Ws}
