"""The relay at work: frames go to the hub, its decisions to the disk, and what follows from them to the peers.

What happens during one turn of the event loop is one group: its writes are committed together, and afterwards each
connection gets all that is for it as one write.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from chaton import __version__
from chaton.errors import Malformed, StoreError
from chaton.identity.ids import Nonce
from chaton.limits import DETAIL_CHARS_MAX, SECOND_MS, TURN_MS
from chaton.relay.channel import Subscriber
from chaton.relay.committer import Committer
from chaton.relay.delivery import Delivery
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import (
    Close,
    Decision,
    Effect,
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
from chaton.relay.hub.memory import Session
from chaton.relay.loading import reload
from chaton.relay.peer import Peer
from chaton.relay.store.base import Store, Write
from chaton.relay.tally import Tally
from chaton.wire.codec import encode
from chaton.wire.frames import AnyClientFrame, Done, Goodbye, LoggedIn, Refused, Welcome
from chaton.wire.parts import Limits

MEND_INTERVAL_S = 1.0
HINT_INTERVAL_S = 0.25
_log = logging.getLogger(__name__)


class Connection(Subscriber):
    """All that belongs to one connection: its socket, what the hub knows of it, what it waits for."""

    __slots__ = ("session",)

    def __init__(self, peer: Peer, session: Session) -> None:
        super().__init__(peer)
        self.session = session


class Engine:
    """Owns every open connection.

    Args:
        limits: What Welcome tells of the relay's limits.
        clock: The time in ms.
        silence_s: How long a connection may be silent after its login.
        queue_bytes: How much may wait for a connection before it is fed from the store.
        threaded: Whether commits are worth a thread.
    """

    def __init__(
        self,
        hub: Hub,
        store: Store,
        limits: Limits,
        *,
        clock: Callable[[], int],
        silence_s: float,
        queue_bytes: int,
        threaded: bool,
    ) -> None:
        self._hub = hub
        self._store = store
        self.limits = limits
        self._clock = clock
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._committer = Committer(store, self._release, self._refuse, threaded=threaded)
        self._delivery = Delivery(hub, store, self._committer, queue_bytes, self._pump_soon)
        self._decided: list[Decision] = []
        self._pumps: dict[Subscriber, None] = {}
        self._turn_ends = False
        self._tick: asyncio.TimerHandle | None = None
        self._hints_rest = False
        self._stopping = False
        self.dirty: list[Peer] = []
        self._garbled = Tally(_log, "%d connections spoke another protocol and were closed")
        self._effects: dict[type[Effect], Callable[[Any], None]] = {
            Reply: self._reply,
            Gain: self._delivery.gain,
            Hint: self._delivery.hint,
            Close: self._close,
            Feed: self._to_subscriber(self._delivery.feed),
            Part: self._to_subscriber(self._delivery.part),
            Fetch: self._to_subscriber(self._delivery.fetch),
            Pages: self._to_subscriber(self._delivery.pages),
            Push: self._to_subscriber(self._delivery.push),
            PushWaiting: self._to_subscriber(self._delivery.push_waiting),
        }

    # What a peer tells (chaton.relay.peer.Owner).

    def opened(self, peer: Peer) -> None:
        """The handshake is done: the relay speaks first."""
        now = self._clock()
        nonce = Nonce(secrets.token_bytes(Nonce.SIZE))
        session = Session(peer.session, peer.origin.address, peer.origin.local, nonce)
        self._connections[peer.session] = Connection(peer, session)
        peer.write(encode(Welcome(nonce, now, __version__, self.limits)))
        self._end_turn_soon()

    def received(self, peer: Peer, frame: AnyClientFrame) -> None:
        """A frame has come."""
        connection = self._connections.get(peer.session)
        if connection is None or self._stopping:
            return
        self._take(self._hub.handle(connection.session, frame, self._clock()))
        who = connection.session.identity
        if not peer.member and who is not None and self._hub.memory.belongs(who):
            # Anybody can log in, and as often as there are identities: only members may take memory and time.
            peer.seat()

    def garbled(self, peer: Peer, cause: Malformed) -> None:
        """Bytes that are no frame have come: say so and close."""
        self._garbled.add()
        self.end(peer, Goodbye("protocol", str(cause)[:DETAIL_CHARS_MAX], 0))

    def drained(self, peer: Peer) -> None:
        """A connection that waits for more has room for it."""
        connection = self._connections.get(peer.session)
        if connection is not None:
            self._pump_soon(connection)

    def closed(self, peer: Peer) -> None:
        """A connection is over."""
        connection = self._connections.pop(peer.session, None)
        if connection is not None:
            self._delivery.forget(connection)
            self._pumps.pop(connection, None)
            self._take(self._hub.gone(connection.session, self._clock()))

    def end(self, peer: Peer, goodbye: Goodbye | None) -> None:
        """Close a connection after a last word. It is no longer known from now on."""
        self.closed(peer)
        peer.finish(encode(goodbye) if goodbye else None)

    # What time and the operator bring.

    def expire(self) -> None:
        """Forget what is too old."""
        if not self._hub.suspended:
            self._take(self._hub.expire(self._clock()))

    def prune(self, retention_ms: int, bytes_max: int) -> None:
        """Let the store drop what is older than the operator wants to keep."""
        before = self._clock() - retention_ms
        self._committer.work(lambda: self._store.prune(before, bytes_max), _pruned, _prune_failed)

    async def close(self, goodbye: Goodbye) -> None:
        """Finish all commits and tell what follows from them, say goodbye to everybody, and give that a moment."""
        self._stopping = True
        self._end_turn()
        await self._committer.close()
        peers = [connection.peer for connection in self._connections.values()]
        for peer in peers:
            self.end(peer, goodbye)

    # Decisions and what follows from them.

    def _take(self, decision: Decision) -> None:
        """Tell what may be told at once, and put the rest with what this turn of the loop decides."""
        for effect in decision.now:
            self._effects[type(effect)](effect)
        if decision.writes or decision.then:
            self._decided.append(decision)
        self._end_turn_soon()

    def _end_turn_soon(self) -> None:
        if not self._turn_ends:
            self._turn_ends = True
            # One round of the loop later, as in the next one what has come meanwhile stands behind this: senders who
            # wait for each other's echo would stay split into two groups for ever, each with writes of its own.
            self._loop.call_soon(self._loop.call_soon, self._end_turn)

    def _end_turn(self) -> None:
        """Commit what was decided, feed who waits, send what is queued."""
        self._turn_ends = False
        decided, self._decided = self._decided, []
        if decided:
            self._committer.add(decided)
        pumps, self._pumps = self._pumps, {}
        for subscriber in pumps:
            if not subscriber.peer.gone:
                self._delivery.pump(subscriber)
                subscriber.peer.flush()  # It may be much, and they may be many.
        self._flush()
        self._set_tick()

    def _pump_soon(self, subscriber: Subscriber) -> None:
        self._pumps[subscriber] = None
        self._end_turn_soon()

    def _release(self, decisions: Sequence[Decision]) -> None:
        """What these decisions wrote is durable."""
        effects = self._effects
        for decision in decisions:
            for effect in decision.then:
                effects[type(effect)](effect)
        self._flush()

    def _flush(self) -> None:
        # When a thousand come back together, each is told of the others a few times, not a thousand times.
        if not self._hints_rest and self._delivery.tell_hints():
            self._hints_rest = True
            self._loop.call_later(HINT_INTERVAL_S, self._end_rest)
        self._delivery.flush(list(self.dirty))
        while self.dirty:
            dirty = self.dirty[:]
            self.dirty.clear()
            for peer in dirty:
                peer.flush()

    def _end_rest(self) -> None:
        self._hints_rest = False
        self._flush()

    def _set_tick(self) -> None:
        """Wake up when a turn to sign ends."""
        due = self._hub.next_tick()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if due is not None:
            # A clock that was set back must not put the end of a turn off for as long.
            delay_ms = min(max(0, due - self._clock()), TURN_MS)
            self._tick = self._loop.call_later(delay_ms / SECOND_MS, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        self._take(self._hub.tick(self._clock()))

    # Effects.

    def _reply(self, effect: Reply) -> None:
        connection = self._connections.get(effect.session)
        if connection is None:
            return
        connection.peer.write(encode(effect.frame))
        if isinstance(effect.frame, Refused) and effect.frame.code == "limited":
            connection.peer.rest()
        if isinstance(effect.frame, LoggedIn | Done) and connection.peer.patience is None:
            self._admit(connection)

    def _admit(self, connection: Connection) -> None:
        """The first request that was granted was Login or Peek: the deadline for these no longer counts."""
        connection.peer.patience = self._silence_s
        connection.peer.heard()

    def _close(self, effect: Close) -> None:
        connection = self._connections.get(effect.session)
        if connection is not None:
            self.end(connection.peer, effect.goodbye)

    def _to_subscriber(self, act: Callable[[Subscriber, Any], None]) -> Callable[[Any], None]:
        def carry_out(effect: Any) -> None:
            connection = self._connections.get(effect.session)
            if connection is not None:
                act(connection, effect)

        return carry_out

    # A disk that refuses.

    def _refuse(self, decisions: Sequence[Decision]) -> None:
        """These decisions are lost, and all that memory made of them: refuse them, and read memory again."""
        for decision in decisions:
            for effect in self._hub.failed(decision).now:
                self._effects[type(effect)](effect)
        if not self._hub.suspended:
            for effect in self._hub.suspend().now:
                self._effects[type(effect)](effect)
            # What was decided since on the memory that is lost must fail too, before anything is mended.
            decided, self._decided = self._decided, []
            self._committer.add(decided)
            self._mend()
        self._flush()

    def _mend(self) -> None:
        def read_again(lost: list[Write]) -> Callable[[], None]:
            return reload(self._hub.memory, self._store, lost)

        self._committer.mend(read_again, self._mended, self._mend_failed)

    def _mended(self, install: Callable[[], None]) -> None:
        install()
        self._hub.suspended = False

    def _mend_failed(self, cause: StoreError) -> None:
        _log.error("the store cannot be read: %s", cause)
        self._loop.call_later(MEND_INTERVAL_S, self._mend)


def _pruned(gone: Sequence[object]) -> None:
    if gone:
        _log.info("retention dropped the bodies of %d messages", len(gone))


def _prune_failed(cause: StoreError) -> None:
    _log.error("retention failed: %s", cause)
