"""A typed line becomes something to do: text to send, a command of the room, or a command of the program.

One grammar for the line client, the JSON client and the window. A line that begins with ``/`` is a command; ``//``
begins a text with one slash. An unknown command is never sent: whoever mistypes ``/kick`` must not tell the room.
A text of several lines is a message, whatever its lines begin with, so that nothing that was pasted is carried out.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from chaton.client.duration import DURATION, parse_duration_ms
from chaton.client.incoming import default_directory, whole_path
from chaton.client.naming import ID_BEGINNING, take_directory, take_path, take_who
from chaton.client.requests import (
    Act,
    AnyRequest,
    Connect,
    GetFile,
    Ignore,
    Invite,
    Invites,
    Log,
    Members,
    Open,
    Rekey,
    Rooms,
    Search,
    Send,
    SendFile,
    Verify,
    Whois,
)
from chaton.errors import UsageError
from chaton.limits import EMOJI_BYTES_MAX, INVITE_LIFE_MS, TEXT_BYTES_MAX

ROLES: Final = ("member", "mod", "admin", "owner")
_NUMBER: Final = re.compile(r"#?([0-9]{1,7})")  # Eight digits and more are the beginning of an id.
_USES: Final = re.compile(r"[1-9][0-9]{0,2}|1000")  # As the protocol bounds them (§2).
_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Ask:
    """Something for the client to perform.

    Attributes:
        request: What.
        confirm: A sentence to have confirmed first where there is somebody to ask; empty for what can be undone.
    """

    request: AnyRequest
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class Local:
    """Something for the program itself: help, quit, clear, last, open, join."""

    name: str
    argument: str = ""


Typed: TypeAlias = Ask | Local


def _no_number(number: int) -> str:
    raise UsageError(f"message {number} is not known here", hint="write 8 hex digits of its id instead")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line is typed, and what it can refer to.

    Attributes:
        room: The room's id in hex.
        nicks: Who is there, as shown: a nick may have spaces, and is recognised by being one.
        find: The message id, in hex, of the message with a number, or raises ``UsageError``.
        last: The id of the last message, or with ``own`` true of the last own one; empty where there is none.
    """

    room: str
    nicks: Sequence[str] = ()
    find: Callable[[int], str] = field(default=_no_number)
    last: Callable[[bool], str] = field(default=lambda _own: "")


def parse(line: str, place: Place, *, pasted: bool = False) -> Typed | None:
    """What a line asks for; None for an empty one. Several lines that were pasted are sent exactly as they are.

    Raises:
        UsageError: It is no command, or its arguments make no sense, or it is too long. Nothing is sent.
    """
    if not line.strip():
        return None
    if pasted and "\n" in line:
        return Ask(Send(room=place.room, text=_bounded(line)))
    if line[0].isspace() and line.strip().startswith("/") and "\n" not in line.strip():
        # Most likely a command: whoever mistypes it must not tell the room.
        raise UsageError("this line begins with a space, so nothing was sent", hint="without it, // sends it as text")
    if line.startswith("//") or not line.startswith("/") or ("\n" in line and not _takes_lines(line)):
        text = line[1:] if line.startswith("//") else line
        return Ask(Send(room=place.room, text=_bounded(text)))
    name, _, rest = line[1:].partition(" ")
    return command(name).read(rest.strip(), place)


def is_quit(line: str) -> bool:
    """Whether a line ends the program."""
    return line.startswith("/") and _BY_NAME.get(line[1:].strip().lower()) is _BY_NAME["quit"]


def command(name: str) -> "Command":
    """The command of that name or alias, without its slash.

    Raises:
        UsageError: There is none; the hint names the nearest.
    """
    found = _BY_NAME.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), _BY_NAME, n=1)
        guess = f"did you mean /{near[0]}? " if near else "see /help; "
        hint = f"{guess}// begins a text with a slash"
        raise UsageError(f"there is no command /{name[:40]}, so nothing was sent", hint=hint)
    return found


