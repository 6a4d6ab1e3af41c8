"""The hub: one frame in, one decision out."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from chaton.identity.ids import Identity, RoomId
from chaton.limits import SECOND_MS
from chaton.relay.hub import access, blobs, keys, log, talk
from chaton.relay.hub.effects import Close, Decision, Hint, Pages, PushWaiting, Reply
from chaton.relay.hub.memory import Memory, Session
from chaton.relay.hub.refusals import SENTENCES, No
from chaton.relay.store.base import ParcelsGone
from chaton.wire.frames import (
    AnyClientFrame,
    Bundles,
    Create,
    Direct,
    Follow,
    Get,
    Log,
    Login,
    Parcels,
    ParcelTaken,
    Peek,
    Ping,
    Pong,
    Present,
    Publish,
    Put,
    PutStatus,
    Refused,
    Send,
    Submit,
    Turn,
    Unfollow,
    YourTurn,
)

Handler: TypeAlias = Callable[[Memory, Session, Identity, Any, int], Decision]
RETRY_AFTER_FAILURE_MS = SECOND_MS


class Task(NamedTuple):
    """What carries out a frame of somebody logged in, and as what it counts (``Meter.take``)."""

    kind: str
    handler: Handler


TASKS: dict[type[AnyClientFrame], Task] = {
    Send: Task("messages", talk.send),
    Submit: Task("records", log.submit),
    Create: Task("records", log.create),
    Turn: Task("records", log.turn),
    Direct: Task("records", talk.direct),
    Publish: Task("records", keys.publish),
    Parcels: Task("parcels", keys.parcels),
    ParcelTaken: Task("requests", keys.taken),
    Bundles: Task("requests", keys.bundles),
    Follow: Task("requests", talk.follow),
    Unfollow: Task("requests", talk.unfollow),
    Put: Task("pieces", blobs.put),
    PutStatus: Task("requests", blobs.status),
    Get: Task("pieces", blobs.get),
}
_PASSES_TURN = (Submit, Turn)
_FRAME_BYTES = 64  # About what a frame has around its one long field.


class Hub:
    """Decides on memory that runs ahead of the disk.

    Attributes:
        suspended: Whether memory is being read again from the disk after a failed commit: all is refused until then.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.suspended = False

    def handle(self, session: Session, frame: AnyClientFrame, now: int) -> Decision:
        """Decide on a frame that came at ``now`` (ms). Never raises because of what is in it."""
        ref = 0 if isinstance(frame, Login) else frame.ref
        try:
            decision = self._decide(session, frame, now)
        except No as no:
            if isinstance(frame, Send):
                talk.note_refused(self.memory, session, frame.envelope, no.code, no.retry_ms)
            decision = _refused(session, Refused(ref, no.code, no.detail, no.retry_ms, no.records))
        if isinstance(frame, Send):
            decision.sent = session, frame.envelope
        if isinstance(frame, _PASSES_TURN) and not self.suspended:
            decision.then += log.pass_turns(self.memory, now)
        return decision

    def _decide(self, session: Session, frame: AnyClientFrame, now: int) -> Decision:
        if isinstance(frame, Ping):
            self._count("requests", session, 1, now)
            return Decision(now=[Reply(session.id, Pong(frame.ref))])
        if self.suspended:
            raise No("store-failed", retry_ms=RETRY_AFTER_FAILURE_MS)
        self._count("bytes", session, _weight(frame), now)
        task = TASKS.get(type(frame))
        if task is None:
            return self._open_to_all(session, frame, now)
        if session.identity is None:
            raise No("not-logged-in")
        self._count(task.kind, session, len(frame.parcels) if isinstance(frame, Parcels) else 1, now)
        return task.handler(self.memory, session, session.identity, frame, now)

    def _open_to_all(self, session: Session, frame: AnyClientFrame, now: int) -> Decision:
        """What may be asked before a login."""
        if isinstance(frame, Login):
            return access.login(self.memory, session, frame, now)
        if isinstance(frame, Peek):
            return access.peek(self.memory, session, frame, now)
        assert isinstance(frame, Log)
        self._count("requests", session, 1, now)
        return log.read(self.memory, session, session.identity, frame)

    def _count(self, kind: str, session: Session, amount: int, now: int) -> None:
        wait = self.memory.meter.take(kind, session, amount, now)
        if wait:
            raise No("limited", retry_ms=wait)

    def gone(self, session: Session, now: int) -> Decision:
        """A connection has ended."""
        decision = access.gone(self.memory, session)
        if not self.suspended:
            decision.then += log.pass_turns(self.memory, now)
        return decision

    def tick(self, now: int) -> Decision:
        """Time has passed: turns go on to the next. To be called at ``next_tick`` at the latest."""
        return Decision() if self.suspended else Decision(then=list(log.pass_turns(self.memory, now)))

    def next_tick(self) -> int | None:
        """When a turn ends, in ms; None where nobody has one."""
        if not self.memory.turning:
            return None
        rooms = (self.memory.rooms[room] for room in self.memory.turning)
        return min(room.turns.until for room in rooms)

    def expire(self, now: int) -> Decision:
        """Forget what is too old: bundles of strangers, parcels, attachments. To be called now and then."""
        self.memory.forget_strangers(now)
        dropped = ((who, mailbox.expire(now)) for who, mailbox in self.memory.mailboxes.items())
        decision = Decision(writes=[ParcelsGone(who, tuple(tokens)) for who, tokens in dropped if tokens])
        for who in [who for who, mailbox in self.memory.mailboxes.items() if not len(mailbox)]:
            del self.memory.mailboxes[who]
        decision.writes += self.memory.depot.expire(now, self.memory.policy.blob_life_ms)
        return decision

    def present(self, room: RoomId) -> Present:
        """Who of a room is connected now."""
        return access.present(self.memory, room)

    def suspend(self) -> Decision:
        """A commit has failed: refuse everything until memory is read again, also to those who wait for a turn."""
        self.suspended = True
        waiters = [waiter for room in self.memory.turning for waiter in self.memory.rooms[room].turns.clear()]
        self.memory.turning.clear()
        return Decision(now=[_store_failed(waiter.session, waiter.ref) for waiter in waiters])

    def failed(self, decision: Decision) -> Decision:
        """What is told in place of a decision that the disk refused, or that was made on top of such a one."""
        if decision.sent is not None:
            talk.note_refused(self.memory, *decision.sent, "store-failed", RETRY_AFTER_FAILURE_MS)
        refusals = [
            _store_failed(effect.session, effect.frame.ref)
            for effect in decision.then
            if isinstance(effect, Reply) and isinstance(effect.frame, YourTurn)
        ]
        told = Decision(now=[*refusals, *(effect for effect in decision.then if isinstance(effect, Hint))])
        if decision.asker is not None:
            told.now.append(_store_failed(*decision.asker))
            if any(isinstance(effect, PushWaiting) for effect in decision.then):
                told.now.append(Close(decision.asker[0], None))  # A login that is refused ends its connection.
        return told


def _refused(session: Session, refused: Refused) -> Decision:
    """What a refusal rests on may be on its way to the disk and get lost, unless it only asks to wait."""
    if refused.retry_ms:
        return Decision(now=[Reply(session.id, refused)])
    answer = Pages(session.id, (refused,)) if refused.records else Reply(session.id, refused)
    return Decision((session.id, refused.ref), then=[answer])


def _store_failed(session: int, ref: int) -> Reply:
    return Reply(session, Refused(ref, "store-failed", SENTENCES["store-failed"], RETRY_AFTER_FAILURE_MS, []))


def _weight(frame: AnyClientFrame) -> int:
    """About how many bytes a frame has."""
    match frame:
        case Send():
            return _FRAME_BYTES + len(frame.envelope)
        case Submit():
            return _FRAME_BYTES + len(frame.record)
        case Create():
            return _FRAME_BYTES + len(frame.genesis)
        case Put():
            return _FRAME_BYTES + len(frame.data)
        case Publish():
            return _FRAME_BYTES + len(frame.bundle)
        case Parcels():
            return sum(_FRAME_BYTES + len(item.parcel) for item in frame.parcels)
        case _:
            return _FRAME_BYTES
