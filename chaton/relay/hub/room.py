"""One room as the relay holds it in memory: state, transcript, log and who wrote which event; no message bodies."""

from array import array
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple, Self

from chaton.errors import ProtocolError, StoreError
from chaton.identity.ids import Head, Identity, Instance, MessageId, RoomId, Transcript
from chaton.relay.hub.refusals import No
from chaton.relay.hub.turns import Turns
from chaton.relay.store.base import DirectRow, EventRow
from chaton.room import fold
from chaton.room.records import Admit, Record, Remove
from chaton.room.state import Member, RoomState
from chaton.room.transcript import History
from chaton.wire.frames import KIND_RECORD

_ID_BYTES: Final = 32
_NOBODY: Final = 0


class Standing(IntEnum):
    """What somebody is in a room."""

    OUT = 0
    PENDING = 1
    SEATED = 2


class Move(NamedTuple):
    """What a record did to the one it moves, if to anybody."""

    who: Identity
    before: Standing
    after: Standing


class Author(NamedTuple):
    """Who sent a message, in which membership."""

    identity: Identity
    inst: Instance


class Room:
    """A room after its last event.

    Attributes:
        records: The log's raw records; ``record_events`` are their event numbers.
        outs: The record that put somebody out, of those who are out now: up to there they may read the log.
    """

    def __init__(self, state: RoomState, first_id: Head) -> None:
        self.state = state
        self.history = History.of_room(state.room)
        self.turns = Turns()
        self.records: list[bytes] = []
        self.record_events = array("Q")
        self.outs: dict[Identity, int] = {}
        # A message's author is a number into a list of memberships: 4 bytes an event, however many they are.
        self._authors: list[Author | None] = [None]
        self._author_numbers: dict[Author, int] = {}
        self._author_of = array("I", [_NOBODY])
        # The ids of all events in one piece, to find a resent message among its neighbours.
        self._ids = bytearray(first_id)

    @classmethod
    def of_genesis(cls, genesis: Record) -> Self:
        """A new room; raises ``RecordRefused`` as ``fold.found``."""
        room = cls(fold.found(genesis), genesis.head)
        room.records.append(genesis.raw)
        room.record_events.append(0)
        return room

    @classmethod
    def of_pair(cls, one: Identity, other: Identity) -> Self:
        """A new direct room."""
        state = RoomState.of_pair(one, other)
        return cls(state, state.head)

    @classmethod
    def of_rows(cls, rows: Iterable[EventRow], pair: DirectRow | None = None) -> Self:
        """The room that a store kept.

        Raises:
            StoreError: What it kept is not a room's history.
        """
        events = iter(rows)
        try:
            room = cls.of_pair(pair.one, pair.other) if pair else cls.of_genesis(Record.decode(next(events).body))
            for row in events:
                room.take(row)
        except (ProtocolError, StopIteration, AssertionError) as cause:
            hint = "the relay's data is damaged: restore a backup, or move the data directory away"
            raise StoreError("a room in the store is not the history that was written", hint=hint) from cause
        return room

    def take(self, row: EventRow) -> None:
        """Take in the next event from the store; raises ``ProtocolError`` or fails an assertion if it is not that."""
        assert row.s == self.history.s + 1
        if row.kind == KIND_RECORD:
            self.add_record(Record.decode(row.body))
        else:
            self.add_message(MessageId(row.id), Author(row.sender, row.inst))

    @property
    def id(self) -> RoomId:
        """The room's id."""
        return self.state.room

    def member(self, who: Identity) -> Member:
        """The membership of who asks; raises ``No`` where there is none.

        A direct room is to all others as one that is not there, so that nobody learns who talks to whom.
        """
        member = self.state.members.get(who)
        if member is None:
            raise No("no-room" if self.state.direct else "not-member")
        return member

    def standing(self, who: Identity) -> Standing:
        """What somebody is here now."""
        if who in self.state.members:
            return Standing.SEATED
        return Standing.PENDING if who in self.state.pending else Standing.OUT

    def add_record(self, record: Record) -> Move:
        """Fold the next record in; raises ``RecordRefused`` as ``fold.apply`` and then has changed nothing."""
        who = self._moved_by(record)
        before = self.standing(who)
        fold.apply(self.state, record)
        after = self.standing(who)
        self.records.append(record.raw)
        self._add(self.state.head, _NOBODY)
        self.record_events.append(self.history.s)
        if after is Standing.OUT:  # Of who was out before, no record speaks.
            self.outs[who] = record.n
        else:
            self.outs.pop(who, None)
        return Move(who, before, after)

    def add_message(self, message: MessageId, author: Author) -> Transcript:
        """Take the next message in."""
        number = self._author_numbers.get(author)
        if number is None:
            number = self._author_numbers[author] = len(self._authors)
            self._authors.append(author)
        return self._add(message, number)

    def _add(self, event: Head | MessageId, author: int) -> Transcript:
        self._ids += event
        self._author_of.append(author)
        return self.history.add(event)

    def _moved_by(self, record: Record) -> Identity:
        """The one whose standing a record may change."""
        if isinstance(record.body, Admit | Remove):
            target = self.state.by_inst(record.body.inst)
            return target.identity if target else record.actor
        return record.actor

    def find(self, event: MessageId, first: int = 0) -> int | None:
        """The number of an event with this id, searched from event ``first`` on."""
        at = self._ids.find(event, first * _ID_BYTES)
        while at >= 0 and at % _ID_BYTES:
            at = self._ids.find(event, at + 1)
        return at // _ID_BYTES if at >= 0 else None

    def author(self, s: int) -> Author | None:
        """Who sent the message that event ``s`` is; None for a record."""
        return self._authors[self._author_of[s]]

    def event_of(self, n: int) -> int:
        """The event number of record ``n``."""
        return self.record_events[n]

    def transcript_of(self, s: int) -> Transcript:
        """``T_s`` of an event that is here."""
        transcript = self.history.at(s)
        assert transcript is not None
        return transcript
