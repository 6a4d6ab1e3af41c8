"""One message under one key, byte for byte as in the vectors, and nothing that was touched."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed, MessageRefused, ProtocolError, UsageError
from chaton.identity.hashing import Person, keyed
from chaton.identity.ids import ChainId, Head, RoomId, Transcript
from chaton.identity.statement import Label, Seed
from chaton.room.envelope import Envelope, Header
from chaton.vault.chain import message_key, next_secret
from chaton.vault.keys import ChainSecret, MessageKey
from chaton.vault.message import open_message, pad, seal_message, unpad

from .vectors import HEAD, ROOM, TRANSCRIPT, Counting, Recorded, flipped, load, person

SEAL = load("message")["seal"]
KEY = MessageKey(b"k" * 32)
HEADER = Header(ROOM, ChainId(b"c" * 32), 3, 7, HEAD, 99, TRANSCRIPT)
TEXT = b"\x01" + bytes(16) + b"hello"
PADDED = [256 << k for k in range(9)]


def plaintext_of(case: dict) -> bytes:
    if isinstance(case["plaintext"], dict):
        prefix, byte, count = case["plaintext"]["repeat"]
        return bytes.fromhex(prefix) + bytes.fromhex(byte) * count
    return bytes.fromhex(case["plaintext"])


def header_of(fields: dict) -> Header:
    return Header(
        RoomId.from_hex(fields["room"]),
        ChainId.from_hex(fields["chain"]),
        fields["i"],
        fields["n"],
        Head.from_hex(fields["head"]),
        fields["s"],
        Transcript.from_hex(fields["t"]),
    )


def sealed(plaintext: bytes = TEXT) -> Envelope:
    return seal_message(KEY, HEADER, plaintext, person("chain")[0], Counting("message"))


@pytest.mark.parametrize("case", SEAL, ids=lambda case: case["id"][:8])
class TestSeal:
    def test_gives_the_envelope_of_the_vector(self, case: dict) -> None:
        header, secret = header_of(case["header"]), ChainSecret(bytes.fromhex(case["ck"]))
        key, signer = message_key(secret, header.chain, header.index), Seed(bytes.fromhex(case["csk_seed"]))
        entropy = Recorded(case["random"])
        envelope = seal_message(key, header, plaintext_of(case), signer, entropy)
        if "envelope" in case:
            assert envelope.raw.hex() == case["envelope"]
        else:
            assert len(envelope.raw) == case["envelope_length"]
            assert hashlib.blake2b(envelope.raw, digest_size=32).hexdigest() == case["envelope_blake2b"]
        assert envelope.id.hex() == case["id"]
        assert next_secret(secret, header.chain, header.index).reveal().hex() == case["next_ck"]
        assert not entropy.pieces

    def test_opens_to_the_plaintext(self, case: dict) -> None:
        header, secret = header_of(case["header"]), ChainSecret(bytes.fromhex(case["ck"]))
        key = message_key(secret, header.chain, header.index)
        envelope = seal_message(
            key, header, plaintext_of(case), Seed(bytes.fromhex(case["csk_seed"])), Counting("other")
        )
        assert open_message(key, envelope) == plaintext_of(case)


def test_the_long_vectors_are_there() -> None:
    assert len(SEAL) == 7
    assert max(len(plaintext_of(case)) for case in SEAL) == 65_535


@pytest.mark.parametrize("size", PADDED)
def test_a_bucket_is_full_one_byte_before_its_end(size: int) -> None:
    assert len(pad(bytes(size - 1))) == size
    assert unpad(pad(bytes(size - 1))) == bytes(size - 1)
    if size < PADDED[-1]:
        assert len(pad(bytes(size))) == 2 * size


def test_too_long_a_text_names_the_longest() -> None:
    with pytest.raises(UsageError, match=r"65,519 bytes.*65,518"):
        sealed(bytes(65_536))


@given(st.binary(min_size=17, max_size=2000))
def test_pad_and_back(plaintext: bytes) -> None:
    assert len(pad(plaintext)) in PADDED
    assert unpad(pad(plaintext)) == plaintext


@given(
    st.binary(max_size=1200)
    | st.builds(
        lambda text, zeros, size: (text + b"\x80" + bytes(zeros)).ljust(size, b"\0"),
        st.binary(max_size=600),
        st.integers(0, 600),
        st.sampled_from([0, 256, 512, 1024]),
    )
)
def test_unpad_reads_one_form_only(padded: bytes) -> None:
    try:
        plaintext = unpad(padded)
    except (MessageRefused, Malformed):
        return
    assert pad(plaintext) == padded


@pytest.mark.parametrize(
    ("padded", "reason"),
    [
        (b"", "padding"),
        (bytes(256), "padding"),
        (b"x" * 256, "padding"),
        (pad(TEXT) + bytes(256), "padding"),
        (pad(TEXT)[:-1] + b"\x01", "padding"),
        ((b"x" * 100_000 + b"\x80").ljust(131_072, b"\0"), "padding"),
        (b"\x80" + bytes(255), "format"),
        (b"x" * 16 + b"\x80" + bytes(239), "format"),
    ],
)
def test_unpad_refuses(padded: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        unpad(padded)
    assert caught.value.reason == reason


def test_our_own_bug_of_a_text_without_header_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        sealed(bytes(16))


def test_the_nonce_depends_on_text_even_if_randomness_repeats() -> None:
    assert sealed().nonce != sealed(TEXT + b"!").nonce


def test_neither_key_nor_text_shows_in_the_envelope() -> None:
    raw = sealed(TEXT + b"a rather long text that would be seen").raw
    assert b"rather" not in raw
    assert KEY.reveal() not in raw
    assert keyed(KEY.reveal(), Person.ENCRYPT) not in raw


def test_another_key_is_refused_by_the_commitment() -> None:
    with pytest.raises(MessageRefused) as caught:
        open_message(MessageKey(b"x" * 32), sealed())
    assert caught.value.reason == "commitment"


def reason_when_signed_again(raw: bytes) -> str:
    """Flip bits as the sender could: under a fresh signature, which no reader of this function looks at."""
    try:
        envelope = Envelope.decode(raw)
        open_message(KEY, envelope)
    except (Malformed, MessageRefused) as refused:
        return refused.reason
    return "opened"


def test_a_flip_anywhere_before_the_signature_is_refused_even_if_signed_again() -> None:
    raw = sealed().raw
    reasons = [reason_when_signed_again(flipped(raw, position, position % 8)) for position in range(len(raw) - 64)]
    assert reasons[:3] == ["format"] * 3
    assert set(reasons[3:177]) == {"commitment"}
    assert set(reasons[177:201]) == {"ciphertext"}
    assert set(reasons[201:205]) == {"format"}
    assert set(reasons[205:]) == {"ciphertext"}


def test_the_signature_is_under_label_message() -> None:
    signer, _ = person("chain")
    envelope = sealed()
    assert signer.sign(Label.MESSAGE, envelope.signed) == envelope.signature
