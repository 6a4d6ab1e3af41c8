"""The rules of a room: which record may follow, and what it does (docs/protocol.md §2).

``apply`` succeeds or raises and then has changed nothing; there is no third outcome. Relay and client run this same
fold. A client that meets a record it cannot apply stops that room and says so: it never skips.

``RULES`` is the table of §2: who may sign a record, what else must hold, and its effect.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from chaton.errors import RecordRefused
from chaton.identity.ids import Head, Instance, RoomId
from chaton.limits import NICKS_MAX, RECORDS_MAX
from chaton.room.records import (
    Admit,
    Ban,
    Body,
    Close,
    Genesis,
    Info,
    Invite,
    InviteFlag,
    Join,
    Leave,
    Mute,
    Nick,
    Record,
    Redact,
    Remove,
    Role,
    SetRole,
    Uninvite,
)
from chaton.room.state import LiveInvite, Member, RoomState


class Act(NamedTuple):
    """A record at the moment it is judged: the room before it, its signer's membership (None for JOIN), its head."""

    room: RoomState
    actor: Member | None
    record: Record
    head: Head

    @property
    def rank(self) -> Role:
        """The signer's rank."""
        assert self.actor is not None
        return self.actor.role


class Rule(NamedTuple):
    """A row of the table: the least rank, the further conditions (which raise), the effect (which cannot fail)."""

    rank: Role
    check: Callable[[Act, Any], None]
    effect: Callable[[Act, Any], None]


def found(genesis: Record) -> RoomState:
    """The room that a GENESIS record makes.

    Raises:
        RecordRefused: position, where the record is another or names a place other than the first.
    """
    body = genesis.body
    at_start = genesis.n == 0 and genesis.room == RoomId.zero() and genesis.prev == Head.zero()
    if not isinstance(body, Genesis) or not at_start:
        raise RecordRefused("a room begins with a GENESIS record", reason="position")
    room = RoomId(genesis.head)
    owner = Member(genesis.actor, Instance(room), Role.OWNER)
    return RoomState(
        room,
        approve=bool(body.policy),
        max_members=body.max_members,
        info=body.info,
        genesis_info=body.info,
        members={genesis.actor: owner},
        heads=[genesis.head],
        epochs=[0],
    )


def apply(room: RoomState, record: Record) -> None:
    """Take the next record into the room.

    The record's signatures are checked already (``open_record``), or it comes from one's own disk.

    Raises:
        RecordRefused: position, authority or state, the first of them that holds; the room is unchanged.
    """
    act = judge(room, record)
    room.heads.append(act.head)
    room.epochs.append(room.epoch)
    RULES[type(record.body)].effect(act, record.body)


def judge(room: RoomState, record: Record) -> Act:
    """Check whether a record may follow, and change nothing; raises as ``apply``."""
    if isinstance(record.body, Genesis) or room.direct:
        raise RecordRefused("only the first record is a GENESIS", reason="position")
    if (record.room, record.n, record.prev) != (room.room, room.n + 1, room.head):
        raise RecordRefused("the record was signed for another place of the log", reason="position")
    rule = RULES[type(record.body)]
    act = Act(room, room.members.get(record.actor), record, record.head)
    if not isinstance(record.body, Join):
        _require(act.actor is not None, "the signer is no member of the room")
        _require(act.rank >= rule.rank, f"this takes the rank of {rule.rank.name.lower()} at least")
    rule.check(act, record.body)
    _allow(not room.closed, "the room is closed")
    _allow(record.n < RECORDS_MAX or isinstance(record.body, Close), "the log is full: the room can only be closed")
    return act


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise RecordRefused(sentence, reason="authority")


def _allow(condition: bool, sentence: str) -> None:
    if not condition:
        raise RecordRefused(sentence, reason="state")


def _seated_target(act: Act, inst: Instance) -> Member:
    """The member that a record is about."""
    target = act.room.by_inst(inst)
    if target is None or target.identity not in act.room.members:
        raise RecordRefused("the one it is about is not a member", reason="state")
    return target


def _outrank(act: Act, target: Member) -> None:
    _require(act.rank > target.role, "nobody acts on somebody of the same or a higher rank")


def _no_condition(_act: Act, _body: Body) -> None:
    """The rank is all that counts."""


def _no_effect(_act: Act, _body: Body) -> None:
    """The record changes nothing but the head."""


def _delete_invites_of(act: Act, creator: Member) -> None:
    room = act.room
    room.invites = {key: invite for key, invite in room.invites.items() if invite.creator != creator.identity}


def _put_out(act: Act, member: Member) -> None:
    """End a membership, and with it its role, its mute and the invites it made."""
    del act.room.members[member.identity]
    _delete_invites_of(act, member)
    if member.reads:
        act.room.epochs[-1] += 1


def _check_invite(act: Act, body: Invite) -> None:
    _allow(body.key not in act.room.invites, "a live invite has this key already")


def _add_invite(act: Act, body: Invite) -> None:
    creator = act.record.actor
    invite = LiveInvite(body.key, creator, body.uses, body.expires, InviteFlag(body.flags), act.record.n)
    act.room.invites[body.key] = invite


def _check_uninvite(act: Act, body: Uninvite) -> None:
    _allow(body.key in act.room.invites, "there is no such invite any more")


def _drop_invite(act: Act, body: Uninvite) -> None:
    del act.room.invites[body.key]


