"""Opening the parcels that others posted, once the logs have caught up (docs/protocol.md §5)."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from chaton.errors import ProtocolError
from chaton.identity.bundle import PARCEL_BYTES, parcel_recipient
from chaton.identity.ids import RoomId
from chaton.limits import PARCELS_PER_RECIPIENT_BYTES_MAX
from chaton.session.audience import batches
from chaton.session.context import Context
from chaton.session.errand import Errand, Interrupted
from chaton.session.keyring import Keyring
from chaton.session.room import Room
from chaton.vault.chain import Grant
from chaton.vault.parcel import KIND_CHAIN, Need, OpenedParcel, open_parcel
from chaton.wire import frames

# As many as an honest relay stores for one recipient; the oldest go first, as they would there.
WAITING_MAX = PARCELS_PER_RECIPIENT_BYTES_MAX // PARCEL_BYTES
STRAYS_MAX = 64


@dataclass(slots=True)
class Postbox:
    """Parcels that have come and are not judged yet.

    Attributes:
        all_told: Whether the relay has told all that waited there; ``opened`` whether the logs are current.
        strays: The last ones for rooms that one is not in. Others may know better: a JOIN was taken, its answer lost.
    """

    context: Context
    keyring: Keyring
    rooms: Mapping[RoomId, Room]
    waiting: list[frames.Parcel] = field(default_factory=list)
    all_told: bool = False
    opened: bool = False
    strays: deque[OpenedParcel] = field(default_factory=lambda: deque(maxlen=STRAYS_MAX))

    def put(self, parcel: frames.Parcel) -> None:
        """Take in a parcel; it is judged now, or once the logs are current."""
        self.waiting.append(parcel)
        del self.waiting[:-WAITING_MAX]
        if self.opened:
            self._take()

    def open(self) -> None:
        """The logs are current: judge what has come, and what comes from now on at once."""
        self.opened = True
        self._take()

    def enter(self, room: Room) -> None:
        """One is in a room: judge what came for it before."""
        strays = [parcel for parcel in self.strays if parcel.room == room.view.room]
        for parcel in strays:
            self.strays.remove(parcel)
            with suppress(ProtocolError):  # As in ``_judge``.
                self._deliver(parcel, room)

    def _take(self) -> None:
        """Judge all that wait, then tell the relay that it may forget them: what they brought is kept by then."""
        waited, self.waiting = self.waiting, []
        taken: list[frames.Parcel] = []
        for parcel in waited:
            (taken if self._judge(parcel.parcel) else self.waiting).append(parcel)
        if taken:
            self.context.desk.begin(self._acknowledge([parcel.token for parcel in taken]), lambda _done, _error: None)

    def disconnected(self) -> None:
        """Parcels that were not taken are told again at the next login."""
        self.waiting.clear()
        self.all_told = self.opened = False

    def _acknowledge(self, tokens: list[int]) -> Errand[None]:
        try:
            for batch in batches(tokens):
                yield frames.ParcelTaken(0, list(batch))
        except Interrupted:
            return  # They are told again, and known then.

    def _judge(self, raw: bytes) -> bool:
        """Whether it is done with. A malformed or unwanted one is dropped without an answer: nobody learns why."""
        try:
            own = self.keyring.find(parcel_recipient(raw))
            parcel = open_parcel(raw, self.context.me, own) if own is not None else None
            room = self.rooms.get(parcel.room) if parcel is not None else None
            if room is not None and room.pending:
                return False  # Others know already that one is admitted.
            if parcel is not None and room is not None and room.live:
                self._deliver(parcel, room)
            elif parcel is not None:
                self.strays.append(parcel)
        except ProtocolError:
            return True
        return True

    @staticmethod
    def _deliver(parcel: OpenedParcel, room: Room) -> None:
        if parcel.kind == KIND_CHAIN:
            room.inbox.take_grant(parcel.sender, Grant.decode(parcel.body))
        elif parcel.sender in room.view.state.members:
            room.sender.need(parcel.sender, Need.decode(parcel.body))
