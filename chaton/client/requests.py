"""What can be asked of a client, and what it answers: one vocabulary for commands, slash commands and windows.

A request is a plain struct, so that a command can be carried out here or, through the profile's control socket, by the
process that has the profile open. ROOM is a room's name or at least 8 hex digits of its id; WHO a nick or at least
8 hex digits of an identity.
"""

from typing import TypeAlias

from msgspec import Struct


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Something asked. The answer is one Reply, or an error; ``Follow`` answers with notices until it is ended."""


class Rooms(Request, frozen=True, kw_only=True):
    """Every room this profile knows. Answered by RoomList."""


class Create(Request, frozen=True, kw_only=True):
    """Make a room on a relay. ``pin`` is 64 hex digits. Answered by RoomFacts."""

    name: str
    host: str
    port: int
    pin: str
    nick: str
    topic: str = ""
    approve: bool = False
    max_members: int = 100


class Join(Request, frozen=True, kw_only=True):
    """Join by a link; waits while an admin has to admit. Answered by RoomFacts."""

    link: str
    nick: str


class Open(Request, frozen=True, kw_only=True):
    """Wait until a room is current. Answered by RoomFacts."""

    room: str


class Send(Request, frozen=True, kw_only=True):
    """Say something and wait until it is in the room. Answered by SentFacts.

    ``kind``: text, action, reply, edit, delete, react; ``re`` is the id of the message it is about, or at least 8 hex
    digits of it; ``to`` sends a direct message to a member instead; ``add`` false takes a reaction back.
    """

    room: str
    text: str = ""
    kind: str = "text"
    re: str = ""
    to: str = ""
    add: bool = True


class Tail(Request, frozen=True, kw_only=True):
    """What a room has said after event ``after``. Answered by Lines."""

    room: str
    after: int = 0


class Members(Request, frozen=True, kw_only=True):
    """Who is in a room. Answered by MemberList."""

    room: str


class Log(Request, frozen=True, kw_only=True):
    """The checked moderation log. Answered by LogLines."""

    room: str


class Verify(Request, frozen=True, kw_only=True):
    """Safety codes of a room and, for ``who``, of a pair; ``ok`` marks it as compared, and lifts a fork's stop.

    Answered by Codes.
    """

    room: str
    who: str = ""
    ok: bool = False


class Invite(Request, frozen=True, kw_only=True):
    """Make an invite link. Answered by LinkText."""

    room: str
    uses: int = 1
    life_ms: int = 86_400_000
    guest: bool = False
    post_only: bool = False


class Invites(Request, frozen=True, kw_only=True):
    """The invites that are live. Answered by InviteList."""

    room: str


class Act(Request, frozen=True, kw_only=True):
    """Sign a record and have it taken. Answered by Signed.

    ``what``: kick, ban, unban, mute, unmute, role, admit, topic, name, nick, redact, uninvite, close, leave.
    ``who`` is for those about somebody; ``text`` the reason, role, topic, name, nick, message id, number of the
    invite's record, or id of the successor room.
    ``sign_only``: give the signed record in ``Signed.record`` and do not submit it.
    """

    room: str
    what: str
    who: str = ""
    text: str = ""
    sign_only: bool = False


class Submit(Request, frozen=True, kw_only=True):
    """Hand in a record that was signed before, in hex. Answered by Signed."""

    record: str


class Ignore(Request, frozen=True, kw_only=True):
    """Show somebody's messages no longer, or again. Answered by Ok."""

    room: str
    who: str
    ignored: bool = True


class Seen(Request, frozen=True, kw_only=True):
    """A person has seen a room's messages up to event ``seq``: they are not new any more. Answered by Ok."""

    room: str
    seq: int


class Search(Request, frozen=True, kw_only=True):
    """Lines of a room that hold a text. Answered by Lines."""

    room: str
    text: str


class Whois(Request, frozen=True, kw_only=True):
    """What is known of somebody. Answered by MemberList with one member."""

    room: str
    who: str


AnyRequest: TypeAlias = (
    Rooms | Create | Join | Open | Send | Tail | Members | Log | Verify | Invite | Invites | Act | Submit
    | Ignore | Seen | Search | Whois
)  # fmt: skip


class Reply(Struct, frozen=True, kw_only=True, tag=True):
    """An answer. Every text in it is safe to show."""


class Ok(Reply, frozen=True, kw_only=True):
    """Done."""


class RoomFacts(Reply, frozen=True, kw_only=True):
    """A room: ``status`` is in, joining, out or stopped; ``peer`` the nick of a direct room's other one."""

    room: str
    name: str
    topic: str
    nick: str
    identity: str
    status: str
    relay: str
    why: str = ""
    peer: str = ""
    unread: int = 0
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


class LineFacts(Struct, frozen=True, kw_only=True):
    """One line as it stands now; as the JSON event ``message``. ``at`` in ms."""

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


class Lines(Reply, frozen=True, kw_only=True):
    """Lines, in order."""

    room: str
    lines: list[LineFacts]


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
)  # fmt: skip
