"""What a session tells a person: everything a window, a plain line or a JSON event is made of.

All text in a notice is safe to show as it is. ``at`` is the relay's clock in ms, and orders nothing.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from chaton.identity.ids import Identity, MessageId, RoomId
from chaton.room.records import Role
from chaton.session.text import SafeText


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a room, under the name to show: a nick, with a suffix where two are alike."""

    identity: Identity
    nick: SafeText
    role: Role
    online: bool
    muted: bool = False
    bot: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """This client is in the room and has caught up with it."""

    room: RoomId
    name: SafeText
    topic: SafeText
    nick: SafeText
    identity: Identity
    members: tuple[Person, ...]
    peer: SafeText | None = None  # the other one of a direct room


@dataclass(frozen=True, slots=True)
class Waiting:
    """This client has asked to join and waits for an admin to admit it."""

    room: RoomId
    name: SafeText


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an attachment claims to be: the name to save it under, and its size in bytes."""

    name: SafeText
    size: int


@dataclass(frozen=True, slots=True)
class Said:
    """A message was opened, or an own one came back.

    Attributes:
        kind: text, action, reply, edit, delete, react, file, unknown; of a line that has ended deleted or redacted.
        re: The message that is answered, edited, deleted or reacted to.
        to: The nick of a direct message's recipient.
        added: Of a reaction: whether it was added or taken back.
        stale: It was sent before its sender knew of a removal; the removed member may have read it.
    """

    room: RoomId
    seq: int
    at: int
    id: MessageId
    sender: SafeText
    identity: Identity
    kind: str
    text: SafeText
    own: bool
    to: SafeText | None = None
    re: MessageId | None = None
    file: FileFacts | None = None
    added: bool = True
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """An own message is in the room. ``ref`` is the number its author gave it."""

    room: RoomId
    seq: int
    id: MessageId
    ref: int


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A record changed who is in the room, or how.

    Attributes:
        action: joined, pending, admitted, left, kicked, banned, unbanned, muted, unmuted, role, nick.
        nick: The one it is about, under the old nick where that is what changed; ``by`` who signed it.
        detail: The new role or nick, where that is what changed; of joined and pending, who invited.
        n: The number of the record.
        me: Whether it is about this client.
    """

    room: RoomId
    action: str
    nick: SafeText
    identity: Identity
    by: SafeText
    by_identity: Identity
    reason: SafeText
    n: int
    at: int
    detail: SafeText = field(default_factory=lambda: SafeText(""))
    me: bool = False


@dataclass(frozen=True, slots=True)
class Redacted:
    """A moderator hid a message."""

    room: RoomId
    message: MessageId
    by: SafeText
    n: int


@dataclass(frozen=True, slots=True)
class TopicChanged:
    """The room's name or topic is another."""

    room: RoomId
    name: SafeText
    text: SafeText
    by: SafeText


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """The relay's word, unsigned, that somebody is connected or no longer is."""

    room: RoomId
    nick: SafeText
    identity: Identity
    online: bool


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know. ``code`` is stable; all are listed in docs/guide.md.

    ``seq`` is the event it is about, 0 for none.
    """

    room: RoomId | None
    code: str
    detail: SafeText
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """An own message was refused for good. It is not in the room; its text is in ``text``."""

    room: RoomId
    code: str
    detail: SafeText
    ref: int
    text: SafeText


@dataclass(frozen=True, slots=True)
class Ended:
    """This client is out of the room, or the room is over: kicked, banned, left, closed, security."""

    room: RoomId
    code: str
    detail: SafeText


@dataclass(frozen=True, slots=True)
class LinkWanted:
    """A kick deleted an invite link that had uses left: its kicker (or, for a mod, an admin) may make another."""

    room: RoomId
    uses: int
    expires: int
    flags: int
    by: SafeText


@dataclass(frozen=True, slots=True)
class Working:
    """How far this client is with what may take long. A session tells every step; a client, only what lasts.

    Attributes:
        what: key (members are given the key of the own chain), log (records are read), events (what came meanwhile is
            opened).
        done: Of ``total``, which is None as long as nobody knows it. It is over when both are the same.
    """

    room: RoomId
    what: str
    done: int
    total: int | None = None


Notice: TypeAlias = (
    Joined | Waiting | Said | Sent | MemberChanged | Redacted | TopicChanged | PresenceChanged
    | Warned | Rejected | Ended | LinkWanted | Working
)  # fmt: skip
