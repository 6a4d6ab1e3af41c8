"""The real relay with a liar at its mouth: every frame to a client passes through what was made up for that client.

The hub, the log, the store, the order of events and TLS are the product's own. Only the sockets' class is exchanged,
for one whose writes are read again as frames and whose received frames are looked at before the engine gets them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from chaton.errors import Malformed
from chaton.identity.ids import Identity, RoomId
from chaton.identity.login import LoginAnswer
from chaton.relay import server
from chaton.relay.hub.effects import Decision, Gain, Reply
from chaton.relay.hub.room import Author
from chaton.relay.peer import Peer
from chaton.relay.store.base import EventRow
from chaton.room.envelope import message_id
from chaton.wire import frames
from chaton.wire.codec import encode
from chaton.wire.connection import reader_of_relay

Lie = Callable[[frames.AnyRelayFrame], Iterable[frames.AnyRelayFrame]]
Change = Callable[[frames.AnyClientFrame], Iterable[frames.AnyClientFrame]]


class EvilPeer(Peer):
    """A connection whose frames the evil relay may exchange, in both directions."""

    def __init__(self, evil: "EvilRelay", *args: Any, owner: Any, **how: Any) -> None:
        super().__init__(*args, owner=_Ear(evil, owner), **how)
        self.evil = evil
        self.identity: Identity | None = None

    def write(self, data: bytes) -> None:
        for frame in reader_of_relay().feed(data):
            for told in self.evil.tells(self, frame):
                self.write_as_it_is(told)

    def write_as_it_is(self, frame: frames.AnyRelayFrame) -> None:
        super().write(encode(frame))

    def send(self, data: bytes) -> None:
        self.write(data)


class _Ear:
    """Stands between a connection and the engine."""

    def __init__(self, evil: "EvilRelay", engine: Any) -> None:
        self._evil, self._engine = evil, engine

    def received(self, peer: EvilPeer, frame: frames.AnyClientFrame) -> None:
        for heard in self._evil.hears(peer, frame):
            self._engine.received(peer, heard)

    def closed(self, peer: EvilPeer) -> None:
        self._evil.peers.discard(peer)
        self._engine.closed(peer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class EvilRelay:
    """What the relay does to whom.

    Attributes:
        relay: The product's relay, as it runs.
        lies: What each client's frames pass through; the last one set counts.
        changes: The same for frames from each client.
        heard: Everything that clients said, and by whom.
        told: What the honest part of it had to say to each client.
        nonce: What it greets with instead of a nonce of its own; ``fast_ms`` how much its clock is said to be ahead.
    """

    def __init__(self) -> None:
        self.relay: server.Relay | None = None
        self.peers: set[EvilPeer] = set()
        self.lies: dict[Identity, Lie] = {}
        self.changes: dict[Identity, Change] = {}
        self.heard: list[tuple[Identity | None, frames.AnyClientFrame]] = []
        self.nonce = b""
        self.fast_ms = 0
        self.told: defaultdict[Identity, list[frames.AnyRelayFrame]] = defaultdict(list)

    def peer(self, *args: Any, **how: Any) -> EvilPeer:
        """In place of the class that the listener makes connections of."""
        peer = EvilPeer(self, *args, **how)
        self.peers.add(peer)
        return peer

    def hears(self, peer: EvilPeer, frame: frames.AnyClientFrame) -> list[frames.AnyClientFrame]:
        if isinstance(frame, frames.Login):
            peer.identity = _who(frame)
        self.heard.append((peer.identity, frame))
        change = self.changes.get(peer.identity) if peer.identity else None
        return list(change(frame)) if change else [frame]

    def tells(self, peer: EvilPeer, frame: frames.AnyRelayFrame) -> list[frames.AnyRelayFrame]:
        if peer.identity is None:
            if isinstance(frame, frames.Welcome):
                return [replace(frame, nonce=self.nonce or frame.nonce, now=frame.now + self.fast_ms)]
            return [frame]
        self.told[peer.identity].append(frame)
        lie = self.lies.get(peer.identity)
        return list(lie(frame)) if lie else [frame]

    def lie_to(self, client: Any, lie: Lie) -> None:
        """From now on, what this client is told passes through ``lie``."""
        self.lies[client.identity] = lie

    def lie_about_events(self, client: Any, lie: Callable[[frames.Event], Iterable[frames.AnyRelayFrame]]) -> None:
        """From now on, the events that this client is told pass through ``lie``; all else is true."""
        self.lie_to(client, lambda frame: lie(frame) if isinstance(frame, frames.Event) else [frame])

    def be_honest(self, client: Any) -> None:
        self.lies.pop(client.identity, None)
        self.changes.pop(client.identity, None)

    def say(self, client: Any, *told: frames.AnyRelayFrame) -> None:
        """Tell a client something unasked."""
        for peer in list(self.peers):
            if peer.identity == client.identity and not peer.gone:
                for frame in told:
                    peer.write_as_it_is(frame)
                peer.flush()

    def cut(self, client: Any) -> None:
        """Break off a client's connection; what was heard so far is forgotten. It comes back by itself."""
        self.heard.clear()
        for peer in list(self.peers):
            if peer.identity == client.identity:
                peer.drop()

    def force(self, room_id: RoomId, envelope: bytes, sender: Identity) -> int:
        """Put a message into a room that an honest relay refuses, as an event for all; returns its number."""
        assert self.relay is not None
        room, engine, message = self.relay.memory.rooms[room_id], self.relay.engine, message_id(envelope)
        member = room.state.members.get(sender) or next(iter(room.state.members.values()))
        author = Author(sender, member.inst)
        room.add_message(message, author)
        s, at = room.history.s, server.clock()
        row = EventRow(room_id, s, frames.KIND_MESSAGE, -1, at, *author, message, envelope)
        event = frames.Event(room_id, s, at, frames.KIND_MESSAGE, sender, envelope)
        engine._take(Decision(None, [], [row], [Gain(room_id, event)]))
        return s

    def take_everything(self, client: Any) -> None:
        """Let this client's messages into rooms whatever they are, and answer as if all were well."""

        def change(frame: frames.AnyClientFrame) -> list[frames.AnyClientFrame]:
            if not isinstance(frame, frames.Send):
                return [frame]
            room = RoomId(frame.room)
            s = self.force(room, frame.envelope, client.identity)
            history = self.relay.memory.rooms[room].history
            peer = next(peer for peer in self.peers if peer.identity == client.identity and not peer.gone)
            answer = Reply(peer.session, frames.Accepted(frame.ref, s, history.last))
            self.relay.engine._take(Decision(None, [], [], [answer]))
            return []

        self.changes[client.identity] = change

    def said_by(self, client: Any, kind: type) -> list[Any]:
        """The frames of one kind that a client has sent."""
        return [frame for who, frame in self.heard if who == client.identity and isinstance(frame, kind)]


def _who(frame: frames.Login) -> Identity | None:
    """Whom a login names; that its signature holds is the hub's to check."""
    try:
        return LoginAnswer.decode(frame.answer).identity
    except Malformed:
        return None
