"""People, rooms, messages, bundles and parcels for tests of the relay: right on the outside, noise inside."""

import os
from dataclasses import dataclass, field

from chaton.identity.bundle import Bundle, bundle_body
from chaton.identity.ids import ChainId, Head, Identity, InviteKey, RoomId, Transcript
from chaton.identity.login import Challenge, LoginAnswer
from chaton.identity.statement import Label, Seed
from chaton.limits import DAY_MS
from chaton.room import fold
from chaton.room.envelope import Header
from chaton.room.records import AnyBody, Genesis, Invite, Join, Record, sign_record
from chaton.room.state import RoomState
from chaton.room.transcript import History

NOW = 1_800_000_000_000


def seed(number: int) -> Seed:
    return Seed(number.to_bytes(32))


def identity(of: Seed) -> Identity:
    return Identity(of.public)


def login_answer(who: Seed, pin: bytes, nonce: bytes) -> bytes:
    client_nonce = os.urandom(32)
    body = Challenge(pin, nonce, client_nonce).login_body(identity(who))
    return LoginAnswer(identity(who), client_nonce, who.sign(Label.LOGIN, body)).encode()


def peek_signature(invite: Seed, pin: bytes, nonce: bytes, client_nonce: bytes, room: bytes) -> bytes:
    return invite.sign(Label.PEEK, Challenge(pin, nonce, client_nonce).peek_body(room))


@dataclass
class Script:
    """A room as a client sees it: signs the next record, makes the next message, takes events in."""

    owner: Seed
    approve: bool = False
    max_members: int = 100
    state: RoomState = field(init=False)
    history: History = field(init=False)
    genesis: Record = field(init=False)

    def __post_init__(self) -> None:
        body = Genesis(Head(os.urandom(32)), int(self.approve), self.max_members, b"")
        zero = RoomId.zero()
        self.genesis = sign_record(body, seed=self.owner, room=zero, n=0, prev=Head.zero(), t=NOW)
        self.state = fold.found(self.genesis)
        self.history = History.of_room(self.state.room)

    @property
    def room(self) -> RoomId:
        return self.state.room

    def sign(self, who: Seed, body: AnyBody, *, invite: Seed | None = None) -> Record:
        s = self.state
        return sign_record(body, seed=who, room=s.room, n=s.n + 1, prev=s.head, t=NOW, invite=invite)

    def invite(self, key: Seed, *, uses: int = 1000, expires: int = NOW + 10 * DAY_MS, flags: int = 0) -> Record:
        return self.sign(self.owner, Invite(InviteKey(key.public), uses, expires, flags))

    def join(self, who: Seed, key: Seed) -> Record:
        return self.sign(who, Join(InviteKey(key.public), b""), invite=key)

    def take(self, record: Record) -> None:
        fold.apply(self.state, record)
        self.history.add(record.head)

    def inst(self, who: Seed) -> bytes:
        return self.state.members[identity(who)].inst

    def message(self, size: int = 256) -> bytes:
        return message(self.state, self.history.s, self.history.last, size)


def message(state: RoomState, s: int, transcript: Transcript, size: int = 256) -> bytes:
    header = Header(state.room, ChainId(os.urandom(32)), 0, state.n, state.head, s, transcript)
    return b"".join((
        header.encode(), os.urandom(32), os.urandom(24), (size + 16).to_bytes(4), os.urandom(size + 16), bytes(64),
    ))  # fmt: skip


def bundle(who: Seed, counter: int = NOW, *, life: int = DAY_MS) -> Bundle:
    body = bundle_body(identity(who), counter, counter + life, os.urandom(32), os.urandom(1184))
    return Bundle.decode(body + who.sign(Label.BUNDLE, body))


def parcel(to: Bundle) -> bytes:
    return b"CX\x01" + to.id + os.urandom(1747 - 35)


def spoiled(raw: bytes) -> bytes:
    """The same with one bit of its end changed: no signature fits it."""
    return raw[:-1] + bytes([raw[-1] ^ 1])
