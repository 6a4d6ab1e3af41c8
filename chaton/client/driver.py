"""One relay: a session carried out over a line that comes and goes.

Whatever a session decides is done in this order: what it keeps is made durable, then frames leave, then answers and
notices are told. If the disk refuses, nothing leaves: the session, which knows more than the disk now, is dropped,
whoever waits is told, and the next one begins from what the disk holds.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from chaton.client.line import Line
from chaton.client.news import AnyNotice
from chaton.client.patience import Patience
from chaton.client.profile import Profile
from chaton.client.randomness import fresh_entropy
from chaton.client.spool import Spool
from chaton.client.timing import Timing
from chaton.errors import ChatonError, Malformed, ProfileError, Refused, StoreError, Unreachable, UsageError
from chaton.identity.ids import RoomId
from chaton.limits import MINUTE_MS, SECOND_MS
from chaton.room.link import Address
from chaton.session.content import Content
from chaton.session.context import Context
from chaton.session.effects import Answer, Effect, Forget, HangUp, Keep, Tell, Transmit
from chaton.session.errand import Errand, Until
from chaton.session.notices import Ended, Notice, Rejected, Sent, Waiting, Working
from chaton.session.restore import Memory
from chaton.session.session import Session
from chaton.wire.frames import AnyRelayFrame, Ping

_NS_PER_MS: Final = 1_000_000
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


def clock() -> int:
    """The machine's time in ms."""
    return time.time_ns() // _NS_PER_MS


def _running() -> int:
    """A time in ms that nobody sets: it goes on at its pace while the machine is awake."""
    return time.monotonic_ns() // _NS_PER_MS