def help_lines(name: str = "") -> list[str]:
    """What all commands do, or how one is written."""
    if name:
        one = command(name.removeprefix("/"))
        also = [f"also: {' '.join('/' + alias for alias in one.aliases)}"] if one.aliases else []
        return [f"{one.usage}   {one.does}", *also]
    width = max(len(one.usage) for one in COMMANDS)
    notes = [
        "//text sends a text that begins with a slash. WHO is a nick or 8 hex digits of an identity.",
        "#N is a message's number, or 8 hex digits of its id; ^ is the last one.",
    ]
    return [f"{one.usage:{width}}  {one.does}" for one in COMMANDS] + notes


# --- what arguments are made of ---


def _who(rest: str, place: Place, usage: str) -> tuple[str, str]:
    who, after = take_who(rest, place.nicks)
    if not who:
        raise _wrong(usage)
    return who, after


def _message(rest: str, place: Place, usage: str, *, own: bool = False) -> tuple[str, str]:
    """The message named first (``#12``, ``12``, ``^`` or 8 hex digits of its id), and what follows."""
    word, _, after = rest.partition(" ")
    if word == "^" and (last := place.last(own)):
        return last, after.strip()
    if number := _NUMBER.fullmatch(word):
        return place.find(int(number[1])), after.strip()
    if ID_BEGINNING.fullmatch(word):
        return word, after.strip()
    raise _wrong(usage)


def _wrong(usage: str) -> UsageError:
    return UsageError("that is not how this command is written, so nothing was done", hint=f"write: {usage}")


def _bounded(text: str, limit: int = TEXT_BYTES_MAX) -> str:
    size = len(text.encode(errors="replace"))
    if size > limit:
        sentence = f"this message has {size:,} bytes, and {limit:,} is the most: it was not sent"
        raise UsageError(sentence, hint="send it in several parts")
    return text


def _takes_lines(line: str) -> bool:
    """Whether a text of several lines is the argument of a command that says something, such as /me."""
    found = _BY_NAME.get(line[1:].split(None, 1)[0].lower()) if line[1:].strip() else None
    return found is not None and found.takes_lines


