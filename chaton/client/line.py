"""The line to one relay: dials, stays, notices silence, comes back after a pause (docs/protocol.md §§8, 9)."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from chaton.client.dial import Connection, dial
from chaton.client.news import AnyNotice, ConnectionChanged
from chaton.client.timing import Timing
from chaton.errors import (
    ChatonError,
    ProfileError,
    ProtocolError,
    Refused,
    SecurityStop,
    StoreError,
    Unreachable,
)
from chaton.limits import SECOND_MS
from chaton.room.link import Address
from chaton.session.text import clean_line
from chaton.wire.frames import AnyClientFrame, AnyRelayFrame, Ping

_DOUBLINGS_MAX: Final = 16
_State: TypeAlias = Literal["connecting", "online", "offline", "stopped"]
_log = logging.getLogger(__name__)


class Owner(Protocol):
    """Whom a line serves. ``StoreError`` and ``ProfileError`` from it end the connection, and it is dialled again."""

    def connected(self) -> None:
        """The relay is there, and speaks first."""
        ...

    def take_in(self, frames: Sequence[AnyRelayFrame]) -> bool:
        """Process what the relay said in one breath; whether everything is current now."""
        ...

    def disconnected(self) -> None:
        """The connection is gone."""
        ...

    def tick(self) -> None:
        """Some time has passed, with a connection or without."""
        ...

    def stopped(self, error: ChatonError) -> None:
        """The line does not try again by itself."""
        ...


class Line:
    """See the module. Nothing happens before ``start``.

    Args:
        addresses: Where the relay was met, one at least, all under one pin. The first is tried first.
        owner: Whom it serves.
        tell: Takes each change of ``state``.
        lasting: False gives up when nobody answers at the first attempt.
        timing: How long it waits.

    Attributes:
        name: HOST:PORT to show; the same whichever address is tried.
        state: How it stands.
    """

    def __init__(
        self,
        addresses: list[Address],
        owner: Owner,
        tell: Callable[[AnyNotice], None],
        *,
        lasting: bool,
        timing: Timing,
    ) -> None:
        self.addresses = addresses
        self.name = addresses[0].netloc
        self._owner = owner
        self._tell = tell
        self._lasting = lasting
        self._timing = timing
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._hung_up: ChatonError | None = None
        self._stopped: ChatonError | None = None
        self._closed = False
        self._retry_now = asyncio.Event()
        self._attempt = 0
        self.state = self._state("offline")

    def start(self) -> None:
        """Connect, unless that is under way.

        Raises:
            ChatonError: Why it was stopped, such as a login elsewhere; ``reconnect`` tries again.
            Unreachable: It was closed.
        """
        if self._closed:
            raise Unreachable("the client was closed", hint="")
        if self._tasks and not self._tasks[0].done():
            return
        if self._stopped is not None and not isinstance(self._stopped, Unreachable):
            raise self._stopped
        self._stopped = None
        for task in self._tasks:
            task.cancel()
        self._tasks = [
            asyncio.create_task(self._run(), name=f"line to {self.name}"),
            asyncio.create_task(self._watch(), name=f"clock of {self.name}"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def reconnect(self) -> None:
        """Try now, whatever stopped it or however long it would wait. Does nothing while connected."""
        self._stopped = None
        self._retry_now.set()
        self.start()

    def transmit(self, frames: Sequence[AnyClientFrame]) -> None:
        """Say something, if connected."""
        if frames and self._connection is not None:
            self._connection.transmit(frames)

    def hang_up(self, error: ChatonError) -> None:
        """Cut the connection, if there is one; ``error`` says whether to come back."""
        if self._connection is not None:
            self._hung_up = self._hung_up or error
            self._connection.abort()

    async def close(self) -> None:
        """Hang up and end. What takes several questions, such as a file, does not dial once more for its next one."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug of ours must not look like a relay that keeps silent."""
        if not task.cancelled() and (bug := task.exception()) is not None:
            _log.error("the line to %s failed", self.name, exc_info=bug)
            self._stop(ChatonError(f"Chaton failed: {bug!r}", hint="please report this"))

    async def _run(self) -> None:
        while True:
            self._show("connecting")
            error = await self._visit()
            if self._is_final(error):
                self._stop(error)
                return
            delay_ms = self._delay_ms(error)
            self._show("offline", error, delay_ms)
            await self._pause(delay_ms)

    async def _visit(self) -> ChatonError:
        """One connection from its beginning to its end; returns why it ended."""
        self._hung_up = None
        try:
            connection = await dial(self.addresses[0], timeout_ms=self._timing.connect_ms)
        except (Unreachable, SecurityStop) as error:
            if not isinstance(error, SecurityStop):
                self.addresses.append(self.addresses.pop(0))
            return error
        self._connection = connection
        try:
            return await self._converse(connection)
        except ChatonError as error:
            return self._why(error)
        finally:
            self._connection = None
            self._owner.disconnected()
            await connection.close()

    async def _converse(self, connection: Connection) -> ChatonError:
        self._owner.connected()
        while self._hung_up is None:
            heard = await connection.receive()
            if heard and self._owner.take_in(heard) and self.state.state != "online":
                self._attempt = 0
                self._show("online")
            await asyncio.sleep(0)  # Where more is here already, receive() does not wait; others do.
        return self._hung_up

    def _why(self, error: ChatonError) -> ChatonError:
        """Whoever hangs up cuts the connection: the cause is what it said."""
        return self._hung_up if self._hung_up is not None else error

    def _is_final(self, error: ChatonError) -> bool:
        if isinstance(error, Unreachable):
            return not self._lasting and self.state.state == "connecting" and self._attempt == 0
        return isinstance(error, SecurityStop) or (isinstance(error, Refused) and not error.retry_ms)

    def _delay_ms(self, error: ChatonError) -> int:
        """Twice as long each time, and never quite the same, so that a room does not come back all at once."""
        timing, doublings = self._timing, min(self._attempt, _DOUBLINGS_MAX)
        self._attempt += 1
        longest = min(timing.retry_max_ms, timing.retry_first_ms * 2**doublings)
        asked = error.retry_ms if isinstance(error, Refused) else 0
        return max(int(longest * random.uniform(0.5, 1)), asked)  # noqa: S311 - no secret

    async def _pause(self, delay_ms: int) -> None:
        self._retry_now.clear()
        try:
            async with asyncio.timeout(delay_ms / SECOND_MS):
                await self._retry_now.wait()
        except TimeoutError:
            return

    def _stop(self, error: ChatonError) -> None:
        self._stopped = error
        self._show("stopped", error)
        self._owner.stopped(error)

    def _show(self, state: _State, error: ChatonError | None = None, retry_ms: int = 0) -> None:
        self.state = self._state(state, error, retry_ms)
        self._tell(self.state)

    def _state(self, state: _State, error: ChatonError | None = None, retry_ms: int = 0) -> ConnectionChanged:
        detail = clean_line(str(error) if error else "")
        pin = self.addresses[0].pin
        return ConnectionChanged(pin, clean_line(self.name), state, retry_ms, _code(error), detail)

    async def _watch(self) -> None:
        """Let time pass for the owner, and cut off a relay that keeps silent."""
        timing, loop = self._timing, asyncio.get_running_loop()
        next_ping = loop.time() + timing.ping_ms / SECOND_MS
        while self._stopped is None:
            await asyncio.sleep(timing.tick_ms / SECOND_MS)
            self._owner.tick()
            connection, now = self._connection, loop.time()
            if connection is None:
                continue
            if now - connection.last_heard > timing.silence_ms / SECOND_MS:
                self.hang_up(Unreachable(f"the relay at {connection.address.netloc} keeps silent"))
            elif now >= next_ping:
                next_ping = now + timing.ping_ms / SECOND_MS
                connection.transmit([Ping(0)])


def _code(error: ChatonError | None) -> str:
    match error:
        case None:
            return ""
        case Refused():
            return error.code
        case SecurityStop():
            return "security"
        case StoreError() | ProfileError():
            return "store"
        case ProtocolError():
            return "protocol"
    return "unreachable"
