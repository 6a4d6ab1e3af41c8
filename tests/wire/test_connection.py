"""Cutting a stream into frames: whole, byte by byte, and at every limit."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed
from chaton.limits import FRAME_BYTES_MAX
from chaton.wire import codec, frames
from chaton.wire.connection import reader_of_client, reader_of_relay

FRAMES = [frames.Ping(1), frames.Turn(2, bytes(32)), frames.Send(3, bytes(32), bytes(5_000)), frames.Ping(4)]
STREAM = b"".join(map(codec.encode, FRAMES))


def test_whole() -> None:
    assert list(reader_of_client().feed(STREAM)) == FRAMES


def test_byte_by_byte() -> None:
    reader = reader_of_client()
    assert [frame for byte in STREAM for frame in reader.feed(bytes([byte]))] == FRAMES


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_cut_anywhere(cuts: list[int]) -> None:
    reader, places = reader_of_client(), [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(places)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == FRAMES


def test_frames_before_a_malformed_one_are_given_out_and_none_after() -> None:
    reader = reader_of_client()
    given_out = reader.feed(codec.encode(FRAMES[0]) + b"\0\0\0\1\xc1" + codec.encode(FRAMES[3]))
    assert next(given_out) == FRAMES[0]
    with pytest.raises(Malformed):
        next(given_out)
    assert reader.spent
    assert list(reader.feed(STREAM)) == []


def test_a_frame_longer_than_allowed_is_refused_by_its_length_alone() -> None:
    for largest, length in ((FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1), (4_096, 4_097), (FRAME_BYTES_MAX, 2**32 - 1)):
        with pytest.raises(Malformed):
            list(reader_of_client(largest).feed(length.to_bytes(4)))


def test_an_empty_frame_is_malformed() -> None:
    with pytest.raises(Malformed):
        list(reader_of_relay().feed(bytes(4)))


@given(st.binary(max_size=300))
def test_any_bytes_give_frames_or_malformed(raw: bytes) -> None:
    reader = reader_of_relay()
    try:
        list(reader.feed(raw))
    except Malformed:
        assert reader.spent
