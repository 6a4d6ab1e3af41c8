"""Who connects: Login, Peek, and what others see of it (docs/protocol.md §8)."""

from collections.abc import Iterator

from chaton.errors import BadSignature
from chaton.identity.ids import Identity, InviteKey, Nonce, RoomId
from chaton.identity.login import Challenge, LoginAnswer, check_peek
from chaton.relay.hub.effects import Close, Decision, Effect, Hint, PushWaiting, Reply
from chaton.relay.hub.memory import PEEKS_MAX, Memory, Session
from chaton.relay.hub.refusals import SENTENCES, No
from chaton.relay.hub.room import Standing
from chaton.relay.store.base import ParcelsGone
from chaton.wire.frames import (
    Done,
    Goodbye,
    LoggedIn,
    Login,
    Peek,
    Presence,
    Present,
    Refused,
)
from chaton.wire.parts import DirectSummary, RoomSummary


def login(memory: Memory, session: Session, frame: Login, now: int) -> Decision:
    """Let an identity in; the newest login wins, and an older connection of it is told so and closed."""
    if session.identity is not None:
        goodbye = Goodbye("protocol", "one connection logs in once", 0)
        return Decision(now=[Close(session.id, goodbye)])
    try:
        identity = LoginAnswer.decode(frame.answer).check(memory.pin, session.nonce)
    except BadSignature:
        return _turned_away(session, "bad-login", 0)
    if wait := memory.meter.log_in(identity, now):
        return _turned_away(session, "limited", wait)
    decision = Decision(asker=(session.id, 0))
    older = memory.online.get(identity)
    if older is not None:
        older.identity = None
        detail = "this identity logged in again elsewhere; a second machine needs an identity of its own"
        decision.now.append(Close(older.id, Goodbye("replaced", detail, 0)))
    session.identity = identity
    memory.online[identity] = session
    waiting = memory.mailboxes.get(identity)
    dropped = waiting.expire(now) if waiting is not None else []
    if dropped:
        decision.writes.append(ParcelsGone(identity, tuple(dropped)))
    decision.then = [Reply(session.id, _summary(memory, identity)), PushWaiting(session.id, identity)]
    if older is None:
        decision.then += _presence(memory, identity, online=True)
    return decision


def _turned_away(session: Session, code: str, retry_ms: int) -> Decision:
    refused = Refused(0, code, SENTENCES[code], retry_ms, [])
    return Decision(now=[Reply(session.id, refused), Close(session.id, None)])


def _summary(memory: Memory, identity: Identity) -> LoggedIn:
    rooms = [memory.rooms[room] for room in memory.rooms_of.get(identity, ())]
    directs = memory.directs_of.get(identity, {}).items()
    return LoggedIn(
        [RoomSummary(r.id, r.state.n, r.history.s, r.standing(identity) is Standing.PENDING) for r in rooms],
        [DirectSummary(room, peer, memory.rooms[room].history.s) for room, peer in directs],
    )


def _presence(memory: Memory, identity: Identity, *, online: bool) -> Iterator[Effect]:
    """Tell the followers of every room where somebody is seated that it came or went."""
    for room_id in (*memory.rooms_of.get(identity, ()), *memory.directs_of.get(identity, ())):
        if memory.rooms[room_id].standing(identity) is Standing.SEATED:
            yield Hint(room_id, Presence(room_id, identity, online))


def present(memory: Memory, room_id: RoomId) -> Present:
    """Who of a room is connected now."""
    room = memory.rooms.get(room_id)
    return Present(room_id, [who for who in (room.state.members if room else ()) if who in memory.online])


def gone(memory: Memory, session: Session) -> Decision:
    """A connection has ended: its turns go on to the next, and others see that it is gone."""
    decision = Decision()
    for room_id in memory.turning:
        memory.rooms[room_id].turns.leave(session.id)
    if session.identity is not None and memory.online.get(session.identity) is session:
        del memory.online[session.identity]
        decision.then += _presence(memory, session.identity, online=False)
    return decision


def peek(memory: Memory, session: Session, frame: Peek, now: int) -> Decision:
    """Let the holder of a live invite read one room's log on this connection."""
    wait = memory.meter.take("requests", session, 1, now)
    if wait:
        raise No("limited", retry_ms=wait)
    room_id, key = RoomId(frame.room), InviteKey(frame.invite)
    try:
        challenge = Challenge(memory.pin, session.nonce, Nonce(frame.client_nonce))
        check_peek(challenge, room_id, key, frame.signature)
    except BadSignature as cause:
        raise No("bad-signature") from cause
    invite = memory.room_with_log(room_id).state.invites.get(key)
    if invite is None:
        raise No("bad-invite")
    if now >= invite.expires:
        raise No("invite-expired")
    if len(session.peeks | {room_id}) > PEEKS_MAX:
        raise No("limited", "this connection reads many rooms already: connect again to read more")
    session.peeks |= {room_id}
    return Decision(asker=(session.id, frame.ref), then=[Reply(session.id, Done(frame.ref))])
