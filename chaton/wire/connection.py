"""One side of a connection without its socket: bytes in, frames out.

The buffer never holds more than one frame of the largest size and what one read brought along. After a malformed
frame the reader is spent: it discards all further input, as nothing after it can be trusted.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from chaton.errors import Malformed
from chaton.limits import FRAME_BYTES_MAX
from chaton.wire.codec import PREFIX_BYTES, decode_of_client, decode_of_relay
from chaton.wire.frames import AnyClientFrame, AnyRelayFrame

_Frame = TypeVar("_Frame")


class FrameReader(Generic[_Frame]):
    """Cuts a stream into frames and decodes them.

    Args:
        decode: The decoder for what the other side may say.
        largest: The longest frame accepted, in bytes. A security limit: the relay narrows it before login.
    """

    __slots__ = ("_buffer", "_decode", "largest", "spent")

    def __init__(self, decode: Callable[[bytes], _Frame], largest: int = FRAME_BYTES_MAX) -> None:
        self._decode = decode
        self._buffer = bytearray()
        self.largest = largest
        self.spent = False

    def feed(self, data: bytes | memoryview) -> Iterator[_Frame]:
        """Take bytes from the wire and give out the frames they complete, lazily and in order.

        Raises:
            Malformed: A frame is too long or does not decode; frames before it have been given out.
        """
        if self.spent:
            return
        self._buffer += data
        start = 0
        try:
            while (body := self._next(start)) is not None:
                start += PREFIX_BYTES + len(body)
                yield self._decode(body)
        except Malformed:
            self.spent = True  # Its cause is not kept: that would tie this reader and a frame's bytes in a circle.
            start = len(self._buffer)
            raise
        finally:
            del self._buffer[:start]

    def _next(self, start: int) -> bytes | None:
        body_start = start + PREFIX_BYTES
        if len(self._buffer) < body_start:
            return None
        length = int.from_bytes(self._buffer[start:body_start])
        if length > self.largest:
            raise Malformed(f"a frame of {length} bytes, more than {self.largest}")
        if len(self._buffer) < body_start + length:
            return None
        return bytes(self._buffer[body_start : body_start + length])


def reader_of_client(largest: int = FRAME_BYTES_MAX) -> FrameReader[AnyClientFrame]:
    """What a relay reads with."""
    return FrameReader(decode_of_client, largest)


def reader_of_relay() -> FrameReader[AnyRelayFrame]:
    """What a client reads with."""
    return FrameReader(decode_of_relay)
