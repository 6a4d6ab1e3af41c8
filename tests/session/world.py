"""A whole relay and its clients in one process: real hub, real store, real sessions, no sockets, time by hand.

Frames cross the wire's own codec in both directions. Everything that is said is delivered by ``settle``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from chaton.errors import ChatonError
from chaton.identity.ids import Identity, Nonce, Pin, RoomId
from chaton.identity.statement import Seed
from chaton.limits import DAY_MS, PIECE_BYTES_MAX
from chaton.relay.config import Limits
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import Close, Decision, Feed, Fetch, Gain, Hint, Pages, Part, Push, PushWaiting, Reply
from chaton.relay.hub.memory import Memory as HubMemory
from chaton.relay.hub.memory import Policy
from chaton.relay.hub.memory import Session as HubSession
from chaton.relay.store.memory import MemoryStore
from chaton.room.link import Address, Link
from chaton.session.content import Text
from chaton.session.context import Context
from chaton.session.effects import Answer, Forget, HangUp, Keep, Tell, Transmit
from chaton.session.memory import Entry, decode_entry, encode_entry
from chaton.session.notices import Notice, Said
from chaton.session.restore import Memory
from chaton.session.session import Session
from chaton.vault.entropy import system_entropy
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client, decode_of_relay, encode

PIN = Pin(b"p" * 32)
START = 1_800_000_000_000


@dataclass
class Clock:
    now: int = START


class Relay:
    """The hub's shell: carries out decisions at once, on a store in memory."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.hub = Hub(HubMemory(PIN, Policy(), Limits().meter(), clock.now))
        self.sessions: dict[int, HubSession] = {}
        self.outgoing: dict[int, deque[bytes]] = {}
        self.followers: dict[RoomId, set[int]] = {}
        self.closed: set[int] = set()
        self.last = 0
        self.heard: list[bytes] = []
        self.twist: Callable[[int, frames.AnyRelayFrame], Iterable[frames.AnyRelayFrame]] = lambda _, frame: [frame]

    def connect(self) -> int:
        self.last += 1
        session = HubSession(self.last, "127.0.0.1", True, Nonce(system_entropy(32)))
        self.sessions[self.last], self.outgoing[self.last] = session, deque()
        limits = frames.Limits(30 * DAY_MS, 600, 100, 2**20)
        self.tell(self.last, frames.Welcome(session.nonce, self.clock.now, "test", limits))
        return self.last

    def disconnect(self, number: int) -> None:
        session = self.sessions.pop(number, None)
        for followers in self.followers.values():
            followers.discard(number)
        if session is not None:
            self.carry_out(self.hub.gone(session, self.clock.now))

    def hear(self, number: int, raw: bytes) -> None:
        self.heard.append(raw)
        if number in self.sessions:
            frame = decode_of_client(raw[PREFIX_BYTES:])
            self.carry_out(self.hub.handle(self.sessions[number], frame, self.clock.now))

    def tell(self, number: int, frame: frames.AnyRelayFrame) -> None:
        if number in self.sessions:
            for told in self.twist(number, frame):
                self.outgoing[number].append(encode(told))

    def carry_out(self, decision: Decision) -> None:
        for effect in decision.now:
            self.effect(effect)
        self.store.commit(decision.writes)
        for effect in decision.then:
            self.effect(effect)

    def effect(self, effect: object) -> None:
        match effect:
            case Reply(number, frame) | Push(number, frame):
                self.tell(number, frame)
            case Pages(number, pages):
                for frame in pages:
                    self.tell(number, frame)
            case Gain(room, frame) | Hint(room, frame):
                for number in self.followers.get(room, set()):
                    self.tell(number, frame)
            case Feed():
                self.feed(effect)
            case Fetch(number, ref, row, offset):
                data = self.store.piece(row.room, row.blob, offset, PIECE_BYTES_MAX)
                self.tell(number, frames.BlobPiece(ref, row.size, offset, data))
            case Part(number, room, _):
                self.followers.get(room, set()).discard(number)
            case PushWaiting(number, identity):
                self.push_waiting(number, identity)
            case Close(number, goodbye):
                if goodbye is not None:
                    self.tell(number, goodbye)
                self.closed.add(number)

    def push_waiting(self, number: int, identity: Identity) -> None:
        for row in self.store.parcels(identity, -1, 100_000):
            self.tell(number, frames.Parcel(row.token, row.raw))
        self.tell(number, frames.ParcelsEnd())

    def feed(self, feed: Feed) -> None:
        after = feed.after
        while rows := self.store.events(feed.room, after, 10_000_000):
            for row in rows:
                event = frames.Event(row.room, row.s, row.at, row.kind, row.sender, row.body)
                self.tell(feed.session, event)
            after = rows[-1].s
        self.tell(feed.session, frames.CaughtUp(feed.ref, feed.room, feed.s))
        self.followers.setdefault(feed.room, set()).add(feed.session)
        self.tell(feed.session, self.hub.present(feed.room))


