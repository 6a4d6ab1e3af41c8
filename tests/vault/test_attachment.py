"""A file as sealed pieces: byte for byte as §7.8 writes it, and nothing that was touched."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.secret import SecretBox

from chaton.errors import AttachmentRefused, UsageError
from chaton.identity.ids import BlobHash
from chaton.limits import ATTACHMENT_BYTES_MAX, BLOB_BYTES_MAX
from chaton.vault.attachment import Opener, Sealer, sealed_size
from chaton.vault.entropy import system_entropy
from chaton.vault.keys import FileKey
from tests.vault.vectors import Counting, flipped

PIECE = 65_536
SEALED = PIECE + 16
KEY = FileKey(hashlib.shake_256(b"file 1").digest(32))  # What Counting("file") gives first.
SIZES = [0, 1, 16, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5]


def content(size: int) -> bytes:
    return hashlib.shake_256(b"content").digest(size)


def by_the_book(data: bytes) -> list[bytes]:
    """The pieces as the protocol's page says it, without anything of ours."""
    count = max(1, -(-len(data) // PIECE))
    box = SecretBox(KEY.reveal())
    nonces = [bytes(15) + bytes([i == count - 1]) + i.to_bytes(8, "big") for i in range(count)]
    return [box.encrypt(data[i * PIECE : (i + 1) * PIECE], nonces[i]).ciphertext for i in range(count)]


def seal(data: bytes, step: int = 100_000) -> tuple[bytes, BlobHash]:
    sealer = Sealer(Counting("file"))
    sealed = b"".join(sealer.update(data[start : start + step]) for start in range(0, len(data), step))
    last, hashed = sealer.finish()
    assert sealer.size == len(data)
    assert sealer.key.reveal() == KEY.reveal()
    return sealed + last, hashed


def hash_of(ciphertext: bytes) -> BlobHash:
    return BlobHash(hashlib.blake2b(ciphertext, digest_size=32).digest())


def opened(ciphertext: bytes, hashed: BlobHash, size: int, step: int = 100_000, key: FileKey = KEY) -> bytes:
    opener = Opener(key, hashed, size)
    plain = b"".join(opener.update(ciphertext[start : start + step]) for start in range(0, len(ciphertext), step))
    opener.finish()
    return plain


def refused(pieces: list[bytes], size: int) -> str:
    """Why pieces are refused of which even the hash was made to fit."""
    ciphertext = b"".join(pieces)
    with pytest.raises(AttachmentRefused) as refusal:
        opened(ciphertext, hash_of(ciphertext), size)
    return refusal.value.reason


@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_are_those_of_the_protocol(size: int) -> None:
    data = content(size)
    ciphertext, hashed = seal(data)
    assert ciphertext == b"".join(by_the_book(data))
    assert hashed == hash_of(ciphertext)
    assert len(ciphertext) == sealed_size(size)
    assert opened(ciphertext, hashed, size) == data


@given(st.integers(0, 3 * PIECE), st.integers(5_000, 2 * PIECE), st.integers(5_000, 2 * PIECE))
@settings(deadline=None)
def test_how_it_is_cut_on_the_way_does_not_matter(size: int, up: int, down: int) -> None:
    data = content(size)
    ciphertext, hashed = seal(data, up)
    assert (ciphertext, hashed) == seal(data)
    assert opened(ciphertext, hashed, size, down) == data


def test_no_two_sizes_make_the_same() -> None:
    around = [size for edge in range(0, 4 * PIECE, PIECE) for size in range(max(0, edge - 40), edge + 40)]
    assert len({sealed_size(size) for size in around}) == len(around)
    assert sealed_size(ATTACHMENT_BYTES_MAX) == BLOB_BYTES_MAX


def test_pieces_that_change_places_are_refused() -> None:
    first, second, last = by_the_book(content(2 * PIECE + 9))
    assert refused([second, first, last], 2 * PIECE + 9) == "ciphertext"


def test_a_piece_that_is_left_out_is_refused() -> None:
    first, _, last = by_the_book(content(2 * PIECE + 9))
    assert refused([first, last], PIECE + 9) == "ciphertext"  # The size in the message made to fit as well.
    assert refused([first, last], 2 * PIECE + 9) == "size"


def test_a_piece_that_comes_twice_is_refused() -> None:
    first, last = by_the_book(content(PIECE + 9))
    assert refused([first, first, last], 2 * PIECE + 9) == "ciphertext"


def test_an_end_that_is_cut_off_is_refused() -> None:
    first, second, last = by_the_book(content(2 * PIECE + 9))
    assert refused([first, second], 2 * PIECE) == "ciphertext"  # The second piece says that it is not the last.
    assert refused([first, second], 2 * PIECE + 9) == "size"
    assert refused([first, second, last[:-1]], 2 * PIECE + 9) == "size"
    assert refused([first, second, last[:-1]], 2 * PIECE + 8) == "ciphertext"
    assert refused([], 0) == "size"


def test_what_comes_behind_the_end_is_refused() -> None:
    pieces = by_the_book(content(PIECE))
    assert refused([*pieces, b"x"], PIECE) == "size"
    assert refused([*pieces, pieces[0]], PIECE) == "size"
    assert refused([*pieces, pieces[0]], 2 * PIECE) == "ciphertext"


def test_a_piece_that_wrongly_says_it_is_the_last_is_refused() -> None:
    data = content(2 * PIECE)
    box = SecretBox(KEY.reveal())
    early = box.encrypt(data[:PIECE], bytes(15) + b"\1" + bytes(8)).ciphertext
    late = box.encrypt(data[PIECE:], bytes(16) + (1).to_bytes(8, "big")).ciphertext
    first, last = by_the_book(data)
    assert refused([early, last], 2 * PIECE) == "ciphertext"
    assert refused([first, late], 2 * PIECE) == "ciphertext"


@pytest.mark.parametrize("position", [0, 15, 16, SEALED - 1, SEALED, -1])
def test_a_changed_bit_is_refused(position: int) -> None:
    ciphertext, _ = seal(content(PIECE + 9))
    assert refused([flipped(ciphertext, position, 3)], PIECE + 9) == "ciphertext"


def test_another_key_does_not_open_it() -> None:
    ciphertext, hashed = seal(content(9))
    with pytest.raises(AttachmentRefused, match="does not open"):
        opened(ciphertext, hashed, 9, key=FileKey(b"k" * 32))


def test_another_file_of_the_same_key_and_size_is_refused() -> None:
    """Whoever knows the key may seal another text of the same length; only the hash tells the two apart."""
    _, hashed = seal(content(PIECE + 9))
    other = b"".join(by_the_book(b"z" * (PIECE + 9)))
    with pytest.raises(AttachmentRefused) as refusal:
        opened(other, hashed, PIECE + 9)
    assert refusal.value.reason == "hash"


def test_more_than_a_hundred_mebibytes_are_refused() -> None:
    sealer, mebibyte = Sealer(system_entropy), bytes(2**20)
    for _ in range(100):
        sealer.update(mebibyte)
    with pytest.raises(UsageError, match="100 MiB"):
        sealer.update(b"x")
    with pytest.raises(AttachmentRefused) as refusal:
        Opener(KEY, BlobHash.zero(), ATTACHMENT_BYTES_MAX + 1)
    assert refusal.value.reason == "size"
    Opener(KEY, BlobHash.zero(), ATTACHMENT_BYTES_MAX)


def test_each_file_has_a_key_of_its_own() -> None:
    keys = {Sealer(system_entropy).key.reveal() for _ in range(3)}
    assert len(keys) == 3
