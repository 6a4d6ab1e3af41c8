"""A client in virtual time: a real session, a disk that may fail or be an older one, a process that may be killed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from chaton.errors import ChatonError, InvalidLog, SecurityStop
from chaton.identity.ids import Identity, RoomId
from chaton.identity.statement import Seed
from chaton.session.context import Context
from chaton.session.effects import Answer, Effect, Forget, HangUp, Keep, Tell, Transmit
from chaton.session.errand import Errand
from chaton.session.memory import Entry, decode_entry, encode_entry
from chaton.session.restore import Memory
from chaton.session.session import Session
from chaton.wire.codec import PREFIX_BYTES, decode_of_relay, encode
from tests.sim.base import ADDRESS, Clock, Stream
from tests.sim.relay import Wire

if TYPE_CHECKING:
    from tests.sim.oracle import Oracle

Disk = dict[tuple[type[Entry], bytes], bytes]
BEFORE_KEEP: Final = "before it is kept"
AFTER_KEEP: Final = "after it is kept"
HALF_SENT: Final = "half sent"
DISK_FAILS: Final = "the disk fails"
DOOMS: Final = (BEFORE_KEEP, AFTER_KEEP, HALF_SENT, DISK_FAILS)


@dataclass(slots=True)
class Snapshot:
    """A copy of a disk, and what its owner had typed by then and nobody had decided."""

    disk: Disk
    typed: dict[int, RoomId]


@dataclass(slots=True)
class Client:
    """One person's installation.

    Attributes:
        session: The running process; None while it is not.
        wire: The connection, as long as this end believes in it.
        skew: How far its clock is off, in ms.
        doom: How it is killed at the next batch that keeps something.
        typed: What the person has typed that was neither Sent nor Rejected yet, by ref.
        unkept: What was typed in the batch that is not kept yet.
        waits: What to do with the results of errands that run, by ticket.
        snapshots: Copies of the disk from some time ago.
        restored: How often an older disk came back.
    """

    name: str
    number: int
    seed: Seed
    clock: Clock
    oracle: "Oracle"
    connect_to: Callable[[str], Wire]
    entropy: Stream
    disk: Disk = field(default_factory=dict)
    session: Session | None = None
    wire: Wire | None = None
    skew: int = 0
    doom: str = ""
    typed: dict[int, RoomId] = field(default_factory=dict)
    unkept: dict[int, RoomId] = field(default_factory=dict)
    refs: int = 0
    waits: dict[int, Callable[[Any, ChatonError | None], None]] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    restored: int = 0
    replaced: bool = False
    chances: Random = field(default_factory=lambda: Random(0))

    @property
    def identity(self) -> Identity:
        return Identity(self.seed.public)

    @property
    def now(self) -> int:
        return self.clock.now + self.skew

    # --- life ---

    def start(self) -> None:
        places = sorted(self.disk.items(), key=lambda item: (item[0][0].KIND, item[0][1]))
        entries = [decode_entry(kind, raw) for (kind, _), raw in places]
        self.session = Session(Context(self.seed, self.entropy, True, self.now), ADDRESS, Memory.of(entries))
        self.doom = ""
        self.carry_out()

    def connect(self) -> None:
        assert self.session is not None
        self.wire = self.connect_to(str(self.number))
        self.session.connected(self.now)
        self.carry_out()

    def lose_line(self) -> None:
        """This end notices that the connection is gone."""
        if self.wire is None:
            return
        self.wire.client_open = False
        self.wire.down.clear()
        self.wire = None
        if self.session is not None:
            self.session.disconnected(self.now)
            self.carry_out()

    def kill(self) -> None:
        """The process is gone, with all that was only in memory."""
        self.session = None
        self.waits.clear()
        self.unkept.clear()
        if self.wire is not None:
            self.wire.client_open = False
            self.wire.down.clear()
            self.wire = None

    def snapshot(self) -> None:
        self.snapshots.append(Snapshot(dict(self.disk), dict(self.typed)))
        del self.snapshots[:-3]

    def restore(self, snapshot: Snapshot) -> None:
        """Some time ago comes back."""
        self.kill()
        self.disk, self.typed = dict(snapshot.disk), dict(snapshot.typed)
        self.restored += 1
        self.oracle.another_past(self)

    # --- what happens to it ---

    def listen(self, count: int) -> int:
        """Take in up to ``count`` frames as one batch; how many there were."""
        heard = 0
        while heard < count and self.session is not None and self.wire is not None and self.wire.down:
            frame = decode_of_relay(self.wire.down.popleft()[PREFIX_BYTES:])
            self.oracle.client_hears(self, frame)
            self.session.receive(frame, self.now)
            heard += 1
        if heard:
            self.carry_out()
        return heard

    def tick(self) -> None:
        if self.session is not None:
            self.session.tick(self.now)
            self.carry_out()

    def do(self, act: Callable[[Session], Any]) -> Any:
        """Let the person do something; None where that is refused at once."""
        if self.session is None:
            return None
        self.session.context.now = self.now
        try:
            done = act(self.session)
        except ChatonError:
            done = None
        self.carry_out()
        return done

    def ask(self, errand: Callable[[Session], Errand[Any]], then: Callable[[Any, ChatonError | None], None]) -> bool:
        """Run an errand; ``then`` is called with its result or error, if the process lives to see it."""

        def begin(session: Session) -> int:
            ticket = session.begin(errand(session))
            self.waits[ticket] = then
            return ticket

        return self.do(begin) is not None

    # --- effects ---

    def carry_out(self) -> None:
        if self.session is None:
            return
        effects = self.session.drain()
        keeps = any(isinstance(effect, Keep | Forget) for effect in effects)
        doom, self.doom = (self.doom, "") if keeps else ("", self.doom)
        if doom in {BEFORE_KEEP, DISK_FAILS}:
            self.kill()
            return
        self._keep(effects)
        for effect in effects:
            if isinstance(effect, Tell):
                self.oracle.told(self, effect.notice, shown=not doom)
        frames = [effect.frame for effect in effects if isinstance(effect, Transmit)]
        for frame in frames:
            self.oracle.client_says(self, frame)
        if doom == AFTER_KEEP:
            frames = []
        elif doom:
            del frames[self.chances.randint(0, len(frames)) :]
        if self.wire is not None and self.wire.relay_open:
            self.wire.up.extend(encode(frame) for frame in frames)
        if doom:
            self.kill()
            return
        for effect in effects:
            self._finish(effect)

    def _keep(self, effects: list[Effect]) -> None:
        self.typed.update(self.unkept)
        self.unkept.clear()
        for effect in effects:
            match effect:
                case Keep(entry):
                    self.disk[type(entry), entry.place()] = encode_entry(entry)
                    self.oracle.kept(self, entry)
                case Forget(kind, place):
                    self.disk.pop((kind, place), None)

    def _finish(self, effect: Effect) -> None:
        match effect:
            case Answer(ticket, result, error):
                if isinstance(error, InvalidLog):
                    self.oracle.accused(self, error)
                then = self.waits.pop(ticket, None)
                if then is not None:
                    then(result, error)
            case HangUp(error):
                if isinstance(error, SecurityStop):
                    self.oracle.accused(self, error)
                self.replaced |= getattr(error, "code", "") == "replaced"
                self.lose_line()
