"""Whom a connection serves, where it comes from, and what bounds it."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from chaton.errors import Malformed
from chaton.wire.frames import AnyClientFrame

if TYPE_CHECKING:
    from chaton.relay.peer import Peer


class Owner(Protocol):
    """Who carries out what a connection is for."""

    def opened(self, peer: "Peer") -> None:
        """The handshake is done."""
        ...

    def received(self, peer: "Peer", frame: AnyClientFrame) -> None:
        """A frame has come."""
        ...

    def garbled(self, peer: "Peer", cause: Malformed) -> None:
        """Something that is no frame has come; nothing more will be read."""
        ...

    def drained(self, peer: "Peer") -> None:
        """A ``hungry`` peer's queue is empty."""
        ...

    def closed(self, peer: "Peer") -> None:
        """The connection is over."""
        ...


class Bounds(NamedTuple):
    """What bounds every connection: its frames before login, and what may wait for it before reading pauses (bytes).

    ``dirty`` is shared by all: those with something new to send, flushed together by their owner.
    """

    frame_before_login: int
    pause: int
    dirty: list["Peer"]


class Origin(NamedTuple):
    """Where a connection comes from: what it is counted by, and whether that is this machine."""

    address: str
    local: bool
