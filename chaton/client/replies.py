"""What a client answers to the requests of ``chaton.client.requests``. Every text in it is safe to show."""

from typing import TypeAlias

from msgspec import Struct


class Reply(Struct, frozen=True, kw_only=True, tag=True):
    """An answer. Every text in it is safe to show."""


class Ok(Reply, frozen=True, kw_only=True):
    """Done."""


class RoomFacts(Reply, frozen=True, kw_only=True):
    """A room: ``status`` is in, joining, out or stopped; ``peer`` the nick of a direct room's other one.

    ``read`` is the last event that the person has seen, ``unread`` how many lines of others came since, and
    ``mentions`` how many of them name one. ``connection`` is a state of ``ConnectionChanged``; ``turned`` is when one's
    own key was last changed, in ms (0: the next message begins with a new one); ``draft`` is what was not sent;
    ``pin`` is the relay's, 64 hex digits.
    """

    room: str
    name: str
    topic: str
    nick: str
    identity: str
    status: str
    relay: str
    pin: str = ""
    why: str = ""
    peer: str = ""
    role: str = ""
    read: int = 0
    unread: int = 0
    mentions: int = 0
    connection: str = ""
    trouble: str = ""
    turned: int = 0
    draft: str = ""
    members: int = 0
    pending: bool = False
    forked: bool = False
    closed: bool = False


class RoomList(Reply, frozen=True, kw_only=True):
    """Every room."""

    rooms: list[RoomFacts]


class SentFacts(Reply, frozen=True, kw_only=True):
    """A message is in the room, as event ``seq``; ``id`` in hex."""

    room: str
    seq: int
    id: str


class Saved(Reply, frozen=True, kw_only=True):
    """A file is here, of ``size`` bytes."""

    room: str
    path: str
    size: int


class ReactionFacts(Struct, frozen=True, kw_only=True):
    """An emoji on a line, the nicks of those who gave it, and whether one did so oneself."""

    emoji: str
    nicks: list[str]
    own: bool


class LineFacts(Struct, frozen=True, kw_only=True):
    """One line as it stands now; as the JSON event ``message``. ``at`` in ms.

    ``reactions`` are emoji and who gave them. ``lost`` messages of the sender before this one never came; ``pruned``:
    retention explains it. ``stale``: sent before the sender knew of a removal. Of an unread line ``asked`` is when its
    key was asked for last, in ms.
    """

    seq: int
    at: int
    id: str
    sender: str
    identity: str
    kind: str
    text: str
    to: str | None
    own: bool
    re: str | None
    file: str | None = None
    file_size: int = 0
    edited: bool = False
    reactions: list[ReactionFacts] = []
    lost: int = 0
    pruned: bool = False
    stale: bool = False
    asked: int = 0


class UnsentFacts(Struct, frozen=True, kw_only=True):
    """Something in the outbox."""

    ref: int
    kind: str
    text: str
    re: str | None


class Lines(Reply, frozen=True, kw_only=True):
    """Lines, in order."""

    room: str
    lines: list[LineFacts]
    unsent: list[UnsentFacts] = []


class MemberFacts(Struct, frozen=True, kw_only=True):
    """Somebody in a room."""

    nick: str
    identity: str
    role: str
    online: bool
    muted: bool
    bot: bool
    guest: bool
    pending: bool
    compared: bool
    ignored: bool
    invited_by: str
    code: str


class MemberList(Reply, frozen=True, kw_only=True):
    """Who is in a room, and who waits."""

    room: str
    members: list[MemberFacts]


class LogLine(Struct, frozen=True, kw_only=True):
    """One record: what it did, whose signature it bears, and its signer's clock in ms."""

    n: int
    t: int
    what: str
    signer: str
    identity: str


class LogLines(Reply, frozen=True, kw_only=True):
    """The whole log, each line checked."""

    room: str
    lines: list[LogLine]
    head: str


class Codes(Reply, frozen=True, kw_only=True):
    """Safety codes. ``pair`` is empty where nobody was asked about."""

    room: str
    code: str
    n: int
    nick: str = ""
    identity: str = ""
    pair: str = ""
    compared: bool = False
    forked: bool = False


class LinkText(Reply, frozen=True, kw_only=True):
    """An invite link, and the number of its record."""

    room: str
    link: str
    n: int
    uses: int
    expires: int


class InviteFacts(Struct, frozen=True, kw_only=True):
    """A live invite. ``expires`` in ms."""

    n: int
    uses_left: int
    expires: int
    guest: bool
    post_only: bool
    creator: str


class InviteList(Reply, frozen=True, kw_only=True):
    """The live invites."""

    room: str
    invites: list[InviteFacts]


class Signed(Reply, frozen=True, kw_only=True):
    """A record is in the log, or only signed.

    ``link`` replaces one that a kick deleted; ``lost_uses`` are those of a deleted link that the signer, a mod, may
    not make anew.
    """

    room: str
    n: int
    record: str
    what: str
    link: str = ""
    lost_uses: int = 0


AnyReply: TypeAlias = (
    Ok | RoomFacts | RoomList | SentFacts | Lines | MemberList | LogLines | Codes | LinkText | InviteList | Signed
    | Saved
)  # fmt: skip
