"""A relay that lies to some: each lie is armed for one client and told with the next frame that it fits.

What it shows of a room it goes on showing consistently: a client from whom an event was dropped sees all later ones
renumbered. It also puts messages into rooms that an honest relay refuses.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from chaton.errors import Malformed
from chaton.identity.ids import Instance, RoomId
from chaton.identity.statement import Seed
from chaton.relay.hub.effects import Decision, Gain, Reply
from chaton.relay.hub.room import Author
from chaton.relay.store.base import EventRow
from chaton.room.envelope import header_of, message_id
from chaton.room.records import Join, sign_record
from chaton.wire import frames
from tests.sim.relay import Wire
from tests.sim.world import World

Frames = list[frames.AnyRelayFrame]
EVENT_LIES = ("drop", "drop and renumber", "swap", "replay", "flip", "forge", "ghost", "rename", "prune", "elsewhere")
OTHER_LIES = (
    "no records", "other records", "flip records", "no bundles", "old bundles", "no parcel", "parcel twice",
    "old parcel", "flip parcel", "wrong transcript", "refuse", "nonsense", "strange direct", "log moved", "presence",
)  # fmt: skip
CODES = ("head-moved", "not-member", "bad-history", "epoch-moved", "closed", "muted", "limited", "no-room", "clock")


@dataclass(slots=True)
class Liar:
    """What it has in mind for whom.

    Attributes:
        armed: Lies to be told, by client.
        shift: By how much event numbers are off, by client and room.
        kept: Events of each room that were told to anybody; ``waiting`` those that are told behind their successor.
        bundles: Every bundle it ever saw; ``parcels`` the same.
        forces: How many more messages go into a room that an honest relay would refuse.
    """

    world: World
    dice: Random
    armed: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    shift: defaultdict[tuple[int, bytes], int] = field(default_factory=lambda: defaultdict(int))
    kept: defaultdict[bytes, list[frames.Event]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[tuple[int, bytes], frames.Event] = field(default_factory=dict)
    bundles: list[bytes] = field(default_factory=list)
    parcels: list[bytes] = field(default_factory=list)
    forces: int = 0

    # --- to clients ---

    def twist(self, wire: Wire, frame: frames.AnyRelayFrame) -> Frames:
        who = int(wire.who)
        if isinstance(frame, frames.Event):
            return [replace(one, s=max(0, one.s + self._off(who, one, frame))) for one in self._event(who, frame)]
        for lie in self.armed[who]:
            told = self._other(lie, frame)
            if told is not None:
                self.armed[who].remove(lie)
                self.world.tally.add(f"lied: {lie}")
                return told
        if isinstance(frame, frames.Parcel):
            self.parcels.append(frame.parcel)
        return [frame]

    def _off(self, who: int, told: frames.Event, true: frames.Event) -> int:
        return self.shift[who, bytes(true.room)] if told.room == true.room else 0

    def _event(self, who: int, event: frames.Event) -> list[frames.Event]:
        key = who, bytes(event.room)
        first = self.waiting.pop(key, None)
        if first is not None:
            return [replace(event, s=first.s), replace(first, s=event.s)]
        lie = next((one for one in self.armed[who] if one in EVENT_LIES), None)
        if lie is None:
            self.kept[event.room].append(event)
            return [event]
        self.armed[who].remove(lie)
        self.world.tally.add(f"lied: {lie}")
        if lie == "drop and renumber":
            self.shift[key] -= 1
            return []
        if lie == "swap":
            self.waiting[key] = event
            return []
        if lie == "replay" and self.kept[event.room]:
            again = self.dice.choice(self.kept[event.room])
            told = [event, replace(again, s=event.s + 1)]
            return told if self.dice.random() < 0.5 else self._renumbered(key, told)
        return self._changed(lie, event)

    def _renumbered(self, key: tuple[int, bytes], told: list[frames.Event]) -> list[frames.Event]:
        off = self.shift[key]
        self.shift[key] = off + 1
        return [replace(one, s=one.s - 1) for one in told]

    def _changed(self, lie: str, event: frames.Event) -> list[frames.Event]:
        dice = self.dice
        match lie:
            case "flip" | "forge":
                body = bytearray(event.body) if lie == "flip" else bytearray(dice.randbytes(541))
                body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
                return [replace(event, body=bytes(body))]
            case "ghost":
                return [replace(event, kind=frames.KIND_RECORD, body=self._ghost(event))]
            case "rename":
                return [replace(event, sender=bytes(dice.choice(self.world.clients).identity))]
            case "prune" if event.kind == frames.KIND_MESSAGE:
                return [replace(event, kind=frames.KIND_PRUNED, body=bytes(message_id(event.body)))]
            case "elsewhere":
                return [replace(event, room=bytes(dice.choice(list(self.world.truths))))]
        return []

    def _ghost(self, event: frames.Event) -> bytes:
        """A JOIN that nobody invited, at the right place."""
        room = self.world.room(RoomId(event.room))
        assert room is not None
        key, ghost, n = Seed(self.dice.randbytes(32)), Seed(self.dice.randbytes(32)), room.state.n
        join = Join(key.public, b"")
        return sign_record(join, seed=ghost, room=room.id, n=n + 1, prev=room.state.head, t=0, invite=key).raw

    def _other(self, lie: str, frame: frames.AnyRelayFrame) -> Frames | None:
        dice = self.dice
        match lie, frame:
            case "no records", frames.RecordsPage():
                return []
            case "other records", frames.RecordsPage():
                raws = list(self.world.oracle.records)
                return [replace(frame, records=sorted(raws)[: len(frame.records)])]
            case "flip records", frames.RecordsPage() if frame.records:
                return [replace(frame, records=[_flipped(raw, dice) for raw in frame.records])]
            case "no bundles", frames.BundleList():
                return [replace(frame, bundles=[])]
            case "old bundles", frames.BundleList():
                old = [dice.choice(self.bundles) for _ in frame.bundles] if self.bundles else []
                return [replace(frame, bundles=old)]
            case "no parcel", frames.Parcel():
                return []
            case "parcel twice", frames.Parcel():
                return [frame, frame]
            case "old parcel", frames.Parcel() if self.parcels:
                return [frame, replace(frame, parcel=dice.choice(self.parcels))]
            case "flip parcel", frames.Parcel():
                return [replace(frame, parcel=_flipped(frame.parcel, dice))]
            case "wrong transcript", frames.Accepted():
                return [replace(frame, transcript=dice.randbytes(32), s=frame.s + dice.choice((-1, 0, 1)) + 1)]
            case "refuse", frames.Accepted():
                return [frames.Refused(frame.ref, dice.choice(CODES), "no", dice.choice((0, 1000)), [])]
            case "nonsense", frames.Accepted() | frames.Done():
                return [frames.Pong(frame.ref)]
        return self._unasked(lie, frame)

    def _unasked(self, lie: str, frame: frames.AnyRelayFrame) -> Frames | None:
        """What the relay may say at any time."""
        dice, rooms = self.dice, list(self.world.truths)
        if not rooms:
            return None
        room, peer = bytes(dice.choice(rooms)), bytes(dice.choice(self.world.clients).identity)
        match lie:
            case "strange direct":
                return [frame, frames.DirectRoom(room, peer, 0), frames.DirectRoom(room, dice.randbytes(32), 5)]
            case "log moved":
                return [frame, frames.LogMoved(room)]
            case "presence":
                return [frame, frames.Presence(room, dice.choice((peer, dice.randbytes(32))), dice.random() < 0.5)]
        return None

    # --- from clients ---

    def overheard(self, wire: Wire, frame: frames.AnyClientFrame) -> frames.AnyClientFrame | None:
        match frame:
            case frames.Publish():
                self.bundles.append(frame.bundle)
            case frames.Follow():
                off = self.shift[int(wire.who), bytes(frame.room)]
                return replace(frame, after=max(0, frame.after - off))
            case frames.Send() if self.forces > 0:
                return None if self._force(wire, frame) else frame
        return frame

    def _force(self, wire: Wire, frame: frames.Send) -> bool:
        """Take a message whatever it claims and whoever it is from."""
        relay, room, who = self.world.relay, self.world.room(RoomId(frame.room)), wire.session.identity
        if room is None or who is None or relay.hub.suspended:
            return False
        try:
            header_of(frame.envelope)
        except Malformed:
            return False
        self.forces -= 1
        message, now = message_id(frame.envelope), self.world.clock.relay
        member = room.state.members.get(who)
        inst = member.inst if member else Instance.zero()
        transcript = room.add_message(message, Author(who, inst))
        s = room.history.s
        row = EventRow(room.id, s, frames.KIND_MESSAGE, -1, now, who, inst, message, frame.envelope)
        event = frames.Event(room.id, s, now, frames.KIND_MESSAGE, who, frame.envelope)
        answer = Reply(wire.number, frames.Accepted(frame.ref, s, transcript))
        relay.take(Decision((wire.number, frame.ref), [], [row], [answer, Gain(room.id, event)]))
        return True


def _flipped(raw: bytes, dice: Random) -> bytes:
    changed = bytearray(raw)
    changed[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def possess(world: World) -> None:
    """Let the relay be evil from now on."""
    liar = Liar(world, Random(f"{world.seed}/liar"))
    world.liar = liar
    world.relay.twist, world.relay.overheard = liar.twist, liar.overheard


def repent(world: World) -> None:
    """No new lies; what was shown to whom stays as it was shown."""
    liar: Liar | None = world.liar
    if liar is not None:
        liar.armed.clear()
        liar.forces = 10_000


def lie_about_events(world: World, dice: Random) -> str:
    client, lie = dice.choice(world.clients), dice.choice(EVENT_LIES)
    world.liar.armed[client.number].append(lie)
    return f"the relay will lie to {client.name}: {lie}"


def lie(world: World, dice: Random) -> str:
    client, what = dice.choice(world.clients), dice.choice(OTHER_LIES)
    world.liar.armed[client.number].append(what)
    return f"the relay will lie to {client.name}: {what}"


def force(world: World, dice: Random) -> str:
    world.liar.forces += dice.randint(1, 10)
    return "the relay takes what it should refuse"


LIES: dict[Callable[[World, Random], str], int] = {lie_about_events: 6, lie: 8, force: 4}
