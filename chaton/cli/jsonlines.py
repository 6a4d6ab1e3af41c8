"""The JSON client: events on standard output, messages and slash commands on standard input (docs/guide.md)."""

from collections.abc import Mapping
from typing import Any

from chaton.cli import events
from chaton.cli.output import put_json
from chaton.client import slash
from chaton.client.news import AnyNotice, ConnectionChanged
from chaton.client.replies import AnyReply, LineFacts, MemberFacts, RoomFacts, SentFacts
from chaton.client.requests import AnyRequest
from chaton.errors import ChatonError
from chaton.limits import SECOND_MS
from chaton.session.notices import Rejected


class JsonFace:
    """Prints events for a program."""

    asks = False

    def __init__(self) -> None:
        self._room = ""

    def entered(self, facts: RoomFacts, members: list[MemberFacts]) -> None:
        """``joined``."""
        self._room = facts.room
        people = [
            {"nick": one.nick, "identity": one.identity, "role": one.role, "online": one.online}
            for one in members
            if not one.pending
        ]
        put_json(
            events.event(
                "joined", facts.room, room_id=facts.room, nick=facts.nick, identity=facts.identity, members=people,
                name=facts.name, topic=facts.topic,
            )
        )  # fmt: skip

    def history(self, lines: list[LineFacts]) -> None:
        """``message`` of each line of before."""
        for line in lines:
            put_json(events.of_line(self._room, line))

    def notice(self, notice: AnyNotice) -> None:
        """The event of a notice."""
        if isinstance(notice, Rejected):
            return  # Its request fails as well, and knows which line it was.
        event = self._connection(notice) if isinstance(notice, ConnectionChanged) else events.of_notice(notice)
        if event is not None:
            put_json(event)

    def _connection(self, notice: ConnectionChanged) -> Mapping[str, Any] | None:
        if notice.state != "offline":
            return None
        again = f"; next attempt in {max(1, round(notice.retry_ms / SECOND_MS))} s" if notice.retry_ms else ""
        return events.event("warning", self._room, code="reconnecting", detail=f"{notice.detail}{again}")

    def reply(self, request: AnyRequest, reply: AnyReply) -> None:  # noqa: ARG002  # As the other face needs it.
        """The events of an answer."""
        for event in events.of_reply(reply):
            put_json(event)

    def typed(self, text: str) -> None:
        """A program knows what it wrote."""

    def sent(self, facts: SentFacts, ref: int) -> None:
        """``sent``."""
        put_json(events.event("sent", facts.room, seq=facts.seq, id=facts.id, ref=ref))

    def failed(self, error: ChatonError, room: str, ref: int) -> None:
        """``refused``."""
        put_json(events.of_refusal(room, error, ref))

    def question(self, sentence: str) -> None:
        """A program means what it says."""

    def local(self, command: slash.Local) -> None:
        """``help``; there is no screen to clear."""
        if command.name == "help":
            put_json(events.event("help", self._room, lines=slash.help_lines(command.argument)))

    def ended(self, room: str, code: str, detail: str) -> None:
        """``closed``."""
        put_json(events.event("closed", room, code=code, detail=detail))
