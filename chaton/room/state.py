"""What a room is after some of its records: members, roles, invites, bans (docs/protocol.md §2).

Only ``chaton.room.fold`` changes it. Relay and clients hold the same state after the same records, so nobody needs
the relay's word about who is in a room.
"""

from dataclasses import dataclass, field
from typing import Self

from chaton.identity.ids import Head, Identity, Instance, InviteKey, RoomId
from chaton.identity.safety import direct_room
from chaton.room.records import InviteFlag, Role

NO_FLAGS = InviteFlag(0)


@dataclass(slots=True)
class Member:
    """One membership, seated or still pending.

    Attributes:
        inst: Names this membership; the same person joining again has another.
        flags: What its invite made of it: guest, or a bot that may post and never reads.
        invite: The key of the invite it came by, zero for the owner.
        nick: The sealed nick of its last NICK, else of its JOIN; empty for an owner who has signed none.
        nick_n: The number of the record that nick is from: of two with one nick the later is told apart.
        nicks: How many NICK records it has signed.
    """

    identity: Identity
    inst: Instance
    role: Role = Role.MEMBER
    muted: bool = False
    flags: InviteFlag = NO_FLAGS
    invite: InviteKey = field(default_factory=InviteKey.zero)
    nick: bytes = b""
    nick_n: int = 0
    nicks: int = 0

    @property
    def reads(self) -> bool:
        """Whether it is given chain keys."""
        return InviteFlag.POST_ONLY not in self.flags

    @property
    def guest(self) -> bool:
        """Whether it came by a guest invite."""
        return InviteFlag.GUEST in self.flags


@dataclass(slots=True)
class LiveInvite:
    """An invite that still lets somebody join. ``n`` is the number of its record, ``expires`` is in ms."""

    key: InviteKey
    creator: Identity
    uses_left: int
    expires: int
    flags: InviteFlag
    n: int


@dataclass(slots=True)
class RoomState:
    """A room after record ``n``.

    ``heads`` and ``epochs`` hold what they were after each record, to judge what others claim about earlier ones.
    """

    room: RoomId
    approve: bool = False
    max_members: int = 2
    info: bytes = b""
    genesis_info: bytes = b""
    closed: bool = False
    successor: RoomId | None = None
    direct: bool = False
    members: dict[Identity, Member] = field(default_factory=dict)
    pending: dict[Identity, Member] = field(default_factory=dict)
    invites: dict[InviteKey, LiveInvite] = field(default_factory=dict)
    banned: set[Identity] = field(default_factory=set)
    heads: list[Head] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    @classmethod
    def of_pair(cls, one: Identity, other: Identity) -> Self:
        """The direct room of two identities (§8): no records, both live for ever, memberships named by zeros."""
        room = direct_room(one, other)
        members = {identity: Member(identity, Instance.zero()) for identity in (one, other)}
        return cls(room, direct=True, members=members, heads=[Head(room)], epochs=[0])

    @property
    def n(self) -> int:
        """The number of the last record."""
        return len(self.heads) - 1

    @property
    def head(self) -> Head:
        """The head of the last record."""
        return self.heads[-1]

    @property
    def epoch(self) -> int:
        """How many readers are out so far."""
        return self.epochs[-1]

    @property
    def owner(self) -> Identity:
        """The one owner. Never asked of a direct room, which has none."""
        return next(member.identity for member in self.members.values() if member.role is Role.OWNER)

    def head_at(self, n: int) -> Head | None:
        """The head after record ``n``, or None for a record one has not seen."""
        return self.heads[n] if 0 <= n <= self.n else None

    def seated(self, identity: Identity, inst: Instance) -> Member | None:
        """The member with this identity whose membership is this very one."""
        member = self.members.get(identity)
        return member if member is not None and member.inst == inst else None

    def by_inst(self, inst: Instance) -> Member | None:
        """The membership of that name, seated or pending."""
        both = (*self.members.values(), *self.pending.values())
        return next((member for member in both if member.inst == inst), None)

    def readers(self) -> list[Identity]:
        """Who is given chain keys, in the order of joining."""
        return [member.identity for member in self.members.values() if member.reads]
