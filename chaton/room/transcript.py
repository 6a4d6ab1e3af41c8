"""The hash chain over a room's events, in the order that the relay gave them (docs/protocol.md §3).

``T_0 = room_id;  T_s = H("chaton1.tr", T_{s-1} | s u64 | kind u8 | (head_n or message id))``
"""

from typing import Final

from chaton.identity.hashing import Person, digest
from chaton.identity.ids import Head, MessageId, RoomId, Transcript

RECORD: Final = 0
MESSAGE: Final = 1


def next_transcript(before: Transcript, s: int, event: Head | MessageId) -> Transcript:
    """``T_s`` from ``T_{s-1}`` and event ``s``. A pruned message counts by its id, so pruning changes no hash."""
    kind = RECORD if isinstance(event, Head) else MESSAGE
    return Transcript(digest(Person.TRANSCRIPT, before + s.to_bytes(8) + bytes([kind]) + event))


class History:
    """The transcript hashes that one holds: from event ``first`` on, 32 bytes each.

    A member holds them from its own JOIN on and the relay from 0, to judge what others claim about them.
    """

    def __init__(self, first: int, transcript: Transcript) -> None:
        self.first = first
        self._hashes = bytearray(transcript)

    @classmethod
    def of_room(cls, room: RoomId) -> "History":
        """A history that begins with the room itself, at s = 0."""
        return cls(0, Transcript(room))

    @property
    def s(self) -> int:
        """The last event."""
        return self.first + len(self._hashes) // Transcript.SIZE - 1

    @property
    def last(self) -> Transcript:
        """``T_s`` of the last event."""
        return Transcript(bytes(self._hashes[-Transcript.SIZE :]))

    def at(self, s: int) -> Transcript | None:
        """``T_s``, or None where it is not held."""
        start = (s - self.first) * Transcript.SIZE
        held = self.first <= s <= self.s
        return Transcript(bytes(self._hashes[start : start + Transcript.SIZE])) if held else None

    def add(self, event: Head | MessageId) -> Transcript:
        """Take in the next event."""
        transcript = next_transcript(self.last, self.s + 1, event)
        self._hashes += transcript
        return transcript
