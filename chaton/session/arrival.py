"""From the relay's first word to rooms that are current (docs/protocol.md §§4, 5, 8).

The order is a rule of the protocol: first the logs, so that keys are judged by the newest members; then the parcels
that waited; only then new keys of one's own, so that nothing is lost that was sealed to the old ones; then the events.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chaton.errors import ChatonError, InvalidLog, Malformed, Refused
from chaton.identity.ids import Identity, Nonce, RoomId
from chaton.identity.login import Challenge, LoginAnswer
from chaton.identity.statement import Label
from chaton.limits import CLOCK_SKEW_MAX_MS, SECOND_MS
from chaton.room.link import Address
from chaton.session.context import Context
from chaton.session.effects import HangUp
from chaton.session.errand import Errand, Interrupted, Until
from chaton.session.errands import fetch_log
from chaton.session.keyring import Keyring
from chaton.session.notices import Warned
from chaton.session.parcels import Postbox
from chaton.session.room import Room
from chaton.session.text import clean_line
from chaton.wire import frames

PARCELS_DEADLINE_MS = 10 * SECOND_MS


@dataclass(slots=True)
class Arrival:
    """One connection's way from Welcome to live.

    Args:
        open_direct: Takes in a direct room that the relay names.

    Attributes:
        settled: Whether logs are current, parcels taken and keys published.
        relay_nonce: ``sn`` of this connection.
        blob_bytes_max: The largest ciphertext of an attachment that the relay takes, as it said last.
        skewed: Whether the clock was more than 5 min off the relay's at its Welcome.
    """

    context: Context
    address: Address
    rooms: dict[RoomId, Room]
    keyring: Keyring
    postbox: Postbox
    open_direct: Callable[[Identity, RoomId], None]
    settled: bool = False
    relay_nonce: Nonce = field(default_factory=Nonce.zero)
    blob_bytes_max: int = 0
    skewed: bool = False
    _parcels_by: int = 0
    _publishing: bool = False
    _shown: bool = False
    _greeted: bool = False
    _directs: list[tuple[Identity, RoomId]] = field(default_factory=list)
    _settling: Errand[None] | None = None

    def disconnected(self) -> None:
        """The connection is gone, and with it the way to live on it: the next one has its own."""
        self.settled = self._publishing = self._shown = self._greeted = False
        if self._settling is not None:
            self.context.desk.give_up(self._settling)
        self.postbox.disconnected()

    def welcome(self, frame: frames.Welcome) -> None:
        """Answer the relay's nonce: a signature that serves for this relay's key and this connection alone (§8)."""
        if self._greeted:
            raise Malformed("a second Welcome on one connection")
        self._greeted = True
        context, self.relay_nonce = self.context, Nonce(frame.nonce)
        self.blob_bytes_max = frame.limits.blob_bytes_max
        self.skewed = abs(context.now - frame.now) > CLOCK_SKEW_MAX_MS
        if self.skewed:
            minutes = abs(context.now - frame.now) // 60_000
            detail = f"this machine's clock and the relay's are {minutes} min apart; no new keys until it is set right"
            context.tell(Warned(None, "clock", clean_line(detail)))
        challenge = Challenge(self.address.pin, self.relay_nonce, Nonce(context.entropy(Nonce.SIZE)))
        signature = context.seed.sign(Label.LOGIN, challenge.login_body(context.me))
        context.transmit(frames.Login(LoginAnswer(context.me, challenge.client_nonce, signature).encode()))

    def arrived(self, frame: frames.LoggedIn) -> None:
        """Logged in: first the logs, then the parcels, then new keys, then the events (§§4, 5)."""
        if self.context.desk.connected:
            raise Malformed("a second LoggedIn on one connection")
        self.context.desk.connected = True
        self._parcels_by = self.context.now + PARCELS_DEADLINE_MS
        self._directs = [(Identity(summary.peer), RoomId(summary.room)) for summary in frame.directs]
        for room in self.rooms.values():
            if room.entry.peer is not None:
                room.log_current = True
            elif room.entry.status in {"in", "joining"}:
                self.run(room, self.catch_up(room))
        self._settling = self._settle()
        self.context.desk.begin(self._settling, self._settled)

    def _settle(self) -> Errand[None]:
        yield Until(lambda: self._logs_current() and (self.postbox.all_told or self.context.now >= self._parcels_by))
        for peer, direct in self._directs:
            self.open_direct(peer, direct)  # Before the parcels: those for a new one would find no room.
        self.postbox.open()
        yield from self._look_for_clone()
        self.publish_if_due()
        yield Until(lambda: not self._publishing)
        self.settled = True
        for room in self.rooms.values():
            self.follow(room)

    def _settled(self, _result: Any, error: ChatonError | None) -> None:
        if error is not None:
            self.context.effects.append(HangUp(error))

    def _logs_current(self) -> bool:
        return all(room.log_current for room in self.rooms.values() if room.entry.status in {"in", "joining"})

    def catch_up(self, room: Room) -> Errand[None]:
        """Let a room's fold catch up; if one is out by now, tell how."""
        yield from self._patiently(lambda: fetch_log(room))
        # An older profile may be in by a membership that is over, though one waits to be let in again.
        if room.member is None and (room.entry.status == "in" or not room.pending):
            room.flush_records(self.context.now)
            if room.entry.status == "in":
                room.end("removed", "you are no longer in this room")

    def _patiently(self, errand: Callable[[], Errand[Any]]) -> Errand[Any]:
        """Run an errand again while the relay only asks to wait.

        The wait ends with the connection, and then the errand is interrupted: the next one asks for everything itself,
        and what was asked twice would be told twice, a room's later events ahead of those that it lacks.
        """
        while True:
            try:
                return (yield from errand())
            except Refused as refusal:
                if not refusal.retry_ms:
                    raise
                since, wait_ms = self.context.now, refusal.retry_ms
            yield Until(lambda: not self.context.desk.connected or not self.context.recent(since, wait_ms))  # noqa: B023

    def run(self, room: Room, errand: Errand[None]) -> None:
        """Run an errand that a room needs; if the log turns out impossible, the room stops."""

        def done(_result: Any, error: ChatonError | None) -> None:
            if isinstance(error, InvalidLog):
                room.stop(error)
            elif isinstance(error, Refused):
                room.end("relay-gone", f"the relay no longer shows this room, and no admin removed you: {error}")

        self.context.desk.begin(errand, done)

    def follow(self, room: Room) -> None:
        """Ask for a room's events."""
        if room.entry.status == "in" and room.member is None:
            self.run(room, self.catch_up(room))  # Its fold has learned of the end before its events were asked for.
        if not room.live or room.following:
            return
        room.following = True
        self.context.desk.begin(self._patiently(lambda: self._follow_errand(room)), partial(self._followed, room))

    def _follow_errand(self, room: Room) -> Errand[None]:
        yield frames.Follow(0, room.view.room, room.view.history.s)

    def _followed(self, room: Room, _result: Any, error: ChatonError | None) -> None:
        room.followed()
        if error is None:
            room.caught_up = True
            room.inbox.tell_untold()
            room.sender.pump()
        elif isinstance(error, Refused) and error.code == "bad-history":
            room.stop(InvalidLog("the relay no longer knows events of this room that it has shown before"))
        else:
            room.following = False
            if isinstance(error, Refused):
                self.run(room, self.catch_up(room))

    def publish_if_due(self) -> None:
        """Publish the own bundle: a new one where one is due, else the current one, which the relay may have lost."""
        if self.skewed or self._publishing:
            return
        due = self.keyring.due()
        if due:
            self.keyring.renew(guest=self._guest_everywhere())
        if due or not self._shown:
            self._shown = True
            self._publishing = True
            self.context.desk.begin(self.publish(), self._published)

    def publish(self) -> Errand[None]:
        """Show the relay the own current bundle."""
        current = self.keyring.current
        if current is not None and not self.skewed:
            yield frames.Publish(0, current.bundle.raw)
            self.keyring.published(current.bundle.raw)

    def _published(self, _result: Any, error: ChatonError | None) -> None:
        self._publishing = False
        if isinstance(error, Refused) and error.retry_ms:
            self._shown = False
        elif isinstance(error, Refused):
            detail = f"the relay did not take new keys, so that others cannot reach you: {error}"
            self.context.tell(Warned(None, "keys", clean_line(detail)))

    def _look_for_clone(self) -> Errand[None]:
        """A bundle under the own identity that is not one's own work: somebody has a copy of the key (§4)."""
        told = yield frames.Bundles(0, [self.context.me])
        for raw in told.bundles:
            self.keyring.published(raw)  # The answer to our own Publish may have been lost.
            if self.keyring.is_of_a_clone(raw):
                detail = "somebody else uses your identity: another copy of this profile is running, or was stolen"
                self.context.tell(Warned(None, "clone", clean_line(detail)))

    def _guest_everywhere(self) -> bool:
        members = [room.member for room in self.rooms.values() if room.member is not None]
        return bool(members) and all(member.guest for member in members)


def login_refused(frame: frames.Refused) -> ChatonError:
    """Why the relay did not let one in."""
    return Refused(str(clean_line(frame.code)), str(clean_line(frame.detail)), retry_ms=frame.retry_ms)


def goodbye(frame: frames.Goodbye) -> ChatonError:
    """What a goodbye means: to come back, or not to."""
    if frame.code in {"shutdown", "idle", "limited"}:
        return Interrupted(f"the relay said goodbye: {clean_line(frame.detail)}")
    return Refused(str(clean_line(frame.code)), str(clean_line(frame.detail)), retry_ms=frame.retry_ms)
