"""The rooms' logs: Create, Submit, Turn, Log (docs/protocol.md §2)."""

from collections.abc import Iterator
from typing import NamedTuple

from chaton.errors import BadSignature, Malformed, RecordRefused
from chaton.identity.ids import Head, Identity, Instance
from chaton.limits import RECORDS_PER_FRAME_MAX
from chaton.relay.hub.effects import Decision, Gain, Hint, Pages, Part, Reply
from chaton.relay.hub.memory import ROOMS_MAX, Memory, Session
from chaton.relay.hub.refusals import No
from chaton.relay.hub.room import Move, Room, Standing
from chaton.relay.hub.turns import Waiter
from chaton.relay.store.base import BodyGone, EventRow
from chaton.room import fold
from chaton.room.records import Join, Leave, Nick, Record, Redact, Role, open_record
from chaton.wire.frames import (
    KIND_RECORD,
    Accepted,
    AnyRelayFrame,
    Create,
    Event,
    Log,
    LogEnd,
    LogMoved,
    Presence,
    RecordsPage,
    Submit,
    Turn,
    YourTurn,
)

PAGE_BYTES_MAX = 512 * 2**10
_RANK_OF_JOINER = -1


def create(memory: Memory, session: Session, who: Identity, frame: Create, now: int) -> Decision:
    """Make a room: for owners named in the configuration, and for clients on the relay's machine."""
    if who not in memory.policy.owners and not session.local:
        raise No("no-right")
    record = _open(frame.genesis, who)
    try:
        room = Room.of_genesis(record)
    except RecordRefused as cause:
        raise No("bad-record") from cause
    accepted = Accepted(frame.ref, 0, room.transcript_of(0))
    decision = Decision(asker=(session.id, frame.ref), then=[Reply(session.id, accepted)])
    if room.id in memory.rooms:
        return decision  # The same GENESIS again, as the answer was lost on the way.
    _check_rooms_of(memory, who)
    memory.put_room(room)
    row = EventRow(room.id, 0, KIND_RECORD, 0, now, who, Instance.zero(), record.head, record.raw)
    decision.writes = [row, *memory.keep_bundle(who, now)]
    return decision


def _check_rooms_of(memory: Memory, who: Identity) -> None:
    if len(memory.rooms_of.get(who, ())) >= ROOMS_MAX:
        raise No("limited", f"one identity is in at most {ROOMS_MAX} rooms of a relay: leave some first")


def _open(raw: bytes, who: Identity) -> Record:
    """The record if it is well-formed, signed, and by the one who logged in."""
    try:
        record = open_record(raw)
    except (Malformed, BadSignature) as cause:
        raise No("bad-record") from cause
    if record.actor != who:
        raise No("not-allowed", "a record is submitted by the one who signed it: log in with that identity")
    return record


class Offer(NamedTuple):
    """A record that its signer wants in a room's log."""

    memory: Memory
    session: Session
    room: Room
    record: Record
    ref: int
    now: int

    @property
    def asker(self) -> tuple[int, int]:
        """Whose request this is."""
        return self.session.id, self.ref


def submit(memory: Memory, session: Session, who: Identity, frame: Submit, now: int) -> Decision:
    """Take a record into a room's log if the fold does; the turn of who submits ends in any case."""
    room = memory.room_with_log(frame.room)
    try:
        record = _open(frame.record, who)
        if record.room != room.id:
            raise No("bad-record")
        return _submit(Offer(memory, session, room, record, frame.ref, now))
    finally:
        room.turns.release(session.id)


def _submit(offer: Offer) -> Decision:
    room, record = offer.room, offer.record
    if record.n < len(room.records) and room.records[record.n] == record.raw:
        s = room.event_of(record.n)  # The same record again, as the answer was lost on the way.
        accepted = Accepted(offer.ref, s, room.transcript_of(s))
        return Decision(offer.asker, then=[Reply(offer.session.id, accepted)])
    if isinstance(record.body, Join):
        _check_join(offer, record.body)
    else:
        room.member(record.actor)
    if (record.n, record.prev) != (room.state.n + 1, room.state.head):
        raise No("head-moved", records=room.records[record.n : record.n + RECORDS_PER_FRAME_MAX])
    if wait := room.turns.wait_ms(offer.session.id, offer.now):
        raise No("turn-taken", retry_ms=wait)
    return _accept(offer)


def _check_join(offer: Offer, body: Join) -> None:
    """What a joiner can do nothing about by signing again at a later head."""
    state, who = offer.room.state, offer.record.actor
    invite = state.invites.get(body.key)
    if state.closed:
        raise No("closed")
    if who in state.banned:
        raise No("banned")
    if offer.room.standing(who) is not Standing.OUT:
        raise No("not-allowed", "you are in this room already, or wait to be let in: open it instead of joining")
    if invite is None:
        raise No("bad-invite")
    if offer.now >= invite.expires:
        raise No("invite-expired")
    if len(state.members) + len(state.pending) >= state.max_members:
        raise No("room-full")
    _check_rooms_of(offer.memory, who)


