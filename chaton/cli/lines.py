"""Notices and replies as lines for people: what the line client, ``tail`` and the commands print.

No line is ever changed later. A message's second and further lines are set off by ``|``, so that no text can pass for
a line of somebody else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from chaton.client import answers, replies
from chaton.client.replies import LineFacts
from chaton.client.words import count, end_sentence, local_minute, member_sentence, nick, size_text, whole
from chaton.session import notices
from chaton.session.notices import Said

_QUOTE_CHARACTERS = 40
_NS_IN_MS = 1_000_000
_ABOUT: Final = frozenset({"edit", "delete", "react", "unreact"})
_FORMS: Final = {
    "text": "<{who}> {text}",
    "action": "* {who} {text}",
    "reply": "<{who}> (to {about}) {text}",
    "edit": "* {who} changed {about} to: {text}",
    "delete": "* {who} took back {about}",
    "react": "* {who} reacts {text} to {about}",
    "unreact": "* {who} takes {text} back from {about}",
    "file": "<{who}> sent a file: {file}, {size}, /get {number}{caption}",
    "deleted": "* a message of {who} that was taken back",
    "redacted": "* a message of {who} that was removed",
    "record": "* {text}",
    "unread": "* a message of {who} that cannot be shown: {text}",
}


@dataclass(slots=True)
class Narrator:
    """Turns what happens in a room into lines.

    Attributes:
        numbers: Whether each message shows its number, by which commands name it; what is only about one has none.
        said: Sender and text of the messages seen so far, by id: what a reply or a reaction is about.
    """

    numbers: bool = False
    said: dict[str, tuple[str, str]] = field(default_factory=dict)

    def line(self, line: LineFacts) -> str:
        """A message, with its time, and its number where that is wanted."""
        number = f"#{line.seq} " if self.numbers and line.kind not in _ABOUT else ""
        text = f"{number}[{local_minute(line.at)}] {self._said(line)}"
        if line.kind not in _ABOUT:
            self.said[line.id] = (line.sender, line.text)
        elif line.kind == "edit" and line.re in self.said:
            self.said[line.re] = (line.sender, line.text)
        return whole(text)

    def notice(self, notice: object) -> str:
        """What to print for a notice; empty for what is not told."""
        if isinstance(notice, Said):
            return self.line(facts_of(notice))
        tell = _OF_NOTICE.get(type(notice))
        return tell(notice) if tell is not None else ""

    def _said(self, line: LineFacts) -> str:
        who = f"{nick(line.sender)} -> {nick(line.to)}" if line.to else nick(line.sender)
        form = _FORMS.get(line.kind, "* {who} sent something this version cannot show")
        about = self._about(line.re) if "{about}" in form else ""
        # A direct message is shown in whatever room one is, where its number would be another message's.
        number = line.id[:8] if line.to else line.seq
        caption = f": {line.text}" if line.text else ""
        return form.format(
            who=who, text=line.text, about=about, file=line.file, size=size_text(line.file_size), number=number,
            caption=caption,
        )  # fmt: skip

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


def _member(notice: notices.MemberChanged) -> str:
    sentence = member_sentence(notice)
    return f"[{local_minute(notice.at)}] * {sentence}" if sentence else ""


def _joined(notice: notices.Joined) -> str:
    if notice.peer is not None:
        return f"* direct messages with {nick(str(notice.peer))}"
    topic = f", topic: {notice.topic}" if notice.topic else ""
    online = sum(one.online for one in notice.members)
    people = f"{count(len(notice.members), 'member')}, {online} online"
    return whole(f"* you are in {notice.name} as {nick(notice.nick)}: {people}{topic}")


_OF_NOTICE: Final[dict[type, Callable[[Any], str]]] = {
    notices.Joined: _joined,
    notices.MemberChanged: _member,
    notices.Waiting: lambda one: f"* you asked to join {one.name}; an admin of the room has to let you in",
    notices.Redacted: lambda one: f"* {nick(one.by)} removed a message ({str(one.message)[:8]})",
    notices.TopicChanged: lambda one: whole(f"* {nick(one.by)} named the room {one.name}, topic: {one.text}"),
    notices.PresenceChanged: lambda one: f"* {nick(one.nick)} is {'online' if one.online else 'offline'}",
    notices.Warned: lambda one: f"! warning: {one.detail} ({one.code})",
    notices.Rejected: lambda one: whole(f"! not sent: {one.detail} ({one.code}): {one.text}"),
    notices.LinkWanted: lambda one: (
        f"! {nick(one.by)} removed somebody whose link had {count(one.uses, 'use')} left: "
        f"/invite {one.uses} makes another"
    ),
    notices.Ended: lambda one: f"* {end_sentence(one.code, one.detail)}",
}  # fmt: skip


def of_reply(reply: replies.Reply, narrator: Narrator) -> list[str]:
    """What to print for an answer."""
    if isinstance(reply, replies.Lines):
        return [narrator.line(line) for line in reply.lines] or ["nothing"]
    return answers.of_reply(reply)
