"""A file as a stream of sealed pieces (docs/protocol.md §7.8).

::

    piece i  = SecretBox(key)(at most 65,536 bytes, nonce = 00^15 | last u8 | i u64)    tag 16 first
    hash     = BLAKE2b-256 of all pieces one after another, no key, no person

Every piece but the last is full; an empty file is one empty last piece. Nothing is held but the piece under way, so
a file of any size passes through in constant memory.
"""

from hashlib import blake2b
from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from chaton.errors import AttachmentRefused, UsageError
from chaton.identity.ids import BlobHash
from chaton.limits import ATTACHMENT_BYTES_MAX, SEALED_PIECE_BYTES, SEALED_PIECE_OVERHEAD
from chaton.vault.entropy import Entropy
from chaton.vault.keys import FileKey

_SEALED_BYTES: Final = SEALED_PIECE_BYTES + SEALED_PIECE_OVERHEAD


def sealed_size(size: int) -> int:
    """How many bytes of ciphertext a file of ``size`` bytes makes. No two sizes make the same."""
    return size + SEALED_PIECE_OVERHEAD * max(1, -(-size // SEALED_PIECE_BYTES))


class Sealer:
    """Seals one file from its first byte to its last. Draws 32 bytes for its key.

    The key is drawn here, seals this one stream, and a sealer cannot be turned back: no nonce is ever used for two
    plaintexts, even if the file changes between two reads.

    Attributes:
        key: What opens the file; it travels inside the message.
        size: Bytes of plaintext so far.
    """

    def __init__(self, entropy: Entropy) -> None:
        self.key = FileKey(entropy(FileKey.SIZE))
        self.size = 0
        self._box = SecretBox(self.key.reveal())
        self._hash = blake2b(digest_size=BlobHash.SIZE)
        self._rest = b""
        self._index = 0

    def update(self, plaintext: bytes) -> bytes:
        """Take in what comes next; the ciphertext of all pieces that are known not to be the last.

        Raises:
            UsageError: The file has more than 100 MiB.
        """
        self.size += len(plaintext)
        if self.size > ATTACHMENT_BYTES_MAX:
            raise UsageError(f"a file has at most {ATTACHMENT_BYTES_MAX // 2**20} MiB, and this one has more")
        data = self._rest + plaintext
        # What fills a piece is sealed only once something follows it: a full piece may be the last one.
        whole = max(0, len(data) - 1) // SEALED_PIECE_BYTES * SEALED_PIECE_BYTES
        self._rest = data[whole:]
        starts = range(0, whole, SEALED_PIECE_BYTES)
        return b"".join(self._seal(data[start : start + SEALED_PIECE_BYTES], last=False) for start in starts)

    def finish(self) -> tuple[bytes, BlobHash]:
        """The ciphertext of the last piece, and the hash of all. Called once, at the end."""
        last = self._seal(self._rest, last=True)
        return last, BlobHash(self._hash.digest())

    def _seal(self, piece: bytes, *, last: bool) -> bytes:
        # The index counts on with each piece and the key is this stream's alone, so each nonce is used once.
        ciphertext = self._box.encrypt(piece, _nonce(self._index, last=last)).ciphertext
        self._index += 1
        self._hash.update(ciphertext)
        return ciphertext


class Opener:
    """Opens one file from its first byte to its last. What it gives must not be used before ``finish`` has passed.

    Args:
        key: From the message.
        named: The hash of the ciphertext, from the message.
        size: The plaintext's in bytes, as the message claims.

    Raises:
        AttachmentRefused: size, over 100 MiB.
    """

    def __init__(self, key: FileKey, named: BlobHash, size: int) -> None:
        if size > ATTACHMENT_BYTES_MAX:
            raise AttachmentRefused("a message that names a file of more than 100 MiB", reason="size")
        self._box = SecretBox(key.reveal())
        self._named = named
        self._left = sealed_size(size)
        self._hash = blake2b(digest_size=BlobHash.SIZE)
        self._rest = b""
        self._index = 0

    def update(self, ciphertext: bytes) -> bytes:
        """Take in what comes next; the plaintext of the pieces that are whole by now.

        Raises:
            AttachmentRefused: ciphertext, where a piece was changed, moved or left out; size, where more comes than
                the message claims.
        """
        self._hash.update(ciphertext)
        data, start, pieces = self._rest + ciphertext, 0, []
        while start < len(data) and len(data) - start >= (length := min(_SEALED_BYTES, self._left)):
            if not length:
                raise AttachmentRefused("a file that is longer than its message says", reason="size")
            self._left -= length
            pieces.append(self._open(data[start : start + length]))
            start += length
        self._rest = data[start:]
        return b"".join(pieces)

    def finish(self) -> None:
        """Nothing more comes: the file is whole, and is the one that the message names.

        Raises:
            AttachmentRefused: size, where some of it is missing; hash.
        """
        if self._left:
            raise AttachmentRefused("a file that is shorter than its message says", reason="size")
        # SecretBox alone lets one ciphertext open under two keys, and two ciphertexts of one size under one key;
        # the hash in the signed message names this one. It is no secret, so a plain comparison gives nothing away.
        if self._hash.digest() != self._named:
            raise AttachmentRefused("another file than the one that was sent", reason="hash")

    def _open(self, piece: bytes) -> bytes:
        # Place and end are part of the nonce, so a piece that was moved, or an end that was cut, does not open.
        nonce = _nonce(self._index, last=not self._left)
        self._index += 1
        try:
            return self._box.decrypt(piece, nonce)
        except CryptoError as cause:
            raise AttachmentRefused("a file with a piece that does not open", reason="ciphertext") from cause


def _nonce(index: int, *, last: bool) -> bytes:
    """24 bytes: the piece's place, and whether it is the end."""
    return bytes(15) + bytes([last]) + index.to_bytes(8)
