"""The line client: lines are only ever added, so a screen reader, a pipe or a dumb terminal can use it.

The terminal edits the line being typed by itself. Every function of a room is a slash command; ``/help`` lists them.
At the terminal where somebody types each message begins with its number, by which commands name it, and no line stands
twice: what was typed just above is answered by its number alone.
"""

import sys
import time
from typing import TextIO

from chaton.cli.lines import Narrator, of_reply
from chaton.cli.output import put, tell, tell_error
from chaton.cli.progress import ProgressLine
from chaton.cli.terminal import begin_row, is_typed_here
from chaton.client import slash
from chaton.client.answers import member_lines
from chaton.client.news import AnyNotice, ConnectionChanged, Progress
from chaton.client.replies import AnyReply, LineFacts, Lines, MemberFacts, MemberList, RoomFacts, SentFacts
from chaton.client.requests import AnyRequest, Whois
from chaton.client.words import count, end_sentence, local_minute, nick
from chaton.errors import ChatonError
from chaton.limits import SECOND_MS
from chaton.session.notices import PresenceChanged, Said, Working
from chaton.session.text import clean

PRESENCE_MEMBERS_MAX = 20  # In a larger room somebody comes or goes all the time.
REPEATED_LINES = 15
OFFLINE_S = 30  # How often it is said at most that the relay is still away.


class PlainFace:
    """Prints lines for a person: what the room says to standard output, all else to standard error."""

    def __init__(self) -> None:
        self.asks = sys.stdin.isatty()
        self._is_typed_here = is_typed_here()
        self._narrator = Narrator()
        self._numbered = Narrator(numbers=True, said=self._narrator.said)
        self._above = ""  # What was typed last, while nothing stands below it.
        self._room = ""
        self._members = 0
        self._offline_told: float | None = None
        self._progress = ProgressLine()

    def entered(self, facts: RoomFacts, members: list[MemberFacts]) -> None:
        """Say where one is and who is there."""
        self._room, self._members = facts.room, facts.members
        if facts.peer:
            self._tell(f"* direct messages with {nick(facts.peer)}", "bold")
            return
        online = [nick(one.nick) for one in members if one.online and one.identity != facts.identity]
        others = f"; online: {', '.join(online[:10])}{', …' if len(online) > 10 else ''}" if online else ""  # noqa: PLR2004
        self._tell(f"* you are in {facts.name} as {nick(facts.nick)}, {count(facts.members, 'member')}{others}", "bold")
        if facts.topic:
            self._tell("* topic: " + facts.topic.replace("\n", "\n  | "))
        if facts.forked:
            self._tell("! a fork was seen: sending is stopped until you compare safety codes (/verify)", "red")
        self._tell("* /help lists the commands, /quit or Ctrl+D ends")

    def history(self, lines: list[LineFacts]) -> None:
        """Print what was said before."""
        narrator = self._numbered if self._is_typed_here else self._narrator
        self._put("\n".join(map(narrator.line, lines)))
        self._tell("* -- above: what was said before --")

    def notice(self, notice: AnyNotice) -> None:
        """Print what happened."""
        if isinstance(notice, ConnectionChanged):
            self._connection(notice)
            return
        if isinstance(notice, Progress):
            self._progress.show(notice)
            return
        if isinstance(notice, Working):
            self._progress.show_work(notice)
            return
        self._progress.clear()
        if isinstance(notice, PresenceChanged) and self._members > PRESENCE_MEMBERS_MAX:
            return
        if isinstance(notice, Said):
            self._said(notice)
        elif text := self._narrator.notice(notice):
            self._put(text, "yellow" if text.startswith("!") else "dim")

    def _said(self, said: Said) -> None:
        # A direct message is shown in whatever room one is, where its number would be another message's.
        is_numbered = self._is_typed_here and str(said.room) == self._room
        text = (self._numbered if is_numbered else self._narrator).notice(said)
        if is_numbered and said.own and said.kind == "text" and said.text == self._above:
            text = f"#{said.seq} [{local_minute(said.at)}] sent"
        self._put(text, "cyan" if said.to else "dim" if said.own else "")

    def _connection(self, notice: ConnectionChanged) -> None:
        if notice.state == "offline":
            now = time.monotonic()
            if self._offline_told is not None and now - self._offline_told < OFFLINE_S:
                return
            again = f", next attempt in {max(1, round(notice.retry_ms / SECOND_MS))} s" if notice.retry_ms else ""
            self._tell(f"! offline: {notice.detail}{again}; what you type is kept and sent later", "yellow")
            self._offline_told = now
        elif notice.state == "online" and self._offline_told is not None:
            self._tell(f"* online again at {notice.address}")
            self._offline_told = None

    def reply(self, request: AnyRequest, reply: AnyReply) -> None:
        """Print an answer."""
        self._progress.clear()
        if isinstance(request, Whois) and isinstance(reply, MemberList):
            texts = [text for one in reply.members for text in member_lines(one)]
        else:
            # What is shown once more is shown with its numbers: they are what /reply and /edit take.
            texts = of_reply(reply, self._numbered if isinstance(reply, Lines) else self._narrator)
        if texts:
            self._put("\n".join(texts))

    def typed(self, text: str) -> None:
        """What was typed stands on the screen, until something else is printed below it."""
        self._above = text

    def sent(self, facts: SentFacts, ref: int) -> None:
        """A message that is in the room is printed when it comes back from there."""

    def failed(self, error: ChatonError, room: str, ref: int) -> None:  # noqa: ARG002  # As the other face needs it.
        """Print why a line came to nothing."""
        self._progress.clear()
        self._make_way(sys.stderr)
        tell_error(error)

    def question(self, sentence: str) -> None:
        """Ask; the next line is the answer."""
        self._tell(f"? {clean(sentence)}; type yes to go on", "bold")

    def local(self, command: slash.Local) -> None:
        """Help, and clearing the screen."""
        if command.name == "help":
            keys = "Ctrl+R shows once more what you are typing, Ctrl+U takes it away. /last shows message numbers."
            self._tell("\n".join(slash.help_lines(command.argument) + [keys] * (not command.argument)))
        elif command.name == "clear" and sys.stdout.isatty():
            sys.stdout.write("\x1b[2J\x1b[H")
            sys.stdout.flush()

    def ended(self, room: str, code: str, detail: str) -> None:  # noqa: ARG002
        """Say how it ended."""
        if code == "quit":
            self._tell("* bye; you stay a member")
        elif code == "relay-gone":
            self._tell(f"! disconnected for good: {detail}", "red")
        else:
            self._tell(f"* {end_sentence(code, detail)}", "red")

    def _put(self, text: str, style: str = "") -> None:
        self._make_way(sys.stdout)
        put(text, style)

    def _tell(self, text: str, style: str = "") -> None:
        self._make_way(sys.stderr)
        tell(text, style)

    def _make_way(self, stream: TextIO) -> None:
        """Leave what is being typed as it stands, and begin on the next row."""
        self._above = ""
        if self._is_typed_here:
            begin_row(stream)
