"""One member's view of a room: the fold, who ever was in it, and the transcript, as far as this member has come.

The fold may run ahead of the events: at login the log is fetched first, so that keys are judged by the newest
members (docs/protocol.md §5). ``n`` is where the events are; ``state.n`` where the fold is.
"""

from dataclasses import dataclass
from typing import Self

from chaton.errors import InvalidLog, ProtocolError
from chaton.identity.ids import Head, Identity, MessageId, RoomId, Transcript
from chaton.room import fold
from chaton.room.records import Record, open_record
from chaton.room.state import RoomState
from chaton.room.transcript import History
from chaton.session.register import Register


class Checked(bytes):
    """A record whose signatures were checked ahead of the fold; made by ``checked`` alone."""

    __slots__ = ()


def checked(raw: bytes) -> bytes:
    """Check a record's signatures, which is nearly all that folding it costs, where there is time for it.

    One that is wrong stays as it is: the fold refuses it at its place.
    """
    try:
        return Checked(open_record(raw).raw)
    except ProtocolError:
        return raw


@dataclass(slots=True)
class View:
    """What this member holds of a room's history.

    Attributes:
        records: The log from GENESIS on, as far as the fold has come.
        history: T_s from this member's own JOIN on.
        n: The last record among the events processed so far.
    """

    me: Identity
    state: RoomState
    register: Register
    records: list[Record]
    history: History
    n: int

    @classmethod
    def of_log(cls, me: Identity, raws: list[bytes], history: History, n: int, *, trusted: bool = False) -> Self:
        """Fold a log from its GENESIS.

        Args:
            me: Whose view it is.
            raws: The records, the first one GENESIS.
            history: What is held of the transcript.
            n: The last record among the events processed.
            trusted: The records come from one's own disk, where their signatures were checked before.

        Raises:
            InvalidLog: The records are no log.
        """
        if not raws:
            raise InvalidLog("the relay shows no log for this room")
        genesis = _opened(raws[0], trusted=trusted)
        try:
            state = fold.found(genesis)
        except ProtocolError as cause:
            raise InvalidLog(f"the room's first record is invalid: {cause}") from cause
        view = cls(me, state, Register(state), [genesis], history, n)
        for raw in raws[1:]:
            view.take_record(raw, trusted=trusted)
        return view

    @classmethod
    def of_pair(cls, me: Identity, peer: Identity) -> Self:
        """The direct room with a peer."""
        state = RoomState.of_pair(me, peer)
        return cls(me, state, Register(state), [], History.of_room(state.room), 0)

    @property
    def room(self) -> RoomId:
        """The room's id."""
        return self.state.room

    def take_record(self, raw: bytes, *, trusted: bool = False) -> Record:
        """Fold the next record.

        Raises:
            InvalidLog: It cannot follow. The view is unchanged, and the room must stop here: a record is never
                skipped.
        """
        record = _opened(raw, trusted=trusted)
        try:
            fold.apply(self.state, record)
        except ProtocolError as cause:
            raise InvalidLog(f"record {self.state.n + 1} of the room's log is invalid: {cause}") from cause
        self.register.note(self.state, record)
        self.records.append(record)
        return record

    def pass_record(self, raw: bytes) -> Record:
        """Take event ``history.s + 1``, which is record ``n + 1``: fold it, if the fold is not further already.

        Raises:
            InvalidLog: It cannot follow, or is not the record that was folded at this place.
        """
        n = self.n + 1
        record = self.take_record(raw) if n > self.state.n else self.records[n]
        if record.raw != raw:
            raise InvalidLog(f"the relay shows two different records {n}")
        self.n = n
        self.history.add(record.head)
        return record

    def pass_message(self, message: MessageId) -> Transcript:
        """Take event ``history.s + 1``, which is a message, whether or not it opens."""
        return self.history.add(message)

    def agrees(self, s: int, transcript: Transcript) -> bool:
        """Whether a claim about event ``s`` fits; nothing before the own JOIN is known, so nothing there is judged."""
        return s < self.history.first or self.history.at(s) == transcript

    def knows_head(self, n: int, head: Head, up_to: int) -> bool:
        """Whether a claim about record ``n`` is about one that was seen by ``up_to``, and fits."""
        return n <= up_to and self.state.head_at(n) == head


def _opened(raw: bytes, *, trusted: bool) -> Record:
    try:
        return Record.decode(raw) if trusted or isinstance(raw, Checked) else open_record(raw)
    except ProtocolError as cause:
        raise InvalidLog(f"a record of the room's log is invalid: {cause}") from cause
