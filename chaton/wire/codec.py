"""One frame to bytes and back: u32 big-endian length, then a msgspec array (docs/protocol.md §9).

The decoder accepts one encoding of each frame only: what it reads it encodes again and compares, because msgpack
itself allows longer forms of the same number.
"""

from typing import Final, TypeVar

import msgspec

from chaton.errors import Malformed
from chaton.limits import FRAME_BYTES_MAX
from chaton.wire.frames import AnyClientFrame, AnyRelayFrame

PREFIX_BYTES: Final = 4

_Frame = TypeVar("_Frame")


def _plain(value: object) -> bytes:
    """Our identifiers, which are subclasses of ``bytes``, as the plain bytes that msgspec knows."""
    if isinstance(value, bytes):
        return bytes(value)
    raise TypeError(f"a frame cannot hold a {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_of_client: Final[msgspec.msgpack.Decoder[AnyClientFrame]] = msgspec.msgpack.Decoder(AnyClientFrame)
_of_relay: Final[msgspec.msgpack.Decoder[AnyRelayFrame]] = msgspec.msgpack.Decoder(AnyRelayFrame)


def encode(frame: AnyClientFrame | AnyRelayFrame) -> bytes:
    """The frame with its length in front, ready for the wire."""
    body = _encoder.encode(frame)
    if len(body) > FRAME_BYTES_MAX:
        raise TypeError(f"a {type(frame).__name__} of {len(body)} bytes does not fit a frame")
    return len(body).to_bytes(PREFIX_BYTES) + body


def decode_of_client(body: bytes) -> AnyClientFrame:
    """Read what a client said, without its length prefix.

    Raises:
        Malformed: Unknown tag, wrong type, missing, extra or over-long field, trailing bytes, or a second encoding.
    """
    return _decode(_of_client, body)


def decode_of_relay(body: bytes) -> AnyRelayFrame:
    """Read what a relay said; as ``decode_of_client``."""
    return _decode(_of_relay, body)


def _decode(decoder: msgspec.msgpack.Decoder[_Frame], body: bytes) -> _Frame:
    try:
        frame = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as cause:
        raise Malformed(f"a frame that this version does not know: {cause}") from cause
    if _encoder.encode(frame) != body:
        raise Malformed("a frame in another encoding than the shortest")
    return frame
