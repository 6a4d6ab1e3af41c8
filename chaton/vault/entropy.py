"""Where randomness comes from: a function handed in, so that a test can replay what was drawn."""

from typing import Protocol

from nacl.utils import random


class Entropy(Protocol):
    """A source of secret random bytes. Each call gives fresh ones; nothing in the vault draws any other way.

    One exception, which no library lets us choose: ML-KEM encapsulation draws its 32 bytes itself (see parcel).
    """

    def __call__(self, size: int) -> bytes:
        """Exactly ``size`` bytes that nobody can predict."""
        ...


def system_entropy(size: int) -> bytes:
    """``size`` bytes from the operating system's generator, through libsodium, which blocks until it is seeded."""
    return random(size)