@dataclass
class Person:
    """A client without its sockets: its disk is a dict, and survives ``restart``."""

    world: "World"
    name: str
    seed: Seed
    lasting: bool = True
    disk: dict[tuple[type[Entry], bytes], bytes] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    answers: dict[int, object] = field(default_factory=dict)
    hung_up: ChatonError | None = None
    connection: int = 0
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def identity(self) -> Identity:
        return Identity(self.seed.public)

    def start(self) -> None:
        entries = [decode_entry(kind, raw) for (kind, _), raw in sorted(self.disk.items(), key=_place)]
        context = Context(self.seed, system_entropy, self.lasting, self.world.clock.now)
        self.session = Session(context, Address("localhost", 5555, PIN), Memory.of(entries))

    def restart(self) -> None:
        self.disconnect()
        self.start()
        self.connect()

    def connect(self) -> None:
        self.hung_up = None
        self.connection = self.world.relay.connect()
        self.session.connected(self.world.clock.now)

    def disconnect(self) -> None:
        self.world.relay.disconnect(self.connection)
        self.connection = 0
        self.session.disconnected(self.world.clock.now)
        self.carry_out()

    def carry_out(self) -> bool:
        effects = self.session.drain()
        for effect in effects:
            match effect:
                case Keep(entry):
                    self.disk[type(entry), entry.place()] = encode_entry(entry)
                case Forget(kind, place):
                    self.disk.pop((kind, place), None)
        for effect in effects:
            match effect:
                case Transmit(frame):
                    if self.connection:
                        self.world.relay.hear(self.connection, encode(frame))
                case Tell(notice):
                    self.notices.append(notice)
                case Answer(ticket, result, error):
                    self.answers[ticket] = error or result
                case HangUp(error):
                    self.hung_up = error
        return bool(effects)

    def listen(self) -> bool:
        queue = self.world.relay.outgoing.get(self.connection)
        if not queue:
            return False
        self.session.receive(decode_of_relay(queue.popleft()[PREFIX_BYTES:]), self.world.clock.now)
        self.carry_out()
        return True

    def ask(self, errand: object) -> object:
        """Run an errand to its end; an error is raised here."""
        ticket = self.session.begin(errand)
        self.world.settle()
        answer = self.answers[ticket]
        if isinstance(answer, ChatonError):
            raise answer
        return answer

    def told(self, kind: type) -> list:
        return [notice for notice in self.notices if isinstance(notice, kind)]


def _place(item: tuple[tuple[type[Entry], bytes], bytes]) -> tuple[str, bytes]:
    (kind, place), _ = item
    return kind.KIND, place


class World:
    """A relay and everybody."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.relay = Relay(self.clock)
        self.people: list[Person] = []
        self._seeds: Iterator[int] = iter(range(1, 10_000))

    def person(self, name: str, *, lasting: bool = True, connect: bool = True) -> Person:
        person = Person(self, name, Seed(next(self._seeds).to_bytes(32)), lasting)
        self.people.append(person)
        if connect:
            person.connect()
            self.settle()
        return person

    def settle(self) -> None:
        """Let everything be said and heard."""
        moved = True
        while moved:
            moved = False
            for person in self.people:
                moved |= person.carry_out()
                while person.listen():
                    moved = True

    def pass_time(self, ms: int) -> None:
        self.clock.now += ms
        for person in self.people:
            person.session.tick(self.clock.now)
        self.settle()


def make_room(owner: Person, *, approve: bool = False) -> RoomId:
    return owner.ask(owner.session.create("ops", "a topic", owner.name, approve=approve, max_members=100))


def invite(admin: Person, room: RoomId, uses: int = 1, flags: int = 0) -> Link:
    return admin.ask(admin.session.invite(room, uses=uses, life_ms=DAY_MS, flags=flags))


def joined(world: World, admin: Person, room: RoomId, name: str, **how: int) -> Person:
    person = world.person(name)
    person.ask(person.session.join(invite(admin, room, **how), name))
    return person


def waiting(world: World, admin: Person, room: RoomId, name: str) -> Person:
    """Somebody who has asked to be let in."""
    person = world.person(name)
    person.session.begin(person.session.join(invite(admin, room), name))
    world.settle()
    return person


def say(person: Person, room: RoomId, text: str, ref: int = 1) -> None:
    person.session.say(room, Text(text), ref)
    person.world.settle()


def texts(person: Person) -> list[str]:
    return [str(said.text) for said in person.told(Said)]


def only(person: Person, until: Callable[[], object]) -> None:
    """Let one person go on while nobody else hears anything."""
    while not until():
        person.carry_out()
        person.listen()
