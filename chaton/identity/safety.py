"""Codes that people compare over another channel, and the room of two people (docs/protocol.md §8)."""

from chaton.errors import UsageError
from chaton.identity.hashing import Person, digest
from chaton.identity.ids import Head, Identity, RoomId


def direct_room(one: Identity, other: Identity) -> RoomId:
    """The id of the direct room of two identities, the same from both sides.

    Raises:
        UsageError: Both are the same: nobody has a direct room with oneself.
    """
    if one == other:
        raise UsageError("a direct message needs somebody else to go to")
    return RoomId(digest(Person.DIRECT, min(one, other) + max(one, other)))


def room_code(room: RoomId, n: int, head: Head) -> str:
    """Six groups of five digits that are equal exactly if two people hold the same log up to record ``n``."""
    return _digits(digest(Person.SAFETY, room + n.to_bytes(4) + head))


def pair_code(one: Identity, other: Identity) -> str:
    """Six groups of five digits that are equal exactly if two people know each other's true keys."""
    return _digits(digest(Person.SAFETY, direct_room(one, other) + min(one, other) + max(one, other)))


def _digits(raw: bytes) -> str:
    groups = (int.from_bytes(raw[i : i + 5]) % 100_000 for i in range(0, 30, 5))
    return " ".join(f"{group:05}" for group in groups)
