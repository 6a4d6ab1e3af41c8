"""Notices and replies as lines for people: what the line client, ``tail`` and the commands print.

No line is ever changed later. A message's second and further lines are set off by ``|``, so that no text can pass for
a line of somebody else.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chaton.cli.output import local_minute, local_time
from chaton.client import requests
from chaton.client.requests import LineFacts
from chaton.session import notices
from chaton.session.notices import Said

_QUOTE_CHARACTERS = 40
_NICK_CHARACTERS = 32
_NICK_TAIL = 12  # What tells two of the same nick apart stands at the end.
_NICK_HEAD = _NICK_CHARACTERS - _NICK_TAIL - 1
_NS_IN_MS = 1_000_000
_MIB = 2**20
_KIB = 2**10
_ACTIONS: Final = {
    "joined": "{nick} joined",
    "pending": "{nick} asks to be let in (/admit {nick})",
    "admitted": "{nick} was let in by {by}",
    "left": "{nick} left",
    "kicked": "{nick} was kicked by {by}{reason}",
    "banned": "{nick} was banned by {by}{reason}",
    "unbanned": "{by} lifted the ban of {nick}",
    "muted": "{nick} was muted by {by}",
    "unmuted": "{nick} may speak again, says {by}",
    "role": "{nick} is now {detail}, says {by}",
    "nick": "{nick} is now known as {detail}",
}


@dataclass(slots=True)
class Narrator:
    """Turns what happens in a room into lines.

    Attributes:
        numbers: Whether each message shows its number.
        said: Sender and text of the messages seen so far, by id: what a reply or a reaction is about.
    """

    numbers: bool = False
    said: dict[str, tuple[str, str]] = field(default_factory=dict)

    def line(self, line: LineFacts) -> str:
        """A message, with its time, and its number where that is wanted."""
        number = f"#{line.seq} " if self.numbers else ""
        text = f"{number}[{local_minute(line.at)}] {self._said(line)}"
        if line.kind not in {"edit", "delete", "react"}:
            self.said[line.id] = (line.sender, line.text)
        elif line.kind == "edit" and line.re in self.said:
            self.said[line.re] = (line.sender, line.text)
        return _whole(text)

    def notice(self, notice: object) -> str:
        """What to print for a notice; empty for what is not told."""
        if isinstance(notice, Said):
            return self.line(facts_of(notice))
        tell = _OF_NOTICE.get(type(notice))
        return tell(notice) if tell is not None else ""

    def _said(self, line: LineFacts) -> str:
        who = f"{nick(line.sender)} -> {nick(line.to)}" if line.to else nick(line.sender)
        match line.kind:
            case "text":
                return f"<{who}> {line.text}"
            case "action":
                return f"* {who} {line.text}"
            case "reply":
                return f"<{who}> (to {self._about(line.re)}) {line.text}"
            case "edit":
                return f"* {who} changed {self._about(line.re)} to: {line.text}"
            case "delete":
                return f"* {who} took back {self._about(line.re)}"
            case "react":
                return f"* {who} reacts {line.text} to {self._about(line.re)}"
            case "unreact":
                return f"* {who} takes {line.text} back from {self._about(line.re)}"
            case "file":
                caption = f": {line.text}" if line.text else ""
                return f"* {who} sent a file, {line.file} ({size_text(line.file_size)}){caption}"
            case "deleted" | "redacted":
                return f"* a message of {who} that was {'taken back' if line.kind == 'deleted' else 'removed'}"
        return f"* {who} sent something this version cannot show"

    def _about(self, message: str | None) -> str:
        sender, text = self.said.get(message or "", ("", ""))
        if not sender:
            return f"an earlier message ({(message or '')[:8]})"
        quoted = text.replace("\n", " ")
        cut = quoted[:_QUOTE_CHARACTERS] + ("…" if len(quoted) > _QUOTE_CHARACTERS else "")
        return f'{nick(sender)}: "{cut}"'


def facts_of(said: Said) -> LineFacts:
    """A message that has just come, as ``Tail`` would give it."""
    kind = "unreact" if said.kind == "react" and not said.added else said.kind
    return LineFacts(
        seq=said.seq, at=said.at, id=str(said.id), sender=said.sender, identity=str(said.identity), kind=kind,
        text=said.text, to=said.to, own=said.own, re=str(said.re) if said.re else None,
        file=said.file.name if said.file else None, file_size=said.file.size if said.file else 0,
    )  # fmt: skip


def nick(text: str) -> str:
    """A nick as lines show it: none is so long, or has such brackets, that a line reads like somebody else's."""
    short = text if len(text) <= _NICK_CHARACTERS else f"{text[:_NICK_HEAD]}…{text[-_NICK_TAIL:]}"
    return short.replace("<", "‹").replace(">", "›")


