"""The relay's whole input path under any bytes: stream, frames, hub, store, with people logged in and a room.

An input is a script: steps of ``control u8 | size u16 | bytes``, see ``Step``. Signatures would stop every mutation at
the door, so a step may ask that its frame be signed again, or moved to the place where it could be accepted.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from msgspec.structs import replace

from chaton.errors import Malformed
from chaton.identity.bundle import BUNDLE_BYTES
from chaton.identity.ids import Head, InviteKey, Nonce, Pin, RoomId
from chaton.identity.login import Challenge
from chaton.identity.statement import Label, Seed
from chaton.limits import DAY_MS, FRAME_BYTES_MAX, MINUTE_MS
from chaton.relay.config import Limits
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import (
    Close,
    Decision,
    Feed,
    Fetch,
    Gain,
    Hint,
    Pages,
    Part,
    Push,
    PushWaiting,
    Reply,
)
from chaton.relay.hub.memory import Memory, Policy, Session
from chaton.relay.loading import load
from chaton.relay.store.memory import MemoryStore
from chaton.room import fold
from chaton.room.envelope import HEADER_BYTES, Header
from chaton.room.records import Genesis, Invite, Join, Record, sign_record
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_relay, encode
from chaton.wire.connection import reader_of_client
from tests.relay.play import NOW, identity, seed

PIN = Pin(b"p" * 32)
ADA, BEN, CYD, INVITE = (seed(number) for number in (1, 2, 3, 9))
PEOPLE = (ADA, BEN, CYD, None)
FRAME_BEFORE_LOGIN = Limits().frame_before_login_bytes
PASSED_MS = (0, 1, 2_000, MINUTE_MS, 10 * MINUTE_MS, DAY_MS, 14 * DAY_MS, 400 * DAY_MS)


class Step(NamedTuple):
    """One step: whose connection (bits 0 and 1), how its bytes are taken (bits 2 to 4), how much time has passed.

    Without bit 2 the bytes are a piece of the stream, with it one frame, to which the length is added. Bit 3 has what
    the frame holds signed by whose connection it is; bit 4 moves it to the room that there is and its head. No bytes:
    the connection breaks, and another one comes.
    """

    control: int
    raw: bytes

    @property
    def number(self) -> int:
        return self.control & 3

    @property
    def is_frame(self) -> bool:
        return bool(self.control & 4)

    @property
    def is_signed(self) -> bool:
        return bool(self.control & 8)

    @property
    def is_placed(self) -> bool:
        return bool(self.control & 16)

    @property
    def passed_ms(self) -> int:
        return PASSED_MS[self.control >> 5]

    def encode(self) -> bytes:
        return bytes([self.control]) + len(self.raw).to_bytes(2) + self.raw


def steps(data: bytes) -> Iterator[Step]:
    at = 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3])
        yield Step(data[at], data[at + 3 : at + 3 + size])
        at += 3 + size


@cache
def beginning() -> tuple[Record, Record, Record]:
    """GENESIS, INVITE and JOIN, the same bytes each time."""
    body = Genesis(Head(b"g" * 32), 0, 3, b"")
    genesis = sign_record(body, seed=ADA, room=RoomId.zero(), n=0, prev=Head.zero(), t=NOW)
    state, records = fold.found(genesis), [genesis]
    for who, body, key in (
        (ADA, Invite(InviteKey(INVITE.public), 9, NOW + DAY_MS, 0), None),
        (BEN, Join(InviteKey(INVITE.public), b""), INVITE),
    ):
        record = sign_record(body, seed=who, room=state.room, n=state.n + 1, prev=state.head, t=NOW, invite=key)
        fold.apply(state, record)
        records.append(record)
    return tuple(records)


class House:
    """A hub with its store, four connections and a room: Ada owns it, Ben is in, Cyd is not, a stranger is silent."""

    def __init__(self) -> None:
        self.now = NOW
        self.meter = Limits().meter()
        self.store = MemoryStore()
        self.hub = Hub(Memory(PIN, Policy(), self.meter, self.now))
        self.sessions: dict[int, Session] = {}
        self.readers: dict[int, object] = {}
        self.last = 0
        for number in range(len(PEOPLE)):
            self.connect(number)
        genesis, invite, join = beginning()
        self.room = RoomId(genesis.head)
        self.say(0, frames.Create(1, genesis.raw))
        self.say(0, frames.Submit(2, self.room, invite.raw))
        self.say(1, frames.Submit(3, self.room, join.raw))
        self.say(0, frames.Direct(4, identity(BEN)))

    def connect(self, number: int) -> None:
        """A new connection in a place, logged in where somebody sits there."""
        if number in self.sessions:
            self.end(number)
        self.last += 1
        session = Session(self.last, "127.0.0.1", number < 2, Nonce(self.last.to_bytes(32)))
        self.sessions[number], self.readers[number] = session, reader_of_client(FRAME_BEFORE_LOGIN)
        if PEOPLE[number] is not None:
            self.say(number, frames.Login(login_answer(session, PEOPLE[number])))

    def end(self, number: int) -> None:
        session = self.sessions.pop(number)
        self.carry_out(self.hub.gone(session, self.now))

    def say(self, number: int, frame: frames.AnyClientFrame) -> None:
        self.hear(number, encode(frame))

    def hear(self, number: int, data: bytes) -> None:
        """Bytes from the wire, as ``Peer`` and ``Engine`` take them."""
        session, reader = self.sessions[number], self.readers[number]
        try:
            for frame in reader.feed(data):
                self.carry_out(self.hub.handle(session, frame, self.now))
                if session.identity is not None:
                    reader.largest = FRAME_BYTES_MAX
                if self.sessions.get(number) is not session:
                    return
        except Malformed:
            self.end(number)

    def carry_out(self, decision: Decision) -> None:
        """Commit and encode, as the shell does; what is told must be what a client can read."""
        told = list(decision.now)
        self.store.commit(decision.writes)
        for effect in (*told, *decision.then):
            for frame in told_by(effect):
                raw = encode(frame)
                assert decode_of_relay(raw[PREFIX_BYTES:]) == frame
            if isinstance(effect, Feed):
                assert effect.after <= effect.s == self.hub.memory.rooms[effect.room].history.s
            if isinstance(effect, Fetch):
                assert effect.offset < effect.blob.size == effect.blob.have
            if isinstance(effect, Close):
                for number in [number for number, one in self.sessions.items() if one.id == effect.session]:
                    self.end(number)

    def play(self, step: Step) -> None:
        self.now += step.passed_ms
        if step.passed_ms:
            self.carry_out(self.hub.tick(self.now))
            self.carry_out(self.hub.expire(self.now))
        if not step.raw or step.number not in self.sessions:
            self.connect(step.number)
        elif step.is_frame:
            self.hear(step.number, self.mended(step))
        else:
            self.hear(step.number, step.raw)

    def mended(self, step: Step) -> bytes:
        """The step's frame with its length, signed and placed as the step asks."""
        try:
            (frame,) = reader_of_client().feed(len(step.raw).to_bytes(PREFIX_BYTES) + step.raw)
        except Malformed:
            return len(step.raw).to_bytes(PREFIX_BYTES) + step.raw
        room = self.hub.memory.rooms.get(RoomId(frame.room)) if hasattr(frame, "room") else None
        if step.is_placed and hasattr(frame, "room") and room is None:
            room = self.hub.memory.rooms[self.room]
            frame = replace(frame, room=room.id)
        who, session = PEOPLE[step.number] or CYD, self.sessions[step.number]
        match frame:
            case frames.Login() if step.is_signed:
                frame = replace(frame, answer=login_answer(session, who))
            case frames.Submit() if step.is_signed and room is not None:
                frame = replace(frame, record=signed_again(frame.record, who, room, placed=step.is_placed))
            case frames.Send() if step.is_placed and room is not None:
                frame = replace(frame, envelope=placed(frame.envelope, room))
            case frames.Publish() if step.is_signed and len(frame.bundle) == BUNDLE_BYTES:
                body = frame.bundle[:3] + who.public + frame.bundle[35:1267]
                frame = replace(frame, bundle=body + who.sign(Label.BUNDLE, body))
            case frames.Peek() if step.is_signed:
                challenge = Challenge(PIN, session.nonce, Nonce(frame.client_nonce))
                signature = INVITE.sign(Label.PEEK, challenge.peek_body(RoomId(frame.room)))
                frame = replace(frame, invite=INVITE.public, signature=signature)
        return encode(frame)

    def check(self) -> None:
        """What the store has is what the hub believes: a relay that starts again is the same."""
        memory, again = self.hub.memory, Memory(PIN, Policy(), self.meter, self.now)
        load(again, self.store)
        assert again.rooms.keys() == memory.rooms.keys()
        for one, other in ((memory.rooms[room], again.rooms[room]) for room in again.rooms):
            assert one.state == other.state
            assert (one.history.s, one.history.last, one.records) == (
                other.history.s,
                other.history.last,
                other.records,
            )
            assert one.outs == other.outs
        assert {who: rooms for who, rooms in memory.rooms_of.items() if rooms} == again.rooms_of
        assert memory.directs_of == again.directs_of
        assert {who: box._waiting for who, box in memory.mailboxes.items() if len(box)} == {
            who: box._waiting for who, box in again.mailboxes.items()
        }
        known, kept = memory.depot, again.depot
        assert (known.space, known.stored, known._complete, known._unfinished) == (
            kept.space, kept.stored, kept._complete, kept._unfinished,
        )  # fmt: skip
        for who, keys in memory.bundles.items():
            assert again.bundles[who] == keys


