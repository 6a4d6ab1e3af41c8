"""The key of a profile, wrapped by a passphrase (docs/protocol.md §8).

::

    "CW" 01 | salt 16 | nonce 24 | tag 16 | ProfileKey 32                                           91 bytes

The version stands for the cost too: 01 is Argon2id with 3 passes over 256 MiB, libsodium's MODERATE. The numbers are
written out here because that name may mean others in a later libsodium, and old profiles have to open.
"""

from unicodedata import normalize

from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from chaton.errors import Malformed, ProfileError, UsageError, WrongPassphrase
from chaton.vault.entropy import Entropy
from chaton.vault.keys import ProfileKey

_MAGIC = b"CW\x01"
_PASSES = 3
_MEMORY_BYTES = 256 * 2**20
_SALT_END = len(_MAGIC) + argon2id.SALTBYTES
WRAPPED_BYTES = _SALT_END + SecretBox.NONCE_SIZE + SecretBox.MACBYTES + ProfileKey.SIZE


def wrap(key: ProfileKey, passphrase: str, entropy: Entropy) -> bytes:
    """The 91 bytes that give the key back to whoever knows the passphrase. Draws 16 bytes, then 24; takes about 1 s.

    Raises:
        UsageError: An empty passphrase, or one that UTF-8 cannot write.
        ProfileError: No 256 MiB of memory to be had.
    """
    if not passphrase:
        raise UsageError("an empty passphrase protects nothing")
    salt = entropy(argon2id.SALTBYTES)
    # A fresh salt makes a fresh wrapping key, so this nonce is the only one that is ever used under it.
    return _MAGIC + salt + bytes(_box(passphrase, salt).encrypt(key.reveal(), entropy(SecretBox.NONCE_SIZE)))


def unwrap(raw: bytes, passphrase: str) -> ProfileKey:
    """The key that ``wrap`` was given. Takes about 1 s, so that guessing does too.

    Raises:
        Malformed: Not 91 bytes of a wrapped key of this version.
        WrongPassphrase: Another passphrase, or bytes that were changed: the two cannot be told apart.
        UsageError: A passphrase that UTF-8 cannot write.
        ProfileError: No 256 MiB of memory to be had.
    """
    if len(raw) != WRAPPED_BYTES or raw[: len(_MAGIC)] != _MAGIC:
        raise Malformed("no wrapped key of this version")
    box = _box(passphrase, raw[len(_MAGIC) : _SALT_END])
    try:
        return ProfileKey(box.decrypt(raw[_SALT_END:]))
    except CryptoError as cause:
        raise WrongPassphrase("the passphrase does not open the profile") from cause


def _box(passphrase: str, salt: bytes) -> SecretBox:
    """Slow and large on purpose: a guess costs an attacker with many cores as much memory as it costs us."""
    try:
        # Two keyboards may write one letter in two ways; NFC makes them one passphrase.
        password = normalize("NFC", passphrase).encode()
    except UnicodeEncodeError as cause:
        raise UsageError("this passphrase holds half a character") from cause
    try:
        key = argon2id.kdf(SecretBox.KEY_SIZE, password, salt, opslimit=_PASSES, memlimit=_MEMORY_BYTES)
    except SodiumError as cause:
        raise ProfileError("a passphrase needs 256 MiB of free memory", hint="free some, then try again") from cause
    return SecretBox(key)
