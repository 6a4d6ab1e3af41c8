"""One connection to a relay: TLS 1.3, the pin, frames (docs/protocol.md §§8, 9).

Certificate authority, name and expiry are not looked at: the pin says more than all three, and needs no domain.
"""

import asyncio
import contextlib
import hmac
import os
import re
import socket
import ssl
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_address
from typing import Final

from chaton.errors import Malformed, PinMismatch, Unreachable
from chaton.identity.certificate import pin_of_der
from chaton.identity.ids import Pin
from chaton.limits import CONNECT_TIMEOUT_MS, SECOND_MS
from chaton.room.link import Address
from chaton.wire.codec import encode
from chaton.wire.connection import reader_of_relay
from chaton.wire.frames import AnyClientFrame, AnyRelayFrame

ALPN: Final = "chaton/1"
_READ_BYTES: Final = 2**17  # About 50 ms of work, whether it is records to check or messages to open.
_GOODBYE_S: Final = 1  # How long a last TLS record may take to leave.
_HEAD_START_S: Final = 0.25  # Of a name's first address over its second (RFC 8305).


class Connection:
    """An open connection, its pin checked. Made by ``dial``."""

    def __init__(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.address = address
        self._reader = reader
        self._writer = writer
        self._frames = reader_of_relay()
        self.last_heard = asyncio.get_running_loop().time()

    def transmit(self, frames: Sequence[AnyClientFrame]) -> None:
        """Hand frames to the transport in one write. What does not leave is noticed by ``receive``."""
        if not self._writer.is_closing():
            self._writer.write(b"".join(map(encode, frames)))

    async def receive(self) -> list[AnyRelayFrame]:
        """The frames that the next bytes from the relay complete; maybe none.

        Raises:
            Unreachable: The connection is gone.
            Malformed: The relay said what Chaton/1 does not know.
        """
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as cause:
            raise Unreachable(f"the connection to {self.address.netloc} broke: {cause}") from cause
        if not data:
            raise Unreachable(f"the relay at {self.address.netloc} closed the connection")
        self.last_heard = asyncio.get_running_loop().time()
        return list(self._frames.feed(data))

    def abort(self) -> None:
        """Cut the connection; ``receive`` raises ``Unreachable``."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Let what was written leave, for a moment, and close."""
        self._writer.close()
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()


async def dial(address: Address, *, timeout_ms: int = CONNECT_TIMEOUT_MS) -> Connection:
    """Connect to a relay; its key is compared with the pin before a byte is said to it.

    Raises:
        PinMismatch: Another key answers there.
        Unreachable: Nobody answers there in time, or somebody who speaks no Chaton/1.
    """
    try:
        async with asyncio.timeout(timeout_ms / SECOND_MS):
            reader, writer = await _open(address)
    except TimeoutError as cause:
        seconds = timeout_ms / SECOND_MS
        raise Unreachable(f"the relay at {address.netloc} did not answer within {seconds:g} s") from cause
    except ssl.SSLError as cause:
        raise Unreachable(f"what answers at {address.netloc} is no Chaton relay: {cause.reason or cause}") from cause
    except (OSError, UnicodeError, ValueError) as cause:
        why = reason(cause) or "the connection was closed at once"
        raise Unreachable(f"no relay answers at {address.netloc}: {why}") from cause
    try:
        _check(address, writer)
    except BaseException:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        raise
    return Connection(address, reader, writer)


def reason(error: Exception) -> str:
    """Why there is no connection, in the system's words; empty where somebody answered and hung up."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    # For a host of several addresses asyncio puts all their errors into one text.
    number = getattr(error, "errno", None) or next(iter(re.findall(r"\[Errno ([0-9]+)\]", str(error))), 0)
    return os.strerror(int(number)).lower() if number else ""


async def _open(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        address.host,
        address.port,
        ssl=_context(),
        server_hostname="",  # The name is for the resolver alone: an observer of the handshake need not read it.
        ssl_shutdown_timeout=_GOODBYE_S,
        happy_eyeballs_delay=None if _is_numeric(address.host) else _HEAD_START_S,
        limit=_READ_BYTES,
    )


def _is_numeric(host: str) -> bool:
    """Whether there is one address only. Then no race is run: asyncio's forgets a socket when it is called off."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check(address: Address, writer: asyncio.StreamWriter) -> None:
    shown = _pin(writer)
    if shown is None or not hmac.compare_digest(shown, address.pin):
        has = f"shows the key {shown.short}…" if shown else "shows no key that can be checked"
        raise PinMismatch(f"the relay at {address.netloc} {has} instead of {address.pin.short}…")
    secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
    if secured.selected_alpn_protocol() != ALPN:
        raise Unreachable(f"the relay at {address.netloc} does not speak {ALPN}")


def _pin(writer: asyncio.StreamWriter) -> Pin | None:
    secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
    try:
        return pin_of_der(secured.getpeercert(binary_form=True) or b"")
    except Malformed:
        return None


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # The pin is compared instead, in _check.
    context.set_alpn_protocols([ALPN])
    return context
