"""One message under one key: padding, commitment, nonce and box (docs/protocol.md §7).

::

    pad   = plaintext | 80 | 00*   to 256·2^k, at most 64 KiB
    nonce = BLAKE2b-24(key = mk, "chaton1.iv", random 32 | HDR | pad)
    ct    = SecretBox(K(mk, "chaton1.enc", ""))(pad, nonce)     com = K(mk, "chaton1.com", HDR)
    MSG   = HDR | com 32 | nonce 24 | u32 length | ct           ENV = MSG | Sign(message, csk, MSG)
"""

from hashlib import blake2b
from hmac import compare_digest

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from chaton.errors import Malformed, MessageRefused, UsageError
from chaton.identity.hashing import Person, keyed
from chaton.identity.statement import Label, Seed
from chaton.limits import PAD_MAX, PAD_MIN, PLAINTEXT_HEADER_BYTES, TEXT_BYTES_MAX
from chaton.room.envelope import Envelope, Header
from chaton.vault.entropy import Entropy
from chaton.vault.keys import MessageKey

_RANDOM_BYTES = 32


def pad(plaintext: bytes) -> bytes:
    """The plaintext in the smallest bucket that holds it: 256, 512, … 65536 bytes. Eavesdroppers see the bucket only.

    Raises:
        UsageError: More than 65535 bytes, the marker ``80`` being one.
    """
    size = PAD_MIN
    while size < len(plaintext) + 1:
        size *= 2
    if size > PAD_MAX:
        body = len(plaintext) - PLAINTEXT_HEADER_BYTES
        raise UsageError(f"this message has {body:,} bytes; the longest has {TEXT_BYTES_MAX:,}")
    return (plaintext + b"\x80").ljust(size, b"\0")


def unpad(padded: bytes) -> bytes:
    """What ``pad`` was given. Each plaintext has one padding only, so nothing can be hidden in it.

    Raises:
        MessageRefused: padding, where ``pad`` would not have made it.
        Malformed: Fewer than 17 bytes: kind, clock and counter precede every body.
    """
    end = len(padded.rstrip(b"\0")) - 1
    if len(padded) > PAD_MAX or end < 0 or pad(padded[:end]) != padded:
        raise MessageRefused("a message whose padding is not the one of §7", reason="padding")
    if end < PLAINTEXT_HEADER_BYTES:
        raise Malformed("a message without kind, clock and counter")
    return padded[:end]


def seal_message(key: MessageKey, header: Header, plaintext: bytes, signer: Seed, entropy: Entropy) -> Envelope:
    """Seal and sign one message. Draws 32 bytes.

    Raises:
        UsageError: More than 64 KiB when padded.
        TypeError: Fewer than 17 bytes, which every reader refuses: a bug of the caller.
    """
    if len(plaintext) < PLAINTEXT_HEADER_BYTES:
        raise TypeError(f"a plaintext of {len(plaintext)} bytes has no kind, clock and counter")
    padded = pad(plaintext)
    nonce = _nonce(key, header, padded, entropy(_RANDOM_BYTES))
    # The key seals this one message. Should a bug ever seal two, the nonce still differs: it is a hash of the text too.
    ciphertext = _box(key).encrypt(padded, nonce).ciphertext
    commitment = _commitment(key, header)
    message = header.encode() + commitment + nonce + len(ciphertext).to_bytes(4) + ciphertext
    signature = signer.sign(Label.MESSAGE, message)
    return Envelope(message + signature, header, commitment, nonce, ciphertext, signature)


def open_message(key: MessageKey, envelope: Envelope) -> bytes:
    """The plaintext of a message whose signature has been checked: kind, clock, counter, body.

    Raises:
        MessageRefused: commitment, ciphertext, padding.
        Malformed: A plaintext of fewer than 17 bytes.
    """
    # Poly1305 alone lets one ciphertext open under two keys. The commitment names the key, so all readers who open
    # this envelope read one text; it comes first, and in constant time since it is made from a secret.
    if not compare_digest(_commitment(key, envelope.header), envelope.commitment):
        raise MessageRefused("a message made under another key than its chain's", reason="commitment")
    try:
        padded = _box(key).decrypt(envelope.ciphertext, envelope.nonce)
    except CryptoError as cause:
        raise MessageRefused("a message that does not open", reason="ciphertext") from cause
    return unpad(padded)


def _nonce(key: MessageKey, header: Header, padded: bytes, random: bytes) -> bytes:
    """24 bytes from randomness and all that is sealed: should the generator fail, the text still makes them differ."""
    return blake2b(
        random + header.encode() + padded, digest_size=SecretBox.NONCE_SIZE, key=key.reveal(), person=Person.NONCE.value
    ).digest()


def _commitment(key: MessageKey, header: Header) -> bytes:
    """``com``, 32 bytes: nobody finds two keys with one value, since BLAKE2b resists collisions."""
    return keyed(key.reveal(), Person.COMMITMENT, header.encode())


def _box(key: MessageKey) -> SecretBox:
    """A key for the box alone, derived under its own person, so that nonce and commitment tell nothing about it."""
    return SecretBox(keyed(key.reveal(), Person.ENCRYPT))
