"""What a client draws: the system's random bytes, mixed with the time."""

import time
from hashlib import blake2b
from typing import Final

from chaton.vault.entropy import system_entropy

_KEY_BYTES: Final = 64


def fresh_entropy(size: int) -> bytes:
    """``size`` bytes that nobody can predict, 64 at most; an ``Entropy``.

    A virtual machine that is put back to an earlier state may draw once more what it has drawn before (Ristenpart,
    Yilek 2010), and one key or nonce would serve two plaintexts. By then it is another time.
    """
    # Under a secret random key a hash of anything is as random as its key: if the generator is good, the clock is
    # welcome to be anything.
    return blake2b(time.time_ns().to_bytes(8, signed=True), key=system_entropy(_KEY_BYTES), digest_size=size).digest()
