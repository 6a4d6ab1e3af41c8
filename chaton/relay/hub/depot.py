"""The attachments that a relay keeps, without their bytes (docs/protocol.md §9.7): what is counted to bound them."""

from collections import Counter

from chaton.identity.ids import BlobId, Identity, RoomId
from chaton.limits import DAY_MS
from chaton.relay.store.base import BlobGone, BlobRow, Place

UPLOADS_MAX = 8  # unfinished attachments of one identity
UPLOAD_LIFE_MS = DAY_MS
SPACE_MIN = 2**16  # what an attachment counts for at least, which bounds how many there may be
DROPPED_AT_ONCE = 64 * 2**20  # bytes: deleting is work for the disk, which others wait for


class Depot:
    """Attachments in the order in which they get too old, and how much space they have taken.

    Attributes:
        space: What all of them may come to, in bytes.
        stored: How many bytes of them are here.
    """

    def __init__(self) -> None:
        self._unfinished: dict[Place, BlobRow] = {}
        self._complete: dict[Place, BlobRow] = {}
        self._space_of: Counter[RoomId] = Counter()
        self.space = self.stored = 0

    def find(self, room: RoomId, blob: BlobId) -> BlobRow | None:
        """What is here of an attachment."""
        place = room, blob
        return self._complete.get(place) or self._unfinished.get(place)

    def space_of(self, room: RoomId) -> int:
        """What a room's attachments may come to, in bytes."""
        return self._space_of[room]

    def uploads(self, who: Identity) -> list[BlobRow]:
        """Somebody's unfinished attachments, the oldest first."""
        return [row for row in self._unfinished.values() if row.uploader == who]

    def put(self, row: BlobRow) -> None:
        """Take in an attachment, or what has become of one."""
        place = row.room, row.blob
        known = self.find(*place)
        if known is None:
            self._count(row, 1)
        self.stored += row.have - (known.have if known else 0)
        if row.complete:
            self._unfinished.pop(place, None)
            self._complete[place] = row
        else:
            self._unfinished[place] = row

    def expire(self, now: int, life_ms: int) -> list[BlobGone]:
        """Forget what is too old at ``now`` (ms), some of it at a time; tell which."""
        gone: list[BlobGone] = []
        for kept, life in ((self._unfinished, UPLOAD_LIFE_MS), (self._complete, life_ms)):
            size = 0
            while kept and size < DROPPED_AT_ONCE:
                place, row = next(iter(kept.items()))
                if row.at + life > now:
                    break
                del kept[place]
                self._count(row, -1)
                self.stored -= row.have
                size += row.have
                gone.append(BlobGone(*place))
        return gone

    def _count(self, row: BlobRow, sign: int) -> None:
        space = space_for(row.size) * sign
        self.space += space
        self._space_of[row.room] += space
        if not self._space_of[row.room]:
            del self._space_of[row.room]


def space_for(size: int) -> int:
    """What an attachment of ``size`` bytes counts for."""
    return max(size, SPACE_MIN)
