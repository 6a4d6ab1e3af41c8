"""What is known of each room that is followed, and of each connection that follows: who is live and who is behind."""

from collections import deque
from collections.abc import Iterable, Iterator

from chaton.identity.ids import Identity, RoomId
from chaton.relay.hub.effects import Fetch
from chaton.relay.peer import Peer
from chaton.wire.frames import AnyRelayFrame, Presence


class Follower:
    """One connection's place in one room.

    Attributes:
        at: The last event it was told; of a live one, its channel knows that.
        ref: Whom to tell CaughtUp, None once that is told.
        until: Where it ends, of one that was put out of the room.
        hints: The channel's count of hints when it fell behind.
    """

    __slots__ = ("at", "channel", "hints", "ref", "subscriber", "until")

    def __init__(self, subscriber: "Subscriber", channel: "Channel", ref: int, at: int) -> None:
        self.subscriber = subscriber
        self.channel = channel
        self.ref: int | None = ref
        self.at = at
        self.until: int | None = None
        self.hints = channel.hints


class Channel:
    """What one room tells those who follow it.

    Attributes:
        told: The last event that is durable and told here; ``flushed`` the last that the live ones have.
        hints: How many presences were told, to know who missed some.
        changes: Who came or went and is still to be told, each once.
        present: Who is connected, encoded for all who begin to follow; None where that must be found out anew.
    """

    __slots__ = (
        "_flushed_hints", "_gained", "changes", "flushed", "followers", "hints", "live", "present", "room", "told"
    )  # fmt: skip

    def __init__(self, room: RoomId, told: int) -> None:
        self.room = room
        self.told = self.flushed = told
        self.hints = self._flushed_hints = 0
        self.live: dict[Peer, Follower] = {}
        self.followers = 0
        self.changes: dict[bytes, Presence] = {}
        self.present: bytes | None = None
        self._gained: list[bytes] = []

    def gain(self, chunk: bytes) -> bool:
        """Queue bytes for all live followers; whether they are the first since the last flush."""
        self._gained.append(chunk)
        return len(self._gained) == 1

    def flush(self, queue_bytes: int, asking: Iterable[Peer] = ()) -> None:
        """Give what the room gained to all who are live; whose queue is over ``queue_bytes`` falls behind.

        Of those, who is ``asking`` comes first, and gets its answer in the same write: while all others are told, it
        can say the next thing, and so a busy room has more to tell in one turn.
        """
        gained = self._gained
        if not gained:
            return
        chunk = gained[0] if len(gained) == 1 else b"".join(gained)
        gained.clear()
        first = {peer for peer in asking if peer.queued <= queue_bytes and peer in self.live}
        for peer in first:
            peer.write(chunk)
            peer.flush()
        slow = []
        for peer, follower in self.live.items():
            if peer in first:
                continue
            if not peer.queued:
                peer.send(chunk)
            elif peer.queued <= queue_bytes:
                peer.write(chunk)
            else:
                slow.append(follower)
        for follower in slow:
            self.fall_behind(follower)
        self.flushed, self._flushed_hints = self.told, self.hints

    def is_live(self, follower: Follower) -> bool:
        """Whether a follower gets what the room gains at once."""
        return self.live.get(follower.subscriber.peer) is follower

    def fall_behind(self, follower: Follower) -> None:
        """Tell a live follower nothing any more: from where the last flush ended it reads from the store."""
        del self.live[follower.subscriber.peer]
        follower.at = self.flushed
        follower.hints = self._flushed_hints
        follower.subscriber.behind.append(follower)
        follower.subscriber.peer.hungry = True


class Subscriber:
    """What one connection waits for.

    Attributes:
        parcels_at: The last parcel told; ``parcels_live`` whether new ones are told at once,
            ``parcels_more`` whether one came that must first be read from the store.
        reading: Whether the store reads for it; it does one thing at a time.
    """

    __slots__ = (
        "behind", "fetches", "follows", "identity", "pages", "parcels_at", "parcels_ended", "parcels_live",
        "parcels_more", "peer", "reading",
    )  # fmt: skip

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.identity: Identity | None = None
        self.follows: dict[RoomId, Follower] = {}
        self.behind: list[Follower] = []
        self.pages: list[Iterator[AnyRelayFrame]] = []
        self.fetches: deque[Fetch] = deque()
        self.parcels_at = -1
        self.parcels_live = self.parcels_more = self.parcels_ended = False
        self.reading = False
