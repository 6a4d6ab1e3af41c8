"""Rooms on a running relay, made as members make them: real logins, signed records, each JOIN by its own connection.

What the generator needs to be those members goes into a file; ``read_members`` in load/load.c says how it is laid out.
"""

import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaton.identity.ids import Head, Identity, InviteKey, Nonce, Pin, RoomId
from chaton.identity.login import Challenge, LoginAnswer
from chaton.identity.statement import Label, Seed
from chaton.limits import DAY_MS
from chaton.relay.server import clock
from chaton.room import fold
from chaton.room.records import AnyBody, Genesis, Invite, Join, Record, sign_record
from chaton.room.state import RoomState
from chaton.room.transcript import History
from chaton.wire import frames
from chaton.wire.codec import encode
from chaton.wire.connection import reader_of_relay

_TIMEOUT_S = 30
_READ_BYTES = 2**16


class Member:
    """One blocking connection of one identity."""

    def __init__(self, port: int, pin: Pin, seed: Seed) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["chaton/1"])
        self._sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), _TIMEOUT_S))
        self._reader = reader_of_relay()
        self._inbox: list[Any] = []
        self.seed = seed
        self._log_in(pin)

    def _log_in(self, pin: Pin) -> None:
        welcome = self.expect(frames.Welcome)
        me, nonce = Identity(self.seed.public), Nonce(os.urandom(Nonce.SIZE))
        body = Challenge(pin, Nonce(welcome.nonce), nonce).login_body(me)
        self.say(frames.Login(LoginAnswer(me, nonce, self.seed.sign(Label.LOGIN, body)).encode()))
        self.expect(frames.LoggedIn)

    def say(self, frame: frames.AnyClientFrame) -> None:
        """Send a frame."""
        self._sock.sendall(encode(frame))

    def expect(self, kind: type[Any]) -> Any:
        """The next frame of a kind; others are dropped, but a refusal ends it all."""
        while True:
            while self._inbox:
                frame = self._inbox.pop(0)
                if isinstance(frame, frames.Refused):
                    raise RuntimeError(f"the relay refused: {frame.code} ({frame.detail})")  # noqa: TRY004
                if isinstance(frame, kind):
                    return frame
            data = self._sock.recv(_READ_BYTES)
            if not data:
                raise RuntimeError("the relay closed the connection")
            self._inbox.extend(self._reader.feed(data))

    def close(self) -> None:
        """Leave."""
        self._sock.close()


@contextmanager
def _member(port: int, pin: Pin, seed: Seed) -> Iterator[Member]:
    member = Member(port, pin, seed)
    try:
        yield member
    finally:
        member.close()


class _Room:
    """One room as its members see it."""

    def __init__(self, port: int, pin: Pin, size: int) -> None:
        self._port, self._pin = port, pin
        self._invite = Seed(os.urandom(32))
        self.seeds = [os.urandom(32) for _ in range(size)]
        owner = Seed(self.seeds[0])
        genesis = sign_record(
            Genesis(Head(os.urandom(32)), 0, max(2, size), b""), seed=owner, room=RoomId.zero(), n=0, prev=Head.zero(),
            t=clock(),
        )  # fmt: skip
        self.state: RoomState = fold.found(genesis)
        self.history = History.of_room(self.state.room)
        with _member(port, pin, owner) as member:
            member.say(frames.Create(1, genesis.raw))
            member.expect(frames.Accepted)
            uses = max(1, size - 1)
            self._submit(member, Invite(InviteKey(self._invite.public), uses, clock() + DAY_MS, 0), None)
        for seed in self.seeds[1:]:
            with _member(port, pin, Seed(seed)) as member:
                self._submit(member, Join(InviteKey(self._invite.public), b""), self._invite)

    def _submit(self, member: Member, body: AnyBody, invite: Seed | None) -> None:
        state = self.state
        record: Record = sign_record(
            body, seed=member.seed, room=state.room, n=state.n + 1, prev=state.head, t=clock(), invite=invite
        )
        member.say(frames.Submit(1, state.room, record.raw))
        member.expect(frames.Accepted)
        fold.apply(state, record)
        self.history.add(record.head)

    def line(self) -> str:
        """The room as load.c reads it."""
        state, history = self.state, self.history
        return f"{state.room} {state.head} {history.last} {state.n} {history.s}\n"


def make_rooms(port: int, pin: Pin, sizes: Iterable[int], file: Path) -> None:
    """Make a room of each size and write ``file`` for the generator, the members of the first room first."""
    rooms = [_Room(port, pin, size) for size in sizes]
    members = [f"{seed.hex()} {number}\n" for number, room in enumerate(rooms) for seed in room.seeds]
    file.write_text(f"{len(rooms)}\n" + "".join(room.line() for room in rooms) + "".join(members), encoding="ascii")
