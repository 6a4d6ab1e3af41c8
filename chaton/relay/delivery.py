"""What reaches whom, and in which order: live events to followers, the store's to those who are behind.

A follower is *live* or *behind*. The live ones of a room get all that the room gained during one turn of the loop as
one piece of bytes that they share. One whose queue is too long falls behind: from then on it is fed out of the store
as fast as it reads, loses nothing, delays nobody and holds little memory; at the end it is live again.

Parcels are fed to a connection in order of their tokens, ahead of all events that are newer than they are. Attachments
are fed piece by piece when nothing else waits for a connection, so what is said in a room comes before the next piece.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from chaton.errors import StoreError
from chaton.identity.ids import RoomId
from chaton.limits import PIECE_BYTES_MAX, SECOND_MS
from chaton.relay.channel import Channel, Follower, Subscriber
from chaton.relay.committer import Committer
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import Feed, Fetch, Gain, Hint, Pages, Part, Push, PushWaiting
from chaton.relay.hub.refusals import SENTENCES
from chaton.relay.peer import Peer
from chaton.relay.store.base import EventRow, ParcelRow, Store
from chaton.wire.codec import encode
from chaton.wire.frames import BlobPiece, CaughtUp, Event, Parcel, ParcelsEnd, Refused

READ_BYTES: Final = 128 * 2**10
PARCELS_PER_READ: Final = 64
FETCHES_MAX: Final = 64
_log = logging.getLogger(__name__)

_Read = TypeVar("_Read")


class Delivery:
    """Carries out the effects that concern followers and parcels.

    Args:
        queue_bytes: How long a connection's queue may be before it is fed from the store instead.
        started: Is called with each subscriber that has something to be fed, to pump it soon.
    """

    def __init__(
        self, hub: Hub, store: Store, committer: Committer, queue_bytes: int, started: Callable[[Subscriber], None]
    ) -> None:
        self._hub = hub
        self._store = store
        self._committer = committer
        self._queue_bytes = queue_bytes
        self._started = started
        self._channels: dict[RoomId, Channel] = {}
        self._gained: list[Channel] = []
        self._changing: list[Channel] = []

    def gain(self, effect: Gain) -> None:
        """A room has a new event; it is encoded once, if anybody follows."""
        channel = self._channels.get(effect.room)
        if channel is None:
            return
        if channel.gain(encode(effect.event)):
            self._gained.append(channel)
        channel.told = effect.event.s

    def hint(self, effect: Hint) -> None:
        """Somebody of a room came or went: told with the next ``tell_hints``, and only as it then is."""
        channel = self._channels.get(effect.room)
        if channel is None:
            return
        if not channel.changes:
            self._changing.append(channel)
        channel.changes[effect.presence.identity] = effect.presence

    def tell_hints(self) -> bool:
        """Tell who came and went; whether there was anything."""
        changing, self._changing = self._changing, []
        for channel in changing:
            changes, channel.changes = channel.changes, {}
            channel.hints += len(changes)
            # Whoever got an older list from now on would miss these. Until now they were still to come behind it.
            channel.present = None
            if channel.gain(b"".join(map(encode, changes.values()))):
                self._gained.append(channel)
        return bool(changing)

    def flush(self, asking: Iterable[Peer]) -> None:
        """Give each room's gain of this turn to its followers, first to those who wait for an answer."""
        for channel in self._gained:
            channel.flush(self._queue_bytes, asking)
        self._gained.clear()

    def feed(self, subscriber: Subscriber, effect: Feed) -> None:
        """Somebody begins to follow a room, or begins again from another event."""
        self.leave(subscriber, effect.room)
        channel = self._channels.get(effect.room)
        if channel is None:
            channel = self._channels[effect.room] = Channel(effect.room, effect.s)
        channel.followers += 1
        follower = Follower(subscriber, channel, effect.ref, effect.after)
        subscriber.follows[effect.room] = follower
        subscriber.behind.append(follower)
        self._started(subscriber)

    def part(self, subscriber: Subscriber, effect: Part) -> None:
        """Somebody follows a room no longer."""
        follower = subscriber.follows.get(effect.room)
        if follower is None:
            return
        follower.channel.flush(self._queue_bytes)
        if effect.put_out and not follower.channel.is_live(follower):
            follower.until = follower.channel.told
        else:
            self.leave(subscriber, effect.room)

    def leave(self, subscriber: Subscriber, room: RoomId) -> None:
        """Tell a connection nothing more of a room."""
        follower = subscriber.follows.pop(room, None)
        if follower is None:
            return
        channel = follower.channel
        if channel.is_live(follower):
            del channel.live[subscriber.peer]
        elif follower in subscriber.behind:
            subscriber.behind.remove(follower)
        channel.followers -= 1
        if not channel.followers:
            del self._channels[room]

    def forget(self, subscriber: Subscriber) -> None:
        """A connection is over."""
        for room in list(subscriber.follows):
            self.leave(subscriber, room)
        subscriber.pages.clear()
        subscriber.fetches.clear()

    def pages(self, subscriber: Subscriber, effect: Pages) -> None:
        """Somebody reads a log, or something else of many bytes."""
        subscriber.pages.append(iter(effect.frames))
        self._started(subscriber)

    def fetch(self, subscriber: Subscriber, effect: Fetch) -> None:
        """Somebody asks for a piece of an attachment; who asks for many and takes none is refused."""
        if len(subscriber.fetches) < FETCHES_MAX:
            subscriber.fetches.append(effect)
            self._started(subscriber)
        else:
            _refuse(subscriber, effect.ref, "limited", SECOND_MS)

    def push_waiting(self, subscriber: Subscriber, effect: PushWaiting) -> None:
        """Somebody has logged in: first of all it gets its parcels."""
        subscriber.identity = effect.identity
        self._started(subscriber)

    def push(self, subscriber: Subscriber, effect: Push) -> None:
        """A parcel for somebody connected. It goes ahead of later events, so where it must wait, events wait too."""
        if subscriber.parcels_live and subscriber.peer.queued <= self._queue_bytes:
            self._tell_parcel(subscriber, effect.parcel)
            return
        subscriber.parcels_more = True
        subscriber.parcels_live = False
        for follower in subscriber.follows.values():
            follower.channel.flush(self._queue_bytes)
            if follower.channel.is_live(follower):
                follower.channel.fall_behind(follower)
        subscriber.peer.hungry = True

    @staticmethod
    def _tell_parcel(subscriber: Subscriber, parcel: Parcel) -> None:
        if parcel.token > subscriber.parcels_at:
            subscriber.parcels_at = parcel.token
            subscriber.peer.write(encode(parcel))

    def pump(self, subscriber: Subscriber) -> None:
        """Queue as much as fits of what a connection waits for: logs, then parcels, events, pieces of attachments."""
        while not subscriber.reading:
            if self._waits(subscriber):
                fits, feed = self._queue_bytes, self._feed_next
            elif subscriber.fetches:
                fits, feed = 0, self._read_piece
            else:
                return
            if subscriber.peer.queued > fits:
                subscriber.peer.hungry = True
                return
            feed(subscriber)

    @staticmethod
    def _waits(subscriber: Subscriber) -> bool:
        waits_for_parcels = subscriber.identity is not None and not subscriber.parcels_live
        return bool(subscriber.pages or subscriber.behind or waits_for_parcels)

    def _read_piece(self, subscriber: Subscriber) -> None:
        fetch = subscriber.fetches.popleft()
        blob, offset = fetch.blob, fetch.offset

        def then(data: bytes) -> None:
            if data:
                subscriber.peer.write(encode(BlobPiece(fetch.ref, blob.size, offset, data)))
            else:
                _refuse(subscriber, fetch.ref, "no-blob", 0)  # It was dropped meanwhile.

        self._read(subscriber, lambda: self._store.piece(blob.room, blob.blob, offset, PIECE_BYTES_MAX), then)

    def _feed_next(self, subscriber: Subscriber) -> None:
        if subscriber.pages:
            frame = next(subscriber.pages[0], None)
            if frame is None:
                subscriber.pages.pop(0)
            else:
                subscriber.peer.write(encode(frame))
        elif not subscriber.parcels_live:
            self._read_parcels(subscriber)
        else:
            self._feed_follower(subscriber, subscriber.behind[0])

    def _read_parcels(self, subscriber: Subscriber) -> None:
        identity, after = subscriber.identity, subscriber.parcels_at
        assert identity is not None
        subscriber.parcels_more = False

        def then(rows: list[ParcelRow]) -> None:
            for row in rows:
                self._tell_parcel(subscriber, Parcel(row.token, row.raw))
            if not rows and not subscriber.parcels_more:
                subscriber.parcels_live = True
                self._end_parcels(subscriber)

        self._read(subscriber, lambda: self._store.parcels(identity, after, PARCELS_PER_READ), then)

    @staticmethod
    def _end_parcels(subscriber: Subscriber) -> None:
        if not subscriber.parcels_ended:
            subscriber.parcels_ended = True
            subscriber.peer.write(encode(ParcelsEnd()))

    def _feed_follower(self, subscriber: Subscriber, follower: Follower) -> None:
        channel = follower.channel
        if follower.until is not None and follower.at >= follower.until:
            self.leave(subscriber, channel.room)
        elif follower.at >= channel.told:
            self._go_live(follower)
        else:
            room, after = channel.room, follower.at
            self._read(
                subscriber,
                lambda: self._store.events(room, after, READ_BYTES),
                lambda rows: self._feed_events(follower, rows),
            )

    def _feed_events(self, follower: Follower, rows: list[EventRow]) -> None:
        """Tell what the store has, up to what is told to all: later events come when they are."""
        if follower not in follower.subscriber.behind:
            return
        last = follower.channel.told if follower.until is None else follower.until
        rows = [row for row in rows if row.s <= last]
        if not rows:
            _log.error("the store lacks events that it had taken; a connection is closed")
            follower.subscriber.peer.drop()
            return
        for row in rows:
            event = Event(row.room, row.s, row.at, row.kind, row.sender, row.body)
            follower.subscriber.peer.write(encode(event))
        follower.at = rows[-1].s
        # The next room's turn: one long history does not keep a connection's other rooms waiting.
        behind = follower.subscriber.behind
        behind.remove(follower)
        behind.append(follower)

    def _go_live(self, follower: Follower) -> None:
        channel, subscriber = follower.channel, follower.subscriber
        channel.flush(self._queue_bytes)
        subscriber.behind.remove(follower)
        channel.live[subscriber.peer] = follower
        if follower.ref is not None or follower.hints != channel.hints:
            if channel.present is None:
                channel.present = encode(self._hub.present(channel.room))
            subscriber.peer.write(channel.present)
        if follower.ref is not None:
            subscriber.peer.write(encode(CaughtUp(follower.ref, channel.room, follower.at)))
            follower.ref = None

    def _read(self, subscriber: Subscriber, job: Callable[[], _Read], then: Callable[[_Read], None]) -> None:
        """Let the store read, and go on pumping with what it says."""
        subscriber.reading = True

        def resume(result: _Read) -> None:
            subscriber.reading = False
            if not subscriber.peer.gone:
                then(result)
                self._started(subscriber)

        def failed(_cause: StoreError) -> None:
            _log.error("the store cannot be read; a connection is closed")
            subscriber.peer.drop()

        self._committer.work(job, resume, failed)


def _refuse(subscriber: Subscriber, ref: int, code: str, retry_ms: int) -> None:
    subscriber.peer.write(encode(Refused(ref, code, SENTENCES[code], retry_ms, [])))
