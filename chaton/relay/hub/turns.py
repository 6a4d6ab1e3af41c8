"""Who may sign at a room's head next (docs/protocol.md §2): the highest rank first, then who asked first."""

from typing import NamedTuple

from chaton.limits import TURN_MS


class Waiter(NamedTuple):
    """Somebody who asked for a turn. Sorts by falling rank, then by arrival."""

    minus_rank: int
    arrival: int
    session: int
    ref: int


class Turns:
    """The queue of one room and who holds its head."""

    def __init__(self) -> None:
        self.waiting: list[Waiter] = []
        self.holder: Waiter | None = None
        self.until = 0
        self._arrivals = 0

    def ask(self, session: int, ref: int, rank: int) -> bool:
        """Join the queue; False if that session is in it, or holds the head, already."""
        known = [*self.waiting, self.holder] if self.holder else self.waiting
        if any(waiter.session == session for waiter in known):
            return False
        self._arrivals += 1
        self.waiting.append(Waiter(-rank, self._arrivals, session, ref))
        self.waiting.sort()
        return True

    def release(self, session: int) -> None:
        """Take the head from a session that has used it; one that still waits stays in the queue."""
        if self.holder is not None and self.holder.session == session:
            self.holder = None

    def leave(self, session: int) -> None:
        """Forget a session that is gone."""
        self.waiting = [waiter for waiter in self.waiting if waiter.session != session]
        self.release(session)

    def clear(self) -> list[Waiter]:
        """Forget everybody; tell who still waited."""
        waiting, self.waiting, self.holder = self.waiting, [], None
        return waiting

    def expire(self, now: int) -> None:
        """Take the head from a holder whose time is up at ``now`` (ms), or cannot be told as the clock was set back."""
        if self.holder is not None and not self.until - TURN_MS <= now < self.until:
            self.holder = None

    def grant(self, now: int) -> Waiter | None:
        """Give the head to the next in the queue, for 2 s from ``now`` (ms); None if it is held or nobody waits."""
        if self.holder is not None or not self.waiting:
            return None
        self.holder, self.until = self.waiting.pop(0), now + TURN_MS
        return self.holder

    def wait_ms(self, session: int, now: int) -> int:
        """How long a session has to wait before it may submit: 0 if nobody else holds the head at ``now``."""
        self.expire(now)
        free = self.holder is None or self.holder.session == session
        return 0 if free else self.until - now

    @property
    def idle(self) -> bool:
        """Whether nobody holds the head or waits for it."""
        return self.holder is None and not self.waiting
