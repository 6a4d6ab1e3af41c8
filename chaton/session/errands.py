"""The errands of a session: joining, making rooms, signing records, fetching logs (docs/protocol.md §§2, 8, 9)."""

from typing import NamedTuple

from chaton.errors import InvalidLog, ProtocolError, RecordRefused, Refused
from chaton.identity.ids import InviteKey, Nonce, Pin
from chaton.identity.login import Challenge
from chaton.identity.secret import InviteSeed
from chaton.identity.statement import Label, Seed, invite_signer
from chaton.limits import NICK_INFO_MAX, SUBMIT_ATTEMPTS_MAX
from chaton.room import fold
from chaton.room.link import Address, Link
from chaton.room.records import Join, Record, Role, sign_record
from chaton.room.state import LiveInvite
from chaton.session import acts
from chaton.session.context import Context
from chaton.session.errand import Errand, HeadMoved, Interrupted, Pages, Until
from chaton.session.room import Room
from chaton.vault.info import open_info, seal_info
from chaton.wire import frames

_TURN_AFTER = 2  # Races lost before an admin asks for a turn.


class Removed(NamedTuple):
    """A removal is in the log.

    Attributes:
        lost: The invite its target came by, where that had uses left and is deleted now.
        link: A new link with those uses, where the signer may make one.
    """

    record: Record
    lost: LiveInvite | None
    link: Link | None


def fetch_log(room: Room) -> Errand[None]:
    """Let the fold catch up with the relay's log.

    Raises:
        InvalidLog: It is no log, or another one than was shown before.
    """
    end: frames.LogEnd = yield Pages(frames.Log(0, room.view.room, room.view.state.n), room.fold)
    if room.view.state.head_at(end.n) != end.head:
        raise InvalidLog("the relay's log does not lead to the head that it names")
    room.log_current = True


def submit(room: Room, act: acts.Act) -> Errand[Record]:
    """Sign an act at the head and have it taken, again after each lost race while it makes sense, 5 times at most.

    Raises:
        Refused: The room's rules do not allow it, the relay refuses it, or all races were lost.
        InvalidLog: The records that came in between are no log.
    """
    # One at a time: two of one client would take the head, and the turn, from each other.
    while room.submitting:
        yield Until(lambda: not room.submitting)
    room.submitting = True
    try:
        return (yield from _submit(room, act))
    except InvalidLog as error:
        room.stop(error)
        raise
    finally:
        room.submitting = False


def _submit(room: Room, act: acts.Act) -> Errand[Record]:
    for attempt in range(SUBMIT_ATTEMPTS_MAX):
        yield Until(lambda: room.log_current)
        if attempt >= _TURN_AFTER:
            yield from _take_turn(room)
        record = signed(room, act)
        if (yield from _offer(room, record)):
            room.fold([record.raw])
            return record
    raise HeadMoved([])


def signed(room: Room, act: acts.Act) -> Record:
    """The act, signed at the present head and judged by the own fold first.

    Raises:
        Refused: not-allowed, with the rule's sentence.
    """
    context, state = room.context, room.view.state
    body = act(room)
    record = sign_record(body, seed=context.seed, room=state.room, n=state.n + 1, prev=state.head, t=context.now)
    try:
        fold.judge(state, record)
    except RecordRefused as refusal:
        raise Refused("not-allowed", str(refusal), hint="chaton members ROOM shows who may do what") from refusal
    return record


def _offer(room: Room, record: Record) -> Errand[bool]:
    """Whether the record is in the log now; otherwise the fold holds what took its place, if that is known."""
    try:
        yield frames.Submit(0, room.view.room, record.raw)
    except HeadMoved as moved:
        room.fold(moved.records)
        return _holds(room, record)
    except Interrupted:
        yield Until(lambda: room.log_current)
        return _holds(room, record)
    except Refused as refusal:
        if refusal.code != "turn-taken":
            raise
        yield from _take_turn(room)
        return False
    return True


def _holds(room: Room, record: Record) -> bool:
    return room.view.state.head_at(record.n) == record.head


