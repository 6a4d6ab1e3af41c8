"""Names, nicks and reasons as the relay sees them: sealed under the room's info key (docs/protocol.md §2).

::

    info = nonce 24 (random) | tag 16 | text | 80 | 00*   the padded text a multiple of 64 bytes
"""

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from chaton.errors import Malformed, UsageError
from chaton.identity.secret import RoomInfoKey
from chaton.vault.entropy import Entropy

_BLOCK_BYTES = 64
_OVERHEAD_BYTES = SecretBox.NONCE_SIZE + SecretBox.MACBYTES


def text_bytes_max(limit: int) -> int:
    """Bytes of UTF-8 that fit a field of ``limit`` bytes: 191, 447 and 959 for 256, 512 and 1024."""
    return (limit - _OVERHEAD_BYTES) // _BLOCK_BYTES * _BLOCK_BYTES - 1


def seal_info(rik: RoomInfoKey, text: str, limit: int, entropy: Entropy) -> bytes:
    """Seal a text, empty ones too, for a field of at most ``limit`` bytes. Draws 24 bytes.

    Raises:
        UsageError: It does not fit, or is no text that UTF-8 can write.
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError as cause:
        raise UsageError("this text holds half a character, which cannot be sent") from cause
    most = text_bytes_max(limit)
    if len(raw) > most:
        raise UsageError(f"this text has {len(raw)} bytes; at most {most} fit")
    # One key for all of a room's texts: 24 random bytes do not repeat in the 10,000 records that a room can have.
    return bytes(SecretBox(rik.reveal()).encrypt(_pad(raw), entropy(SecretBox.NONCE_SIZE)))


def open_info(rik: RoomInfoKey, raw: bytes) -> str:
    """The text of a field. Who shows it shows "" for any that raises: the fold takes whatever bytes stand there.

    Every member holds the key, so what opens may be any member's; the record's signature says whose it is.

    Raises:
        Malformed: ciphertext, padding, or format where it is not UTF-8.
    """
    try:
        padded = SecretBox(rik.reveal()).decrypt(raw)
    except CryptoError as cause:
        raise Malformed("a sealed text that does not open", reason="ciphertext") from cause
    try:
        return _unpad(padded).decode()
    except UnicodeDecodeError as cause:
        raise Malformed("a sealed text that is not UTF-8") from cause


def _pad(text: bytes) -> bytes:
    """To the next multiple of 64, shortest only, so that the relay learns a nick's length roughly at most."""
    size = (len(text) // _BLOCK_BYTES + 1) * _BLOCK_BYTES
    return (text + b"\x80").ljust(size, b"\0")


def _unpad(padded: bytes) -> bytes:
    end = len(padded.rstrip(b"\0")) - 1
    if end < 0 or _pad(padded[:end]) != padded:
        raise Malformed("a sealed text whose padding is not the one of §2", reason="padding")
    return padded[:end]
