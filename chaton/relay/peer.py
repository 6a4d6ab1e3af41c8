"""One connection's socket: handshake, bytes in, bytes out. Knows frames' bounds and nothing of what they mean.

The socket is non-blocking and driven by the event loop's ``add_reader`` and ``add_writer``. It has no TLS, which takes
40 KB, until the other side has said something. What is to be told waits in a queue whose length its owner watches
(``queued``); while too much waits, nothing more is read. What comes is taken for a moment in each turn of the loop, so
that nobody who says much keeps others waiting; what is left then has its turn when they have had theirs.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final

from chaton.errors import Malformed
from chaton.limits import FRAME_BYTES_MAX, SECOND_MS
from chaton.relay.owner import Bounds, Origin, Owner
from chaton.relay.turnstile import Turnstile
from chaton.wire.connection import reader_of_client
from chaton.wire.frames import AnyClientFrame

ALPN: Final = "chaton/1"
LINGER_S: Final = 2.0
_READ_BYTES: Final = 2**16
HEARD_MS_MAX: Final = 2
_HEARD_S: Final = HEARD_MS_MAX / SECOND_MS
REST_S: Final = 0.05
_JOIN_BYTES: Final = 2**18

# Every read lands here and is taken over before the next one: the loop has one thread.
_buffer: Final = bytearray(_READ_BYTES)
_view: Final = memoryview(_buffer)


class Peer:
    """One accepted connection.

    Attributes:
        session: A number for it, unique while the relay runs.
        queued: How many bytes wait to be sent.
        member: Whether it belongs to somebody in a room; strangers are heard when it is their turn.
        hungry: Whether its owner wants to be told when nothing waits any more.
        deadline: When it is dropped unless something is heard of it before, in the loop's seconds.
        patience: How long it may be silent from now on, in seconds; None before its login.
        on_gone: Told when the socket is closed.
    """

    __slots__ = (
        "_bounds", "_closed", "_closing", "_frames", "_held", "_loop", "_on_gone", "_out", "_owner", "_paused",
        "_resting", "_sending", "_sock", "_tls", "_turnstile", "_writing", "deadline", "hungry", "member", "opened",
        "origin", "patience", "queued", "reader", "session",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        session: int,
        origin: Origin,
        *,
        turnstile: Turnstile,
        owner: Owner,
        bounds: Bounds,
        on_gone: Callable[["Peer"], None],
        deadline: float,
    ) -> None:
        self._sock = sock
        self._tls: ssl.SSLSocket
        self._turnstile = turnstile
        self._owner = owner
        self._bounds = bounds
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self._sending: memoryview | None = None
        self._writing = self._paused = self._closing = self._closed = False
        self._frames: Iterator[AnyClientFrame] | None = None
        self._held = self._resting = False
        self.session = session
        self.origin = origin
        self.queued = 0
        self.hungry = False
        self.opened = self.member = False
        self.deadline = deadline
        self.patience: float | None = None
        self.reader = reader_of_client(bounds.frame_before_login)

    @property
    def gone(self) -> bool:
        """Whether nothing more can be told."""
        return self._closing

    def start(self) -> None:
        """Wait for the other side to begin the handshake."""
        self._await_bytes()

    def write(self, data: bytes) -> None:
        """Queue bytes; they are sent when the owner flushes, in order, or as soon as the network takes them."""
        if self._closing:
            return
        if not self._out and self._sending is None:
            self._bounds.dirty.append(self)
        self._out.append(data)
        self.queued += len(data)

    def send(self, data: bytes) -> None:
        """As ``write``, but at once where nothing else waits: the short way for what many get. Never drops the peer."""
        if self.queued or self._closing:
            self.write(data)
            return
        try:
            count = self._sock.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            count = 0
        except (OSError, ValueError):
            self.write(data)  # The flush at the end of the turn fails in the same way, and drops it.
            return
        if count < len(data):
            self._sending = memoryview(data)[count:]
            self.queued = len(data) - count
            self._bounds.dirty.append(self)

    def heard(self) -> None:
        """Something has moved: the time of silence begins anew."""
        if self.patience is not None:
            self.deadline = self._loop.time() + self.patience

    def seat(self) -> None:
        """It is a member's: long frames are taken from now on, and it is heard at once."""
        self.member = True
        self.reader.largest = FRAME_BYTES_MAX
        if self._reads:
            self._await_bytes()

    def finish(self, last: bytes | None) -> None:
        """Send what is queued and a last frame, then close; a reader that does not take it is dropped soon."""
        if self._closed or self._closing:
            return
        if not self.opened:
            self.drop()
            return
        if last is not None:
            self.write(last)
        self._closing = True
        self.patience = None
        self.deadline = self._loop.time() + LINGER_S
        self.flush()

    def drop(self) -> None:
        """Close at once, whatever is queued."""
        if self._closed:
            return
        self._closed = self._closing = True
        fd = self._sock.fileno()
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
        self._sock.close()
        self._out.clear()
        self._sending = self._frames = None
        self.queued = 0
        self._owner.closed(self)
        self._on_gone(self)

    def _await_bytes(self) -> None:
        """A member is heard as soon as something comes, and anybody else when it is its turn."""
        heard = self._readable if self.member else self._knocked
        self._loop.add_reader(self._sock.fileno(), heard)

    def _knocked(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._turnstile.enter(self._take_step)

    def _take_step(self) -> None:
        if self._closed:
            return
        if self.opened:
            self._listen()
        elif isinstance(self._sock, ssl.SSLSocket):
            self._shake()
        else:
            self._begin()

    def _begin(self) -> None:
        try:
            self._sock = self._tls = self._turnstile.wrap(self._sock)
        except (OSError, ValueError):
            self.drop()
            return
        self._shake()

    def _shake(self) -> None:
        """Go on with the handshake. Everything that is no TLS 1.3 for ``chaton/1`` ends here, without an answer."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._write_when_possible(wanted=False)
            self._await_bytes()
        except ssl.SSLWantWriteError:
            self._write_when_possible(wanted=True)
        except (OSError, ValueError):
            self.drop()
        else:
            self._shaken()

    def _shaken(self) -> None:
        self._write_when_possible(wanted=False)
        if self._tls.selected_alpn_protocol() != ALPN:
            self.drop()
            return
        self.opened = True
        self._await_bytes()
        self._owner.opened(self)

    def _listen(self) -> None:
        self._readable()
        if self._reads:
            self._await_bytes()

    def _readable(self) -> None:
        """Read until the network has no more, or others have waited long enough."""
        end = self._loop.time() + _HEARD_S
        while count := self._receive():
            if not self._closing:
                self.heard()
                self._frames = self.reader.feed(_view[:count])
                self._hear(end)
            if not self._reads:
                return
            if self._loop.time() > end:
                break
        if self._reads and self._tls.pending():
            # What TLS holds already makes no socket readable.
            self._loop.call_soon(self._read_on)

    def _hear(self, end: float) -> None:
        """Give the owner what was read, until it is all or the turn has ended."""
        try:
            for frame in self._frames or ():
                self._owner.received(self, frame)
                if self._closing:
                    break
                if self._resting or self._loop.time() > end:
                    self._hold()
                    return
        except Malformed as cause:
            self._owner.garbled(self, cause)
        self._frames = None
        if self.queued > self._bounds.pause and not self._closed:
            self._paused = True
            self._loop.remove_reader(self._sock.fileno())

    def rest(self) -> None:
        """Take nothing more for a moment: for who asks too much, and would be refused as fast as it can ask."""
        self._resting = True

    def _hold(self) -> None:
        """Leave the frames that were read until the next turn, or until it has rested."""
        if not self._held:
            self._held = True
            self._loop.remove_reader(self._sock.fileno())
        self._paused = self.queued > self._bounds.pause
        if self._resting:
            self._loop.call_later(REST_S, self._wake)
        elif not self._paused:
            self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._resting = False
        if self._closed or self._paused:
            return
        self._held = False
        if not self._closing:
            self._hear(self._loop.time() + _HEARD_S)
        self._go_on_reading()

    def _receive(self) -> int:
        """How many bytes have come; 0 if there are none now, or if this was the end and the peer is dropped."""
        try:
            count = self._sock.recv_into(_buffer, _READ_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return 0
        except (OSError, ValueError):
            count = 0
        if not count:
            self.drop()
        return count

    def _read_on(self) -> None:
        if self._reads:
            self._readable()

    @property
    def _reads(self) -> bool:
        return not (self._closed or self._paused or self._held)

    def _resume(self) -> None:
        self._paused = False
        if self._held and not self._resting:
            self._loop.call_soon(self._wake)
        self._go_on_reading()

    def _go_on_reading(self) -> None:
        if self._reads:
            self._await_bytes()
            self._loop.call_soon(self._read_on)

    def flush(self) -> None:
        """Send what is queued, as one write where the network takes it."""
        if not self._closed and not self._writing:
            self._push()

    def _push(self) -> None:
        try:
            self._send()
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            self._write_when_possible(wanted=True)
        except (OSError, ValueError):
            self.drop()
        else:
            self._sent_all()

    def _send(self) -> None:
        """Send all; leaves in ``_sending`` what a full network did not take, as TLS wants the same bytes again."""
        while self._sending is not None or self._out:
            if self._sending is None:
                self._sending = memoryview(self._next_piece())
            count = self._sock.send(self._sending)
            self.queued -= count
            self._sending = self._sending[count:] if count < len(self._sending) else None

    def _next_piece(self) -> bytes:
        """What is sent next as a whole. Pieces that other peers send too are copied as little as possible."""
        out = self._out
        if len(out) == 1:
            return out.pop()
        size = end = 0
        while end < len(out) and size < _JOIN_BYTES:
            size += len(out[end])
            end += 1
        piece = b"".join(out[:end])
        del out[:end]
        return piece

    def _sent_all(self) -> None:
        self._write_when_possible(wanted=False)
        if self._closing:
            self._shut_down()
            return
        if self._paused:
            self._resume()
        if self.hungry:
            self.hungry = False
            self._owner.drained(self)

    def _shut_down(self) -> None:
        """Tell the other side that this was all, then wait for its end: closing now could lose the last frame."""
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()  # It answers when it likes; what counts is that our close_notify is out.
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()
            return
        if self._paused:
            self._resume()

    def _write_when_possible(self, *, wanted: bool) -> None:
        if wanted == self._writing:
            return
        self._writing = wanted
        if wanted:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        else:
            self._loop.remove_writer(self._sock.fileno())

    def _writable(self) -> None:
        if not self.opened:
            self._shake()
            return
        before = self.queued
        self._push()
        if self.queued < before and not self._closing:
            self.heard()