def _take_turn(room: Room) -> Errand[None]:
    """Ask the relay to hold the head for us; without it many joiners could starve an admin."""
    try:
        turn = yield frames.Turn(0, room.view.room)
    except Interrupted:
        return
    except Refused as refusal:
        if refusal.code != "turn-taken":
            raise
        return  # This connection has it already, from a request that was given up.
    if turn.n > room.view.state.n:
        yield from fetch_log(room)


def make_invite(room: Room, address: Address, uses: int, expires: int, flags: int) -> Errand[Link]:
    """Sign an invite and give out its link."""
    assert room.entry.rik is not None
    seed = InviteSeed(room.context.entropy(InviteSeed.SIZE))
    key = InviteKey(invite_signer(seed).public)
    record = yield from submit(room, acts.invite(key, uses, expires, flags))
    return Link(address, room.view.room, record.n, record.head, seed, room.entry.rik)


def remove(room: Room, address: Address, act: acts.Act) -> Errand[Removed]:
    """Kick or ban; where that deletes a link that had uses left, an admin makes another one for them."""
    record = yield from submit(room, act)
    lost = room.lost_links.get(record.n)
    if lost is None or lost.expires <= room.context.now or room.member is None or room.member.role < Role.ADMIN:
        return Removed(record, lost, None)
    link = yield from make_invite(room, address, lost.uses_left, lost.expires, int(lost.flags))
    return Removed(record, lost, link)


def peek_frame(context: Context, link: Link, pin: Pin, relay_nonce: Nonce) -> frames.Peek:
    """What lets the holder of a link read the log before joining."""
    nonce, signer = Nonce(context.entropy(Nonce.SIZE)), invite_signer(link.seed)
    body = Challenge(pin, relay_nonce, nonce).peek_body(link.room)
    return frames.Peek(0, link.room, signer.public, nonce, signer.sign(Label.PEEK, body))


def check_invited(room: Room, link: Link) -> None:
    """Judge the log that a relay shows to the holder of a link (§2).

    Raises:
        InvalidLog: It is not the log that the link was made in.
        Refused: banned, or the link is used up, taken back or expired.
    """
    state = room.view.state
    if state.room != link.room or state.head_at(link.n) != link.head:
        raise InvalidLog("the relay shows another log than the one this link was made in")
    try:
        open_info(link.rik, state.genesis_info)
    except ProtocolError as cause:
        raise InvalidLog("the link's key does not open this room's name") from cause
    if room.context.me in state.banned:
        raise Refused("banned", "you are banned from this room", hint="ask an admin of the room")
    key = InviteKey(invite_signer(link.seed).public)
    if key not in state.invites and room.context.me not in (*state.members, *state.pending):
        raise Refused("bad-invite", "this link was used up or taken back", hint="ask for a new link")


def offer_join(room: Room, link: Link, nick: str) -> Errand[frames.Accepted]:
    """Sign JOIN at the head until it is taken. Until then nothing is kept: an earlier time here may be there."""
    signer = invite_signer(link.seed)
    for _ in range(SUBMIT_ATTEMPTS_MAX):
        if not room.entry.join:
            acts.refuse_taken(room, nick)
            room.entry.join = signed_join(room, signer, nick, link).raw
        try:
            accepted: frames.Accepted = yield frames.Submit(0, link.room, room.entry.join)
        except HeadMoved as moved:
            room.entry.join = b""
            room.fold(moved.records)
            check_invited(room, link)
            yield from _take_turn(room)
        except Refused as refusal:
            if refusal.code != "turn-taken":
                raise
            yield from _take_turn(room)
        else:
            return accepted
    raise HeadMoved([])


def signed_join(room: Room, signer: Seed, nick: str, link: Link) -> Record:
    """A JOIN at the present head."""
    state, context = room.view.state, room.context
    body = Join(InviteKey(signer.public), seal_info(link.rik, nick, NICK_INFO_MAX, context.entropy))
    record = sign_record(
        body, seed=context.seed, room=state.room, n=state.n + 1, prev=state.head, t=context.now, invite=signer
    )
    try:
        fold.judge(state, record)
    except RecordRefused as refusal:
        raise Refused("not-allowed", str(refusal)) from refusal
    return record