def _accept(offer: Offer) -> Decision:
    memory, session, room, record, ref, now = offer
    seat = room.state.members.get(record.actor)
    inst = seat.inst if seat else Instance.zero()
    waiting = list(room.state.pending)
    redacted = _redacted(room, record)
    move = _fold(offer)
    s = room.history.s
    row = EventRow(room.id, s, KIND_RECORD, record.n, now, record.actor, inst, record.head, record.raw)
    event = Event(room.id, s, now, KIND_RECORD, record.actor, record.raw)
    decision = Decision(offer.asker, writes=[row, *redacted])
    decision.then = [Reply(session.id, Accepted(ref, s, room.history.last)), Gain(room.id, event)]
    moved = [move.who] if move.before is not move.after else []
    for identity in dict.fromkeys([*waiting, *moved]):
        _hint_log(memory, room, identity, session, decision)
    if moved:
        _tell_moved(memory, room, move, decision, now)
    return decision


def _fold(offer: Offer) -> Move:
    """The fold's word is the last one, and only what it accepts counts against the day's nicks and leavings."""
    room, record = offer.room, offer.record
    try:
        fold.judge(room.state, record)
    except RecordRefused as cause:
        code = "closed" if room.state.closed else "not-allowed"
        raise No(code, f"{cause}: look at the room as it is now") from cause
    if isinstance(record.body, Nick | Leave):
        kind = "nick" if isinstance(record.body, Nick) else "leave"
        wait = offer.memory.meter.take_daily(kind, offer.session, offer.now)
        if wait:
            raise No("limited", "that was done often enough for one day: try again later", retry_ms=wait)
    return room.add_record(record)


def _redacted(room: Room, record: Record) -> list[BodyGone]:
    """The message whose body goes: its author, if still of that membership, is outranked at this record."""
    if not isinstance(record.body, Redact):
        return []
    s = room.find(record.body.message)
    author = room.author(s) if s is not None else None
    if s is None or author is None:
        return []
    actor, seat = room.state.members.get(record.actor), room.state.seated(author.identity, author.inst)
    rank = seat.role if seat else Role.MEMBER
    return [BodyGone(room.id, s)] if actor and actor.role > rank else []


def _hint_log(memory: Memory, room: Room, who: Identity, but: Session, decision: Decision) -> None:
    """Hint to somebody who waits, or just was seated or refused, to look at the log again."""
    session = memory.online.get(who)
    if session is not None and session is not but:
        decision.then.append(Reply(session.id, LogMoved(room.id)))


def _tell_moved(memory: Memory, room: Room, move: Move, decision: Decision, now: int) -> None:
    """Carry out what follows when somebody is seated or put out."""
    memory.index(move.who, room)
    decision.writes += memory.keep_bundle(move.who, now)
    session = memory.online.get(move.who)
    if session is not None and move.before is Standing.SEATED:
        decision.then.append(Part(session.id, room.id, put_out=True))
    elif session is not None and move.after is Standing.SEATED:
        decision.then.append(Hint(room.id, Presence(room.id, move.who, online=True)))


def turn(memory: Memory, session: Session, who: Identity, frame: Turn, now: int) -> Decision:
    """Queue for the head of a room: members, and joiners who peek."""
    room = memory.room_with_log(frame.room)
    seat = room.state.members.get(who) if room.id in session.peeks else room.member(who)
    if room.state.closed:
        raise No("closed")
    room.turns.expire(now)
    if not room.turns.ask(session.id, frame.ref, seat.role if seat else _RANK_OF_JOINER):
        raise No("turn-taken", "this connection waits for a turn in this room already, or has it: sign then")
    memory.turning.add(room.id)
    return Decision()


def pass_turns(memory: Memory, now: int) -> Iterator[Reply]:
    """Give every free head to the next who waits for it."""
    for room_id in list(memory.turning):
        room = memory.rooms[room_id]
        room.turns.expire(now)
        waiter = room.turns.grant(now)
        if waiter is not None:
            yield _your_turn(room, waiter)
        if room.turns.idle:
            memory.turning.discard(room_id)


def _your_turn(room: Room, waiter: Waiter) -> Reply:
    return Reply(waiter.session, YourTurn(waiter.ref, room.state.n, room.state.head))


def read(memory: Memory, session: Session, who: Identity | None, frame: Log) -> Decision:
    """Tell a room's records: to members, to those who wait or peek, and to who is out up to the record that did it."""
    room = memory.room_with_log(frame.room)
    last = room.state.n
    if room.id not in session.peeks and (who is None or room.standing(who) is Standing.OUT):
        if who is None or who not in room.outs:
            raise No("not-member")
        last = room.outs[who]
    pages = _pages(frame.ref, room.records, frame.after + 1, last, room.state.heads[last])
    return Decision(asker=(session.id, frame.ref), then=[Pages(session.id, pages)])


def _pages(ref: int, records: list[bytes], first: int, last: int, head: Head) -> Iterator[AnyRelayFrame]:
    """Pages of at most 256 records and 512 KiB, then the end."""
    while first <= last:
        page: list[bytes] = []
        size = 0
        for raw in records[first : min(first + RECORDS_PER_FRAME_MAX, last + 1)]:
            size += len(raw)
            if page and size > PAGE_BYTES_MAX:
                break
            page.append(raw)
        yield RecordsPage(ref, first, page)
        first += len(page)
    yield LogEnd(ref, last, head)
