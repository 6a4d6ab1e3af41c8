"""Lets strangers take one step in each turn of the loop: a handshake takes as long as dozens of messages."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable


class Turnstile:
    """Serves whoever is in no room in the order in which bytes came; members have their turn in between."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._turning = False

    def enter(self, step: Callable[[], None]) -> None:
        """Call ``step`` when it is its turn, never before this returns."""
        self._waiting.append(step)
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._waiting.popleft()()
        self._turning = bool(self._waiting)
        if self._turning:
            self._loop.call_soon(self._turn)

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """TLS on a connection, nothing of it done yet; raises ``OSError`` or ``ValueError`` where the other is gone."""
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
