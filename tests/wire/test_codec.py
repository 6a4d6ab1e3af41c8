"""Frames: what encodes reads back, and any other bytes are refused with the one typed error."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed
from chaton.limits import BATCH_MAX, ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX, PIECE_BYTES_MAX, UINT_MAX
from chaton.wire import codec, frames

key = st.binary(min_size=32, max_size=32)
uint = st.integers(0, UINT_MAX)
ref = st.integers(0, 2**32 - 1)
records = st.lists(st.binary(max_size=300), max_size=4)
word, detail = st.text(max_size=40), st.text(max_size=300)
parcel = st.builds(frames.ParcelTo, key, st.binary(max_size=1747))
summary = st.builds(frames.RoomSummary, key, uint, uint, st.booleans())
direct = st.builds(frames.DirectSummary, key, key, uint)

OF_CLIENT = st.one_of(
    st.builds(frames.Login, st.binary(min_size=128, max_size=128)),
    st.builds(frames.Peek, ref, key, key, key, st.binary(min_size=64, max_size=64)),
    st.builds(frames.Log, ref, key, st.integers(-1, 2**32 - 1)),
    st.builds(frames.Create, ref, st.binary(max_size=2400)),
    st.builds(frames.Submit, ref, key, st.binary(max_size=2400)),
    st.builds(frames.Turn, ref, key),
    st.builds(frames.Follow, ref, key, uint),
    st.builds(frames.Unfollow, ref, key),
    st.builds(frames.Send, ref, key, st.binary(max_size=600)),
    st.builds(frames.Direct, ref, key),
    st.builds(frames.Publish, ref, st.binary(max_size=1331)),
    st.builds(frames.Bundles, ref, st.lists(key, max_size=5)),
    st.builds(frames.Parcels, ref, key, st.lists(parcel, max_size=3)),
    st.builds(frames.ParcelTaken, ref, st.lists(uint, max_size=5)),
    st.builds(frames.Ping, ref),
    st.builds(frames.Put, ref, key, key, uint, uint, st.binary(max_size=600)),
    st.builds(frames.PutStatus, ref, key, key),
    st.builds(frames.Get, ref, key, key, uint),
)
OF_RELAY = st.one_of(
    st.builds(frames.Welcome, key, uint, word, st.builds(frames.Limits, uint, uint, uint, uint)),
    st.builds(frames.LoggedIn, st.lists(summary, max_size=3), st.lists(direct, max_size=3)),
    st.builds(frames.Refused, ref, word, detail, uint, records),
    st.builds(frames.Done, ref),
    st.builds(frames.Accepted, ref, uint, key),
    st.builds(frames.YourTurn, ref, uint, key),
    st.builds(frames.RecordsPage, ref, uint, records),
    st.builds(frames.LogEnd, ref, uint, key),
    st.builds(frames.Event, key, uint, uint, st.integers(0, 2), key, st.binary(max_size=600)),
    st.builds(frames.CaughtUp, ref, key, uint),
    st.builds(frames.BundleList, ref, st.lists(st.binary(max_size=1331), max_size=3)),
    st.builds(frames.ParcelsStored, ref, st.lists(st.binary(max_size=1331), max_size=3), st.lists(key, max_size=3)),
    st.builds(frames.Parcel, uint, st.binary(max_size=1747)),
    st.builds(frames.ParcelsEnd),
    st.builds(frames.DirectRoom, key, key, uint),
    st.builds(frames.LogMoved, key),
    st.builds(frames.Presence, key, key, st.booleans()),
    st.builds(frames.Present, key, st.lists(key, max_size=3)),
    st.builds(frames.Pong, ref),
    st.builds(frames.Goodbye, word, detail, uint),
    st.builds(frames.BlobState, ref, uint, uint),
    st.builds(frames.BlobPiece, ref, uint, uint, st.binary(max_size=600)),
)


def body(frame: object) -> bytes:
    return codec.encode(frame)[codec.PREFIX_BYTES :]


def test_every_frame_is_covered_here() -> None:
    of_client = set(frames.AnyClientFrame.__args__)
    of_relay = set(frames.AnyRelayFrame.__args__)
    assert len(of_client) == len(OF_CLIENT.original_strategies)
    assert len(of_relay) == len(OF_RELAY.original_strategies)
    assert set(frames.ANSWERS) == of_client - {frames.Login}


@given(OF_CLIENT)
def test_client_frames_read_back(frame: frames.AnyClientFrame) -> None:
    assert codec.decode_of_client(body(frame)) == frame
    with pytest.raises(Malformed):
        codec.decode_of_relay(body(frame))


@given(OF_RELAY)
def test_relay_frames_read_back(frame: frames.AnyRelayFrame) -> None:
    assert codec.decode_of_relay(body(frame)) == frame
    with pytest.raises(Malformed):
        codec.decode_of_client(body(frame))


@given(st.binary(max_size=200))
def test_any_bytes_read_to_themselves_or_are_malformed(raw: bytes) -> None:
    for decode in (codec.decode_of_client, codec.decode_of_relay):
        try:
            frame = decode(raw)
        except Malformed:
            continue
        assert body(frame) == raw


@given(OF_CLIENT, st.data())
def test_a_changed_byte_reads_to_itself_or_is_malformed(frame: frames.AnyClientFrame, data: st.DataObject) -> None:
    raw = bytearray(body(frame))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        again = codec.decode_of_client(bytes(raw))
    except Malformed:
        return
    assert body(again) == bytes(raw)


def pack(*fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


@pytest.mark.parametrize(
    ("why", "raw"),
    [
        ("no bytes", b""),
        ("no array", pack(15, 3)[1:]),
        ("unknown tag", pack(200, 3)),
        ("missing field", pack(15)),
        ("extra field", pack(15, 3, 4)),
        ("text for a number", pack(15, "3")),
        ("truth for a number", pack(15, True)),
        ("fraction for a number", pack(15, 3.0)),
        ("number below zero", pack(15, -1)),
        ("number over its limit", pack(15, 2**32)),
        ("number over SQLite's", pack(7, 1, bytes(32), UINT_MAX + 1)),
        ("text for bytes", pack(6, 1, "x" * 32)),
        ("short key", pack(6, 1, bytes(31))),
        ("long key", pack(6, 1, bytes(33))),
        ("long envelope", pack(9, 1, bytes(32), bytes(ENVELOPE_BYTES_MAX + 1))),
        ("long piece", pack(16, 1, bytes(32), bytes(32), 1, 0, bytes(PIECE_BYTES_MAX + 1))),
        ("piece before the start", pack(16, 1, bytes(32), bytes(32), 1, -1, b"x")),
        ("long list", pack(12, 1, [bytes(32)] * (BATCH_MAX + 1))),
        ("nothing for a number", pack(15, None)),
        ("bytes behind the end", pack(15, 3) + b"\0"),
        ("a map", msgspec.msgpack.encode({"ref": 3})),
        ("a number in a longer form", b"\x92\x0f\xcd\x00\x03"),
        ("an array in a longer form", b"\xdc\x00\x02\x0f\x03"),
        ("a million arrays", b"\x91" * 1_000_000),
        ("a claimed array of 4 billion", b"\xdd\xff\xff\xff\xff"),
        ("claimed bytes of 4 GB", b"\x93\x06\x01\xc6\xff\xff\xff\xff"),
        ("a relay's frame", pack(81, 3)),
    ],
)
def test_malformed_frames(why: str, raw: bytes) -> None:
    with pytest.raises(Malformed):
        codec.decode_of_client(raw)


def test_a_relays_text_that_is_not_utf8_is_malformed() -> None:
    raw = bytearray(body(frames.Goodbye("code", "detail", 0)))
    raw[raw.index(b"code")] = 0xFF
    with pytest.raises(Malformed):
        codec.decode_of_relay(bytes(raw))


def test_a_piece_of_the_greatest_length_is_taken() -> None:
    frame = frames.Put(1, bytes(32), bytes(32), PIECE_BYTES_MAX, 0, bytes(PIECE_BYTES_MAX))
    assert codec.decode_of_client(body(frame)) == frame


def test_a_frame_too_large_to_send_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError):
        codec.encode(frames.Create(1, bytes(FRAME_BYTES_MAX)))
