"""The line client: lines are only ever added, so a screen reader, a pipe or a dumb terminal can use it.

The terminal edits the line being typed by itself. Every function of a room is a slash command; ``/help`` lists them.
"""

import sys
import time

from chaton.cli.files import ProgressLine
from chaton.cli.lines import Narrator, of_reply
from chaton.cli.output import paint, put, tell, tell_error
from chaton.client import slash
from chaton.client.answers import member_lines
from chaton.client.news import AnyNotice, ConnectionChanged, Progress
from chaton.client.replies import AnyReply, LineFacts, Lines, MemberFacts, MemberList, RoomFacts, SentFacts
from chaton.client.requests import AnyRequest, Whois
from chaton.client.words import count, end_sentence, nick
from chaton.errors import ChatonError
from chaton.limits import SECOND_MS
from chaton.session.notices import PresenceChanged, Said
from chaton.session.text import clean

PRESENCE_MEMBERS_MAX = 20  # In a larger room somebody comes or goes all the time.
REPEATED_LINES = 15
OFFLINE_S = 30  # How often it is said at most that the relay is still away.


class PlainFace:
    """Prints lines for a person: what the room says to standard output, all else to standard error."""

    def __init__(self) -> None:
        self.asks = sys.stdin.isatty()
        self._narrator = Narrator()
        self._members = 0
        self._offline_told: float | None = None
        self._progress = ProgressLine()

    def entered(self, facts: RoomFacts, members: list[MemberFacts]) -> None:
        """Say where one is and who is there."""
        self._members = facts.members
        if facts.peer:
            tell(f"* direct messages with {nick(facts.peer)}", "bold")
            return
        online = [nick(one.nick) for one in members if one.online and one.identity != facts.identity]
        others = f"; online: {', '.join(online[:10])}{', …' if len(online) > 10 else ''}" if online else ""  # noqa: PLR2004
        tell(f"* you are in {facts.name} as {nick(facts.nick)}, {count(facts.members, 'member')}{others}", "bold")
        if facts.topic:
            tell("* topic: " + facts.topic.replace("\n", "\n  | "))
        if facts.forked:
            tell("! a fork was seen: sending is stopped until you compare safety codes (/verify)", "red")
        tell("* /help lists the commands, /quit or Ctrl+D ends")

    def history(self, lines: list[LineFacts]) -> None:
        """Print what was said before."""
        for line in lines:
            put(self._narrator.line(line))
        tell("* -- above: what was said before --")

    def notice(self, notice: AnyNotice) -> None:
        """Print what happened."""
        if isinstance(notice, ConnectionChanged):
            self._connection(notice)
            return
        if isinstance(notice, Progress):
            self._progress.show(notice)
            return
        self._progress.clear()
        if isinstance(notice, PresenceChanged) and self._members > PRESENCE_MEMBERS_MAX:
            return
        text = self._narrator.notice(notice)
        if text and isinstance(notice, Said):
            put(text, "cyan" if notice.to else "dim" if notice.own else "")
        elif text:
            put(text, "yellow" if text.startswith("!") else "dim")

    def _connection(self, notice: ConnectionChanged) -> None:
        if notice.state == "offline":
            now = time.monotonic()
            if self._offline_told is not None and now - self._offline_told < OFFLINE_S:
                return
            again = f", next attempt in {max(1, round(notice.retry_ms / SECOND_MS))} s" if notice.retry_ms else ""
            tell(f"! offline: {notice.detail}{again}; what you type is kept and sent later", "yellow")
            self._offline_told = now
        elif notice.state == "online" and self._offline_told is not None:
            tell(f"* online again at {notice.address}")
            self._offline_told = None

    def reply(self, request: AnyRequest, reply: AnyReply) -> None:
        """Print an answer."""
        self._progress.clear()
        if isinstance(request, Whois) and isinstance(reply, MemberList):
            texts = [text for one in reply.members for text in member_lines(one)]
        else:
            # What is shown once more is shown with its numbers: they are what /reply and /edit take.
            narrator = Narrator(numbers=True, said=self._narrator.said) if isinstance(reply, Lines) else self._narrator
            texts = of_reply(reply, narrator)
        for text in texts:
            put(text)

    def sent(self, facts: SentFacts, ref: int) -> None:
        """A message that is in the room is printed when it comes back from there."""

    def failed(self, error: ChatonError, room: str, ref: int) -> None:  # noqa: ARG002  # As the other face needs it.
        """Print why a line came to nothing."""
        self._progress.clear()
        tell_error(error)

    def question(self, sentence: str) -> None:
        """Ask; the next line is the answer."""
        tell(f"? {clean(sentence)}; type yes to go on", "bold")

    def local(self, command: slash.Local) -> None:
        """Help, and clearing the screen."""
        if command.name == "help":
            for text in slash.help_lines(command.argument):
                tell(text)
            if not command.argument:
                tell("Ctrl+R shows once more what you are typing, Ctrl+U takes it away. /last shows message numbers.")
        elif command.name == "clear" and sys.stdout.isatty():
            sys.stdout.write("\x1b[2J\x1b[H")
            sys.stdout.flush()

    def ended(self, room: str, code: str, detail: str) -> None:  # noqa: ARG002
        """Say how it ended."""
        if code == "quit":
            tell("* bye; you stay a member")
        elif code == "relay-gone":
            tell(f"! disconnected for good: {detail}", "red")
        else:
            tell(paint(f"* {end_sentence(code, detail)}", "red", sys.stderr))
