"""A parcel: a NaCl box from one member to another, inside a post-quantum one (docs/protocol.md §5).

::

    PCL    = "CP" 01 | room 32 | from 32 | to 32 | bid 32 | kind u8 | body var
    m      = PCL | signature 64, zero-padded                                                     512 bytes
    inner  = nonce 24 | tag 16 | m         under X25519 of a fresh key E and the bundle's         552 bytes
    outer  = nonce 24 | tag 16 | inner     under ML-KEM-768 of the bundle                         592 bytes
    PARCEL = "CX" 01 | bid 32 | E 32 | kct 1088 | outer                                          1747 bytes

An attacker has to break both X25519 and ML-KEM to read a parcel. Neither says who sent it: the signature does.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey
from nacl.secret import SecretBox

from chaton.errors import Malformed, ParcelRefused
from chaton.identity.bundle import Bundle, parcel_recipient
from chaton.identity.hashing import Person, keyed
from chaton.identity.ids import BundleId, ChainId, Identity, RoomId, Signature
from chaton.identity.statement import Label, Seed, verify
from chaton.vault.bundle import OwnBundle
from chaton.vault.chain import GRANT_BYTES
from chaton.vault.entropy import Entropy
from chaton.vault.keys import BoxKey

KIND_CHAIN = 1
KIND_NEED = 2
NEED_BYTES = 72
_BODY_BYTES = {KIND_CHAIN: GRANT_BYTES, KIND_NEED: NEED_BYTES}

_MAGIC = b"CX\x01"
_E_END = 67
_KCT_END = 1155
_MLKEM_VECTOR_BYTES = 1152  # t of FIPS 203, three polynomials of 256 numbers of 12 bits; the seed of A follows.

_INNER_MAGIC = b"CP\x01"
_INNER_BYTES = 512
_BODY_START = 134


@dataclass(frozen=True, slots=True)
class OpenedParcel:
    """What a parcel says, once it is opened and its signature holds. Whether ``sender`` is a member is not judged."""

    room: RoomId
    sender: Identity
    bundle: BundleId
    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Need:
    """Body of a NEED parcel, "send me this chain": ``chain 32 | ctr u64 | bid 32``, 72 bytes.

    Attributes:
        chain: The chain of a message that the asker cannot read.
        counter: Of the asker's current bundle; the answer is sealed to one of at least that counter.
        bundle: The id of that bundle.
    """

    chain: ChainId
    counter: int
    bundle: BundleId

    def encode(self) -> bytes:
        """The 72 bytes."""
        return self.chain + self.counter.to_bytes(8) + self.bundle

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read exactly 72 bytes.

        Raises:
            Malformed: Another length.
        """
        return cls(ChainId(raw[:32]), int.from_bytes(raw[32:40]), BundleId(raw[40:]))


def seal_parcel(  # noqa: PLR0917 - in the order of PCL's own fields
    seed: Seed, room: RoomId, to: Bundle, kind: int, body: bytes, entropy: Entropy
) -> bytes:
    """Sign and seal one body to one bundle: 1747 bytes. Draws 32, 24 and 24 bytes.

    ML-KEM encapsulation draws its own 32 bytes inside OpenSSL, which has no interface to hand them in.

    Raises:
        ParcelRefused: recipient, where nothing can be sealed to the bundle's keys; the caller skips that member.
        TypeError: Not a kind of parcel, or not the length of its body: a bug of the caller.
    """
    padded = _signed_and_padded(seed, room, to, kind, body)
    ephemeral = BoxKey(entropy(BoxKey.SIZE))
    box, shared, kct = _agree(ephemeral, to)
    # The key of this box comes from an X25519 pair made for this parcel alone, so no nonce is used twice under it.
    inner = bytes(box.encrypt(padded, entropy(Box.NONCE_SIZE)))
    public = bytes(PrivateKey(ephemeral.reveal()).public_key)
    # A fresh shared secret each time, bound to recipient, ciphertext and E: nothing of this parcel fits another one.
    outer = bytes(_outer_box(shared, to.id, kct, public).encrypt(inner, entropy(SecretBox.NONCE_SIZE)))
    return _MAGIC + to.id + public + kct + outer


def open_parcel(parcel: bytes, me: Identity, own: OwnBundle) -> OpenedParcel:
    """Open a parcel with the bundle it names and judge it, in the order of §5.

    Whether the sender is a member of the room is left to the caller, whose fold knows.

    Raises:
        Malformed: Not 1747 bytes of a parcel, or no statement of Chaton/1 inside.
        ParcelRefused: recipient (not for me, from me, or for another bundle), ciphertext, padding.
        BadSignature: Not signed by whom it names as its sender.
    """
    if parcel_recipient(parcel) != own.id:
        raise ParcelRefused("a parcel for another bundle", reason="recipient")
    statement = _Statement.decode(_unseal(parcel, own))
    # Public keys alone suffice to make both boxes, so until this line anybody may have written what is inside.
    verify(Label.PARCEL, statement.sender, statement.signed, statement.signature)
    # Recipient and bundle stand under the signature too: a member cannot seal another's words on to a third one.
    if statement.to != me or statement.sender == me or statement.bundle != own.id:
        raise ParcelRefused("a parcel signed for somebody else", reason="recipient")
    return OpenedParcel(statement.room, statement.sender, statement.bundle, statement.kind, statement.body)


