"""Every frame of the wire, one struct each (docs/protocol.md §9).

A frame is a tagged msgspec array. Signed structures travel in it as opaque bytes, so that what is verified and hashed
is what travelled. ``ref`` is a number that the client chooses for a request; its answer carries the same one.

A field's limit is part of its type (``chaton.wire.parts``): longer input is refused before it is read. Every answer
that acknowledges something is sent only after what it acknowledges would survive a crash of the relay.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from chaton.limits import BATCH_MAX, MEMBERS_MAX
from chaton.wire.parts import (
    BundleBytes,
    Detail,
    DirectSummary,
    Envelope,
    EventBody,
    Key,
    Limits,
    ParcelBytes,
    ParcelTo,
    PieceBytes,
    RecordBytes,
    Records,
    Ref,
    RoomSummary,
    Signature,
    Uint,
    Word,
)

KIND_RECORD = 0
KIND_MESSAGE = 1
KIND_PRUNED = 2


class ClientFrame(Struct, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """What a client may say."""


class Login(ClientFrame, tag=1, frozen=True):
    """The answer to Welcome's nonce: ``identity 32 | cn 32 | signature 64``. Answered by LoggedIn or Refused."""

    answer: Annotated[bytes, Meta(min_length=128, max_length=128)]


class Peek(ClientFrame, tag=2, frozen=True):
    """Ask to read one room's log with an invite's key, before or after Login. Answered by Done or Refused."""

    ref: Ref
    room: Key
    invite: Key
    client_nonce: Key
    signature: Signature


class Log(ClientFrame, tag=3, frozen=True):
    """Ask for the records of a room after number ``after`` (-1: from GENESIS). Answered by RecordsPage…, LogEnd."""

    ref: Ref
    room: Key
    after: Annotated[int, Meta(ge=-1, le=2**32 - 1)]


class Create(ClientFrame, tag=4, frozen=True):
    """Make a room. Answered by Accepted (s = 0, T = room id) or Refused."""

    ref: Ref
    genesis: RecordBytes


class Submit(ClientFrame, tag=5, frozen=True):
    """Offer a signed record. Answered by Accepted, or Refused with ``head-moved`` and the records one lacks."""

    ref: Ref
    room: Key
    record: RecordBytes


class Turn(ClientFrame, tag=6, frozen=True):
    """Ask for a turn to sign at the head (§2). Answered by YourTurn when it comes."""

    ref: Ref
    room: Key


class Follow(ClientFrame, tag=7, frozen=True):
    """Ask for a room's events after ``after`` and all later ones. Answered by Event, CaughtUp, then live Events."""

    ref: Ref
    room: Key
    after: Uint


class Unfollow(ClientFrame, tag=8, frozen=True):
    """Stop a room's events. Answered by Done."""

    ref: Ref
    room: Key


class Send(ClientFrame, tag=9, frozen=True):
    """Offer an envelope. Answered by Accepted with its s, or Refused. The same envelope again is answered the same."""

    ref: Ref
    room: Key
    envelope: Envelope


class Direct(ClientFrame, tag=10, frozen=True):
    """Open the direct room with an identity. Answered by DirectRoom (to both) and Done."""

    ref: Ref
    peer: Key


class Publish(ClientFrame, tag=11, frozen=True):
    """Make a bundle the own current one. Answered by Done."""

    ref: Ref
    bundle: BundleBytes


class Bundles(ClientFrame, tag=12, frozen=True):
    """Ask for the current bundles of identities. Answered by BundleList with those there are."""

    ref: Ref
    identities: Annotated[list[Key], Meta(max_length=BATCH_MAX)]


class Parcels(ClientFrame, tag=13, frozen=True):
    """Post parcels to members of a room. Answered by ParcelsStored with those that name an old bundle."""

    ref: Ref
    room: Key
    parcels: Annotated[list[ParcelTo], Meta(max_length=BATCH_MAX)]


class ParcelTaken(ClientFrame, tag=14, frozen=True):
    """Tell that parcels are opened and kept, or dropped for good: the relay deletes them. Answered by Done."""

    ref: Ref
    tokens: Annotated[list[Uint], Meta(max_length=BATCH_MAX)]


class Ping(ClientFrame, tag=15, frozen=True):
    """Show that the client lives. Answered by Pong."""

    ref: Ref


class Put(ClientFrame, tag=16, frozen=True):
    """Offer a piece of an attachment's ciphertext, of ``size`` bytes in all, from ``offset`` on. Answered by BlobState.

    Pieces come in order: ``offset`` is what the relay has by then. The last of them again is answered the same.
    """

    ref: Ref
    room: Key
    blob: Key
    size: Uint
    offset: Uint
    data: PieceBytes


class PutStatus(ClientFrame, tag=17, frozen=True):
    """Ask how much of an attachment the relay has. Answered by BlobState, all 0 where it has nothing."""

    ref: Ref
    room: Key
    blob: Key


class Get(ClientFrame, tag=18, frozen=True):
    """Ask for a piece of a complete attachment from ``offset`` on. Answered by BlobPiece."""

    ref: Ref
    room: Key
    blob: Key
    offset: Uint


class RelayFrame(Struct, array_like=True, forbid_unknown_fields=True, frozen=True, gc=False):
    """What a relay may say."""


class Welcome(RelayFrame, tag=64, frozen=True):
    """The first frame of a connection: the nonce ``sn``, the relay's clock in ms, its version and its limits."""

    nonce: Key
    now: Uint
    version: Word
    limits: Limits


class LoggedIn(RelayFrame, tag=65, frozen=True):
    """Login succeeded; hints about where one belongs, which every client checks against the logs."""

    rooms: Annotated[list[RoomSummary], Meta(max_length=10_000)]
    directs: Annotated[list[DirectSummary], Meta(max_length=10_000)]


