"""``chaton tail``: the lines of a room, as they stand, and as they come."""

import time

from chaton.cli import events
from chaton.cli.common import backend
from chaton.cli.face import Backend
from chaton.cli.lines import Narrator
from chaton.cli.output import put, put_json, tell
from chaton.client.duration import parse_duration_ms
from chaton.client.news import AnyNotice, ConnectionChanged, Progress, room_of
from chaton.client.replies import LineFacts, Lines, RoomFacts
from chaton.client.requests import Open, Tail
from chaton.client.words import end_sentence
from chaton.limits import SECOND_MS
from chaton.session.notices import Ended, Joined, PresenceChanged, Said, Working

_NOT_SAID = Joined | PresenceChanged | Progress | Working  # What comes and goes is no part of what a room has said.
_EXIT_REFUSED = 3
_EXIT_UNREACHABLE = 4
_EXIT_SECURITY = 5


class _Printer:
    """Prints lines and notices, as JSON or for people, each message once."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._narrator = Narrator()
        self._printed: set[str] = set()

    def line(self, room: str, line: LineFacts) -> None:
        """One line of before."""
        self._printed.add(line.id)
        if self._as_json:
            put_json(events.of_line(room, line))
        else:
            put(self._narrator.line(line))

    def notice(self, notice: AnyNotice) -> None:
        """What happened just now. For people, only messages are data."""
        if isinstance(notice, Said) and str(notice.id) in self._printed:
            return
        if self._as_json:
            event = events.of_notice(notice)
            if event is not None:
                put_json(event)
        elif text := self._narrator.notice(notice):
            (put if isinstance(notice, Said) else tell)(text)


async def print_tail(room: str, *, after: int, since: str | None, count: int | None, as_json: bool) -> None:
    """Print what a room has said."""
    printer = _Printer(as_json=as_json)
    async with backend() as opened:
        told = await _lines(opened, room, after, since, count)
    for line in told.lines:
        printer.line(told.room, line)


async def _lines(opened: Backend, room: str, after: int, since: str | None, count: int | None) -> Lines:
    told = await opened.perform(Tail(room=room, after=after))
    assert isinstance(told, Lines)
    oldest = time.time_ns() // 1_000_000 - parse_duration_ms(since) if since else 0
    kept = [line for line in told.lines if line.at >= oldest]
    return Lines(room=told.room, lines=kept if count is None else kept[len(kept) - min(count, len(kept)) :])


async def follow_room(room: str, *, after: int, since: str | None, count: int | None, as_json: bool) -> int:
    """Print what a room has said and says, until it ends for us; the exit code."""
    printer = _Printer(as_json=as_json)
    async with backend(lasting=True) as opened:
        notices = opened.notices()
        facts = await opened.perform(Open(room=room))
        assert isinstance(facts, RoomFacts)
        for line in (await _lines(opened, facts.room, after, since, count)).lines:
            printer.line(facts.room, line)
        async for notice in notices:
            if isinstance(notice, ConnectionChanged):
                if _connection(notice, facts):
                    return _EXIT_SECURITY if notice.code == "security" else _EXIT_UNREACHABLE
            elif str(room_of(notice) or "") == facts.room and not isinstance(notice, _NOT_SAID):
                if not isinstance(notice, Said) or notice.seq > after:
                    printer.notice(notice)
                if isinstance(notice, Ended):
                    tell(f"* {end_sentence(notice.code, notice.detail)}")
                    return {"left": 0, "closed": 0, "security": _EXIT_SECURITY}.get(notice.code, _EXIT_REFUSED)
    return _EXIT_UNREACHABLE


def _connection(notice: ConnectionChanged, facts: RoomFacts) -> bool:
    """Tell a person how the connection stands; whether it is gone for good."""
    if notice.address != facts.relay:
        return False
    if notice.state in {"offline", "stopped"}:
        again = f"; next attempt in {max(1, round(notice.retry_ms / SECOND_MS))} s" if notice.retry_ms else ""
        tell(f"! {notice.state}: {notice.detail}{again}")
    return notice.state == "stopped"
