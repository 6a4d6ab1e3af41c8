"""A bundle with its private keys: what others seal parcels to, and what opens them (docs/protocol.md §4)."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from nacl.public import PrivateKey

from chaton.errors import Malformed
from chaton.identity.bundle import Bundle, bundle_body
from chaton.identity.ids import BundleId, Identity
from chaton.identity.statement import Label, Seed
from chaton.vault.entropy import Entropy
from chaton.vault.keys import BoxKey, MlkemSeed


@dataclass(frozen=True, slots=True)
class OwnBundle:
    """A bundle that this installation made, with what opens the parcels sealed to it.

    Whoever drops the last reference to it has erased its private keys, as far as Python can.
    """

    bundle: Bundle
    box: BoxKey
    mlkem: MlkemSeed

    @property
    def id(self) -> BundleId:
        """``bid``, the hash of the public bundle."""
        return self.bundle.id


def make_bundle(seed: Seed, *, counter: int, expires: int, entropy: Entropy) -> OwnBundle:
    """Fresh keys, signed by the identity of ``seed``. Draws 32 bytes, then 64.

    Args:
        seed: The identity's signing key.
        counter: max(last + 1, now), in ms; the caller keeps the last one.
        expires: When others stop sealing to it, in ms; at most 14 days after ``counter``.
        entropy: The keys come from it alone: each bundle has its own, so that erasing one closes what it opened.
    """
    box, mlkem = BoxKey(entropy(BoxKey.SIZE)), MlkemSeed(entropy(MlkemSeed.SIZE))
    body = bundle_body(Identity(seed.public), counter, expires, *_public_keys(box, mlkem))
    return OwnBundle(Bundle.decode(body + seed.sign(Label.BUNDLE, body)), box, mlkem)


def restore_bundle(raw: bytes, box: BoxKey, mlkem: MlkemSeed) -> OwnBundle:
    """A bundle read back from the profile.

    Raises:
        Malformed: Not 1331 bytes of a bundle, or the private keys are those of another one.
        BadSignature: Not signed by the identity that it names.
    """
    bundle = Bundle.decode(raw)
    if (bundle.x25519, bundle.mlkem768) != _public_keys(box, mlkem):
        raise Malformed("a bundle whose private keys are those of another one")
    return OwnBundle(bundle, box, mlkem)


def _public_keys(box: BoxKey, mlkem: MlkemSeed) -> tuple[bytes, bytes]:
    """X25519, 32 bytes, and ML-KEM-768, 1184 bytes. Both are functions of the private key, so neither can drift."""
    encapsulation = MLKEM768PrivateKey.from_seed_bytes(mlkem.reveal()).public_key()
    return bytes(PrivateKey(box.reveal()).public_key), encapsulation.public_bytes_raw()