class Driver:
    """See the module. Connects with the first request, and stays until ``close``.

    Args:
        profile: Where everything is kept.
        addresses: Where the relay was met, one at least, all under one pin; tried in turn.
        tell: Takes what happens.
        lasting: Whether the client stays, or is here for one command and gives up at the first sign that nobody
            answers.
        timing: How long it waits.

    Attributes:
        pin: The relay's.
        line: The connection.
        tell: Takes what happens.
        spool: Files on their way out.
    """

    def __init__(
        self,
        profile: Profile,
        addresses: list[Address],
        tell: Callable[[AnyNotice], None],
        *,
        lasting: bool,
        timing: Timing,
    ) -> None:
        self.pin = addresses[0].pin
        self.line = Line(addresses, self, tell, lasting=lasting, timing=timing)
        self._profile = profile
        self.tell = tell
        self.spool = Spool(profile.directory)
        self._lasting = lasting
        self._timing = timing
        self._session: Session | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._deliveries: dict[tuple[RoomId, int], asyncio.Future[Sent]] = {}
        self._admissions: dict[RoomId, asyncio.Timeout] = {}
        # Numbers of one's own for what ``deliver`` says: no author counts below zero, nor did an earlier run use them.
        self._last_ref = -clock() * 1_000
        self._patience = Patience()
        self._next_wipe = 0
        self._clock_leads_by = clock() - _running()

    # --- the session ---

    @property
    def session(self) -> Session:
        """The session as it stands, its clock set; brought back from the disk where there is none.

        Raises:
            ProfileError: What was kept does not fit together.
        """
        if self._session is None:
            self._session = self._restore()
        self._session.context.now = clock()
        return self._session

    def _restore(self) -> Session:
        context = Context(self._profile.seed, fresh_entropy, self._lasting, clock())
        try:
            return Session(context, self.line.addresses[0], Memory.of(self._profile.load(self.pin)))
        except (StoreError, ProfileError):
            raise
        except (ChatonError, LookupError) as cause:
            hint = "bring it back from a backup, or choose another profile with --profile"
            raise ProfileError(f"the profile's rooms do not fit together: {cause}", hint=hint) from cause

    def do(self, act: Callable[[Session], _Result]) -> _Result:
        """Let something happen to the session, and carry out what follows from it.

        Raises:
            StoreError: The disk refused: nothing of it has happened.
        """
        session = self.session
        try:
            return act(session)
        finally:
            self._carry_out(session)

    def _carry_out(self, session: Session) -> None:
        effects = session.drain()
        try:
            self._profile.commit(self.pin, [effect for effect in effects if isinstance(effect, Keep | Forget)])
        except (StoreError, ProfileError) as error:
            # The disk holds less than the session knows: forget the session, and begin again from the disk.
            self._session = None
            self._tell_all(self._patience.end())
            self.line.hang_up(error)
            self._fail(error)
            raise
        self.line.transmit([effect.frame for effect in effects if isinstance(effect, Transmit)])
        for effect in effects:
            self._finish(effect)

    def _finish(self, effect: Effect) -> None:
        match effect:
            case Answer(ticket, result, error):
                _settle(self._answers.pop(ticket, None), result, error)
            case Tell(Working() as step):
                self._tell_all(self._patience.heard(step, _running()))
            case Tell(notice):
                self.tell(notice)
                self._wake(notice)
            case HangUp(error):
                self.line.hang_up(error)

    def _tell_all(self, notices: Sequence[AnyNotice]) -> None:
        for notice in notices:
            self.tell(notice)

    def _wake(self, notice: Notice) -> None:
        """Let go on whoever waits for a notice."""
        match notice:
            case Sent():
                _settle(self._deliveries.pop((notice.room, notice.ref), None), notice, None)
            case Rejected():
                refusal = Refused(notice.code, notice.detail)
                _settle(self._deliveries.pop((notice.room, notice.ref), None), None, refusal)
            case Ended():
                self._fail_deliveries(Refused(notice.code, f"the room is over for you: {notice.detail}"), notice.room)
            case Waiting() if notice.room in self._admissions:
                self._admissions[notice.room].reschedule(None)

    def _fail(self, error: ChatonError) -> None:
        answers, self._answers = self._answers, {}
        for future in answers.values():
            _settle(future, None, error)
        self._fail_deliveries(error)

    def _fail_deliveries(self, error: ChatonError, room: RoomId | None = None) -> None:
        for key in [key for key in self._deliveries if room in {None, key[0]}]:
            _settle(self._deliveries.pop(key), None, error)

    # --- requests ---

    async def run(self, errand: Errand[_Result], *, admission: RoomId | None = None) -> _Result:
        """Run an errand of the session to its end.

        Args:
            errand: Of ``session``.
            admission: A room where an admin may have to admit: that is waited for without a limit.

        Raises:
            Unreachable: The relay did not answer in time; the errand is given up.
            ChatonError: Whatever the errand fails with.
        """
        self.line.start()
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        async with self._deadline() as deadline:
            if admission is not None:
                self._admissions[admission] = deadline
            try:
                self.do(lambda session: self._begin(session, errand, future))
                return await future
            finally:
                if admission is not None:
                    self._admissions.pop(admission, None)
                self._let_go(future)

    def _begin(self, session: Session, errand: Errand[_Result], future: asyncio.Future[_Result]) -> None:
        self._answers[session.begin(errand)] = future

    def _let_go(self, future: asyncio.Future[Any]) -> None:
        """Nobody waits for an errand any more; one that is not done is not carried out later, behind one's back."""
        for ticket in [ticket for ticket, waiting in self._answers.items() if waiting is future]:
            del self._answers[ticket]
            if self._session is not None:
                self._session.give_up(ticket)
        if not future.cancel() and not future.cancelled():
            future.exception()  # It was told already; asyncio need not complain that nobody asked for it.

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition on the session holds; raises as ``run``."""

        def wait() -> Errand[None]:
            yield Until(holds)

        await self.run(wait())

    async def round_trip(self) -> None:
        """Wait until the relay has said everything that it had to say before now; raises as ``run``."""

        def ask() -> Errand[None]:
            yield Until(lambda: self.session.arrival.settled)
            yield Ping(0)

        await self.run(ask())

    async def deliver(self, room: RoomId, content: Content) -> Sent:
        """Say something, and wait until it is in the room.

        Raises:
            UsageError: It is empty or too long.
            Refused: By the relay, or as one is out of the room.
            Unreachable: It is not in the room in time. If it may be on its way, the hint says so.
        """
        self.line.start()
        self._last_ref += 1
        ref = self._last_ref
        future: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        self._deliveries[room, ref] = future
        try:
            async with self._deadline():
                self.say(room, content, ref)
                return await future
        except Unreachable as late:
            if self._withdraw(room, ref):
                raise
            hint = "it may be on its way, and stays in the outbox: do not send it again"
            raise Unreachable(str(late), hint=hint) from late
        except asyncio.CancelledError:
            self._withdraw(room, ref)
            raise
        finally:
            self._deliveries.pop((room, ref), None)
            self._let_go(future)

    def say(self, room: RoomId, content: Content, ref: int) -> None:
        """Put something into a room's outbox, which is on disk; raises as ``deliver``, and does not wait."""
        try:
            self.do(lambda session: session.say(room, content, ref))
        except Malformed as cause:
            raise UsageError(f"this cannot be sent: {cause}") from cause

    def _withdraw(self, room: RoomId, ref: int) -> bool:
        """Take something out of the outbox that was never sealed; whether it is not said, nor will be."""
        return self._session is not None and self.do(lambda session: session.withdraw(room, ref))

    @contextlib.asynccontextmanager
    async def _deadline(self) -> AsyncIterator[asyncio.Timeout]:
        try:
            async with asyncio.timeout(self._timing.request_ms / SECOND_MS) as deadline:
                yield deadline
        except TimeoutError as cause:
            seconds = self._timing.request_ms / SECOND_MS
            why = f": {self.line.state.detail}" if self.line.state.detail else ""
            raise Unreachable(f"the relay at {self.line.name} gave no answer within {seconds:g} s{why}") from cause

    # --- the line ---

    def learn(self, address: Address) -> None:
        """The relay is at this address too; it is tried first from now on."""
        addresses = self.line.addresses
        if addresses[0] != address and not self._answers and self.line.state.state in {"offline", "stopped"}:
            self._session = None  # The next one names this address in its links.
            self.line.name = address.netloc
        addresses[:] = [address, *(known for known in addresses if known != address)]

    async def close(self) -> None:
        """Hang up and end; requests that wait fail as Unreachable."""
        await self.line.close()
        self._fail(Unreachable("the client was closed", hint=""))
        self.spool.close()

    def connected(self) -> None:
        """The line's owner: the relay is there."""
        self.do(lambda session: session.connected(clock()))

    def take_in(self, frames: Sequence[AnyRelayFrame]) -> bool:
        """The line's owner: all frames of one read are one batch, so that a backlog costs few commits."""

        def receive(session: Session) -> bool:
            for frame in frames:
                session.receive(frame, clock())
            return session.arrival.settled

        return self.do(receive)

    def disconnected(self) -> None:
        """The line's owner: the connection is gone."""
        if self._session is not None:
            with self._surviving():
                self.do(lambda session: session.disconnected(clock()))

    def tick(self) -> None:
        """The line's owner: replaced keys are erased by the clock, connected or not; long work is told by it."""
        self._tell_all(self._patience.due(_running()))
        if self._clock_was_set():
            # How far it is off the relay's is known at a Welcome: nothing is dated by it before the next one.
            self.line.hang_up(Unreachable("this machine's clock was set, or the machine slept"))
            return
        with self._surviving():
            self.do(lambda session: session.tick(clock()))
            if _running() >= self._next_wipe:
                self._next_wipe = _running() + self._timing.wipe_ms
                self._profile.wipe()

    def _clock_was_set(self) -> bool:
        """Whether the machine's clock has jumped since the last look, further than one is corrected as it goes."""
        before, self._clock_leads_by = self._clock_leads_by, clock() - _running()
        return abs(self._clock_leads_by - before) > MINUTE_MS

    def stopped(self, error: ChatonError) -> None:
        """The line's owner: nothing comes any more."""
        self._fail(error)

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """The line goes on when a disk refuses: whoever waited was told, and what was to be done is due again."""
        try:
            yield
        except (StoreError, ProfileError) as error:
            _log.warning("%s", error)


def _settle(future: asyncio.Future[Any] | None, result: Any, error: ChatonError | None) -> None:
    if future is None or future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