class _Statement(NamedTuple):
    """``PCL`` and its signature, as they lie in the innermost box."""

    room: RoomId
    sender: Identity
    to: Identity
    bundle: BundleId
    kind: int
    body: bytes
    signed: bytes
    signature: Signature

    @classmethod
    def decode(cls, padded: bytes) -> "_Statement":
        """Read 512 bytes, every one of them.

        Raises:
            Malformed: They begin otherwise, or have an unknown kind or the wrong length for it.
            ParcelRefused: padding, where anything but zeros follows the signature.
        """
        if padded[:3] != _INNER_MAGIC:  # Of a parcel of 1747 bytes, the innermost box has 512.
            raise Malformed("no parcel of Chaton/1 in the box")
        kind, length = padded[131], int.from_bytes(padded[132:_BODY_START])
        if _BODY_BYTES.get(kind) != length:
            raise Malformed("a parcel of an unknown kind, or of a length that its kind does not have")
        body_end = _BODY_START + length
        signature_end = body_end + Signature.SIZE
        if any(padded[signature_end:]):
            raise ParcelRefused("a parcel with bytes behind its end", reason="padding")
        return cls(
            room=RoomId(padded[3:35]),
            sender=Identity(padded[35:67]),
            to=Identity(padded[67:99]),
            bundle=BundleId(padded[99:131]),
            kind=kind,
            body=padded[_BODY_START:body_end],
            signed=padded[:body_end],
            signature=Signature(padded[body_end:signature_end]),
        )


def _signed_and_padded(seed: Seed, room: RoomId, to: Bundle, kind: int, body: bytes) -> bytes:
    """``m``: 512 bytes, whatever the body, so that a length says nothing about a parcel."""
    if _BODY_BYTES.get(kind) != len(body):
        raise TypeError(f"no parcel of kind {kind} has a body of {len(body)} bytes")
    statement = b"".join((
        _INNER_MAGIC, room, seed.public, to.identity, to.id, kind.to_bytes(1), len(body).to_bytes(2), body,
    ))  # fmt: skip
    return (statement + seed.sign(Label.PARCEL, statement)).ljust(_INNER_BYTES, b"\0")


def _agree(ephemeral: BoxKey, to: Bundle) -> tuple[Box, bytes, bytes]:
    """The inner box, the ML-KEM shared secret of 32 bytes and its ciphertext of 1088.

    Raises:
        ParcelRefused: recipient, for a low-order X25519 key, which would make the box's key public, or an ML-KEM key
            with coefficients that FIPS 203 refuses, or with none but zeroes, by which the ciphertext tells the secret.
    """
    try:
        box = Box(PrivateKey(ephemeral.reveal()), PublicKey(to.x25519))
        shared, kct = _encapsulate(to.mlkem768)
    except (CryptoError, ValueError) as cause:
        raise ParcelRefused("nothing can be sealed to these keys", reason="recipient") from cause
    return box, shared, kct


def _encapsulate(mlkem768: bytes) -> tuple[bytes, bytes]:
    if not any(mlkem768[:_MLKEM_VECTOR_BYTES]):
        raise ValueError("an ML-KEM key of zeroes")
    return MLKEM768PublicKey.from_public_bytes(mlkem768).encapsulate()


def _unseal(parcel: bytes, own: OwnBundle) -> bytes:
    """The 512 bytes in the innermost box.

    Raises:
        ParcelRefused: ciphertext, where either box does not open.
    """
    public, kct, outer = parcel[35:_E_END], parcel[_E_END:_KCT_END], parcel[_KCT_END:]
    # ML-KEM never fails: a ciphertext that was changed gives another shared secret, under which the box stays shut.
    shared = MLKEM768PrivateKey.from_seed_bytes(own.mlkem.reveal()).decapsulate(kct)
    try:
        inner = _outer_box(shared, own.id, kct, public).decrypt(outer)
        # Made inside the try: a low-order E raises here already, before anything is decrypted.
        return Box(PrivateKey(own.box.reveal()), PublicKey(public)).decrypt(inner)
    except CryptoError as cause:
        raise ParcelRefused("a parcel that does not open", reason="ciphertext") from cause


def _outer_box(shared: bytes, bundle: BundleId, kct: bytes, public: bytes) -> SecretBox:
    """``SecretBox(K(ss, "chaton1.pq", bid | kct | E))``."""
    return SecretBox(keyed(shared, Person.POST_QUANTUM, bundle + kct + public))
