"""Everything the hub knows, ahead of the disk by what is decided and not yet committed."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from chaton.errors import ProtocolError
from chaton.identity.bundle import Bundle
from chaton.identity.ids import ChainId, Identity, Nonce, Pin, RoomId
from chaton.limits import BUNDLE_OF_STRANGER_MS, DAY_MS
from chaton.relay.hub.depot import Depot
from chaton.relay.hub.mailbox import Mailbox, Waiting
from chaton.relay.hub.refusals import No
from chaton.relay.hub.room import Room, Standing
from chaton.relay.store.base import BlobRow, BundleRow

ROOMS_MAX = 4_000  # rooms, and direct rooms, of one identity: what LoggedIn can list in one frame.
BUNDLES_OF_STRANGERS_MAX = 10_000
PEEKS_MAX = 16  # rooms that one connection reads by their invites.
_TOKENS_PER_MS = 1 << 12


class Meter(Protocol):
    """What counts how much each identity and each address asks for (``chaton.relay.throttle``)."""

    def take(self, kind: str, session: "Session", amount: int, now: int) -> int:
        """Count ``messages records parcels requests pieces bytes``; 0, or how many ms to wait, and then none is."""
        ...

    def log_in(self, identity: Identity, now: int) -> int:
        """Count a login; returns as ``take``."""
        ...

    def take_daily(self, kind: str, session: "Session", now: int) -> int:
        """Count one ``nick`` or ``leave`` of a day; returns as ``take``."""
        ...


class Refusal(NamedTuple):
    """Messages that were refused, by their places in their chain: from the first that is missing to the ``last``."""

    chain: ChainId
    first: int
    last: int
    code: str
    retry_ms: int


@dataclass(slots=True, eq=False)
class Session:
    """One connection, from its Welcome on.

    Attributes:
        address: Where it comes from, to count by.
        local: Whether that is this very machine.
        identity: Who logged in; None before, and after a newer login of the same identity.
        peeks: Rooms whose log it may read by an invite.
        refused: Of each room, the messages that were refused and are not there since.
    """

    id: int
    address: str
    local: bool
    nonce: Nonce
    identity: Identity | None = None
    peeks: frozenset[RoomId] = frozenset()
    refused: dict[RoomId, Refusal] = field(default_factory=dict)


class Keys(NamedTuple):
    """A current bundle, and when nobody may seal to it any more (ms)."""

    row: BundleRow
    expires: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decides about rooms.

    Attributes:
        owners: Who makes them, besides clients on this machine.
        room_blob_bytes: How many bytes of attachments one room may have.
        blob_bytes: How many all rooms may have together.
        blob_life_ms: How long a complete attachment is kept.
    """

    owners: frozenset[Identity] = frozenset()
    room_blob_bytes: int = 2**30
    blob_bytes: int = 10 * 2**30
    blob_life_ms: int = 30 * DAY_MS


class Memory:
    """All that is known; see the modules beside this one for what may be done with it."""

    def __init__(self, pin: Pin, policy: Policy, meter: Meter, now: int) -> None:
        self.pin = pin
        self.policy = policy
        self.meter = meter
        self.rooms: dict[RoomId, Room] = {}
        self.rooms_of: dict[Identity, set[RoomId]] = {}
        self.directs_of: dict[Identity, dict[RoomId, Identity]] = {}
        self.bundles: dict[Identity, Keys] = {}
        self.mailboxes: dict[Identity, Mailbox] = {}
        self.depot = Depot()
        self.online: dict[Identity, Session] = {}
        self.turning: set[RoomId] = set()
        # Tokens never repeat, also across restarts after which nothing waits: they start at the time of the start.
        self.next_token = now * _TOKENS_PER_MS

    def room(self, room: bytes) -> Room:
        """The room of that id; ``No`` if there is none."""
        found = self.rooms.get(RoomId(room))
        if found is None:
            raise No("no-room")
        return found

    def room_with_log(self, room: bytes) -> Room:
        """The same, but no direct one: that has no records, and nobody learns whether it is there."""
        found = self.room(room)
        if found.state.direct:
            raise No("no-room")
        return found

    def put_room(self, room: Room) -> None:
        """Take in a room from the store, in place of what was known of it."""
        self.drop_room(room.id)
        self.rooms[room.id] = room
        if room.state.direct:
            one, other = room.state.members
            self.directs_of.setdefault(one, {})[room.id] = other
            self.directs_of.setdefault(other, {})[room.id] = one
        else:
            for who in (*room.state.members, *room.state.pending):
                self.rooms_of.setdefault(who, set()).add(room.id)

    def drop_room(self, room_id: RoomId) -> None:
        """Forget a room."""
        room = self.rooms.pop(room_id, None)
        self.turning.discard(room_id)
        for who in (*room.state.members, *room.state.pending) if room else ():
            self.rooms_of.get(who, set()).discard(room_id)
            self.directs_of.get(who, {}).pop(room_id, None)

    def index(self, who: Identity, room: Room) -> None:
        """Note what somebody now is in a room."""
        if room.standing(who) is Standing.OUT:
            self.rooms_of.get(who, set()).discard(room.id)
        else:
            self.rooms_of.setdefault(who, set()).add(room.id)

    def belongs(self, who: Identity) -> bool:
        """Whether somebody is in any room or direct room."""
        return bool(self.rooms_of.get(who) or self.directs_of.get(who))

    def put_bundles(self, rows: Iterable[BundleRow]) -> None:
        """Take in all current bundles from the store, in place of those known; damaged ones are left out."""
        self.bundles.clear()
        for row in rows:
            try:
                self.bundles[row.identity] = Keys(row, Bundle.decode(row.raw).expires)
            except ProtocolError:
                # Its owner publishes the next one within the hour, or at its next login.
                continue

    def keys(self, who: Identity, now: int) -> Keys | None:
        """The bundle that others may seal to at ``now`` (ms)."""
        keys = self.bundles.get(who)
        if keys is None or now >= keys.expires or 0 < keys.row.until <= now:
            return None
        return keys

    def keep_bundle(self, who: Identity, now: int) -> list[BundleRow]:
        """Keep somebody's bundle for good, or for 10 minutes, as it now has a room or none; what to write."""
        keys = self.bundles.get(who)
        until = 0 if self.belongs(who) else now + BUNDLE_OF_STRANGER_MS
        if keys is None or bool(keys.row.until) == bool(until):
            return []
        row = replace(keys.row, until=until)
        self.bundles[who] = keys._replace(row=row)
        return [row]

    def forget_strangers(self, now: int) -> None:
        """Forget bundles of non-members whose 10 minutes are over."""
        for who in [who for who, keys in self.bundles.items() if 0 < keys.row.until <= now]:
            del self.bundles[who]

    def put_waiting(self, waiting: Iterable[tuple[int, Identity, Identity, RoomId, int, int]]) -> None:
        """Take in all waiting parcels from the store, in place of those known."""
        self.mailboxes.clear()
        for token, to, sender, room, at, size in waiting:
            self.mailbox(to).add(Waiting(token, sender, room, at, size))
            self.next_token = max(self.next_token, token + 1)

    def put_blobs(self, rows: Iterable[BlobRow]) -> None:
        """Take in all attachments from the store, in place of those known."""
        self.depot = Depot()
        for row in rows:
            self.depot.put(row)

    def mailbox(self, who: Identity) -> Mailbox:
        """What waits for somebody."""
        return self.mailboxes.setdefault(who, Mailbox())

    def token(self) -> int:
        """A number for a parcel, higher than all before."""
        self.next_token += 1
        return self.next_token - 1