def count(number: int, what: str) -> str:
    """``1 member``, ``2 members``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size_text(size: int) -> str:
    """A number of bytes as people say it."""
    if size >= _MIB:
        return f"{size / _MIB:.1f} MB"
    return f"{size / _KIB:.1f} KB" if size >= _KIB else f"{size} bytes"


def _member(notice: notices.MemberChanged) -> str:
    if notice.action == "nick" and notice.nick == notice.detail:
        return ""
    reason = f": {notice.reason}" if notice.reason else ""
    by = f"{nick(notice.by)} ({notice.by_identity.short})"
    sentence = _ACTIONS.get(notice.action, "{nick}: {action} by {by}").format(
        nick=nick(notice.nick), by=by, reason=reason, detail=nick(notice.detail), action=notice.action
    )
    return f"[{local_minute(notice.at)}] * {sentence}"


def _joined(notice: notices.Joined) -> str:
    if notice.peer is not None:
        return f"* direct messages with {nick(str(notice.peer))}"
    topic = f", topic: {notice.topic}" if notice.topic else ""
    online = sum(one.online for one in notice.members)
    people = f"{count(len(notice.members), 'member')}, {online} online"
    return _whole(f"* you are in {notice.name} as {nick(notice.nick)}: {people}{topic}")


def _whole(text: str) -> str:
    """A text of several lines as one piece of output."""
    return text.replace("\n", "\n  | ")


_OF_NOTICE: Final[dict[type, Callable[[Any], str]]] = {
    notices.Joined: _joined,
    notices.MemberChanged: _member,
    notices.Waiting: lambda one: f"* you asked to join {one.name}; an admin of the room has to let you in",
    notices.Redacted: lambda one: f"* {nick(one.by)} removed a message ({str(one.message)[:8]})",
    notices.TopicChanged: lambda one: _whole(f"* {nick(one.by)} named the room {one.name}, topic: {one.text}"),
    notices.PresenceChanged: lambda one: f"* {nick(one.nick)} is {'online' if one.online else 'offline'}",
    notices.Warned: lambda one: f"! warning: {one.detail} ({one.code})",
    notices.Rejected: lambda one: _whole(f"! not sent: {one.detail} ({one.code}): {one.text}"),
    notices.LinkWanted: lambda one: (
        f"! {nick(one.by)} removed somebody whose link had {count(one.uses, 'use')} left: "
        f"/invite {one.uses} makes another"
    ),
    notices.Ended: lambda one: f"* {end_sentence(one.code, one.detail)}",
}  # fmt: skip


def end_sentence(code: str, detail: str) -> str:
    """How one's time in a room ended."""
    sentence = {
        "kicked": "you were kicked", "banned": "you were banned", "left": "you left the room",
        "closed": "the room was closed", "security": "stopped for security",
    }.get(code, f"the room ended for you ({code})")  # fmt: skip
    return f"{sentence}: {detail}" if detail else sentence


# --- replies ---


def of_reply(reply: requests.Reply, narrator: Narrator) -> list[str]:
    """What to print for an answer."""
    return _OF_REPLY[type(reply)](reply, narrator)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns that line up; the last one is as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def _rooms(reply: requests.RoomList, _narrator: Narrator) -> list[str]:
    if not reply.rooms:
        return ["no rooms yet: chaton join, or chaton up"]
    rows = []
    for one in reply.rooms:
        marks = [f"{one.unread} new"] * (one.unread > 0) + ["closed"] * one.closed + ["fork!"] * one.forked
        status = {"in": "", "joining": "waits to be let in"}.get(one.status, one.why or one.status)
        name = one.name or f"direct: {one.peer}"
        about = ", ".join([*([status] if status else []), *marks])
        rows.append((name, one.room[:8], count(one.members, "member"), f"as {one.nick}", one.relay, about))
    return [line.rstrip() for line in _table(rows)]


