"""The listening socket, wrapped in TLS, and the connections that come in by it.

Limits are applied to the bare socket, before any memory is spent on TLS: who is over one is cut off without a word,
as there is nothing yet to say it in.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import count
from typing import Any, Final, Protocol

from chaton.errors import UsageError
from chaton.limits import LOGIN_DEADLINE_MS, SECOND_MS, SILENCE_MS
from chaton.relay.owner import Bounds, Origin, Owner
from chaton.relay.peer import Peer
from chaton.relay.tally import Tally
from chaton.relay.turnstile import Turnstile
from chaton.wire.frames import Goodbye

BACKLOG: Final = 1_024
ACCEPTS_PER_TURN: Final = 16
EXHAUSTED_PAUSE_S: Final = 0.5
EXHAUSTED_LOG_S: Final = 60.0
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_LISTEN_HINTS = {
    errno.EADDRINUSE: "another program listens there: choose another port with --listen, or stop that program",
    errno.EACCES: "a port under 1024 needs more rights: choose another one with --listen",
    errno.EADDRNOTAVAIL: "this machine does not have that address: choose one of its own with --listen",
}
_SUBNET_BITS = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines in ms: of handshake and login together, of silence after that, and how often they are looked at."""

    login_ms: int = LOGIN_DEADLINE_MS
    silence_ms: int = SILENCE_MS
    sweep_ms: int = SECOND_MS


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Who may come in.

    Attributes:
        connections_max: How many connections there may be at once.
        per_address_max: Of these, how many from one address.
        connect: Counts a connection of an address; not 0 if it comes too soon.
    """

    connections_max: int
    per_address_max: int
    connect: Callable[[str], int]


class Closer(Owner, Protocol):
    """An owner of connections who can also end them with a last word."""

    def end(self, peer: Peer, goodbye: Goodbye | None) -> None:
        """Close a connection after a last frame."""
        ...


def listen(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A listening socket, wrapped in TLS and non-blocking.

    Raises:
        UsageError: The address is not there, not ours or not free.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        sock = socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as cause:
        hint = _LISTEN_HINTS.get(cause.errno or 0, "choose another address with --listen")
        raise UsageError(f"cannot listen on {host} port {port}: {cause.strerror}", hint=hint) from cause
    sock.setblocking(False)
    return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


class Listener:
    """Accepts connections and ends those that keep silent."""

    def __init__(
        self, sock: ssl.SSLSocket, owner: Closer, bounds: Bounds, doorkeeper: Doorkeeper, timing: Timing
    ) -> None:
        self._sock = sock
        self._turnstile = Turnstile(sock.context)
        self._cut = Tally(_log, "%d connections over a limit were cut")
        self._owner = owner
        self._bounds = bounds
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        self._sessions = count(1)
        self._peers: set[Peer] = set()
        self._of_address: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._sweeping: asyncio.TimerHandle | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._open = True
        self._complain_at = 0.0
        self.doorkeeper = doorkeeper

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        name: Any = self._sock.getsockname()
        return str(name[0]), int(name[1])

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def queued(self) -> int:
        """How many bytes wait to be sent, over all connections."""
        return sum(peer.queued for peer in self._peers)

    def start(self) -> None:
        """Begin to accept."""
        self._loop.add_reader(self._sock.fileno(), self._accept)
        self._sweep()

    def stop(self) -> None:
        """Accept nobody any more; those who are here stay."""
        self._open = False
        if self._resuming is not None:
            self._resuming.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    async def close(self, patience_s: float) -> None:
        """Wait until all connections are over, and end those that are not in time."""
        if self._peers:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), patience_s)
            except TimeoutError:
                _log.info("%d connections were cut", len(self._peers))
        for peer in list(self._peers):
            peer.drop()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                # Not SSLSocket's own accept: that makes the TLS state before anybody can say no.
                sock, address = socket.socket.accept(self._sock)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as cause:
                self._pause(cause)
                return
            self._admit(sock, address[0])

    def _pause(self, cause: OSError) -> None:
        """No more files or memory: the waiting connection would wake the loop again and again, so look away."""
        if self._loop.time() >= self._complain_at:  # It is found out twice a second, maybe for days.
            self._complain_at = self._loop.time() + EXHAUSTED_LOG_S
            _log.warning("cannot accept connections: %s", cause.strerror)
        pause = EXHAUSTED_PAUSE_S if cause.errno in _EXHAUSTED else EXHAUSTED_PAUSE_S / 10
        self._loop.remove_reader(self._sock.fileno())
        self._resuming = self._loop.call_later(pause, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def _admit(self, sock: socket.socket, host: str) -> None:
        origin = origin_of(host)
        if not self._may_enter(origin.address):
            sock.close()
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError):
            sock.close()
            return
        deadline = self._loop.time() + self._timing.login_ms / SECOND_MS
        peer = Peer(
            sock,
            next(self._sessions),
            origin,
            turnstile=self._turnstile,
            owner=self._owner,
            bounds=self._bounds,
            on_gone=self._gone,
            deadline=deadline,
        )
        self._peers.add(peer)
        self._of_address[origin.address] += 1
        peer.start()

    def _may_enter(self, address: str) -> bool:
        keeper = self.doorkeeper
        full = len(self._peers) >= keeper.connections_max or self._of_address[address] >= keeper.per_address_max
        if full or keeper.connect(address):
            self._cut.add()
            return False
        return True

    def _gone(self, peer: Peer) -> None:
        self._peers.discard(peer)
        address = peer.origin.address
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        if not self._peers:
            self._empty.set()

    def _sweep(self) -> None:
        """End whom nothing has been heard of for too long."""
        now = self._loop.time()
        for peer in [peer for peer in self._peers if now >= peer.deadline]:
            if peer.opened and not peer.gone:
                self._owner.end(peer, Goodbye("idle", "nothing was heard for too long: connect again", 0))
            else:
                peer.drop()
        self._sweeping = self._loop.call_later(self._timing.sweep_ms / SECOND_MS, self._sweep)


@lru_cache(maxsize=1_024)
def origin_of(host: str) -> Origin:
    """What a connection is counted by: its address, or the subnet that IPv6 gives to one subscriber."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address) or address.is_loopback:
        return Origin(str(address), address.is_loopback)
    subnet = int(address) >> _SUBNET_BITS << _SUBNET_BITS
    return Origin(str(IPv6Address(subnet)), local=False)