class Refused(RelayFrame, tag=66, frozen=True):
    """A request was refused and changed nothing.

    ``code`` is a stable word, ``detail`` a sentence, ``retry_ms`` when to try again (0: waiting does not help),
    ``records`` what one lacks of the log (``head-moved``), at most 256 from the offered record's number on.
    A Refused to Login has ref 0.
    """

    ref: Ref
    code: Word
    detail: Detail
    retry_ms: Uint
    records: Records


class Done(RelayFrame, tag=67, frozen=True):
    """A request was carried out."""

    ref: Ref


class Accepted(RelayFrame, tag=68, frozen=True):
    """A record or message is in the room, as event ``s``; ``transcript`` is T_s."""

    ref: Ref
    s: Uint
    transcript: Key


class YourTurn(RelayFrame, tag=69, frozen=True):
    """The head is held for the asker for 2 s: sign at ``n`` + 1."""

    ref: Ref
    n: Uint
    head: Key


class RecordsPage(RelayFrame, tag=70, frozen=True):
    """Records in order, the first of number ``first``."""

    ref: Ref
    first: Uint
    records: Records


class LogEnd(RelayFrame, tag=71, frozen=True):
    """The log is told, up to ``n`` with ``head``."""

    ref: Ref
    n: Uint
    head: Key


class Event(RelayFrame, tag=72, frozen=True):
    """Event ``s`` of a room: a record, an envelope, or a pruned message's bare id (``kind`` 0, 1, 2).

    ``at`` is the relay's clock in ms, ``sender`` its word on who sent it: a hint, only to address a NEED.
    One event is encoded once, whoever receives it, so it carries no ref.
    """

    room: Key
    s: Uint
    at: Uint
    kind: Annotated[int, Meta(ge=0, le=2)]
    sender: Key
    body: EventBody


class CaughtUp(RelayFrame, tag=73, frozen=True):
    """All events up to ``s`` are told; what follows is live."""

    ref: Ref
    room: Key
    s: Uint


class BundleList(RelayFrame, tag=74, frozen=True):
    """The bundles that were asked for and exist."""

    ref: Ref
    bundles: Annotated[list[BundleBytes], Meta(max_length=BATCH_MAX)]


class ParcelsStored(RelayFrame, tag=75, frozen=True):
    """Parcels are stored, but for those whose recipient has a newer bundle (here it is) or none (not stored)."""

    ref: Ref
    stale: Annotated[list[BundleBytes], Meta(max_length=BATCH_MAX)]
    absent: Annotated[list[Key], Meta(max_length=BATCH_MAX)]


class Parcel(RelayFrame, tag=76, frozen=True):
    """A parcel for this client, told again at each login until ParcelTaken names its token."""

    token: Uint
    parcel: ParcelBytes


class ParcelsEnd(RelayFrame, tag=77, frozen=True):
    """After LoggedIn: all parcels that waited have been told."""


class DirectRoom(RelayFrame, tag=78, frozen=True):
    """A direct room exists: with whom, and where its events stand."""

    room: Key
    peer: Key
    s: Uint


class LogMoved(RelayFrame, tag=79, frozen=True):
    """A hint to somebody pending or just seated: look at this room's log again."""

    room: Key


class Presence(RelayFrame, tag=80, frozen=True):
    """The relay's unsigned hint that somebody is connected since now, or no longer is."""

    room: Key
    identity: Key
    online: bool


class Pong(RelayFrame, tag=81, frozen=True):
    """The answer to Ping."""

    ref: Ref


class Goodbye(RelayFrame, tag=82, frozen=True):
    """The last frame: why the relay closes (replaced, shutdown, protocol, idle, limited) and when to come back."""

    code: Word
    detail: Detail
    retry_ms: Uint


class BlobState(RelayFrame, tag=83, frozen=True):
    """Of an attachment of ``size`` bytes in all, the first ``have`` are stored."""

    ref: Ref
    size: Uint
    have: Uint


class BlobPiece(RelayFrame, tag=84, frozen=True):
    """Bytes of an attachment of ``size`` bytes in all, from ``offset`` on: one at least."""

    ref: Ref
    size: Uint
    offset: Uint
    data: PieceBytes


class Present(RelayFrame, tag=85, frozen=True):
    """The relay's unsigned hint who of a room is connected: these and nobody else."""

    room: Key
    identities: Annotated[list[Key], Meta(max_length=MEMBERS_MAX)]


AnyClientFrame: TypeAlias = (
    Login | Peek | Log | Create | Submit | Turn | Follow | Unfollow | Send | Direct
    | Publish | Bundles | Parcels | ParcelTaken | Ping | Put | PutStatus | Get
)  # fmt: skip
AnyRelayFrame: TypeAlias = (
    Welcome | LoggedIn | Refused | Done | Accepted | YourTurn | RecordsPage | LogEnd | Event | CaughtUp
    | BundleList | ParcelsStored | Parcel | ParcelsEnd | DirectRoom | LogMoved | Presence | Pong | Goodbye
    | BlobState | BlobPiece | Present
)  # fmt: skip

# What answers a request, besides Refused; anything else under its ref breaks the protocol. Log's pages come before.
ANSWERS: dict[type[AnyClientFrame], type[AnyRelayFrame]] = {
    Peek: Done, Log: LogEnd, Create: Accepted, Submit: Accepted, Turn: YourTurn, Follow: CaughtUp, Unfollow: Done,
    Send: Accepted, Direct: Done, Publish: Done, Bundles: BundleList, Parcels: ParcelsStored, ParcelTaken: Done,
    Ping: Pong, Put: BlobState, PutStatus: BlobState, Get: BlobPiece,
}  # fmt: skip
