"""Everybody who ever was in a room, and how they stood after each record.

The fold (``chaton.room``) knows how things are now. A message is judged by how they were just before its event, even
when it is opened late or the fold has run ahead of the events; this is the memory that answers such questions.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

from chaton.identity.ids import Identity, Instance
from chaton.room.records import Close, Record, Role
from chaton.room.state import Member, RoomState


class Standing(NamedTuple):
    """How a membership stood from record ``n`` on. ``nick`` is sealed."""

    n: int
    live: bool
    role: Role
    muted: bool
    nick: bytes
    nick_n: int


@dataclass(slots=True)
class Seat:
    """One membership through time."""

    identity: Identity
    inst: Instance
    standings: list[Standing] = field(default_factory=list)

    def at(self, n: int) -> Standing | None:
        """How it stood after record ``n``; None before its JOIN."""
        place = bisect_right(self.standings, n, key=lambda standing: standing.n)
        return self.standings[place - 1] if place else None


class Register:
    """All seats of one room, kept up by ``note`` after each record that the fold has taken in."""

    def __init__(self, room: RoomState) -> None:
        self.seats: dict[Instance, Seat] = {}
        self.closed_at: int | None = None
        self._pair: dict[Identity, Seat] = {}
        for member in room.members.values():
            self._write(room, member.inst, member)
        if room.direct:
            self._pair = {who: self._seat_of_pair(member) for who, member in room.members.items()}

    def note(self, room: RoomState, record: Record) -> None:
        """Write down what record ``n`` (the room's last) changed about anybody."""
        if isinstance(record.body, Close):
            self.closed_at = record.n
        for inst, member in self._touched(room, record).items():
            self._write(room, inst, member)

    def seat(self, identity: Identity, inst: Instance) -> Seat | None:
        """The membership of this person with this name, now or at any time before."""
        seat = self._pair.get(identity) if self._pair else self.seats.get(inst)
        return seat if seat is not None and (seat.identity, seat.inst) == (identity, inst) else None

    def rank_at(self, inst: Instance, n: int) -> Role:
        """The rank after record ``n``, that of a plain member once the membership is out."""
        seat = self.seats.get(inst)
        standing = seat.at(n) if seat else None
        return standing.role if standing and standing.live else Role.MEMBER

    def closed_by(self, n: int) -> bool:
        """Whether the room was closed after record ``n``."""
        return self.closed_at is not None and self.closed_at <= n

    def inst_of(self, identity: Identity, n: int) -> Instance | None:
        """The membership that a person had after record ``n``."""
        for seat in self.seats.values():
            if seat.identity == identity and (standing := seat.at(n)) is not None and standing.live:
                return seat.inst
        return None

    @staticmethod
    def _touched(room: RoomState, record: Record) -> dict[Instance, Member | None]:
        """The memberships that a record may have changed, as they are now: its signer's, and the one it names."""
        actor = room.members.get(record.actor) or room.pending.get(record.actor)
        touched: dict[Instance, Member | None] = {actor.inst: actor} if actor else {}
        inst = getattr(record.body, "inst", None)
        return touched | ({inst: room.by_inst(inst)} if inst is not None else {})

    def _write(self, room: RoomState, inst: Instance, member: Member | None) -> None:
        if member is None:
            standings = self.seats[inst].standings
            standings.append(standings[-1]._replace(n=room.n, live=False))
            return
        seat = self.seats.setdefault(inst, Seat(member.identity, inst))
        live = member.identity in room.members
        seat.standings.append(Standing(room.n, live, member.role, member.muted, member.nick, member.nick_n))

    @staticmethod
    def _seat_of_pair(member: Member) -> Seat:
        """In a direct room both memberships are named by zeros, so a seat is found by its person."""
        return Seat(member.identity, member.inst, [Standing(0, True, member.role, False, b"", 0)])