def _check_join(act: Act, body: Join) -> None:
    room, who = act.room, act.record.actor
    _require(body.key in room.invites, "the invite is used up, taken back or of another room")
    _allow(who not in room.members and who not in room.pending, "the joiner is in the room or waits already")
    _allow(who not in room.banned, "the joiner is banned")
    _allow(len(room.members) + len(room.pending) < room.max_members, "the room is full")


def _seat_joiner(act: Act, body: Join) -> None:
    room, invite = act.room, act.room.invites[body.key]
    inst, n = Instance(act.head), act.record.n
    joiner = Member(act.record.actor, inst, flags=invite.flags, invite=invite.key, nick=body.info, nick_n=n)
    (room.pending if room.approve else room.members)[joiner.identity] = joiner
    invite.uses_left -= 1
    if not invite.uses_left:
        del room.invites[invite.key]


def _check_admit(act: Act, body: Admit) -> None:
    _allow(any(waiting.inst == body.inst for waiting in act.room.pending.values()), "nobody waits under this name")


def _admit(act: Act, body: Admit) -> None:
    waiting = next(one for one in act.room.pending.values() if one.inst == body.inst)
    act.room.members[waiting.identity] = act.room.pending.pop(waiting.identity)


def _check_leave(act: Act, body: Leave) -> None:
    _require(act.actor is not None and act.actor.inst == body.inst, "one leaves for oneself only")
    _require(act.rank is not Role.OWNER, "the owner hands the room over before leaving")


def _leave(act: Act, _body: Leave) -> None:
    assert act.actor is not None
    _put_out(act, act.actor)


def _check_remove(act: Act, body: Remove) -> None:
    target = act.room.by_inst(body.inst)
    if target is None:
        raise RecordRefused("the one to remove is not in the room", reason="state")
    _outrank(act, target)


def _remove(act: Act, body: Remove) -> None:
    room, target = act.room, act.room.by_inst(body.inst)
    assert target is not None
    if target.identity in room.members:
        _put_out(act, target)
    else:
        del room.pending[target.identity]
    room.invites.pop(target.invite, None)
    if body.ban:
        room.banned.add(target.identity)


def _check_ban(act: Act, body: Ban) -> None:
    room, who = act.room, body.identity
    _allow(who not in room.members and who not in room.pending, "somebody in the room is removed, not banned")
    _allow((who in room.banned) != bool(body.op), "that changes nothing")


def _ban(act: Act, body: Ban) -> None:
    (act.room.banned.add if body.op else act.room.banned.remove)(body.identity)


def _check_role(act: Act, body: SetRole) -> None:
    target = _seated_target(act, body.inst)
    _outrank(act, target)
    if body.role == Role.OWNER:
        _require(act.rank is Role.OWNER, "only the owner hands the room over")
        _allow(not target.muted, "the room is not handed to somebody muted")
    else:
        _require(act.rank > body.role, "nobody gives a rank that is not below the own")
    _allow(target.reads, "a bot has no role")
    _allow(target.role != body.role, "that changes nothing")


def _set_role(act: Act, body: SetRole) -> None:
    target = _seated_target(act, body.inst)
    if target.role >= Role.ADMIN > body.role:
        _delete_invites_of(act, target)
    target.role = Role(body.role)
    if target.role is Role.OWNER and act.actor is not None:
        act.actor.role = Role.ADMIN


def _set_info(act: Act, body: Info) -> None:
    act.room.info = body.info


def _close(act: Act, body: Close) -> None:
    act.room.closed = True
    act.room.successor = body.successor if body.successor != RoomId.zero() else None


def _check_mute(act: Act, body: Mute) -> None:
    target = _seated_target(act, body.inst)
    _outrank(act, target)
    _allow(target.muted != bool(body.op), "that changes nothing")


def _mute(act: Act, body: Mute) -> None:
    _seated_target(act, body.inst).muted = bool(body.op)


def _check_nick(act: Act, _body: Nick) -> None:
    assert act.actor is not None
    _require(not act.actor.muted, "somebody muted takes no other nick")
    _allow(act.actor.nicks < NICKS_MAX, f"a membership takes at most {NICKS_MAX} nicks")


def _set_nick(act: Act, body: Nick) -> None:
    assert act.actor is not None
    act.actor.nick, act.actor.nick_n = body.info, act.record.n
    act.actor.nicks += 1


RULES: dict[type[Body], Rule] = {
    Invite: Rule(Role.ADMIN, _check_invite, _add_invite),
    Uninvite: Rule(Role.ADMIN, _check_uninvite, _drop_invite),
    Join: Rule(Role.MEMBER, _check_join, _seat_joiner),
    Admit: Rule(Role.ADMIN, _check_admit, _admit),
    Leave: Rule(Role.MEMBER, _check_leave, _leave),
    Remove: Rule(Role.MOD, _check_remove, _remove),
    Ban: Rule(Role.ADMIN, _check_ban, _ban),
    SetRole: Rule(Role.ADMIN, _check_role, _set_role),
    Info: Rule(Role.ADMIN, _no_condition, _set_info),
    Redact: Rule(Role.MOD, _no_condition, _no_effect),
    Close: Rule(Role.OWNER, _no_condition, _close),
    Mute: Rule(Role.MOD, _check_mute, _mute),
    Nick: Rule(Role.MEMBER, _check_nick, _set_nick),
}