def login_answer(session: Session, who: Seed) -> bytes:
    nonce = Nonce(b"n" * 32)
    body = Challenge(PIN, session.nonce, nonce).login_body(identity(who))
    return identity(who) + nonce + who.sign(Label.LOGIN, body)


def told_by(effect: object) -> list[frames.AnyRelayFrame]:
    match effect:
        case Reply(_, frame) | Push(_, frame) | Gain(_, frame) | Hint(_, frame):
            return [frame]
        case Pages(_, pages):
            return list(pages)
        case Close(_, goodbye):
            return [goodbye] if goodbye is not None else []
        case Feed() | Part() | PushWaiting() | Fetch():
            return []
    raise AssertionError(f"an effect that no shell knows: {effect}")


def signed_again(raw: bytes, who: Seed, room: object, *, placed: bool) -> bytes:
    """A record by somebody, and placed where it could follow; as it was if it does not read."""
    try:
        record = Record.decode(raw)
    except Malformed:
        return raw
    n, prev = (room.state.n + 1, room.state.head) if placed else (record.n, record.prev)
    is_join = isinstance(record.body, Join)
    body = Join(InviteKey(INVITE.public), record.body.info) if is_join else record.body
    return sign_record(body, seed=who, room=room.id, n=n, prev=prev, t=record.t, invite=INVITE if is_join else None).raw


def placed(raw: bytes, room: object) -> bytes:
    """A message whose claims are the room's history; as it was if it has no header."""
    try:
        header = Header.decode(raw)
    except Malformed:
        return raw
    state, history = room.state, room.history
    here = Header(room.id, header.chain, header.index, state.n, state.head, history.s, history.last)
    return here.encode() + raw[HEADER_BYTES:]


def relay(data: bytes) -> None:
    """Everything that can be said to a relay, by people of a room, a stranger and somebody who has not logged in."""
    house = House()
    for step in steps(data):
        house.play(step)
    house.check()