# --- the commands ---


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how it is written, what it does, and what its arguments mean."""

    usage: str
    does: str
    reader: Callable[[str, Place, str], Typed]
    aliases: tuple[str, ...] = ()
    takes_lines: bool = False

    @property
    def name(self) -> str:
        """Without its slash."""
        return self.usage[1:].split()[0]

    def read(self, rest: str, place: Place) -> Typed:
        """Its arguments, as a request; ``UsageError`` where they make no sense."""
        return self.reader(rest, place, self.usage)


def _local(name: str) -> Callable[[str, Place, str], Typed]:
    return lambda rest, _place, _usage: Local(name, rest)


def _of_room(request: type[Members | Log | Invites | Open | Rekey]) -> Callable[[str, Place, str], Typed]:
    return lambda _rest, place, _usage: Ask(request(room=place.room))


def _say(kind: str) -> Callable[[str, Place, str], Typed]:
    def read(rest: str, place: Place, usage: str) -> Typed:
        if not rest:
            raise _wrong(usage)
        return Ask(Send(room=place.room, text=_bounded(rest), kind=kind))

    return read


def _about(kind: str) -> Callable[[str, Place, str], Typed]:
    """Reply and edit: a message, and a text."""

    def read(rest: str, place: Place, usage: str) -> Typed:
        about, text = _message(rest, place, usage, own=kind == "edit")
        if not text:
            raise _wrong(usage)
        return Ask(Send(room=place.room, text=_bounded(text, TEXT_BYTES_MAX - _ID_BYTES), kind=kind, re=about))

    return read


def _delete(rest: str, place: Place, usage: str) -> Typed:
    about, _ = _message(rest, place, usage, own=True)
    return Ask(Send(room=place.room, kind="delete", re=about))


def _react(*, add: bool) -> Callable[[str, Place, str], Typed]:
    def read(rest: str, place: Place, usage: str) -> Typed:
        about, emoji = _message(rest, place, usage)
        if not emoji or len(emoji.encode(errors="replace")) > EMOJI_BYTES_MAX or " " in emoji:
            raise _wrong(usage)
        return Ask(Send(room=place.room, text=emoji, kind="react", re=about, add=add))

    return read


def _direct(rest: str, place: Place, usage: str) -> Typed:
    who, text = _who(rest, place, usage)
    if not text:
        raise _wrong(usage)
    return Ask(Send(room=place.room, text=_bounded(text), to=who))


def _send_file(rest: str, place: Place, usage: str) -> Typed:
    path, caption = take_path(rest)
    if not path:
        raise _wrong(usage)
    return Ask(SendFile(room=place.room, path=str(whole_path(path)), text=_bounded(caption)))


def _get_file(rest: str, place: Place, usage: str) -> Typed:
    about, where = _message(rest, place, usage)
    directory = whole_path(take_directory(where)) if where else default_directory()
    return Ask(GetFile(room=place.room, re=about, directory=str(directory)))


def _act_on(what: str, confirm: str = "") -> Callable[[str, Place, str], Typed]:
    def read(rest: str, place: Place, usage: str) -> Typed:
        who, reason = _who(rest, place, usage)
        return Ask(Act(room=place.room, what=what, who=who, text=reason), confirm.format(who=who))

    return read


def _act(what: str, confirm: str = "") -> Callable[[str, Place, str], Typed]:
    return lambda rest, place, _usage: Ask(Act(room=place.room, what=what, text=rest), confirm)


def _act_text(what: str) -> Callable[[str, Place, str], Typed]:
    def read(rest: str, place: Place, usage: str) -> Typed:
        if not rest:
            raise _wrong(usage)
        return Ask(Act(room=place.room, what=what, text=rest))

    return read


def _topic(rest: str, place: Place, _usage: str) -> Typed:
    return Ask(Act(room=place.room, what="topic", text=rest) if rest else Open(room=place.room))


def _redact(rest: str, place: Place, usage: str) -> Typed:
    about, _ = _message(rest, place, usage)
    hidden = "this hides the message from everybody, and cannot be undone"
    return Ask(Act(room=place.room, what="redact", text=about), hidden)


def _role(rest: str, place: Place, usage: str) -> Typed:
    who, role = _who(rest, place, usage)
    if role.lower() not in ROLES:
        raise _wrong(usage)
    handed = f"this makes {who} the owner and you an admin; only {who} can undo it" if role.lower() == "owner" else ""
    return Ask(Act(room=place.room, what="role", who=who, text=role.lower()), handed)


def _fixed_role(role: str) -> Callable[[str, Place, str], Typed]:
    def read(rest: str, place: Place, usage: str) -> Typed:
        who, _ = _who(rest, place, usage)
        return Ask(Act(room=place.room, what="role", who=who, text=role))

    return read


def _invite(rest: str, place: Place, usage: str) -> Typed:
    uses, life = 1, INVITE_LIFE_MS
    words = rest.lower().split()
    for word in words:
        if _USES.fullmatch(word):
            uses = int(word)
        elif DURATION.fullmatch(word):
            life = parse_duration_ms(word)
        elif word not in {"guest", "post-only"}:
            raise _wrong(usage)
    flags = {"guest": "guest" in words, "post_only": "post-only" in words}
    return Ask(Invite(room=place.room, uses=uses, life_ms=life, **flags))


def _verify(rest: str, place: Place, _usage: str) -> Typed:
    who, after = take_who(rest, place.nicks)
    ok = "ok" in {who, after}
    return Ask(Verify(room=place.room, who="" if who == "ok" else who, ok=ok))


def _whois(rest: str, place: Place, usage: str) -> Typed:
    return Ask(Whois(room=place.room, who=_who(rest, place, usage)[0]))


def _ignore(*, ignored: bool) -> Callable[[str, Place, str], Typed]:
    return lambda rest, place, usage: Ask(
        Ignore(room=place.room, who=_who(rest, place, usage)[0], ignored=ignored)
    )  # fmt: skip


def _search(rest: str, place: Place, usage: str) -> Typed:
    if not rest:
        raise _wrong(usage)
    return Ask(Search(room=place.room, text=rest))


COMMANDS: Final = (
    Command("/help [COMMAND]", "this list, or one command", _local("help"), ("h", "?")),
    Command("/who", "who is in the room, and who waits", _of_room(Members), ("names", "members")),
    Command("/whois WHO", "what is known of somebody", _whois),
    Command("/msg WHO TEXT", "a direct message, to one person alone", _direct, ("query", "dm"), takes_lines=True),
    Command("/me TEXT", "say what you do", _say("action"), takes_lines=True),
    Command("/nick NICK", "take another nick", _act_text("nick")),
    Command("/topic [TEXT]", "show or set the topic", _topic),
    Command("/name NAME", "give the room another name", _act_text("name")),
    Command("/reply #N TEXT", "answer a message", _about("reply"), ("re",), takes_lines=True),
    Command("/edit #N TEXT", "the new text of an own message", _about("edit"), takes_lines=True),
    Command("/delete #N", "take an own message back", _delete),
    Command("/react #N EMOJI", "react to a message", _react(add=True)),
    Command("/unreact #N EMOJI", "take a reaction back", _react(add=False)),
    Command("/send FILE [CAPTION]", "send a file of 100 MiB at most; quotes around spaces", _send_file, ("file",)),
    Command("/get #N [DIR]", "fetch the file of a message, and go on where that stopped", _get_file),
    Command("/last [N]", "the last lines once more", _local("last")),
    Command("/search TEXT", "lines that hold a text", _search),
    Command("/invite [USES] [24h] [guest] [post-only]", "make an invite link", _invite),
    Command("/invites", "the invites that are live", _of_room(Invites)),
    Command("/uninvite N", "take the invite of record N back", _act_text("uninvite")),
    Command("/kick WHO [REASON]", "remove somebody; all keys are changed", _act_on("kick")),
    Command("/ban WHO [REASON]", "remove somebody for good", _act_on("ban", "this bans {who} by identity, for good")),
    Command("/unban WHO", "lift a ban", _act_on("unban")),
    Command("/mute WHO", "let somebody read but not speak", _act_on("mute")),
    Command("/unmute WHO", "let somebody speak again", _act_on("unmute")),
    Command("/role WHO ROLE", f"{', '.join(ROLES[:3])}; owner hands the room over", _role),
    Command("/op WHO", "make somebody a mod", _fixed_role("mod")),
    Command("/deop WHO", "make somebody a plain member", _fixed_role("member")),
    Command("/admit WHO", "let in somebody who waits", _act_on("admit")),
    Command("/redact #N", "hide somebody's message from everybody", _redact),
    Command("/log", "the checked moderation log", _of_room(Log)),
    Command("/verify [WHO] [ok]", "safety codes to compare; ok once they are equal", _verify),
    Command("/rekey", "a new key, from your next message on", _of_room(Rekey)),
    Command("/ignore WHO", "show somebody's messages no longer", _ignore(ignored=True)),
    Command("/unignore WHO", "show them again", _ignore(ignored=False)),
    Command("/rooms", "the rooms of this profile", lambda _rest, _place, _usage: Ask(Rooms()), ("list",)),
    Command("/open ROOM", "go to another room", _local("open")),
    Command("/join LINK [NICK]", "join another room, and go there", _local("join")),
    Command("/leave", "leave the room for good", _act("leave", "you come back by a new invite only"), ("part",)),
    Command("/close", "end the room for everybody", _act("close", "this ends the room for everybody, for good")),
    Command("/reconnect", "connect now, whatever stopped it", lambda _rest, _place, _usage: Ask(Connect(now=True))),
    Command("/clear", "clear the screen", _local("clear"), ("cls",)),
    Command("/quit", "end the program; you stay a member", _local("quit"), ("exit", "q")),
)  # fmt: skip

_BY_NAME: Final = {name: one for one in COMMANDS for name in (one.name, *one.aliases)}
