"""Coming into rooms: making one, joining by a link, the direct room with somebody (docs/protocol.md §§2, 8)."""

from collections.abc import Callable
from dataclasses import dataclass

from chaton.errors import InvalidLog, ProfileError, Refused
from chaton.identity.ids import Head, Identity, RoomId, Transcript
from chaton.identity.safety import direct_room
from chaton.identity.secret import RoomInfoKey
from chaton.room.link import Address, Link
from chaton.room.names import prepare_nick
from chaton.room.records import Genesis, Join, Record, sign_record
from chaton.room.transcript import History
from chaton.session import acts
from chaton.session.arrival import Arrival
from chaton.session.context import Context
from chaton.session.errand import Errand, Interrupted, LogTold, Until
from chaton.session.errands import check_invited, offer_join, peek_frame, submit
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import RecordEntry, RoomEntry
from chaton.session.notices import Waiting
from chaton.session.room import Room
from chaton.session.text import SafeText
from chaton.session.view import View
from chaton.wire import frames


@dataclass(frozen=True, slots=True)
class Entrance:
    """Puts rooms into a session."""

    context: Context
    address: Address
    rooms: dict[RoomId, Room]
    keyring: Keyring
    peers: Peers
    arrival: Arrival
    known_as: Callable[[Identity], SafeText]
    damaged: set[RoomId]

    def create(self, name: str, topic: str, nick: str, *, approve: bool, max_members: int) -> Errand[RoomId]:
        """Make a room, own it, and take a nick there."""
        context, prepared = self.context, prepare_nick(nick)
        rik = RoomInfoKey(context.entropy(RoomInfoKey.SIZE))
        body = acts.genesis(rik, name, topic, approve=approve, max_members=max_members, entropy=context.entropy)
        genesis = sign_record(body, seed=context.seed, room=RoomId.zero(), n=0, prev=Head.zero(), t=context.now)
        accepted = yield from self._found(genesis)
        if (accepted.s, accepted.transcript) != (0, genesis.head):
            raise InvalidLog("the relay begins the room with something else than its GENESIS")
        history = History(0, Transcript(accepted.transcript))
        view = View.of_log(context.me, [genesis.raw], history, 0)
        room = self._room(self._entry(view.room, rik), view)
        self._admit(room, accepted, genesis)
        yield from submit(room, acts.nick(prepared))
        context.tell(room.joined())
        return room.view.room

    def _found(self, genesis: Record) -> Errand[frames.Accepted]:
        """Have a GENESIS taken; over every connection that breaks, the same one again, so that it makes one room."""
        while True:
            yield Until(lambda: self.arrival.settled)
            try:
                yield from self.arrival.publish()  # The relay forgets the keys of those without a room after a while.
                accepted: frames.Accepted = yield frames.Create(0, genesis.raw)
            except Interrupted:
                continue
            return accepted

    def join(self, link: Link, nick: str) -> Errand[RoomId]:
        """Join by a link: read the log, check it, then sign JOIN at its head."""
        prepared = prepare_nick(nick)
        if link.room in self.damaged:
            hint = "join it from another profile (--profile DIR), as somebody new"
            raise ProfileError("what this profile kept of this room is damaged", hint=hint)
        known = self.rooms.get(link.room)
        if known is None or known.entry.status in {"out", "stopped"}:
            yield from self._join(link, prepared)
        room = self.rooms[link.room]
        if room.pending:
            self.context.tell(Waiting(room.view.room, room.teller.name))
            # Who was turned down is told so when the log has been read to its end.
            yield Until(lambda: room.entry.status != "joining")
        return link.room

    def direct(self, peer: Identity) -> Room:
        """The direct room with somebody, whom one has met in a room of one's own."""
        entry = self._entry(direct_room(self.context.me, peer), None)
        entry.peer, entry.status = peer, "in"
        self.context.keep(entry)
        room = self.rooms[entry.room] = self._room(entry, View.of_pair(self.context.me, peer))
        room.log_current = True
        return room

    def _join(self, link: Link, nick: str) -> Errand[None]:
        yield Until(lambda: self.arrival.settled)
        told, refusal = yield from self._read_log(link)
        view = View.of_log(self.context.me, told.records, History.of_room(link.room), 0)
        room = self._room(self._entry(link.room, link.rik), view)
        if refusal is not None and room.member is None and not room.pending:
            raise refusal  # One who was put out reads the log up to there, which says nothing of this link.
        check_invited(room, link)
        self._check_continues(room)
        if room.member is not None or room.pending:
            room.entry.join = own_join(room).raw  # The answer to it was lost: the relay gives the same one again.
        yield from self.arrival.publish()
        record = Record.decode(room.entry.join) if room.entry.join else None
        if record is not None and isinstance(record.body, Genesis):
            accepted = frames.Accepted(0, 0, link.room)  # An own room: its beginning needs nobody's word.
        else:
            accepted = yield from offer_join(room, link, nick)
            record = Record.decode(room.entry.join)
        room.fold([record.raw])
        self._admit(room, accepted, record)
        if room.member is not None:
            self.context.tell(room.joined())

    def _check_continues(self, room: Room) -> None:
        """A room that one was in before goes on from there: nothing that one knows of it is undone by rejoining."""
        earlier = self.rooms.get(room.view.room)
        if earlier is not None and room.view.state.head_at(earlier.view.state.n) != earlier.view.state.head:
            raise InvalidLog("the relay shows an older or another log of this room than before")

    def _read_log(self, link: Link) -> Errand[tuple[LogTold, Refused | None]]:
        """Read a log by a link, or as a member: a link of one use is used up by a JOIN whose answer was lost.

        Returns:
            The log, and why the link does not open it, if it does not.
        """
        refusal: Refused | None = None
        try:
            yield peek_frame(self.context, link, self.address.pin, self.arrival.relay_nonce)
        except Refused as refused:
            refusal = refused
        try:
            told: LogTold = yield frames.Log(0, link.room, -1)
        except Refused as unread:
            raise (refusal or unread) from unread
        return told, refusal

    def _admit(self, room: Room, accepted: frames.Accepted, record: Record) -> None:
        """The own GENESIS or JOIN is event s: the transcript begins there, as the relay states it (§3)."""
        entry, earlier = room.entry, self.rooms.get(room.view.room)
        if earlier is not None and earlier.live and earlier.entry.first_n == record.n:
            return  # Asked twice at once, and the other one was faster.
        if earlier is not None and record.n != earlier.entry.first_n and accepted.s <= earlier.view.history.s:
            raise InvalidLog("the relay seats us among events that we have seen before")
        entry.first_s, entry.first_t, entry.first_n = accepted.s, accepted.transcript, record.n
        entry.status, entry.join = "in" if room.member is not None else "joining", b""
        room.view.n, room.view.history = record.n, History(accepted.s, Transcript(accepted.transcript))
        for number, one in enumerate(room.view.records):
            self.context.keep(RecordEntry(room=room.view.room, n=number, raw=one.raw))
        self.context.keep(entry)
        room.timeline.redact_all(room.view.records, accepted.s)
        if earlier is not None:
            room.inbox.take_over(earlier.inbox, same=record.n == earlier.entry.first_n)
        self.rooms[room.view.room] = room
        if room.live:
            self.arrival.postbox.enter(room)
        room.log_current = True
        self.arrival.follow(room)

    def _room(self, entry: RoomEntry, view: View) -> Room:
        return Room(self.context, self.peers, self.keyring, entry, view, self.known_as)

    def _entry(self, room: RoomId, rik: RoomInfoKey | None) -> RoomEntry:
        address = self.address
        return RoomEntry(room=room, host=address.host, port=address.port, pin=address.pin, rik=rik)


def own_join(room: Room) -> Record:
    """The JOIN that made one's present membership, or the GENESIS of an own room."""
    me = room.context.me
    joins = (one for one in room.view.records if isinstance(one.body, Genesis | Join) and one.actor == me)
    return list(joins)[-1]
