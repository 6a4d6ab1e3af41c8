"""The relay's shell in virtual time: group commits that may be late or fail, a memory that is lost when it stops."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaton.errors import Malformed, StoreError
from chaton.identity.ids import Identity, Nonce, RoomId
from chaton.relay.config import Limits
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import Close, Decision, Feed, Gain, Hint, Pages, Part, Push, PushWaiting, Reply
from chaton.relay.hub.memory import Memory, Policy
from chaton.relay.hub.memory import Session as HubSession
from chaton.relay.loading import load, reload
from chaton.relay.store.base import Write
from chaton.relay.store.memory import MemoryStore
from chaton.wire import frames
from chaton.wire.codec import PREFIX_BYTES, decode_of_client, encode
from tests.sim.base import PIN, Clock, Stream, Tally

if TYPE_CHECKING:
    from tests.sim.oracle import Oracle

Twist = Callable[["Wire", frames.AnyRelayFrame], Iterable[frames.AnyRelayFrame]]


@dataclass(slots=True)
class Wire:
    """One connection: what is under way in each direction, and which end still believes in it."""

    number: int
    who: str
    session: HubSession
    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)
    client_open: bool = True
    relay_open: bool = True
    parcels_at: int = -1


class Relay:
    """See the module.

    Attributes:
        store: The disk; survives ``crash``.
        running: Whether anybody can connect.
        disk_fails: Whether the next commit fails.
        pending: Decisions whose writes are not committed yet.
    """

    def __init__(self, clock: Clock, oracle: "Oracle", tally: Tally, seed: int) -> None:
        self.clock = clock
        self.oracle = oracle
        self.tally = tally
        self.entropy = Stream(f"relay {seed}")
        self.store = MemoryStore()
        self.wires: dict[int, Wire] = {}
        self.last = 0
        self.disk_fails = False
        self.running = False
        self.twist: Twist = lambda _wire, frame: [frame]
        self.overheard: Callable[[Wire, frames.AnyClientFrame], frames.AnyClientFrame | None] = lambda _, frame: frame
        self.start()

    # --- life ---

    def start(self) -> None:
        self.hub = Hub(Memory(PIN, Policy(), Limits().meter(), self.clock.relay))
        load(self.hub.memory, self.store)
        self.followers: dict[RoomId, dict[int, None]] = {}
        self.pending: list[Decision] = []
        self.lost: list[Write] = []
        self.failing = False
        self.running = True

    def crash(self, *, committed: bool) -> None:
        """Stop without a word; what was decided is on the disk, or is not, and nobody has been told."""
        writes = [write for decision in self.pending for write in decision.writes]
        if committed and not self.failing and not self.disk_fails:
            self._commit(writes)
        for wire in self.wires.values():
            wire.relay_open = False
            wire.up.clear()
        self.wires.clear()
        self.running = False

    def connect(self, who: str) -> Wire:
        self.last += 1
        session = HubSession(self.last, f"10.0.0.{who}", True, Nonce(self.entropy(32)))
        wire = self.wires[self.last] = Wire(self.last, who, session)
        self.tell(self.last, frames.Welcome(session.nonce, self.clock.relay, "sim", frames.Limits(0, 600, 100, 0)))
        return wire

    def hang_up(self, wire: Wire) -> None:
        """This end of a connection is over."""
        if wire.number not in self.wires:
            return
        del self.wires[wire.number]
        wire.relay_open = False
        wire.up.clear()
        for followers in self.followers.values():
            followers.pop(wire.number, None)
        self.take(self.hub.gone(wire.session, self.clock.relay))

    def hear(self, wire: Wire) -> None:
        """Take the next frame that a connection brings."""
        raw = wire.up.popleft()
        try:
            frame: frames.AnyClientFrame | None = decode_of_client(raw[PREFIX_BYTES:])
        except Malformed:
            self.hang_up(wire)
            return
        frame = self.overheard(wire, frame)
        if frame is not None:
            self.take(self.hub.handle(wire.session, frame, self.clock.relay))

    def tick(self) -> None:
        self.take(self.hub.tick(self.clock.relay))
        if not self.hub.suspended:
            self.take(self.hub.expire(self.clock.relay))

    def prune(self, before: int, bytes_max: int) -> int:
        self.flush()
        return len(self.store.prune(before, bytes_max))

    # --- decisions ---

    def take(self, decision: Decision) -> None:
        for effect in decision.now:
            self.effect(effect)
        if decision.writes or decision.then:
            self.pending.append(decision)

    def flush(self) -> None:
        """Commit what was decided, all or nothing, and tell what follows."""
        decided, self.pending = self.pending, []
        if not decided:
            return
        writes = [write for decision in decided for write in decision.writes]
        if not self.failing and not (writes and self.disk_fails):
            self._commit(writes)
            for decision in decided:
                for effect in decision.then:
                    self.effect(effect)
            return
        self.failing = True
        self.lost += writes
        for decision in decided:
            for effect in self.hub.failed(decision).now:
                self.effect(effect)
        if not self.hub.suspended:
            for effect in self.hub.suspend().now:
                self.effect(effect)

    def mend(self) -> bool:
        """Read again what a failed commit has made doubtful."""
        self.disk_fails = False
        self.flush()
        if not self.failing:
            return False
        reload(self.hub.memory, self.store, self.lost)()
        self.hub.suspended = self.failing = False
        self.lost = []
        return True

    def _commit(self, writes: list[Write]) -> None:
        try:
            self.store.commit(writes)
        except StoreError as bug:
            raise AssertionError(f"the hub wrote something twice: {bug}") from bug
        self.oracle.durable(writes)

    # --- effects ---

    def tell(self, number: int, frame: frames.AnyRelayFrame) -> None:
        wire = self.wires.get(number)
        if wire is None:
            return
        self.oracle.relay_says(wire, frame)
        for told in self.twist(wire, frame):
            if wire.client_open:
                wire.down.append(encode(told))

    def effect(self, effect: Any) -> None:
        match effect:
            case Reply(number, frame):
                self.tell(number, frame)
            case Push(number, frame):
                self._push(number, frame)
            case Pages(number, pages):
                for frame in list(pages):
                    self.tell(number, frame)
            case Gain(room, frame) | Hint(room, frame):
                for number in list(self.followers.get(room, ())):
                    self.tell(number, frame)
            case Feed():
                self._feed(effect)
            case Part(number, room, _):
                self.followers.get(room, {}).pop(number, None)
            case PushWaiting(number, identity):
                self._push_waiting(number, identity)
            case Close(number, goodbye):
                self._close(number, goodbye)

    def _push(self, number: int, frame: frames.Parcel) -> None:
        wire = self.wires.get(number)
        if wire is not None and frame.token > wire.parcels_at:
            wire.parcels_at = frame.token
            self.tell(number, frame)

    def _push_waiting(self, number: int, identity: Identity) -> None:
        wire = self.wires.get(number)
        if wire is None:
            return
        for row in self.store.parcels(identity, wire.parcels_at, 100_000):
            wire.parcels_at = row.token
            self.tell(number, frames.Parcel(row.token, row.raw))
        self.tell(number, frames.ParcelsEnd())

    def _feed(self, feed: Feed) -> None:
        wire = self.wires.get(feed.session)
        if wire is None:
            return
        for row in self.store.events(feed.room, feed.after, 1_000_000_000):
            if row.s <= feed.s:
                self.tell(feed.session, frames.Event(row.room, row.s, row.at, row.kind, row.sender, row.body))
        self.tell(feed.session, self.hub.present(feed.room))
        self.tell(feed.session, frames.CaughtUp(feed.ref, feed.room, feed.s))
        self.followers.setdefault(feed.room, {})[feed.session] = None

    def _close(self, number: int, goodbye: frames.Goodbye | None) -> None:
        wire = self.wires.get(number)
        if wire is None:
            return
        if goodbye is not None:
            self.tell(number, goodbye)
        self.hang_up(wire)
