"""A member's public keys for parcels, signed by its identity (docs/protocol.md §4)."""

from dataclasses import dataclass
from typing import Self

from chaton.errors import BundleRefused, Malformed
from chaton.identity.hashing import Person, digest
from chaton.identity.ids import BundleId, Identity, Signature
from chaton.identity.statement import Label, verify
from chaton.limits import BUNDLE_AHEAD_MS, BUNDLE_LIFE_MS

_MAGIC = b"CB\x01"
_BODY_BYTES = 1267
BUNDLE_BYTES = _BODY_BYTES + Signature.SIZE
PARCEL_BYTES = 1747
_PARCEL_MAGIC = b"CX\x01"


@dataclass(frozen=True, slots=True)
class Bundle:
    """``"CB" 01 | identity 32 | ctr u64 | exp u64 | x25519 32 | mlkem768 1184 | signature 64``: 1331 bytes.

    Made only by ``decode``, which has checked the signature.

    Attributes:
        counter: Grows with each bundle of an identity; about the time it was made, in ms.
        expires: When it may no longer be sealed to, in ms.
    """

    raw: bytes
    identity: Identity
    counter: int
    expires: int
    x25519: bytes
    mlkem768: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read a bundle and check its signature.

        Raises:
            Malformed: Not 1331 bytes of a bundle.
            BadSignature: Not signed by the identity that it names.
        """
        if len(raw) != BUNDLE_BYTES or raw[:3] != _MAGIC:
            raise Malformed("no bundle of Chaton/1")
        identity = Identity(raw[3:35])
        verify(Label.BUNDLE, identity, raw[:_BODY_BYTES], raw[_BODY_BYTES:])
        return cls(
            raw=bytes(raw),
            identity=identity,
            counter=int.from_bytes(raw[35:43]),
            expires=int.from_bytes(raw[43:51]),
            x25519=bytes(raw[51:83]),
            mlkem768=bytes(raw[83:_BODY_BYTES]),
        )

    @property
    def id(self) -> BundleId:
        """``bid``, the hash of all 1331 bytes."""
        return BundleId(digest(Person.BUNDLE, self.raw))

    def check_time(self, now: int) -> None:
        """Judge its times at ``now``.

        Raises:
            BundleRefused: future, expired.
        """
        if self.counter > now + BUNDLE_AHEAD_MS:
            raise BundleRefused("a bundle from the future", reason="future")
        if not now < self.expires <= self.counter + BUNDLE_LIFE_MS:
            raise BundleRefused("a bundle that has expired, or lives too long", reason="expired")

    def check_counter(self, seen_counter: int, seen_id: BundleId | None) -> None:
        """Judge it against the highest counter seen of its identity (0 and None where none was seen).

        Raises:
            BundleRefused: rollback, where it is older, or another one of the same counter.
        """
        same_but_other = self.counter == seen_counter and seen_id is not None and seen_id != self.id
        if self.counter < seen_counter or same_but_other:
            raise BundleRefused("an older bundle than one already seen", reason="rollback")


def bundle_body(identity: Identity, counter: int, expires: int, x25519: bytes, mlkem768: bytes) -> bytes:
    """``BND``: the 1267 bytes that the identity signs."""
    return _MAGIC + identity + counter.to_bytes(8) + expires.to_bytes(8) + x25519 + mlkem768


def parcel_recipient(parcel: bytes) -> BundleId:
    """The bundle that a parcel is sealed to: all that a relay can read of it.

    Raises:
        Malformed: Not 1747 bytes of a parcel.
    """
    if len(parcel) != PARCEL_BYTES or parcel[:3] != _PARCEL_MAGIC:
        raise Malformed("no parcel of Chaton/1")
    return BundleId(parcel[3:35])
