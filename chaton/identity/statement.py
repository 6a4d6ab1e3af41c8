"""Signed statements: a label and exact bytes, never "some bytes" (docs/protocol.md §1).

Signing and verifying stand side by side and share ``signed_bytes``, so what one makes is what the other judges.
There is no other Ed25519 code in Chaton.
"""

from enum import Enum

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from chaton.errors import BadSignature
from chaton.identity.hashing import Person, keyed
from chaton.identity.ids import Fixed, Signature
from chaton.identity.secret import InviteSeed, Secret


class Label(Enum):
    """What a signature is for: one of six words, so that a signature made for one purpose serves no other."""

    RECORD = b"record"
    BUNDLE = b"bundle"
    PARCEL = b"parcel"
    MESSAGE = b"message"
    LOGIN = b"login"
    PEEK = b"peek"


_PREFIX = {label: (b"chaton/1 " + label.value).ljust(32, b"\0") for label in Label}


def signed_bytes(label: Label, body: bytes) -> bytes:
    """What Ed25519 sees: 32 bytes of label, then the body as it travels."""
    return _PREFIX[label] + body


class Seed(Secret):
    """The 32-byte seed of an Ed25519 key, with the key pair made once."""

    __slots__ = ("__signer",)

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.__signer = SigningKey(self.reveal())

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""
        return bytes(self.__signer.verify_key)

    def sign(self, label: Label, body: bytes) -> Signature:
        """``Sign(label, sk, body)``: 64 bytes. Ed25519 is deterministic, so signing twice reveals nothing new."""
        return Signature(self.__signer.sign(signed_bytes(label, body)).signature)


def invite_signer(seed: InviteSeed) -> Seed:
    """The signing key of an invite, under its own person string so that the link's seed serves nothing else."""
    return Seed(keyed(seed.reveal(), Person.INVITE))


def is_valid_point(key: bytes) -> bool:
    """Whether 32 bytes are a point of the prime-order group in canonical form, and not the neutral element."""
    return bool(crypto_core_ed25519_is_valid_point(key))


def verify(label: Label, key: Fixed, body: bytes, signature: bytes) -> None:
    """Accept a signature or raise.

    The point check comes first: a small-order key has one signature that fits every message, and libsodium's verifier
    alone does not refuse all mixed-order keys.

    Raises:
        BadSignature: The key is no valid point, or the signature does not fit.
    """
    if len(signature) != Signature.SIZE or not is_valid_point(key):
        raise BadSignature(f"no {label.value.decode()} can be signed by the key {key.short}")
    try:
        VerifyKey(bytes(key)).verify(signed_bytes(label, body), signature)
    except BadSignatureError as cause:
        raise BadSignature(f"the signature of this {label.value.decode()} does not fit the key {key.short}") from cause
