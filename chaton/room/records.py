"""The records of a room's log: what a signed act looks like in bytes (docs/protocol.md §2).

::

    REC = "CR" 01 | type u8 | room 32 | n u32 | prev 32 | actor 32 | t u64 ms | body var<2048>
    rec = REC | signature of the actor 64   [ JOIN only: | signature of the invite 64 ]

What a record means, and who may sign it, stands in ``chaton.room.fold``.
"""

from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import ClassVar, Self, TypeAlias

from chaton.errors import Malformed
from chaton.identity.hashing import Person, digest
from chaton.identity.ids import Head, Identity, Instance, InviteKey, MessageId, RoomId, Signature
from chaton.identity.statement import Label, Seed, is_valid_point, verify
from chaton.limits import (
    GENESIS_INFO_MAX,
    INVITE_USES_MAX,
    MEMBERS_MAX,
    NICK_INFO_MAX,
    REASON_INFO_MAX,
    RECORD_BODY_MAX,
    ROOM_INFO_MAX,
)
from chaton.room.layout import Bounded, Exactly, Field, Uint, read_all

_MAGIC = b"CR\x01"
_HEAD_BYTES = 112  # up to and including t
_U32 = Uint(4, 0, 2**32 - 1)
_U64 = Uint(8, 0, 2**64 - 1)


class Role(IntEnum):
    """Ranks. A room has exactly one owner."""

    MEMBER = 0
    MOD = 1
    ADMIN = 2
    OWNER = 3


class InviteFlag(IntFlag):
    """What those who join by an invite are."""

    GUEST = 1
    POST_ONLY = 2


@dataclass(frozen=True, slots=True)
class Body:
    """The part of a record that depends on its type. Subclasses are the rows of §2's table."""

    TYPE: ClassVar[int]
    LAYOUT: ClassVar[tuple[Field, ...]]

    def encode(self) -> bytes:
        """The body's bytes, without their length; ``Malformed`` if a value is out of range."""
        values = (getattr(self, field.name) for field in fields(self))
        return b"".join(layout.write(value) for layout, value in zip(self.LAYOUT, values, strict=True))

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read all bytes of a body or raise ``Malformed``."""
        return cls(*read_all(cls.LAYOUT, raw))


@dataclass(frozen=True, slots=True)
class Genesis(Body):
    """Makes a room; its signer becomes the owner. ``policy`` bit 0: joiners wait for an admin's ADMIT."""

    TYPE: ClassVar[int] = 0
    LAYOUT: ClassVar[tuple[Field, ...]] = (
        Exactly(Head), Uint(2, 0, 1), Uint(2, 2, MEMBERS_MAX), Bounded(GENESIS_INFO_MAX),
    )  # fmt: skip
    nonce: Head
    policy: int
    max_members: int
    info: bytes


@dataclass(frozen=True, slots=True)
class Invite(Body):
    """Lets holders of ``key`` join, ``uses`` times, until ``expires`` (ms; enforced by the relay alone)."""

    TYPE: ClassVar[int] = 1
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(InviteKey), Uint(2, 1, INVITE_USES_MAX), _U64, Uint(1, 0, 3))
    key: InviteKey
    uses: int
    expires: int
    flags: int

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """As ``Body.decode``; a key under which nobody or everybody could sign is malformed too."""
        body = cls(*read_all(cls.LAYOUT, raw))
        if not is_valid_point(body.key):
            raise Malformed("an invite key that is no point of the curve")
        return body


@dataclass(frozen=True, slots=True)
class Uninvite(Body):
    """Takes an invite back."""

    TYPE: ClassVar[int] = 2
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(InviteKey),)
    key: InviteKey


@dataclass(frozen=True, slots=True)
class Join(Body):
    """Seats the signer, or lets it wait for ADMIT; the invite's key signs too. ``info``: the sealed nick."""

    TYPE: ClassVar[int] = 3
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(InviteKey), Bounded(NICK_INFO_MAX))
    key: InviteKey
    info: bytes


@dataclass(frozen=True, slots=True)
class Admit(Body):
    """Seats somebody who waits."""

    TYPE: ClassVar[int] = 4
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(Instance),)
    inst: Instance


@dataclass(frozen=True, slots=True)
class Leave(Body):
    """The signer goes."""

    TYPE: ClassVar[int] = 5
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(Instance),)
    inst: Instance


@dataclass(frozen=True, slots=True)
class Remove(Body):
    """A kick, or with ``ban`` = 1 a kick for good. ``info``: the sealed reason."""

    TYPE: ClassVar[int] = 6
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(Instance), Uint(1, 0, 1), Bounded(REASON_INFO_MAX))
    inst: Instance
    ban: int
    info: bytes


@dataclass(frozen=True, slots=True)
class Ban(Body):
    """Bans (1) an identity that is not in the room, or lifts a ban (0)."""

    TYPE: ClassVar[int] = 7
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(Identity), Uint(1, 0, 1))
    identity: Identity
    op: int


@dataclass(frozen=True, slots=True)
class SetRole(Body):
    """Gives a membership another role; 3 hands the room over."""

    TYPE: ClassVar[int] = 8
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(Instance), Uint(1, 0, 3))
    inst: Instance
    role: int


