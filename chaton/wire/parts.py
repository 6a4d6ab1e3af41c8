"""What frames are made of: the types of their fields, each with its limit, and the structures that are no frames.

See docs/protocol.md §9.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from chaton.limits import (
    DETAIL_CHARS_MAX,
    ENVELOPE_BYTES_MAX,
    PIECE_BYTES_MAX,
    RECORD_BYTES_MAX,
    RECORDS_PER_FRAME_MAX,
    UINT_MAX,
)

Key: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature: TypeAlias = Annotated[bytes, Meta(min_length=64, max_length=64)]
Uint: TypeAlias = Annotated[int, Meta(ge=0, le=UINT_MAX)]
Ref: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
RecordBytes: TypeAlias = Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)]
Envelope: TypeAlias = Annotated[bytes, Meta(max_length=ENVELOPE_BYTES_MAX)]
EventBody: TypeAlias = Annotated[bytes, Meta(max_length=ENVELOPE_BYTES_MAX)]
BundleBytes: TypeAlias = Annotated[bytes, Meta(max_length=1331)]
ParcelBytes: TypeAlias = Annotated[bytes, Meta(max_length=1747)]
PieceBytes: TypeAlias = Annotated[bytes, Meta(max_length=PIECE_BYTES_MAX)]
Records: TypeAlias = Annotated[list[RecordBytes], Meta(max_length=RECORDS_PER_FRAME_MAX)]
Word: TypeAlias = Annotated[str, Meta(max_length=40)]
Detail: TypeAlias = Annotated[str, Meta(max_length=DETAIL_CHARS_MAX)]


class ParcelTo(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """One parcel and whom it is for."""

    to: Key
    parcel: ParcelBytes


class Limits(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What this relay takes: how many messages of one identity a minute and at once, and how long an attachment.

    ``blob_bytes_max`` is in bytes of ciphertext, 0 where none is taken; messages and attachments are kept
    ``retention_ms``.
    """

    retention_ms: Uint
    messages_per_minute: Uint
    messages_at_once: Uint
    blob_bytes_max: Uint


class RoomSummary(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A room one belongs to: its last record and event number, and whether one is still pending there."""

    room: Key
    n: Uint
    s: Uint
    pending: bool


class DirectSummary(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A direct room, its peer and its last event number."""

    room: Key
    peer: Key
    s: Uint
