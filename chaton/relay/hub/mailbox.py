"""The parcels that wait for one recipient, without their bytes (docs/protocol.md §9): what is counted to bound them."""

from typing import NamedTuple

from chaton.identity.ids import Identity, RoomId
from chaton.limits import PARCEL_LIFE_MS, PARCELS_PER_RECIPIENT_BYTES_MAX, PARCELS_PER_SENDER_MAX


class Waiting(NamedTuple):
    """One waiting parcel: its number, whose it is, of which room, since when (ms), how many bytes."""

    token: int
    sender: Identity
    room: RoomId
    at: int
    size: int


class Mailbox:
    """Tokens in the order of arrival, and the same for each sender and room."""

    __slots__ = ("_by_source", "_waiting", "bytes")

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self._by_source: dict[tuple[Identity, RoomId], dict[int, None]] = {}
        self.bytes = 0

    def __contains__(self, token: int) -> bool:
        return token in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, parcel: Waiting) -> None:
        """Take in a parcel with a higher token than all before."""
        self._waiting[parcel.token] = parcel
        self._by_source.setdefault((parcel.sender, parcel.room), {})[parcel.token] = None
        self.bytes += parcel.size

    def drop(self, token: int) -> None:
        """Forget a parcel that was taken or is too many; a token that is not here changes nothing."""
        parcel = self._waiting.pop(token, None)
        if parcel is None:
            return
        self.bytes -= parcel.size
        source = self._by_source[parcel.sender, parcel.room]
        del source[token]
        if not source:
            del self._by_source[parcel.sender, parcel.room]

    def shed(self, now: int, sender: Identity, room: RoomId) -> list[int]:
        """Drop what a newly added parcel of this source makes too many, and what is too old; tell the tokens."""
        shed = self.expire(now)
        source = self._by_source.get((sender, room), {})
        while len(source) > PARCELS_PER_SENDER_MAX:
            shed.append(self._drop_first(source))
        while self.bytes > PARCELS_PER_RECIPIENT_BYTES_MAX:
            shed.append(self._drop_first(self._waiting))
        return shed

    def expire(self, now: int) -> list[int]:
        """Drop what has waited 14 days at ``now`` (ms); tell the tokens."""
        shed = []
        while self._waiting and next(iter(self._waiting.values())).at + PARCEL_LIFE_MS < now:
            shed.append(self._drop_first(self._waiting))
        return shed

    def _drop_first(self, tokens: dict[int, Waiting] | dict[int, None]) -> int:
        token = next(iter(tokens))
        self.drop(token)
        return token
