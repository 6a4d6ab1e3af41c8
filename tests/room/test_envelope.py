"""The outside of messages: every byte is judged, and nothing is opened."""

import json
from hashlib import blake2b
from pathlib import Path

import pytest

from chaton.errors import Malformed
from chaton.identity.ids import ChainId, Head, RoomId, Transcript
from chaton.room.envelope import HEADER_BYTES, Envelope, Header, header_of, message_id

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "message.json").read_text())
SEALED = [case for case in VECTORS["seal"] if case.get("envelope")]
RAW = bytes.fromhex(SEALED[0]["envelope"])
SIGNATURE_BYTES = 64


@pytest.mark.parametrize("case", SEALED, ids=lambda case: case["id"][:8])
def test_an_envelope_reads_to_its_last_byte(case: dict) -> None:
    raw = bytes.fromhex(case["envelope"])
    read = Envelope.decode(raw)
    length = len(read.ciphertext).to_bytes(4)
    parts = (read.header.encode(), read.commitment, read.nonce, length, read.ciphertext, read.signature)
    assert b"".join(parts) == raw == read.raw
    assert [len(part) for part in parts] == [145, 32, 24, 4, len(raw) - 269, 64]
    assert read.signed == raw[:-SIGNATURE_BYTES]
    assert str(read.id) == str(message_id(raw)) == case["id"]
    assert read.header == header_of(raw) == header_from(case["header"])


def header_from(fields: dict) -> Header:
    return Header(
        RoomId.from_hex(fields["room"]),
        ChainId.from_hex(fields["chain"]),
        fields["i"],
        fields["n"],
        Head.from_hex(fields["head"]),
        fields["s"],
        Transcript.from_hex(fields["t"]),
    )


def test_what_is_mutable_is_not_shared() -> None:
    raw = bytearray(RAW)
    read = Envelope.decode(raw)
    raw[:] = bytes(len(raw))
    assert (read.raw, read.nonce, read.commitment) == (RAW, RAW[177:201], RAW[145:177])
    assert read.ciphertext + read.signature == RAW[205:]


@pytest.mark.parametrize("size", [0, 2, 3, HEADER_BYTES - 1])
def test_a_cut_header_is_malformed(size: int) -> None:
    with pytest.raises(Malformed, match="no message"):
        Header.decode(RAW[:size])
    assert Header.decode(RAW[:HEADER_BYTES]).encode() == RAW[:HEADER_BYTES]


@pytest.mark.parametrize("at", range(3))
def test_another_beginning_is_malformed(at: int) -> None:
    with pytest.raises(Malformed, match="no message"):
        Envelope.decode(RAW[:at] + bytes([RAW[at] ^ 1]) + RAW[at + 1 :])


def sized(padded: int, *, cut: int = 0) -> bytes:
    sealed = padded + 16
    return RAW[:201] + (sealed % 2**32).to_bytes(4) + bytes(max(sealed - cut, 0) + SIGNATURE_BYTES)


@pytest.mark.parametrize("padded", [2**k for k in range(8, 17)])
def test_a_bucket_is_a_power_of_two(padded: int) -> None:
    assert len(Envelope.decode(sized(padded)).ciphertext) == padded + 16


@pytest.mark.parametrize("padded", [-17, -16, 0, 1, 128, 255, 257, 384, 65_535, 65_537, 98_304, 131_072])
def test_another_length_is_malformed(padded: int) -> None:
    with pytest.raises(Malformed, match="padding"):
        Envelope.decode(sized(padded))


@pytest.mark.parametrize("cut", [-1, 1, 16, 272])
def test_a_cut_or_longer_message_is_malformed(cut: int) -> None:
    with pytest.raises(Malformed, match="cut"):
        Envelope.decode(sized(256, cut=cut))


def test_any_bytes_have_a_place_in_the_transcript() -> None:
    assert message_id(b"no message") == blake2b(b"no message", digest_size=32, person=b"chaton1.msgid").digest()