@dataclass(frozen=True, slots=True)
class Info(Body):
    """The room's sealed name and topic from now on."""

    TYPE: ClassVar[int] = 9
    LAYOUT: ClassVar[tuple[Field, ...]] = (Bounded(ROOM_INFO_MAX),)
    info: bytes


@dataclass(frozen=True, slots=True)
class Redact(Body):
    """Hides a message, if the signer outranks its author at this record."""

    TYPE: ClassVar[int] = 10
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(MessageId),)
    message: MessageId


@dataclass(frozen=True, slots=True)
class Close(Body):
    """Ends the room; ``successor`` may name the next one (zero: none)."""

    TYPE: ClassVar[int] = 11
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(RoomId),)
    successor: RoomId


@dataclass(frozen=True, slots=True)
class Mute(Body):
    """Mutes (1) a membership, or lets it speak again (0)."""

    TYPE: ClassVar[int] = 12
    LAYOUT: ClassVar[tuple[Field, ...]] = (Exactly(Instance), Uint(1, 0, 1))
    inst: Instance
    op: int


@dataclass(frozen=True, slots=True)
class Nick(Body):
    """The signer's sealed nick from now on."""

    TYPE: ClassVar[int] = 13
    LAYOUT: ClassVar[tuple[Field, ...]] = (Bounded(NICK_INFO_MAX),)
    info: bytes


AnyBody: TypeAlias = (
    Genesis | Invite | Uninvite | Join | Admit | Leave | Remove
    | Ban | SetRole | Info | Redact | Close | Mute | Nick
)  # fmt: skip

BODIES: dict[int, type[AnyBody]] = {
    body.TYPE: body
    for body in (
        Genesis, Invite, Uninvite, Join, Admit, Leave, Remove, Ban, SetRole, Info, Redact, Close, Mute, Nick,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One signed act at one place of one room's log.

    Attributes:
        raw: The bytes that travelled, signatures and all: these are hashed into the next head.
        t: The signer's clock in ms, informative.
    """

    raw: bytes
    room: RoomId
    n: int
    prev: Head
    actor: Identity
    t: int
    body: AnyBody

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read every byte of a record. Signatures are not checked: see ``open_record``.

        Raises:
            Malformed: Bytes missing or left over, an unknown type, a value out of range.
        """
        if len(raw) < _HEAD_BYTES or raw[:3] != _MAGIC:
            raise Malformed("no record of Chaton/1")
        kind = BODIES.get(raw[3])
        if kind is None:
            raise Malformed(f"a record of the unknown type {raw[3]}")
        body, end = Bounded(RECORD_BODY_MAX).read(raw, _HEAD_BYTES)
        if len(raw) != end + Signature.SIZE * (2 if kind is Join else 1):
            raise Malformed("a record that is cut or has bytes behind its end")
        return cls(
            raw=bytes(raw),
            room=RoomId(raw[4:36]),
            n=int.from_bytes(raw[36:40]),
            prev=Head(raw[40:72]),
            actor=Identity(raw[72:104]),
            t=int.from_bytes(raw[104:112]),
            body=kind.decode(body),
        )

    def check_signatures(self) -> None:
        """Check the actor's signature, and a JOIN's second one by the invite's key.

        Raises:
            BadSignature: One of them does not fit.
        """
        count = 2 if isinstance(self.body, Join) else 1
        signed = self.raw[: -count * Signature.SIZE]
        first, second = self.raw[len(signed) :][: Signature.SIZE], self.raw[-Signature.SIZE :]
        verify(Label.RECORD, self.actor, signed, first)
        if isinstance(self.body, Join):
            verify(Label.RECORD, self.body.key, signed, second)

    @property
    def head(self) -> Head:
        """The head of the log once this record is its last: a room's id is that of its GENESIS."""
        if isinstance(self.body, Genesis):
            return Head(digest(Person.ROOM, self.raw))
        return Head(digest(Person.HEAD, self.prev + self.raw))


def open_record(raw: bytes) -> Record:
    """Decode a record from outside and check its signatures; ``Malformed`` or ``BadSignature`` otherwise."""
    record = Record.decode(raw)
    record.check_signatures()
    return record


def sign_record(
    body: AnyBody, *, seed: Seed, room: RoomId, n: int, prev: Head, t: int, invite: Seed | None = None
) -> Record:
    """Sign an act at one place of a log. ``n`` and ``prev`` are signed, so it applies there or nowhere.

    Args:
        body: What is done.
        seed: The actor's key.
        room: The room's id, zero for GENESIS.
        n: The record's number.
        prev: The head of record ``n - 1``, zero for GENESIS.
        t: The actor's clock in ms.
        invite: The invite's key, for JOIN only.
    """
    fields = (bytes([body.TYPE]), room, _U32.write(n), prev, seed.public, _U64.write(t))
    unsigned = _MAGIC + b"".join(fields) + Bounded(RECORD_BODY_MAX).write(body.encode())
    raw = unsigned + seed.sign(Label.RECORD, unsigned)
    if invite is not None:
        raw += invite.sign(Label.RECORD, unsigned)
    return open_record(raw)
