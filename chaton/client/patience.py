"""Which work is worth telling: what lasts for over a second, at most once a second, and its end."""

from dataclasses import dataclass
from typing import Final

from chaton.identity.ids import RoomId
from chaton.limits import SECOND_MS
from chaton.session.notices import Working

_INTERVAL_MS: Final = SECOND_MS


@dataclass(slots=True)
class _Work:
    """``since`` is when it began, and then when it was told last."""

    last: Working
    since: int
    told: Working | None = None


class Patience:
    """See the module. Times are in ms, of a clock that nobody sets."""

    def __init__(self) -> None:
        self._works: dict[tuple[RoomId, str], _Work] = {}

    def heard(self, notice: Working, now: int) -> list[Working]:
        """Take in a step of some work; returns what is to be told now."""
        place = notice.room, notice.what
        if notice.done == notice.total:
            over = self._works.pop(place, None)
            return [notice] if over is not None and over.told is not None else []
        work = self._works.setdefault(place, _Work(notice, now))
        work.last = notice
        return self.due(now)

    def due(self, now: int) -> list[Working]:
        """What is to be told now, as time has passed."""
        due = [work for work in self._works.values() if now - work.since >= _INTERVAL_MS and work.last != work.told]
        for work in due:
            work.since, work.told = now, work.last
        return [work.last for work in due]

    def end(self) -> list[Working]:
        """All work is given up; returns the end of what was told."""
        given_up, self._works = self._works, {}
        last = (work.last for work in given_up.values() if work.told is not None)
        return [Working(one.room, one.what, one.done, one.done) for one in last]
