"""One person on one relay: every room there, the login, bundles and parcels, and what the person asks for.

Frames, requests and the time go in by the methods; effects come out by ``drain``. Nothing here waits: what needs
several questions is an errand (``chaton.session.errand``), and its end is told by an ``Answer`` with its ticket.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from chaton.errors import ChatonError, InvalidLog, Malformed, Refused, SecurityStop
from chaton.identity.ids import Identity, RoomId
from chaton.identity.safety import direct_room
from chaton.limits import ALIVE_INTERVAL_MS, SECOND_MS
from chaton.room.link import Address, Link
from chaton.room.records import Record, Role
from chaton.session import acts
from chaton.session.arrival import Arrival, goodbye, login_refused
from chaton.session.content import Alive, Content, Plaintext
from chaton.session.context import Context
from chaton.session.effects import Answer, Effect, HangUp
from chaton.session.entrance import Entrance
from chaton.session.errand import Errand, Interrupted, Until
from chaton.session.errands import (
    Removed,
    make_invite,
    remove,
    submit,
)
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import RoomEntry
from chaton.session.notices import Warned
from chaton.session.parcels import Postbox
from chaton.session.restore import Memory, restore_room
from chaton.session.room import Room
from chaton.session.text import SafeText, clean_line
from chaton.wire import frames
from chaton.wire.frames import AnyRelayFrame

ROUND_MS = 10 * SECOND_MS  # How often what has fallen due is looked for.


class Session:
    """See the module.

    Args:
        context: Who one is, and where effects go.
        address: The relay.
        memory: What was kept of this relay's rooms, and of bundles and peers.

    Attributes:
        rooms: Every room of this relay that one is in, waits for, or was in.
        damaged: Rooms of which the profile holds something that does not fit together; the others go on without them.
        arrival: How far this connection has come.
    """

    def __init__(self, context: Context, address: Address, memory: Memory) -> None:
        self.context = context
        self.address = address
        self.rooms: dict[RoomId, Room] = {}
        self.damaged: set[RoomId] = set()
        self.keyring = Keyring(context, memory.bundles)
        self.peers = Peers(context, memory.peers, self._knows)
        self._postbox = Postbox(context, self.keyring, self.rooms)
        self.arrival = Arrival(context, address, self.rooms, self.keyring, self._postbox, self._direct_room)
        self._entrance = Entrance(
            context, address, self.rooms, self.keyring, self.peers, self.arrival, self.known_as, self.damaged
        )
        self._last_ticket = 0
        self._errands: dict[int, Errand[Any]] = {}
        self._last_round = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            frames.Welcome: self.arrival.welcome,
            frames.LoggedIn: self.arrival.arrived,
            frames.Event: self._event,
            frames.Parcel: self._postbox.put,
            frames.ParcelsEnd: self._parcels_end,
            frames.DirectRoom: lambda frame: self._direct_room(Identity(frame.peer), RoomId(frame.room)),
            frames.LogMoved: lambda frame: self._log_moved(RoomId(frame.room)),
            frames.Presence: self._presence,
            frames.Present: self._present,
            frames.Goodbye: self._goodbye,
        }
        for entry in memory.rooms:
            if entry.first_t or entry.peer:
                self._restore(entry, memory)

    # --- the connection ---

    def drain(self) -> list[Effect]:
        """Take out what is to be done."""
        self.context.desk.poll()
        effects, self.context.effects = self.context.effects, []
        return effects

    def connected(self, now: int) -> None:
        """TLS is up and the pin fits; the relay speaks first."""
        self.context.now = now

    def disconnected(self, now: int) -> None:
        """The connection is gone; everything that is not done waits for the next one, or fails as Interrupted."""
        self.context.now = now
        for room in self.rooms.values():
            room.disconnected()
        self.arrival.disconnected()
        self.context.desk.interrupt()

    def receive(self, frame: AnyRelayFrame, now: int) -> None:
        """Process what the relay said."""
        self.context.now = now
        handler = self._handlers.get(type(frame))
        if isinstance(frame, frames.Refused) and frame.ref == 0:
            self.context.effects.append(HangUp(login_refused(frame)))
        else:
            self._handle(handler or self.context.desk.answer, frame)
        self.context.desk.poll()

    def tick(self, now: int) -> None:
        """Do what time alone makes due."""
        self.context.now = now
        self.keyring.erase_replaced()
        for room in self.rooms.values():
            room.sender.pump()
            room.sender.miss()
        if self.arrival.settled and not self.context.recent(self._last_round, ROUND_MS):
            self._last_round = now
            self.arrival.publish_if_due()
            if self.context.lasting:
                for room in self.rooms.values():
                    room.inbox.ask_again()
                    if not self.arrival.skewed:  # No invite is taken back by a clock that is wrong.
                        self._keep_up(room)

    # --- requests ---

    def begin(self, errand: Errand[Any]) -> int:
        """Start an errand; an ``Answer`` with the returned ticket tells its end."""
        self._last_ticket += 1
        ticket = self._last_ticket
        self._errands[ticket] = errand
        self.context.desk.begin(errand, partial(self._answer, ticket))
        return ticket

    def give_up(self, ticket: int) -> None:
        """Let go of an errand that is not done; what it has asked of the relay may happen all the same."""
        errand = self._errands.pop(ticket, None)
        if errand is not None:
            self.context.desk.give_up(errand)

    def room(self, room: RoomId) -> Room:
        """A room that one is in.

        Raises:
            Refused: not-member.
        """
        found = self.rooms.get(room)
        if found is None or found.entry.status != "in":
            why = found.entry.why_detail if found else ""
            raise Refused("not-member", f"you are not in this room{': ' + why if why else ''}", hint="see chaton rooms")
        return found

    def say(self, room: RoomId, content: Content, ref: int) -> None:
        """Put something into a room's outbox; ``Sent`` or ``Rejected`` with ``ref`` tells what became of it."""
        found = self.room(room)
        if found.view.state.closed:
            raise Refused("closed", "the room is closed: nothing more is said in it")
        found.sender.say(content, ref)

    def withdraw(self, room: RoomId, ref: int) -> bool:
        """Take something back that was put into the outbox and never sealed; whether there was such a thing."""
        found = self.rooms.get(room)
        return found is not None and found.sender.withdraw(ref)

    def create(self, name: str, topic: str, nick: str, *, approve: bool, max_members: int) -> Errand[RoomId]:
        """Make a room, own it, and take a nick there."""
        return self._entrance.create(name, topic, nick, approve=approve, max_members=max_members)

    def join(self, link: Link, nick: str) -> Errand[RoomId]:
        """Join by a link; the errand lasts until an admin has admitted, where the room asks for that."""
        return self._entrance.join(link, nick)

    def invite(self, room: RoomId, *, uses: int, life_ms: int, flags: int) -> Errand[Link]:
        """Make an invite link."""
        return make_invite(self.room(room), self.address, uses, self.context.now + life_ms, flags)

    def act(self, room: RoomId, act: acts.Act) -> Errand[Record]:
        """Sign an act and have it taken."""
        return submit(self.room(room), act)

    def remove(self, room: RoomId, act: acts.Act) -> Errand[Removed]:
        """Kick or ban somebody."""
        return remove(self.room(room), self.address, act)

    def hand_in(self, raw: bytes) -> Errand[None]:
        """Submit a record that was signed before, as it is; refused if the log has moved."""
        record = Record.decode(raw)
        room = self.room(record.room)
        yield Until(lambda: room.log_current)
        yield frames.Submit(0, record.room, raw)
        room.fold([raw])

    def direct(self, peer: Identity) -> Errand[RoomId]:
        """Open the direct room with somebody who shares a room."""
        wanted = direct_room(self.context.me, peer)
        yield Until(lambda: self.arrival.settled)
        if wanted not in self.rooms:
            yield from self._ask_direct(peer)
        if wanted not in self.rooms:
            raise Refused("stranger", "you share no room with them any more", hint="meet in a room first")
        yield Until(lambda: self.rooms[wanted].caught_up)
        return wanted

    def _ask_direct(self, peer: Identity) -> Errand[None]:
        """Over every connection that breaks, again: one that was opened meanwhile is told again."""
        while True:
            try:
                yield frames.Direct(0, peer)
            except Interrupted:
                yield Until(lambda: self.arrival.settled)
            else:
                return

    def in_step(self, room: RoomId) -> Errand[Room]:
        """Wait until a room has caught up with the relay."""
        found = self.room(room)
        yield Until(lambda: found.caught_up or found.entry.status != "in")
        return self.room(room)

    def mark_read(self, room: RoomId, s: int) -> None:
        """Remember that a person has seen everything up to event ``s``."""
        entry = self.rooms[room].entry
        if s > entry.read_s:
            entry.read_s = s
            self.context.keep(entry)

    def keep_draft(self, room: RoomId, text: str) -> None:
        """Remember what a person has typed and not sent."""
        entry = self.rooms[room].entry
        if text != entry.draft:
            entry.draft = text
            self.context.keep(entry)

    def ignore(self, identity: Identity, *, ignored: bool) -> None:
        """Show somebody's messages no longer, or again."""
        entry = self.peers.entry(identity)
        entry.ignored = ignored
        self.context.keep(entry)

    def compared(self, identity: Identity) -> None:
        """Remember that a person has compared the safety code with somebody."""
        entry = self.peers.entry(identity)
        entry.compared = True
        self.context.keep(entry)

    def known_as(self, identity: Identity) -> SafeText:
        """The name that somebody has in a room that both are in."""
        for room in self.rooms.values():
            if not room.view.state.direct and identity in room.view.state.members:
                return room.teller.called(identity)
        return SafeText(f"~{identity.short}")

    # --- inside ---

    def _restore(self, entry: RoomEntry, memory: Memory) -> None:
        kept = memory.of_room[entry.room]
        try:
            self.rooms[entry.room] = restore_room(self.context, self.keyring, self.peers, entry, kept, self.known_as)
        except ChatonError as broken:
            self.damaged.add(entry.room)
            detail = f"what this profile kept of the room {entry.room.short} does not read: {broken}"
            self.context.tell(Warned(entry.room, "damaged", clean_line(detail)))

    def _handle(self, handler: Callable[[Any], None], frame: AnyRelayFrame) -> None:
        try:
            handler(frame)
        except Malformed as broken:
            self.context.effects.append(HangUp(SecurityStop(f"the relay breaks the protocol: {broken}")))

    def _parcels_end(self, _frame: frames.ParcelsEnd) -> None:
        self._postbox.all_told = True

    def _presence(self, frame: frames.Presence) -> None:
        room = self.rooms.get(RoomId(frame.room))
        if room is not None:
            room.presence(Identity(frame.identity), online=frame.online)

    def _present(self, frame: frames.Present) -> None:
        room = self.rooms.get(RoomId(frame.room))
        if room is not None:
            room.present([Identity(identity) for identity in frame.identities])

    def _goodbye(self, frame: frames.Goodbye) -> None:
        self.context.effects.append(HangUp(goodbye(frame)))

    def _answer(self, ticket: int, result: Any, error: ChatonError | None) -> None:
        self._errands.pop(ticket, None)
        self.context.effects.append(Answer(ticket, result, error))

    def _knows(self, identity: Identity) -> bool:
        in_room = (room.view.state for room in self.rooms.values() if room.entry.status != "out")
        return any(identity in state.members for state in in_room)

    def _event(self, frame: frames.Event) -> None:
        room = self.rooms.get(RoomId(frame.room))
        if room is None:
            return
        try:
            room.take_event(frame)
        except InvalidLog as error:
            room.stop(error)
            return
        if room.caught_up:
            room.sender.pump()

    def _direct_room(self, peer: Identity, room: RoomId) -> None:
        """The relay lets two people in; only somebody met in a room of one's own counts."""
        if room in self.rooms or peer == self.context.me or not self._knows(peer):
            return
        if room != direct_room(self.context.me, peer):
            return
        made = self._entrance.direct(peer)
        if self.arrival.settled:
            self.arrival.follow(made)

    def _log_moved(self, room: RoomId) -> None:
        found = self.rooms.get(room)
        if found is not None and found.entry.peer is None and not found.looking:
            found.looking = True
            self.arrival.run(found, self._look_again(found))

    def _look_again(self, room: Room) -> Errand[None]:
        try:
            yield from self.arrival.catch_up(room)
        finally:
            room.looking = False
        if self._postbox.opened:
            self._postbox.open()  # Keys may have come ahead of the word that one is admitted.
        if room.live:
            self.arrival.follow(room)
            yield Until(lambda: room.caught_up)
            self.context.tell(room.joined())

    def _keep_up(self, room: Room) -> None:
        """An admin's client takes back expired invites, and lets a quiet room hear from it once a day (§§2, 7)."""
        member, now = room.member, self.context.now
        state = room.view.state
        if member is None or member.role < Role.ADMIN or not room.caught_up or state.closed:
            return
        for invite in state.invites.values():
            if invite.expires < now:
                self.context.desk.begin(submit(room, acts.uninvite(invite.n)), lambda _result, _error: None)
                return
        if now - _last_said(room) > ALIVE_INTERVAL_MS and not room.outbox:
            room.sender.say(Alive(), 0)


def _last_said(room: Room) -> int:
    """When one's own last message is from, or one's own membership: in ms, by the own clock."""
    messages = room.timeline.messages.values()
    own = (Plaintext.decode(entry.plain).clock for entry in messages if entry.state == "own")
    return max(own, default=room.view.records[room.entry.first_n].t)
