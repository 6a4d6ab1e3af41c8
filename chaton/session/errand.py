"""Errands: what takes several questions to the relay, written as one straight generator.

An errand yields a frame with ref 0 and gets the answer, or yields ``Until`` and goes on when its condition holds.
A refusal is raised inside it as ``Refused``; a broken connection as ``Interrupted``, after which it may wait with
``Until`` and ask again. The desk numbers the questions and runs each errand as far as it goes.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import msgspec

from chaton.errors import ChatonError, Malformed, Refused, Unreachable
from chaton.identity.ids import RoomId
from chaton.limits import RECORDS_MAX
from chaton.session.notices import Working
from chaton.session.text import clean_line
from chaton.session.view import checked
from chaton.wire import frames
from chaton.wire.frames import AnyClientFrame, AnyRelayFrame


class Interrupted(Unreachable):
    """The connection broke before the answer came: what was asked may or may not have been done."""


class HeadMoved(Refused):
    """A record was signed at a place that is taken; ``records`` are the ones that took it."""

    def __init__(self, records: list[bytes]) -> None:
        super().__init__("head-moved", "somebody else was faster, several times", hint="try again")
        self.records = records


@dataclass(frozen=True, slots=True)
class Until:
    """Wait until a condition holds."""

    holds: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Pages:
    """Ask for a log and take each page as it comes, so that a long one is never folded in one go; gives its LogEnd.

    What ``take`` raises is raised inside the errand.
    """

    asked: frames.Log
    take: Callable[[list[bytes]], None]


@dataclass(frozen=True, slots=True)
class LogTold:
    """All pages of a log, and its end. The signatures of the records were checked as they came."""

    records: list[bytes]
    end: frames.LogEnd


_Result = TypeVar("_Result")
Errand: TypeAlias = Generator[AnyClientFrame | Until | Pages, Any, _Result]


@dataclass(slots=True, eq=False)
class _Running:
    errand: Errand[Any]
    done: Callable[[Any, ChatonError | None], None]
    until: Until | None = None
    reading: "_Reading | None" = None
    expects: type[AnyRelayFrame] = frames.Done


@dataclass(slots=True)
class _Reading:
    """A log on its way: ``take`` gets each page; without one they are gathered in ``pages``."""

    room: RoomId
    take: Callable[[list[bytes]], None] | None
    pages: list[bytes] = field(default_factory=list)
    read: int = 0


class Desk:
    """Runs errands: sends their questions, hands them their answers, and tells how far a log is read."""

    def __init__(self, transmit: Callable[[AnyClientFrame], None], tell: Callable[[Working], None]) -> None:
        self._transmit = transmit
        self._tell = tell
        self._last_ref = 0
        self._asked: dict[int, _Running] = {}
        self._waiting: list[_Running] = []
        self.connected = False

    def begin(self, errand: Errand[Any], done: Callable[[Any, ChatonError | None], None]) -> None:
        """Start an errand; ``done`` is called once, with its result or its error."""
        self._step(_Running(errand, done), None, None)

    def give_up(self, errand: Errand[Any]) -> None:
        """Nobody waits for an errand any more: it asks and does nothing further, and ``done`` is not called."""
        self._waiting = [running for running in self._waiting if running.errand is not errand]
        for ref, running in list(self._asked.items()):
            if running.errand is errand:
                del self._asked[ref]
                self._close_log(running)
        errand.close()

    def answer(self, frame: AnyRelayFrame) -> None:
        """Hand an answer to whoever asked; one to a question that was given up is passed over.

        Raises:
            Malformed: It is no answer to what was asked.
        """
        ref = getattr(frame, "ref", None)
        running = self._asked.get(ref) if ref is not None else None
        if running is None:
            return
        if isinstance(frame, frames.RecordsPage) and running.reading is not None:
            self._turn_page(running, running.reading, frame)
            return
        if not isinstance(frame, frames.Refused | running.expects):
            raise Malformed(f"the relay answered with {type(frame).__name__} instead of {running.expects.__name__}")
        del self._asked[frame.ref]  # type: ignore[union-attr]
        reading = self._close_log(running)
        if isinstance(frame, frames.Refused):
            self._step(running, None, refusal(frame))
        elif isinstance(frame, frames.LogEnd) and reading is not None and reading.take is None:
            self._step(running, LogTold(reading.pages, frame), None)
        else:
            self._step(running, frame, None)

    def _turn_page(self, running: _Running, reading: _Reading, page: frames.RecordsPage) -> None:
        reading.read += len(page.records)
        if reading.read > RECORDS_MAX + 1:
            raise Malformed("the relay shows a log that is longer than any")
        if reading.take is None:
            reading.pages += map(checked, page.records)
        else:
            try:
                reading.take(page.records)
            except ChatonError as error:
                del self._asked[page.ref]
                self._close_log(running)
                self._step(running, None, error)
                return
        self._tell(Working(reading.room, "log", reading.read))

    def _close_log(self, running: _Running) -> _Reading | None:
        """No more of a log is to come: what was told of it is over, however it ended."""
        reading, running.reading = running.reading, None
        if reading is not None:
            self._tell(Working(reading.room, "log", reading.read, reading.read))
        return reading

    def poll(self) -> None:
        """Let go on whoever waits for a condition that holds now."""
        progress = True
        while progress:
            ready = [running for running in self._waiting if running.until is not None and running.until.holds()]
            progress = bool(ready)
            for running in ready:
                if running in self._waiting:
                    self._waiting.remove(running)
                    self._step(running, None, None)

    def interrupt(self) -> None:
        """The connection broke: tell everybody who waits for an answer."""
        asked, self._asked = list(self._asked.values()), {}
        self.connected = False
        for running in asked:
            self._close_log(running)
            self._step(running, None, Interrupted("the connection to the relay broke"))

    def _step(self, running: _Running, value: Any, error: ChatonError | None) -> None:
        try:
            wanted = running.errand.throw(error) if error is not None else running.errand.send(value)
        except StopIteration as stop:
            running.done(stop.value, None)
        except ChatonError as failure:
            running.done(None, failure)
        else:
            self._put(running, wanted)

    def _put(self, running: _Running, wanted: AnyClientFrame | Until | Pages) -> None:
        if isinstance(wanted, Until):
            running.until = wanted
            self._waiting.append(running)
        elif not self.connected:
            self._step(running, None, Interrupted("there is no connection to the relay"))
        elif isinstance(wanted, Pages):
            self._ask(running, wanted.asked, wanted.take)
        else:
            self._ask(running, wanted, None)

    def _ask(self, running: _Running, asked: AnyClientFrame, take: Callable[[list[bytes]], None] | None) -> None:
        self._last_ref += 1
        running.expects = frames.ANSWERS[type(asked)]
        if isinstance(asked, frames.Log):
            running.reading = _Reading(RoomId(asked.room), take)
            self._tell(Working(running.reading.room, "log", 0))
        self._asked[self._last_ref] = running
        self._transmit(msgspec.structs.replace(asked, ref=self._last_ref))


def refusal(frame: frames.Refused) -> Refused:
    """The error that a Refused frame stands for; the relay's sentence is made harmless."""
    if frame.code == "head-moved":
        return HeadMoved(frame.records)
    return Refused(str(clean_line(frame.code)), str(clean_line(frame.detail)), retry_ms=frame.retry_ms)
