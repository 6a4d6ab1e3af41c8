"""What members and admins do: each act is a function of the room as it is when it is signed (docs/protocol.md §2).

After a lost race the act is asked again: what no longer makes sense is refused with its reason and not signed anew.
"""

from collections.abc import Callable
from typing import TypeAlias

from chaton.errors import Refused, UsageError
from chaton.identity.ids import Head, Identity, InviteKey, MessageId, RoomId
from chaton.identity.secret import RoomInfoKey
from chaton.limits import GENESIS_INFO_MAX, NICK_INFO_MAX, REASON_INFO_MAX, ROOM_INFO_MAX
from chaton.room.names import nick_key, prepare_nick
from chaton.room.records import (
    Admit,
    AnyBody,
    Ban,
    Close,
    Genesis,
    Info,
    Invite,
    Leave,
    Mute,
    Nick,
    Redact,
    Remove,
    Role,
    SetRole,
    Uninvite,
)
from chaton.room.state import Member
from chaton.session.room import Room
from chaton.vault.entropy import Entropy
from chaton.vault.info import seal_info

Act: TypeAlias = Callable[[Room], AnyBody]


def genesis(rik: RoomInfoKey, name: str, topic: str, *, approve: bool, max_members: int, entropy: Entropy) -> Genesis:
    """The body of a room's first record; raises ``UsageError`` where a text is too long."""
    info = seal_info(rik, _titled(name, topic), GENESIS_INFO_MAX, entropy)
    return Genesis(Head(entropy(32)), int(approve), max_members, info)


def nick(text: str) -> Act:
    """Take another nick."""
    prepared = prepare_nick(text)

    def body(room: Room) -> Nick:
        refuse_taken(room, prepared)
        return Nick(_sealed(room, prepared, NICK_INFO_MAX))

    return body


def refuse_taken(room: Room, prepared: str) -> None:
    """A well-behaved client takes no nick that another one has, or that looks like it.

    Raises:
        Refused: nick-taken.
    """
    for identity, name in room.teller.names().items():
        if identity != room.context.me and nick_key(name) == nick_key(prepared):
            raise Refused("nick-taken", f"the nick {name} is taken, or looks like this one", hint="choose another nick")


def info(name: str | None, topic: str | None) -> Act:
    """Give the room another name or topic; None leaves it as it is."""

    def body(room: Room) -> Info:
        new_name = room.teller.name if name is None else name
        new_topic = room.teller.topic if topic is None else topic
        return Info(_sealed(room, _titled(new_name, new_topic), ROOM_INFO_MAX))

    return body


def invite(key: InviteKey, uses: int, expires: int, flags: int) -> Act:
    """Let holders of a key join."""
    return lambda _room: Invite(key, uses, expires, flags)


def uninvite(n: int) -> Act:
    """Take back the invite that record ``n`` made."""

    def body(room: Room) -> Uninvite:
        found = next((live for live in room.view.state.invites.values() if live.n == n), None)
        if found is None:
            raise Refused("no-invite", f"record {n} is no invite that is still live", hint="see chaton invites ROOM")
        return Uninvite(found.key)

    return body


def remove(who: Identity, reason: str, *, ban: bool) -> Act:
    """Kick somebody, or ban somebody who is in the room or waits."""

    def body(room: Room) -> Remove:
        return Remove(_anybody(room, who).inst, int(ban), _sealed(room, reason, REASON_INFO_MAX))

    return body


def ban(who: Identity, reason: str) -> Act:
    """Ban somebody, in the room or not."""
    kick = remove(who, reason, ban=True)

    def body(room: Room) -> AnyBody:
        inside = who in room.view.state.members or who in room.view.state.pending
        return kick(room) if inside else Ban(who, 1)

    return body


def unban(who: Identity) -> Act:
    """Lift a ban."""
    return lambda _room: Ban(who, 0)


def mute(who: Identity, *, muted: bool) -> Act:
    """Mute somebody, or let them speak again."""
    return lambda room: Mute(_member(room, who).inst, int(muted))


def role(who: Identity, new: Role) -> Act:
    """Give somebody another role; the owner's hands the room over."""
    return lambda room: SetRole(_member(room, who).inst, int(new))


def admit(who: Identity) -> Act:
    """Let in somebody who waits."""

    def body(room: Room) -> Admit:
        waiting = room.view.state.pending.get(who)
        if waiting is None:
            raise Refused("not-pending", f"{room.teller.called(who)} does not wait to be admitted")
        return Admit(waiting.inst)

    return body


def redact(message: MessageId) -> Act:
    """Hide a message."""
    return lambda _room: Redact(message)


def leave() -> Act:
    """Go."""
    return lambda room: Leave(_member(room, room.context.me).inst)


def close(successor: RoomId | None) -> Act:
    """End the room."""
    return lambda _room: Close(successor or RoomId.zero())


def _sealed(room: Room, text: str, limit: int) -> bytes:
    if room.entry.rik is None:
        raise UsageError("a direct room has no records", hint="moderation is for rooms")
    return seal_info(room.entry.rik, text, limit, room.context.entropy)


def _titled(name: str, topic: str) -> str:
    """First line the room's name, the rest its topic."""
    if not name.strip() or "\n" in name:
        raise UsageError("a room's name is one line, and not empty")
    return f"{name}\n{topic}" if topic else name


def _member(room: Room, who: Identity) -> Member:
    member = room.view.state.members.get(who)
    if member is None:
        hint = "/who lists them, or chaton members ROOM"
        raise Refused("not-member", f"{room.teller.called(who)} is not in the room", hint=hint)
    return member


def _anybody(room: Room, who: Identity) -> Member:
    return room.view.state.pending.get(who) or _member(room, who)
