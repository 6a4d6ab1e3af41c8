"""Group commit: one thread drains what is queued, commits it as a whole, hands it back, and does so again.

All work on the store is done in that one thread, in order, so what it reads is what it has committed, and what a
commit releases reaches the event loop before anything that was read after it. A store that keeps nothing on disk
needs no thread: its work is done where it is asked for.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple, TypeAlias

from chaton.errors import StoreError
from chaton.relay.hub.effects import Decision
from chaton.relay.store.base import Store, Write

COMPLAIN_EVERY_S: Final = 60.0
_log = logging.getLogger(__name__)


class _Batch(NamedTuple):
    """What was decided during one turn of the loop."""

    decisions: list[Decision]


class _Work(NamedTuple):
    """Something else to do with the store, and who takes the result, or the error instead."""

    job: Callable[[], Any]
    then: Callable[[Any], None]
    failed: Callable[[StoreError], None]


class _Mend(NamedTuple):
    """As ``_Work``, but given all writes lost since a failed commit; if it succeeds, commits go on."""

    job: Callable[[list[Write]], Any]
    then: Callable[[Any], None]
    failed: Callable[[StoreError], None]


_Job: TypeAlias = _Batch | _Work | _Mend


class Committer:
    """Commits decisions in order.

    Args:
        release: Is given decisions whose writes, and all before them, are durable.
        refuse: Is given decisions whose writes are lost: the commit failed, or one before it. From then on
            everything is refused, until ``mend`` has succeeded.
        threaded: Whether the store is worth a thread.
    """

    def __init__(
        self,
        store: Store,
        release: Callable[[Sequence[Decision]], None],
        refuse: Callable[[Sequence[Decision]], None],
        *,
        threaded: bool,
    ) -> None:
        self._store = store
        self._release = release
        self._refuse = refuse
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._outstanding = 0  # Batches that the thread has and has not handed back; known to the loop only.
        self._failing = False  # A failed commit has been handed back, and is not mended yet; known to the loop only.
        self._broken = False
        self._complained = False
        self._complain_at = 0.0
        self._lost: list[Write] = []
        self._thread = Thread(target=self._run, name="committer", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def add(self, decisions: list[Decision]) -> None:
        """Commit what was decided during one turn of the loop, all or nothing together with its neighbours."""
        if not self._outstanding and not self._failing and not any(decision.writes for decision in decisions):
            self._release(decisions)
            return
        self._outstanding += 1
        self._put(_Batch(decisions))

    def work(self, job: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[StoreError], None]) -> None:
        """Do something else with the store after all commits so far; never calls back before this returns."""
        self._put(_Work(job, then, failed))

    def mend(
        self, job: Callable[[list[Write]], Any], then: Callable[[Any], None], failed: Callable[[StoreError], None]
    ) -> None:
        """After a failed commit: read again what was lost, then go on."""

        def mended(result: Any) -> None:
            self._failing = False
            then(result)

        self._put(_Mend(job, mended, failed))

    async def close(self) -> None:
        """Finish all commits, and hand their results back, before this returns."""
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # One turn of the loop, in which the last results are handed back.

    def _put(self, job: _Job) -> None:
        if self._thread is not None:
            self._jobs.put(job)
        elif isinstance(job, _Batch):
            for callback, argument in self._commit([job]):
                callback(argument)
        else:
            self._loop.call_soon(self._hand_back, [self._do(job)])

    def _run(self) -> None:
        """The thread: drain, commit, hand back, and then what else there is to do."""
        going_on = True
        while going_on:
            jobs = self._drain()
            going_on = None not in jobs
            batches = [job for job in jobs if isinstance(job, _Batch)]
            others = [job for job in jobs if isinstance(job, _Work | _Mend)]
            results = self._commit(batches) if batches else []
            if results:
                self._loop.call_soon_threadsafe(self._hand_back, results)
            for other in others:
                self._loop.call_soon_threadsafe(self._hand_back, [self._do(other)])

    def _drain(self) -> list[_Job | None]:
        """Wait for a job and take all there are, up to and including the first mend."""
        jobs = [self._jobs.get()]
        # Nobody else takes from the queue, so what is not empty now is not empty in a moment.
        while not isinstance(jobs[-1], _Mend) and not self._jobs.empty():
            jobs.append(self._jobs.get())
        return jobs

    def _hand_back(self, results: list[tuple[Callable[[Any], None], Any]]) -> None:
        for callback, argument in results:
            callback(argument)

    def _commit(self, batches: list[_Batch]) -> list[tuple[Callable[[Any], None], Any]]:
        """Commit batches as one group; what to call with them."""
        decisions = [decision for batch in batches for decision in batch.decisions]
        writes = [write for decision in decisions for write in decision.writes]
        if not self._broken:
            try:
                if writes:
                    self._store.commit(writes)
                    self._praise()
            except Exception as cause:  # noqa: BLE001 - whatever happened, nothing of it may be acknowledged
                self._complain(cause, len(decisions))
                self._broken = True
            else:
                return [(self._committed, (len(batches), decisions))]
        self._lost += writes
        return [(self._failed, (len(batches), decisions))]

    def _complain(self, cause: Exception, refused: int) -> None:
        """Log that a commit failed, once a minute: as long as a disk is full, everybody tries again every second."""
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + COMPLAIN_EVERY_S
            self._complained = True
            _log.error("a commit failed, %d requests are refused: %s", refused, _reason(cause))

    def _praise(self) -> None:
        """Log that a commit succeeded, if the last word was that one failed."""
        if self._complained:
            self._complained = False
            _log.warning("the store works again")

    def _committed(self, result: tuple[int, list[Decision]]) -> None:
        self._outstanding -= result[0]
        self._release(result[1])

    def _failed(self, result: tuple[int, list[Decision]]) -> None:
        self._outstanding -= result[0]
        self._failing = True
        self._refuse(result[1])

    def _do(self, work: _Work | _Mend) -> tuple[Callable[[Any], None], Any]:
        try:
            if isinstance(work, _Work):
                return work.then, work.job()
            result = work.job(self._lost)
        except StoreError as cause:
            return work.failed, cause
        except Exception as cause:  # noqa: BLE001 - a driver's own error must not end the thread
            return work.failed, StoreError(f"the store failed: {_reason(cause)}")
        self._broken, self._lost = False, []
        return work.then, result


def _reason(cause: Exception) -> str:
    """What to log of an error: a store's own sentence, else only the kind, as it might quote data."""
    return str(cause) if isinstance(cause, StoreError) else type(cause).__name__
