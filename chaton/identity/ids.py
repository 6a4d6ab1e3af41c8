"""Fixed-length identifiers: a raw ``bytes`` becomes one of these where it enters a folder, checked once, there."""

import re
from typing import ClassVar, Self

from chaton.errors import Malformed


class Fixed(bytes):
    """Public bytes of one fixed length. Subclasses are the nouns of the protocol; ``str()`` is lower-case hex.

    Raises:
        Malformed: The bytes have another length.
    """

    SIZE: ClassVar[int] = 32
    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        """Check the length and keep the bytes."""
        if len(raw) != cls.SIZE:
            raise Malformed(f"{cls.__name__} has {len(raw)} bytes instead of {cls.SIZE}")
        return bytes.__new__(cls, raw)  # A third faster than by super(), and a relay makes several for each message.

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Read exactly ``2 * SIZE`` lower-case hex digits; anything else raises ``Malformed``."""
        if not re.fullmatch(f"[0-9a-f]{{{2 * cls.SIZE}}}", text):
            raise Malformed(f"{cls.__name__} is written as {2 * cls.SIZE} lower-case hex digits")
        return cls(bytes.fromhex(text))

    @classmethod
    def zero(cls) -> Self:
        """All bytes zero: what stands where there is nothing to name."""
        return cls(bytes(cls.SIZE))

    @property
    def short(self) -> str:
        """The first 8 hex digits: enough to tell two apart on a screen, never enough to trust."""
        return self[:4].hex()

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.short}…)"


class Identity(Fixed):
    """An Ed25519 public key: one installation of Chaton (docs/protocol.md §1)."""

    __slots__ = ()


class InviteKey(Fixed):
    """The Ed25519 public key of an invite; whoever holds its seed may sign one JOIN a use (§2)."""

    __slots__ = ()


class ChainKey(Fixed):
    """The Ed25519 public key that signs the messages of one sender chain (``cpk``, §6)."""

    __slots__ = ()


class RoomId(Fixed):
    """The hash of a room's GENESIS record, or of the two identities of a direct room (§2, §8)."""

    __slots__ = ()


class Head(Fixed):
    """The hash of a room's log up to one record (§2)."""

    __slots__ = ()


class Instance(Fixed):
    """One membership, not a person: the head of its JOIN, or the room id for the owner's first (``inst``, §2)."""

    __slots__ = ()


class Transcript(Fixed):
    """The hash of a room's events up to one of them (``T_s``, §3)."""

    __slots__ = ()


class BundleId(Fixed):
    """The hash of a signed bundle (``bid``, §4)."""

    __slots__ = ()


class ChainId(Fixed):
    """The hash of a chain statement (§6)."""

    __slots__ = ()


class MessageId(Fixed):
    """The hash of an envelope (§7)."""

    __slots__ = ()


class BlobId(Fixed):
    """The random name of an attachment's ciphertext on the relay (§§7, 9)."""

    __slots__ = ()


class BlobHash(Fixed):
    """BLAKE2b-256 of an attachment's ciphertext, without key and person (§7)."""

    __slots__ = ()


class Pin(Fixed):
    """SHA-256 of the SubjectPublicKeyInfo of a relay's certificate (``spki``, §8)."""

    __slots__ = ()


class Nonce(Fixed):
    """32 random bytes that make a login or a peek unlike any other (§8)."""

    __slots__ = ()


class Signature(Fixed):
    """An Ed25519 signature."""

    SIZE: ClassVar[int] = 64
    __slots__ = ()
