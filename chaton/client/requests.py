"""What can be asked of a client, and what it answers: one vocabulary for commands, slash commands and windows.

A request is a plain struct, so that a command can be carried out here or, through the profile's control socket, by the
process that has the profile open. ROOM is a room's name or at least 8 hex digits of its id; WHO a nick or at least
8 hex digits of an identity.
"""

from typing import TypeAlias

from msgspec import Struct


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Something asked. The answer is one Reply, or an error; ``Follow`` answers with notices until it is ended."""


class Connect(Request, frozen=True, kw_only=True):
    """Connect to every relay where one is in a room, and stay; with ``now``, at once where it waits to try again.

    Answered by Ok, before anything is connected: news tell how that goes.
    """

    now: bool = False


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

    ``wait`` false hands it to the outbox, where it stays until it is in the room or refused, whatever happens to this
    process: answered by Ok, and later by ``Sent`` or ``Rejected`` among the news, under the number ``ref``.

    ``kind``: text, action, reply, edit, delete, react; ``re`` is the id of the message it is about, or at least 8 hex
    digits of it; ``to`` sends a direct message to a member instead; ``add`` false takes a reaction back.
    """

    room: str
    text: str = ""
    kind: str = "text"
    re: str = ""
    to: str = ""
    add: bool = True
    wait: bool = True
    ref: int = 0


class SendFile(Request, frozen=True, kw_only=True):
    """Send a file and wait until its message is in the room; ``Progress`` among the news tells how far it is.

    ``path`` is absolute, as asker and holder may be in different directories; ``text`` is the caption; ``to`` sends it
    to one member alone. Answered by SentFacts.
    """

    room: str
    path: str
    text: str = ""
    to: str = ""


class GetFile(Request, frozen=True, kw_only=True):
    """Fetch the file of message ``re`` into ``directory``, an absolute path; as ``SendFile``. Answered by Saved.

    ``re`` is an id, or at least 8 hex digits of it, in this room or in one's direct rooms on its relay.
    """

    room: str
    re: str
    directory: str


class Tail(Request, frozen=True, kw_only=True):
    """What a room has said after event ``after``. Answered by Lines."""

    room: str
    after: int = 0


class Page(Request, frozen=True, kw_only=True):
    """What this profile holds of a room, without asking the relay: at most ``limit`` lines before event ``before``.

    ``before`` 0: the last ones, and what waits in the outbox. Besides what was said, a line stands for each record
    (kind ``record``) and for each message that cannot be read (kind ``unread``). Answered by Lines.
    """

    room: str
    before: int = 0
    limit: int = 200


class Members(Request, frozen=True, kw_only=True):
    """Who is in a room; ``wait`` false tells what is known without asking the relay. Answered by MemberList."""

    room: str
    wait: bool = True


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


class Rekey(Request, frozen=True, kw_only=True):
    """Let one's next message in a room be under a new key, given out afresh. Answered by Ok."""

    room: str


class Seen(Request, frozen=True, kw_only=True):
    """A person has seen a room's messages up to event ``seq``: they are not new any more. Answered by Ok."""

    room: str
    seq: int


class Draft(Request, frozen=True, kw_only=True):
    """Keep what somebody has typed in a room and not sent. Answered by Ok."""

    room: str
    text: str


class Search(Request, frozen=True, kw_only=True):
    """Lines of a room that hold a text, as far as this profile holds them. Answered by Lines."""

    room: str
    text: str


class Whois(Request, frozen=True, kw_only=True):
    """What is known of somebody. Answered by MemberList with one member."""

    room: str
    who: str


AnyRequest: TypeAlias = (
    Connect | Rooms | Create | Join | Open | Send | SendFile | GetFile | Tail | Page | Members | Log | Verify | Invite
    | Invites | Act | Submit | Ignore | Rekey | Seen | Draft | Search | Whois
)  # fmt: skip
