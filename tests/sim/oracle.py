"""What must hold, however bad the day: judged after every step and, more closely, at the end.

The oracle sees what no participant sees: every frame, every entry that is kept, and what the relay has on its disk.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from chaton.errors import ChatonError
from chaton.identity.ids import BundleId, ChainId, Head, Identity, MessageId, RoomId, Transcript
from chaton.limits import CHAINS_EARLY_MAX, HELD_PER_CHAIN_MAX, HELD_PER_ROOM_MAX
from chaton.relay.store.base import BodyGone, DirectRow, EventRow, Write
from chaton.room.envelope import Header, message_id
from chaton.room.transcript import next_transcript
from chaton.session.memory import ChainEntry, Entry, HeldEntry, OutboxEntry, OwnBundleEntry, RoomEntry
from chaton.session.notices import Ended, Notice, Rejected, Said, Sent, Warned
from chaton.session.room import Room
from chaton.session.sender import WINDOW
from chaton.wire import frames
from tests.sim.base import Broken, Mode, Tally
from tests.sim.client import Client
from tests.sim.relay import Wire

ALARMS = {"fork", "invalid-log", "withheld", "doubled"}
ERRANDS_MAX = 400


@dataclass(slots=True)
class Truth:
    """A room as it is on the relay's disk: of each event its id and T; of each record its head."""

    ids: list[bytes]
    kinds: list[int]
    transcripts: list[Transcript]
    heads: list[Head]
    pruned: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message as its sender sealed it, and who could read in the sender's view of the room."""

    author: Identity
    room: RoomId
    header: Header
    body: bytes
    raw: bytes
    readers: frozenset[Identity]


@dataclass(slots=True)
class Seen:
    """What one client has told its person since its disk was last exchanged for an older one."""

    said: set[tuple[RoomId, bytes]] = field(default_factory=set)
    warned: set[tuple[RoomId | None, str, int]] = field(default_factory=set)
    rejected: set[RoomId] = field(default_factory=set)
    ended: set[RoomId] = field(default_factory=set)

    def codes(self, room: RoomId) -> set[str]:
        return {code for one, code, _ in self.warned if one == room}

    def about(self, room: RoomId, s: int) -> bool:
        """Whether a warning named this event."""
        return any(one == room and seq == s for one, _, seq in self.warned)

    def gone(self, room: RoomId, s: int) -> bool:
        """Whether a warning told of messages without their bodies, up to this event at least."""
        return any((one, code) == (room, "gone") and seq >= s for one, code, seq in self.warned)


