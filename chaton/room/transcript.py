"""The hash chain over a room's events, in the order that the relay gave them (docs/protocol.md §3).

``T_0 = room_id;  T_s = H("chaton1.tr", T_{s-1} | s u64 | kind u8 | (head_n or message id))``
"""

from typing import Final

from chaton.identity.hashing import Person, digest
from chaton.identity.ids import Head, MessageId, RoomId, Transcript

_RECORD: Final = b"\0"
_MESSAGE: Final = b"\1"


def next_transcript(before: Transcript, s: int, event: Head | MessageId) -> Transcript:
    """``T_s`` from ``T_{s-1}`` and event ``s``. A pruned message counts by its id, so pruning changes no hash."""
    kind = _RECORD if isinstance(event, Head) else _MESSAGE
    return Transcript(digest(Person.TRANSCRIPT, before + s.to_bytes(8) + kind + event))


class History:
    """The transcript hashes that one holds: from event ``first`` on, 32 bytes each.

    A member holds them from its own JOIN on and the relay from 0, to judge what others claim about them.

    Attributes:
        s: The last event.
        last: ``T_s`` of the last event.
    """

    def __init__(self, first: int, transcript: Transcript) -> None:
        self.first = self.s = first
        self.last = transcript
        self._hashes = bytearray(transcript)

    @classmethod
    def of_room(cls, room: RoomId) -> "History":
        """A history that begins with the room itself, at s = 0."""
        return cls(0, Transcript(room))

    def at(self, s: int) -> Transcript | None:
        """``T_s``, or None where it is not held."""
        if not self.first <= s <= self.s:
            return None
        start = (s - self.first) * Transcript.SIZE
        return Transcript(bytes(self._hashes[start : start + Transcript.SIZE]))

    def add(self, event: Head | MessageId) -> Transcript:
        """Take in the next event."""
        self.last = next_transcript(self.last, self.s + 1, event)
        self.s += 1
        self._hashes += self.last
        return self.last
