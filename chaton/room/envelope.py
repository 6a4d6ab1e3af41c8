"""The outside of a message: what the relay can read of it (docs/protocol.md §7).

::

    HDR = "CM" 01 | room 32 | chain 32 | i u16 | n u32 | head 32 | s u64 | T 32                        145 bytes
    ENV = HDR | com 32 | nonce 24 | u32 length | ct | signature 64
"""

from dataclasses import dataclass
from struct import Struct as Layout
from typing import Final, Self

from msgspec import Struct

from chaton.errors import Malformed
from chaton.identity.hashing import Person, digest
from chaton.identity.ids import ChainId, Head, MessageId, RoomId, Signature, Transcript
from chaton.limits import PAD_MAX, PAD_MIN

_MAGIC = b"CM\x01"
_LAYOUT: Final = Layout(">3s 32s 32s H I 32s Q 32s")
HEADER_BYTES = 145
_COMMITMENT_END = HEADER_BYTES + 32
_NONCE_END = _COMMITMENT_END + 24
_LENGTH_END = _NONCE_END + 4
_TAG_BYTES = 16


class Header(Struct, frozen=True, gc=False):
    """Where in its chain and in the room's history a message stands, as its sender claims.

    A struct of msgspec, as a relay makes one for every message and a frozen dataclass takes five times as long.
    """

    room: RoomId
    chain: ChainId
    index: int
    n: int
    head: Head
    s: int
    transcript: Transcript

    def encode(self) -> bytes:
        """``HDR``, 145 bytes."""
        return _LAYOUT.pack(
            _MAGIC, self.room, self.chain, self.index, self.n, self.head, self.s, self.transcript
        )  # fmt: skip

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the first 145 bytes of an envelope.

        Raises:
            Malformed: They begin otherwise, or there are fewer.
        """
        if len(raw) < HEADER_BYTES or raw[:3] != _MAGIC:
            raise Malformed("no message of Chaton/1")
        _, room, chain, index, n, head, s, transcript = _LAYOUT.unpack_from(raw)
        return cls(RoomId(room), ChainId(chain), index, n, Head(head), s, Transcript(transcript))


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it travels: header, commitment, nonce, ciphertext (tag first), signature by the chain's key."""

    raw: bytes
    header: Header
    commitment: bytes
    nonce: bytes
    ciphertext: bytes
    signature: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read an envelope, every byte of it. The signature is not checked: only who has the chain can.

        Raises:
            Malformed: A length that no padding gives, missing or trailing bytes.
        """
        return cls(
            raw=bytes(raw),
            header=header_of(raw),
            commitment=bytes(raw[HEADER_BYTES:_COMMITMENT_END]),
            nonce=bytes(raw[_COMMITMENT_END:_NONCE_END]),
            ciphertext=bytes(raw[_LENGTH_END : -Signature.SIZE]),
            signature=bytes(raw[-Signature.SIZE :]),
        )

    @property
    def id(self) -> MessageId:
        """The hash of all its bytes."""
        return message_id(self.raw)

    @property
    def signed(self) -> bytes:
        """``MSG``: what the chain's key signs."""
        return self.raw[: -Signature.SIZE]


def header_of(envelope: bytes) -> Header:
    """The header of an envelope whose every byte is judged as by ``Envelope.decode``: what a relay needs of it.

    Raises:
        Malformed: As ``Envelope.decode``.
    """
    header = Header.decode(envelope)
    length = int.from_bytes(envelope[_NONCE_END:_LENGTH_END])
    padded = length - _TAG_BYTES
    if not PAD_MIN <= padded <= PAD_MAX or padded & (padded - 1):
        raise Malformed("a message of a length that no padding gives")
    if len(envelope) != _LENGTH_END + length + Signature.SIZE:
        raise Malformed("a message that is cut or has bytes behind its end")
    return header


def message_id(envelope: bytes) -> MessageId:
    """``H("chaton1.msgid", ENV)``, for any bytes: a message that does not parse has a place in the transcript too."""
    return MessageId(digest(Person.MESSAGE_ID, envelope))
