"""One room, from one member's side: events in, notices and things to keep out (docs/protocol.md §§3, 6, 7)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chaton.errors import InvalidLog, ProtocolError
from chaton.identity.ids import Head, Identity, InviteKey, MessageId
from chaton.room.envelope import message_id
from chaton.room.records import Close, Leave, Record, Redact, Remove, Role
from chaton.room.state import LiveInvite, Member
from chaton.session.context import Context
from chaton.session.inbox import Inbox
from chaton.session.keyring import Keyring, Peers
from chaton.session.memory import (
    EventEntry,
    OutboxEntry,
    RecordEntry,
    RoomEntry,
)
from chaton.session.notices import (
    Ended,
    Joined,
    LinkWanted,
    MemberChanged,
    PresenceChanged,
    Redacted,
    Sent,
    Warned,
    Working,
)
from chaton.session.reader import Reader
from chaton.session.sender import Sender
from chaton.session.telling import Teller
from chaton.session.text import SafeText, clean_line
from chaton.session.timeline import PassedRecord, Timeline
from chaton.session.view import View
from chaton.wire import frames

_TAKEN_STEP = 100  # About a hundredth of a second's work.


@dataclass(slots=True)
class Room:
    """A room one is in, waits for or was in.

    Attributes:
        entry: What is remembered of it; ``view`` the fold and transcript.
        known_as: How other rooms name somebody.
        following: Whether its events are asked for; ``caught_up`` whether they are live.
        log_current: Whether the fold has caught up since the last login; ``submitting`` whether a record is under way.
        looking: Whether its log is being looked at again, after a hint of the relay.
        lost_links: Invites that a removal deleted while they had uses left, by the number of its record.
        taken: How many events were taken in since they were asked for, until they are live.
        bare: Which of them, and of those before a restart, were messages without their bodies.
    """

    context: Context
    peers: Peers
    keyring: Keyring
    entry: RoomEntry
    view: View
    known_as: Callable[[Identity], SafeText]
    outbox: list[OutboxEntry] = field(default_factory=list)
    following: bool = False
    caught_up: bool = False
    log_current: bool = False
    submitting: bool = False
    looking: bool = False
    lost_links: dict[int, LiveInvite] = field(default_factory=dict)
    taken: int = 0
    bare: list[tuple[int, MessageId]] = field(default_factory=list)
    reader: Reader = field(init=False)
    sender: Sender = field(init=False)
    inbox: Inbox = field(init=False)
    teller: Teller = field(init=False)
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        """Make the parts that share the view."""
        self.reader = Reader(self.view)
        self.teller = Teller(self.view, self.entry.rik, self.known_as)
        self.timeline = Timeline(self.view, self.teller, self.entry.peer, self.context.keep)
        self.sender = Sender(
            context=self.context,
            keyring=self.keyring,
            peers=self.peers,
            view=self.view,
            entry=self.entry,
            outbox=self.outbox,
            is_open=self.may_send,
            shown_name=self.teller.called,
        )
        self.inbox = Inbox(
            self.context, self.peers, self.entry, self.view, self.reader, self.timeline, self.teller, self.sender
        )

    @property
    def member(self) -> Member | None:
        """One's own membership; None while pending and once out."""
        return self.view.state.members.get(self.context.me)

    @property
    def pending(self) -> bool:
        """Whether one waits for an admin."""
        return self.context.me in self.view.state.pending

    @property
    def live(self) -> bool:
        """Whether the room goes on for this member."""
        return self.entry.status == "in" and self.member is not None

    def may_send(self) -> bool:
        """Whether messages may go out now."""
        return self.caught_up and self.live and not self.entry.forked and not self.view.state.closed

    def joined(self) -> Joined:
        """The notice that one is in the room."""
        teller, me = self.teller, self.context.me
        peer = teller.called(self.entry.peer) if self.entry.peer else None
        return Joined(self.view.room, teller.name, teller.topic, teller.called(me), me, teller.people(), peer)

    # --- records ---

    def fold(self, raws: Iterable[bytes]) -> None:
        """Let the fold run ahead of the events: records of the log, from one's last on. Known ones are compared.

        Raises:
            InvalidLog: They are no log, or another one than was shown before.
        """
        if self.view.state.direct:
            raise InvalidLog("a direct room has no records")
        for raw in raws:
            n = int.from_bytes(raw[36:40])
            if n > self.view.state.n or self.view.records[n].raw != raw:
                invites = dict(self.view.state.invites)
                self._folded(self.view.take_record(raw), invites)

    def _folded(self, record: Record, invites: dict[InviteKey, LiveInvite]) -> None:
        """Keep a record that was just taken in, and notice what it means for oneself."""
        if self.entry.first_t:  # Before one is seated, what is kept of this room is of an earlier time in it.
            self._keep_record(record)
        if isinstance(record.body, Remove):
            self._link_lost(record, record.body, invites)
        self.inbox.judge_early()

    def _keep_record(self, record: Record) -> None:
        self.context.keep(RecordEntry(room=self.view.room, n=record.n, raw=record.raw))
        if self.entry.status == "joining" and self.member is not None:
            self.entry.status = "in"
            self.context.keep(self.entry)

    def _link_lost(self, record: Record, body: Remove, before: dict[InviteKey, LiveInvite]) -> None:
        """A removal deleted the invite that its target came by: an admin may want another one for the rest."""
        target = self.view.register.seats[body.inst].identity
        gone = (invite for key, invite in before.items() if key not in self.view.state.invites)
        lost = next((invite for invite in gone if invite.creator != target), None)
        if lost is None:
            return
        self.lost_links[record.n] = lost
        me, actor = self.member, self.view.state.members.get(record.actor)
        if me is not None and me.role >= Role.ADMIN and actor is not None and actor.role < Role.ADMIN:
            by = self.teller.called(record.actor)
            self.context.tell(LinkWanted(self.view.room, lost.uses_left, lost.expires, int(lost.flags), by))

    def _pass_record(self, event: frames.Event) -> None:
        if self.view.n == self.view.state.n:
            self.fold([event.body])
        record = self.view.pass_record(event.body)
        self._keep_event(event, record.head, frames.KIND_RECORD)
        self.timeline.passed.append(PassedRecord(event.s, record.n, event.at))
        self._tell_record(record, event.s, event.at)

    def _tell_record(self, record: Record, s: int, at: int) -> None:
        if isinstance(record.body, Redact):
            if self.timeline.redact(record, s):
                by = self.teller.called(record.actor)
                self.context.tell(Redacted(self.view.room, record.body.message, by, record.n))
            return
        notice = self.teller.changed(record, at)
        if notice is not None:
            self.context.tell(notice)
        self._tell_end(record, notice)

    def _tell_end(self, record: Record, notice: object) -> None:
        body = record.body
        if isinstance(notice, MemberChanged) and notice.me and isinstance(body, Remove | Leave):
            by = "" if isinstance(body, Leave) else f"{notice.by} ({notice.by_identity.short}) removed you"
            reason = f": {notice.reason}" if notice.reason else ""
            self.end({"kicked": "kicked", "banned": "banned"}.get(notice.action, "left"), by + reason)
        elif isinstance(body, Close):
            detail = clean_line(f"{self.teller.called(record.actor)} closed it")
            self.context.tell(Ended(self.view.room, "closed", detail))
            self.sender.abandon("closed", "the room is closed")

    def flush_records(self, at: int) -> None:
        """Tell the records that no event will bring any more, because one is out."""
        for n in range(self.view.n + 1, self.view.state.n + 1):
            self.view.n = n
            self._tell_record(self.view.records[n], self.view.history.s + 1, at)

    def end(self, why: str, detail: str) -> None:
        """One is out of the room."""
        self.entry.status, self.entry.why, self.entry.why_detail = "out", why, detail
        self.following = self.caught_up = False
        self.context.keep(self.entry)
        self.context.tell(Ended(self.view.room, why, clean_line(detail)))
        self.sender.abandon(why, f"you are out of the room: {detail}")

    def stop(self, error: InvalidLog) -> None:
        """The relay showed something impossible: nothing of this room is believed any more."""
        self.entry.status, self.entry.why, self.entry.why_detail = "stopped", "security", str(error)
        self.following = self.caught_up = False
        self.context.keep(self.entry)
        self.context.tell(Warned(self.view.room, "invalid-log", clean_line(str(error))))
        self.context.tell(Ended(self.view.room, "security", clean_line(str(error))))
        self.sender.abandon("security", "nothing of this room is believed any more")

    # --- events ---

    def take_event(self, event: frames.Event) -> None:
        """Process the next event; one seen before is passed over.

        Raises:
            InvalidLog: Events are missing, or a record cannot follow.
        """
        if event.s <= self.view.history.s or not self.following:
            return
        if event.s != self.view.history.s + 1:
            raise InvalidLog(f"the relay skipped from event {self.view.history.s} to {event.s}")
        if not self.caught_up:
            self._tell_taken()
        if event.kind == frames.KIND_RECORD:
            self._pass_record(event)
        else:
            self._pass_message(event)

    def _tell_taken(self) -> None:
        if self.taken % _TAKEN_STEP == 0:
            self.context.tell(Working(self.view.room, "events", self.taken))
        self.taken += 1

    def followed(self) -> None:
        """What came meanwhile is taken in, or will be told anew."""
        taken, self.taken = self.taken, 0
        if taken:
            self.context.tell(Working(self.view.room, "events", taken, taken))
        if self.bare:
            self.inbox.tell_gone(self.bare)
            self.bare = []

    def _pass_message(self, event: frames.Event) -> None:
        message = self._message_of(event)
        self.view.pass_message(message)
        own = self.sender.came_back(message)
        if own is not None:
            self._own_came_back(event, message, own)
        elif self.member is not None and not self.member.reads:
            self._keep_event(event, message, event.kind)  # A bot is never given a key, so nothing is waited for.
        elif event.kind == frames.KIND_PRUNED and not self.caught_up and message not in self.timeline.recalled:
            self.reader.pruned += 1
            self.bare.append((event.s, message))
            self._keep_event(event, message, frames.KIND_PRUNED)
        else:
            self.inbox.take_message(self._keep_event(event, message, frames.KIND_MESSAGE), event)

    def _message_of(self, event: frames.Event) -> MessageId:
        if event.kind == frames.KIND_MESSAGE:
            return message_id(event.body)
        try:
            return MessageId(event.body)
        except ProtocolError as cause:
            raise InvalidLog("the relay shows a pruned message without its id") from cause

    def _own_came_back(self, event: frames.Event, message: MessageId, own: OutboxEntry) -> None:
        member = self.member
        entry = self._keep_event(event, message, frames.KIND_MESSAGE)
        entry.state, entry.sender, entry.plain, entry.chain = "own", self.context.me, own.plain, own.chain
        entry.inst = member.inst if member else None
        self.context.tell(Sent(self.view.room, event.s, message, own.ref))
        self.inbox.post(entry)

    def _keep_event(self, event: frames.Event, identifier: Head | MessageId, kind: int) -> EventEntry:
        entry = EventEntry(room=self.view.room, s=event.s, at=event.at, kind=kind, id=bytes(identifier))
        self.context.keep(entry)
        return entry

    def presence(self, identity: Identity, *, online: bool) -> None:
        """The relay says that somebody came or went."""
        if identity not in self.view.state.members or online == (identity in self.teller.online):
            return
        (self.teller.online.add if online else self.teller.online.discard)(identity)
        if identity != self.context.me:
            self.context.tell(PresenceChanged(self.view.room, self.teller.called(identity), identity, online))

    def present(self, online: list[Identity]) -> None:
        """The relay says who is here: these and nobody else."""
        for identity in self.teller.online.difference(online):
            self.presence(identity, online=False)
        for identity in online:
            self.presence(identity, online=True)

    def disconnected(self) -> None:
        """The connection is gone."""
        self.following = self.caught_up = self.log_current = False
        self.teller.online.clear()
        self.sender.disconnected()
