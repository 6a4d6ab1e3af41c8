"""The private keys of Chaton/1 as types: one a purpose, so that none is used for another's."""

from typing import ClassVar

from chaton.identity.secret import Secret
from chaton.identity.statement import Seed
from chaton.vault.entropy import Entropy


class BoxKey(Secret):
    """The X25519 private key of one bundle, 32 bytes (docs/protocol.md §4)."""

    __slots__ = ()


class MlkemSeed(Secret):
    """The ML-KEM-768 private key of one bundle, in its 64-byte form ``d | z`` (§4)."""

    SIZE: ClassVar[int] = 64
    __slots__ = ()


class ChainSecret(Secret):
    """``CK_i``: the state of a sender chain, from which index ``i`` and all later ones can be read (§6)."""

    __slots__ = ()


class MessageKey(Secret):
    """``mk_i``: the key of one message, used once to seal and once to open (§6)."""

    __slots__ = ()


class FileKey(Secret):
    """The key of one attachment: it seals one stream of pieces, once (§7)."""

    __slots__ = ()


class ProfileKey(Secret):
    """The random key under which a profile keeps what it keeps on disk (§8)."""

    __slots__ = ()


def new_seed(entropy: Entropy) -> Seed:
    """A fresh Ed25519 key: an identity, or the signing key of a chain. Draws 32 bytes."""
    return Seed(entropy(Seed.SIZE))