def _members(reply: requests.MemberList, _narrator: Narrator) -> list[str]:
    return [line.rstrip() for line in _table([_member_row(one) for one in reply.members])]


def _member_row(one: requests.MemberFacts) -> tuple[str, ...]:
    marks = {
        "online": one.online, "waits to be let in": one.pending, "muted": one.muted, "bot": one.bot, "guest": one.guest,
        "compared": one.compared, "ignored": one.ignored,
    }  # fmt: skip
    invited = [f"invited by {nick(one.invited_by)}"] if one.invited_by else []
    return (
        nick(one.nick),
        one.role,
        one.identity[:16],
        ", ".join([word for word, is_so in marks.items() if is_so] + invited),
    )


def member_lines(one: requests.MemberFacts) -> list[str]:
    """Everything about one person."""
    lines = [" ".join(_member_row(one)), f"identity {one.identity}"]
    return lines + ([f"safety code with you: {one.code}"] if one.code else [])


def _log(reply: requests.LogLines, _narrator: Narrator) -> list[str]:
    rows = [
        (f"{line.n}", local_time(line.t), _whole(line.what), f"signed by {nick(line.signer)} ({line.identity[:8]})")
        for line in reply.lines
    ]
    return [*_table(rows), f"every line is checked; head {reply.head}"]


def _codes(reply: requests.Codes, _narrator: Narrator) -> list[str]:
    lines = [f"room, up to record {reply.n}:  {reply.code}"]
    if reply.pair:
        state = "compared before" if reply.compared else "not compared yet"
        lines.append(f"{nick(reply.nick)} ({reply.identity[:8]}) and you:  {reply.pair}  ({state})")
    if reply.forked:
        lines.append("a FORK was seen: sending is stopped until you compare and say ok")
    return [*lines, "compare over another channel, such as a call; equal codes mean that nobody is between you"]


def _invites(reply: requests.InviteList, _narrator: Narrator) -> list[str]:
    if not reply.invites:
        return ["no live invites"]
    rows, now = [], time.time_ns() // _NS_IN_MS
    for one in reply.invites:
        flags = [word for word, is_so in {"guest": one.guest, "post-only": one.post_only}.items() if is_so]
        about = ", ".join([f"by {nick(one.creator)}", *flags])
        rows.append((f"{one.n}", f"{count(one.uses_left, 'use')} left", _until(one.expires, now), about))
    return _table(rows)


def _until(expires: int, now: int) -> str:
    return f"until {local_time(expires)}" if expires > now else f"expired {local_time(expires)}"


def _signed(reply: requests.Signed, _narrator: Narrator) -> list[str]:
    lines = [f"{reply.what}, record {reply.n}"]
    if reply.link:
        lines += ["the link they came by had uses left and is deleted; this one takes its place:", reply.link]
    if reply.lost_uses:
        lines.append(
            f"the link they came by had {count(reply.lost_uses, 'use')} left and is deleted; the admins were told"
        )
    return lines


def _link(reply: requests.LinkText, _narrator: Narrator) -> list[str]:
    return [reply.link]


def _room(reply: requests.RoomFacts, _narrator: Narrator) -> list[str]:
    name = reply.name or f"direct messages with {nick(reply.peer)}"
    return [
        f"{name}, as {nick(reply.nick)}, {count(reply.members, 'member')}",
        _whole(f"topic: {reply.topic or '(none)'}"),
    ]


_OF_REPLY: Final[dict[type, Callable[[Any, Narrator], list[str]]]] = {
    requests.Ok: lambda _reply, _narrator: ["done"],
    requests.RoomFacts: _room,
    requests.RoomList: _rooms,
    requests.SentFacts: lambda _reply, _narrator: [],
    requests.Lines: lambda reply, narrator: [narrator.line(line) for line in reply.lines] or ["nothing"],
    requests.MemberList: _members,
    requests.LogLines: _log,
    requests.Codes: _codes,
    requests.LinkText: _link,
    requests.InviteList: _invites,
    requests.Signed: _signed,
}  # fmt: skip
