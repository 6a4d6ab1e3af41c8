"""All people, rooms and the relay of one seed, and the ways in which time and frames move on."""

from random import Random
from typing import Any

from chaton.errors import ChatonError
from chaton.identity.ids import Identity, RoomId
from chaton.identity.statement import Seed
from chaton.relay.hub.room import Room as HubRoom
from chaton.room.link import Link
from chaton.session.content import Content, Text
from chaton.session.memory import EventEntry, decode_entry
from chaton.session.session import Session
from tests.sim.base import Broken, Clock, Mode, Stream, Tally
from tests.sim.client import Client
from tests.sim.oracle import Oracle, Truth
from tests.sim.relay import Relay, Wire

NAMES = ("ada", "ben", "cyd", "dan", "eve", "fay", "gus")
FRAMES_MAX = 60_000


class World:
    """See the module.

    Attributes:
        clients: Everybody; the last one attacks the others where there is a malicious member.
        links: Invite links that were made, by room; ``used`` the last one that somebody tried there.
        liar: The malicious relay's mind, if it has one.
        moved: Frames moved since the last settling began, to notice an endless conversation.
    """

    def __init__(self, seed: int, mode: Mode) -> None:
        self.seed, self.mode = seed, mode
        chances = Random(f"{seed}/world")
        self.clock = Clock()
        self.tally = Tally()
        self.oracle = Oracle(mode, self.tally)
        self.relay = Relay(self.clock, self.oracle, self.tally, seed)
        self.links: dict[RoomId, list[Link]] = {}
        self.used: dict[tuple[Identity, RoomId], Link] = {}
        self.wanted_rooms = chances.randint(1, 3)
        self.clients = [self._client(number, name) for number, name in enumerate(NAMES[: chances.randint(3, 7)])]
        self.wires: list[Wire] = []
        self.moved = 0
        self.liar: Any = None
        if mode.member:
            self.oracle.villain = self.clients[-1].identity
        for client in self.clients:
            client.start()
            client.connect()

    def _client(self, number: int, name: str) -> Client:
        seed = Seed(Stream(f"{self.seed} {name}")(32))
        entropy = Stream(f"{self.seed} {name} entropy")
        return Client(name, number, seed, self.clock, self.oracle, self.connect, entropy)

    def connect(self, who: str) -> Wire:
        wire = self.relay.connect(who)
        self.wires.append(wire)
        return wire

    # --- who and what there is ---

    @property
    def running(self) -> list[Client]:
        return [client for client in self.clients if client.session is not None]

    @property
    def honest(self) -> list[Client]:
        return [client for client in self.clients if client.identity != self.oracle.villain]

    @property
    def truths(self) -> dict[RoomId, Truth]:
        return self.oracle.truths

    @staticmethod
    def events_on_disk(client: Client, room: RoomId) -> dict[int, EventEntry]:
        """The events of a room that a client has kept, by number."""
        kept = (decode_entry(EventEntry, raw) for (kind, _), raw in client.disk.items() if kind is EventEntry)
        return {entry.s: entry for entry in kept if entry.room == room}

    def room(self, room: RoomId) -> HubRoom | None:
        return self.relay.hub.memory.rooms.get(room)

    def is_member(self, room: RoomId, who: Identity) -> bool:
        found = self.room(room)
        return found is not None and who in found.state.members

    # --- people ---

    def say(self, client: Client, room: RoomId, text: str, content: Content | None = None) -> bool:
        """Let somebody type something; whether the session took it."""
        client.refs += 1
        ref = client.refs
        what = content or Text(f"{client.name} {ref} {text}")

        def act(session: Session) -> bool:
            session.say(room, what, ref)
            client.unkept[ref] = room
            return True

        return bool(client.do(act))

    def invited(self, client: Client, room: RoomId, **how: int) -> None:
        """Ask for a link, and keep it once it is there."""

        def then(link: Link | None, error: ChatonError | None) -> None:
            if link is not None:
                self.links.setdefault(room, []).append(link)

        client.ask(lambda session: session.invite(room, **how), then)

    # --- frames and time ---

    def move(self, chances: Random, count: int) -> None:
        """Let up to ``count`` frames arrive, on connections in any order, and within each in order."""
        for _ in range(count):
            if not self.move_one(chances):
                return

    def move_one(self, chances: Random) -> bool:
        """One batch of frames arrives somewhere, if any is under way; else what was decided is committed."""
        self.wires = [wire for wire in self.wires if wire.relay_open or wire.client_open]
        up = [wire for wire in self.wires if wire.up and wire.relay_open]
        down = [c for c in self.clients if c.session is not None and c.wire is not None and c.wire.down]
        late = bool(self.relay.pending)
        if not up and not down and not late:
            return False
        self.moved += 1
        if self.moved > FRAMES_MAX:
            raise Broken("endless", f"{FRAMES_MAX} frames were said and there are still more")
        choice = chances.randrange(len(up) + len(down) + late)
        if choice < len(up):
            self.relay.hear(up[choice])
            if chances.random() < 0.5:
                self.relay.flush()
        elif choice < len(up) + len(down):
            client = down[choice - len(up)]
            client.chances = chances
            client.listen(chances.choice((1, 1, 2, 5, 50)))
        else:
            self.relay.flush()
        return True

    def settle(self, chances: Random) -> None:
        """Let everything arrive."""
        self.moved = 0
        while self.move_one(chances):
            continue
        self.moved = 0

    def pass_time(self, ms: int) -> None:
        self.clock.now += ms
        if self.relay.running:
            self.relay.tick()

    def tick(self) -> None:
        for client in self.clients:
            client.tick()
        if self.relay.running:
            self.relay.tick()

    def check(self) -> None:
        for client in self.clients:
            self.oracle.check(client)
