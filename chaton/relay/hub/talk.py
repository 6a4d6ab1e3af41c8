"""What is said in rooms: Send, Follow, Unfollow, Direct (docs/protocol.md §§3, 7, 8)."""

from chaton.errors import Malformed, UsageError
from chaton.identity.ids import Identity, RoomId
from chaton.identity.safety import direct_room
from chaton.relay.hub.effects import Decision, Feed, Gain, Part, Reply
from chaton.relay.hub.memory import ROOMS_MAX, Memory, Refusal, Session
from chaton.relay.hub.refusals import No
from chaton.relay.hub.room import Author, Room
from chaton.relay.store.base import DirectRow, EventRow
from chaton.room.envelope import Header, header_of, message_id
from chaton.room.state import Member
from chaton.wire.frames import KIND_MESSAGE, Accepted, Direct, DirectRoom, Done, Event, Follow, Send, Unfollow


def send(memory: Memory, session: Session, who: Identity, frame: Send, now: int) -> Decision:
    """Take a message as the room's next event; one that is an event already is answered as it was then."""
    try:
        header = header_of(frame.envelope)
    except Malformed as cause:
        raise No("format") from cause
    if header.room != frame.room:
        raise No("format")
    room = memory.room(frame.room)
    message = message_id(frame.envelope)
    # An accepted message stands behind the event that it claims to have seen.
    s = room.find(message, header.s + 1)
    if s is not None and _is_by(room, s, who):
        _note_there(session, room, header)
        accepted = Accepted(frame.ref, s, room.transcript_of(s))
        return Decision(asker=(session.id, frame.ref), then=[Reply(session.id, accepted)])
    member = _may_send(session, room, who, header)
    if s is not None:
        raise No("format", "this message is somebody else's, and in the room already: say something of your own")
    _note_taken(session, room, header)
    transcript = room.add_message(message, Author(who, member.inst))
    s = room.history.s
    row = EventRow(room.id, s, KIND_MESSAGE, -1, now, who, member.inst, message, frame.envelope)
    event = Event(frame.room, s, now, KIND_MESSAGE, who, frame.envelope)
    answer = Reply(session.id, Accepted(frame.ref, s, transcript))
    return Decision((session.id, frame.ref), [], [row], [answer, Gain(room.id, event)])


def note_refused(memory: Memory, session: Session, envelope: bytes, code: str, retry_ms: int) -> None:
    """A message was refused. Those behind it in its chain may be under way already: see ``_check_order``."""
    try:
        header = header_of(envelope)
    except Malformed:
        return
    known = session.refused.get(header.room)
    if known is not None and known.chain == header.chain and known.first < header.index:
        session.refused[header.room] = known._replace(last=max(known.last, header.index))
    elif header.room in memory.rooms:
        last = known.last if known is not None and known.chain == header.chain else header.index
        session.refused[header.room] = Refusal(header.chain, header.index, last, code, retry_ms)


def _check_order(session: Session, room: Room, header: Header) -> None:
    """Refuse alike what follows a refused message in its chain: every reader would hold that one to be withheld."""
    known = session.refused.get(room.id)
    if known is not None and known.chain == header.chain and known.first < header.index:
        raise No(known.code, retry_ms=known.retry_ms)


def _note_taken(session: Session, room: Room, header: Header) -> None:
    """A message was taken: the next one that was refused behind it is the first that is missing now."""
    known = session.refused.pop(room.id, None)
    if known is not None and known.chain == header.chain and header.index < known.last:
        session.refused[room.id] = known._replace(first=header.index + 1)


def _note_there(session: Session, room: Room, header: Header) -> None:
    """A message that had been taken was refused when it came again: now that it is answered, it is not missing."""
    known = session.refused.get(room.id)
    if known is not None and (known.chain, known.first) == (header.chain, header.index):
        _note_taken(session, room, header)


def _is_by(room: Room, s: int, who: Identity) -> bool:
    author = room.author(s)
    return author is not None and author.identity == who


def _may_send(session: Session, room: Room, who: Identity, header: Header) -> Member:
    """The sender's membership, if its message may be the next event now."""
    state = room.state
    member = room.member(who)
    _check_order(session, room, header)
    if state.closed:
        raise No("closed")
    if member.muted:
        raise No("muted")
    # A claim that is not this relay's history would make every reader see a fork.
    if room.history.at(header.s) != header.transcript or state.head_at(header.n) != header.head:
        raise No("bad-history")
    if state.epochs[header.n] != state.epoch:
        raise No("epoch-moved")
    return member


def follow(memory: Memory, session: Session, who: Identity, frame: Follow, _now: int) -> Decision:
    """Tell a member all events after one, and go on live."""
    room = memory.room(frame.room)
    room.member(who)
    if frame.after > room.history.s:
        raise No("bad-history")
    feed = Feed(session.id, frame.ref, room.id, frame.after, room.history.s)
    return Decision((session.id, frame.ref), then=[feed])


def unfollow(_memory: Memory, session: Session, _who: Identity, frame: Unfollow, _now: int) -> Decision:
    """Stop telling a room's events, if they were told."""
    part, done = Part(session.id, RoomId(frame.room), put_out=False), Reply(session.id, Done(frame.ref))
    return Decision((session.id, frame.ref), then=[part, done])


def direct(memory: Memory, session: Session, who: Identity, frame: Direct, now: int) -> Decision:
    """Open the direct room of two who share a room; one that exists is told again."""
    peer = Identity(frame.peer)
    try:
        room_id = direct_room(who, peer)
    except UsageError as cause:
        raise No("not-allowed", "nobody has a direct room with oneself: name somebody else") from cause
    decision = Decision((session.id, frame.ref))
    if room_id not in memory.rooms:
        _open_direct(memory, who, peer, decision, now)
    told = DirectRoom(room_id, peer, memory.rooms[room_id].history.s)
    decision.then += [Reply(session.id, told), Reply(session.id, Done(frame.ref))]
    return decision


def _open_direct(memory: Memory, who: Identity, peer: Identity, decision: Decision, now: int) -> None:
    if not _acquainted(memory, who, peer):
        raise No("stranger")
    if any(len(memory.directs_of.get(one, ())) >= ROOMS_MAX for one in (who, peer)):
        raise No("limited", f"one of you has {ROOMS_MAX} direct rooms on this relay, and that is the most")
    room = Room.of_pair(who, peer)
    memory.put_room(room)
    bundles = [*memory.keep_bundle(who, now), *memory.keep_bundle(peer, now)]
    decision.writes = [DirectRow(room.id, min(who, peer), max(who, peer)), *bundles]
    other = memory.online.get(peer)
    if other is not None:
        decision.then.append(Reply(other.id, DirectRoom(room.id, who, 0)))


def _acquainted(memory: Memory, one: Identity, other: Identity) -> bool:
    """Whether both are seated in one room."""
    common = memory.rooms_of.get(one, set()) & memory.rooms_of.get(other, set())
    return any({one, other} <= memory.rooms[room].state.members.keys() for room in common)