class Oracle:
    """See the module."""

    def __init__(self, mode: Mode, tally: Tally) -> None:
        self.mode = mode
        self.tally = tally
        self.truths: dict[RoomId, Truth] = {}
        self.durable_transcripts: set[bytes] = set()
        self.sealed: dict[bytes, Sealed] = {}
        self.used: dict[tuple[bytes, int], bytes] = {}
        self.parcel_keys: dict[bytes, bytes] = {}
        self.parcels_to: defaultdict[Identity, list[bytes]] = defaultdict(list)
        self.bundles: defaultdict[Identity, dict[BundleId, OwnBundleEntry]] = defaultdict(dict)
        self.chains: defaultdict[Identity, dict[tuple[ChainId, int], ChainEntry]] = defaultdict(dict)
        self.records: set[bytes] = set()
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.villain: Identity | None = None
        self.anybody_restored = False
        self.came_in: dict[tuple[Identity, RoomId, int], int] = {}

    # --- the relay ---

    def durable(self, writes: list[Write]) -> None:
        for write in writes:
            match write:
                case DirectRow():
                    self.truths[write.room] = _begun(write.room, Head(write.room))
                    self.durable_transcripts.add(bytes(write.room))
                case EventRow():
                    self._event(write)
                case BodyGone():
                    self.truths[write.room].pruned.add(write.s)

    def _event(self, row: EventRow) -> None:
        if row.s == 0 and row.room not in self.truths:
            self.truths[row.room] = _begun(row.room, Head(row.id))
            self.durable_transcripts.add(bytes(row.room))
            return
        truth = self.truths[row.room]
        if row.s != len(truth.ids):
            raise Broken("numbering", f"event {row.s} was written after {len(truth.ids) - 1}")
        truth.ids.append(bytes(row.id))
        truth.kinds.append(row.kind)
        identifier = Head(row.id) if row.kind == frames.KIND_RECORD else MessageId(row.id)
        truth.transcripts.append(next_transcript(truth.transcripts[-1], row.s, identifier))
        self.durable_transcripts.add(bytes(truth.transcripts[-1]))
        if isinstance(identifier, Head):
            truth.heads.append(identifier)
            self.tally.add("records")
        else:
            self.tally.add("messages")

    def relay_says(self, _wire: Wire, frame: frames.AnyRelayFrame) -> None:
        if isinstance(frame, frames.Accepted) and frame.transcript not in self.durable_transcripts:
            raise Broken("durable", "the relay acknowledged what a crash would undo")

    # --- the clients ---

    def client_hears(self, client: Client, frame: frames.AnyRelayFrame) -> None:
        if isinstance(frame, frames.Refused):
            self.tally.add(f"refused {frame.code}")

    def client_says(self, client: Client, frame: frames.AnyClientFrame) -> None:
        match frame:
            case frames.Send():
                self._send(client, frame)
            case frames.Parcels():
                for one in frame.parcels:
                    self._parcel(Identity(one.to), one.parcel)
            case frames.Submit():
                self.records.add(frame.record)
            case frames.Create():
                self.records.add(frame.genesis)

    def _send(self, client: Client, frame: frames.Send) -> None:
        header, raw = Header.decode(frame.envelope), frame.envelope
        before = self.used.setdefault((bytes(header.chain), header.index), raw)
        if before != raw:
            raise Broken("nonce", f"{client.name} sealed two messages as number {header.index} of one chain")
        self._seal(client, raw, b"")

    def _seal(self, client: Client, raw: bytes, body: bytes) -> None:
        """Note a sealed message; no body where the session has given it up within the batch that sealed it."""
        assert client.session is not None
        message, header = bytes(message_id(raw)), Header.decode(raw)
        if message not in self.sealed or body:
            room = client.session.rooms[header.room]
            readers = _readers(room, header.n)
            self.sealed[message] = Sealed(client.identity, header.room, header, body, raw, readers)

    def _parcel(self, to: Identity, raw: bytes) -> None:
        ephemeral, outer = raw[35:67], raw[67:]
        if self.parcel_keys.setdefault(ephemeral, outer) != outer:
            raise Broken("nonce", "two parcels are sealed with one ephemeral key")
        self.parcels_to[to].append(raw)

    def kept(self, client: Client, entry: Entry) -> None:
        match entry:
            case OwnBundleEntry():
                self.bundles[client.identity][entry.id] = entry
            case RoomEntry() if (entry.first_t or entry.peer) and entry.room in self.truths:
                key = (client.identity, entry.room, entry.first_s)
                self.came_in.setdefault(key, len(self.truths[entry.room].ids))
            case OutboxEntry() if entry.envelope:
                self._seal(client, entry.envelope, entry.body)
            case ChainEntry() if entry.secret is not None:
                self.chains[client.identity].setdefault((entry.id, entry.index), entry)

    def another_past(self, client: Client) -> None:
        """An older disk has come back: what was told since counts no longer."""
        self.seen[client.name] = Seen()
        self.anybody_restored = True

    def accused(self, client: Client, error: ChatonError) -> None:
        """A client holds the relay to be malicious."""
        if not self.mode.relay:
            raise Broken("false-alarm", f"{client.name}: {type(error).__name__}: {error}")

    def told(self, client: Client, notice: Notice, *, shown: bool) -> None:
        seen = self.seen[client.name]
        match notice:
            case Said():
                self._said(client, seen, notice, shown=shown)
            case Sent():
                client.typed.pop(notice.ref, None)
            case Rejected():
                client.typed.pop(notice.ref, None)
                seen.rejected.add(notice.room)
                self.tally.add(f"rejected {notice.code}")
            case Warned():
                self._warned(client, seen, notice)
            case Ended():
                seen.ended.add(notice.room)
                if notice.code == "security" and not self.mode.relay:
                    raise Broken("false-alarm", f"{client.name}'s room was stopped: {notice.detail}")

    def _warned(self, client: Client, seen: Seen, notice: Warned) -> None:
        seen.warned.add((notice.room, notice.code, notice.seq))
        self.tally.add(f"warned {notice.code}")
        if client.identity == self.villain:
            return
        false = notice.code in ALARMS and not self.mode.relay and not self.mode.member
        if notice.code == "doubled" and self.anybody_restored:
            false = False  # Whoever has an older disk counts fewer messages than it has said.
        if false or (notice.code == "clone" and not client.restored and not self.mode.relay):
            raise Broken("false-alarm", f"{client.name} was told: {notice.code}: {notice.detail}")

    def _said(self, client: Client, seen: Seen, said: Said, *, shown: bool) -> None:
        key = (said.room, bytes(said.id))
        if key in seen.said:
            raise Broken("twice", f"{client.name} was shown event {said.seq} twice")
        seen.said.add(key)
        self.tally.add("shown" if shown else "kept unseen")
        sealed = self.sealed.get(bytes(said.id))
        if sealed is None:
            if said.identity != self.villain:
                raise Broken("forged", f"{client.name} was shown what {said.sender} never said: {said.text}")
        elif (sealed.author, sealed.room) != (said.identity, said.room):
            raise Broken("forged", f"{client.name} was shown {said.text!r} under another name or room")
        elif (
            not said.own
            and client.session is not None
            and not self._agrees(client.session.rooms[said.room], said, sealed)
        ):
            raise Broken("fork", f"{client.name} reads {said.text!r}, whose sender holds another history")
        elif said.kind == "text" and sealed.body and sealed.body[1:].decode() != said.text:
            raise Broken("forged", f"{client.name} was shown {said.text!r} for {sealed.body[1:]!r}")

    def describe(self, message: bytes, reader: Identity) -> str:
        """A message for a failure's line."""
        one = self.sealed.get(message)
        if one is None:
            return "by somebody unknown"
        known = "" if reader in one.readers else "not "
        return f"index {one.header.index} of chain {one.header.chain.hex()[:4]}, its sender knew {known}of the reader"

    @staticmethod
    def _agrees(room: Room, said: Said, sealed: Sealed) -> bool:
        """Whether what the sender claimed is what this reader holds; not judged if it began anew in this very batch."""
        header, history = sealed.header, room.view.history
        if said.seq > history.s:
            return True
        same_events = header.s < history.first or history.at(header.s) == header.transcript
        return same_events and room.view.state.head_at(header.n) == header.head

    # --- after every step ---

    def check(self, client: Client) -> None:
        """What must always hold of a running client."""
        session = client.session
        if session is None or client.identity == self.villain:
            return
        desk = session.context.desk
        if len(desk._asked) + len(desk._waiting) > ERRANDS_MAX:
            raise Broken("memory", f"{client.name} runs {len(desk._asked)} + {len(desk._waiting)} errands")
        outboxes = 0
        refs: set[int] = set()
        for room_id, room in session.rooms.items():
            self._bounds(client, room)
            outboxes += len(room.outbox)
            refs.update(entry.ref for entry in room.outbox)
            if not self.mode.relay:
                self._prefix(client, room_id, room)
        lost = client.typed.keys() - refs
        if lost:
            raise Broken("typed", f"{client.name} typed {sorted(lost)}, which is neither sent, rejected nor waiting")

    @staticmethod
    def _bounds(client: Client, room: Room) -> None:
        held = [len(messages) for messages in room.reader.held.values()]
        early = [len(grants) for grants in room.reader.early.values()]
        amounts = {
            "held in a room": (sum(held), HELD_PER_ROOM_MAX),
            "held of a chain": (max(held, default=0), HELD_PER_CHAIN_MAX),
            "early of a sender": (max(early, default=0), CHAINS_EARLY_MAX),
            "under way": (len(room.sender.under_way), WINDOW),
        }
        for what, (amount, limit) in amounts.items():
            if amount > limit:
                raise Broken("memory", f"{client.name} has {amount} {what}")
        on_disk = sum(1 for kind, place in client.disk if kind is HeldEntry and place[:32] == room.view.room)
        if on_disk > HELD_PER_ROOM_MAX:
            raise Broken("memory", f"{client.name} holds {on_disk} messages of one room on disk")

    def _prefix(self, client: Client, room_id: RoomId, room: Room) -> None:
        truth, view = self.truths.get(room_id), room.view
        if truth is None:
            raise Broken("prefix", f"{client.name} holds a room that the relay does not have")
        if view.state.n >= len(truth.heads) or truth.heads[view.state.n] != view.state.head:
            raise Broken("prefix", f"{client.name} holds another log at record {view.state.n}")
        s = view.history.s
        if s >= len(truth.transcripts) or truth.transcripts[s] != view.history.last:
            raise Broken("prefix", f"{client.name} holds another transcript at event {s}")


def _begun(room: RoomId, head: Head) -> Truth:
    return Truth([bytes(head)], [frames.KIND_RECORD], [Transcript(room)], [head])


def _readers(room: Room, n: int) -> frozenset[Identity]:
    """Who was in the room after record ``n``, as this member knows it."""
    if room.view.state.direct:
        return frozenset(room.view.state.members)
    seats = ((seat, seat.at(n)) for seat in room.view.register.seats.values())
    return frozenset(seat.identity for seat, standing in seats if standing is not None and standing.live)
